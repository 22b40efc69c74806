//! Validation of CronJobs (upstream: pkg/apis/batch/validation). Their statuses are not validated.

use windlass_core::cron_job::schedule::Schedule;
use windlass_core::cron_job::zone::{Zone, ZoneFault};
use windlass_core::kube::{ConcurrencyPolicy, CronJob, CronJobSpec, JobSpec};

use super::job::{self, shown};
use super::metadata;
use crate::field::Faults;

/// Longest name of a CronJob: that of a Job less the dash and the minutes since the epoch.
const MAX_NAME: usize = 52;
/// Longest part of a time zone's name between slashes.
const MAX_ZONE_PART: usize = 14;

/// What is wrong with a new CronJob, its defaults filled in; `template` is the Job's spec in its template.
pub(crate) fn on_create(cron_job: &CronJob, template: &JobSpec, faults: &mut Faults) {
    metadata::on_create(&cron_job.metadata, true, faults);
    spec(&cron_job.spec, None, template, faults);
    let name = &cron_job.metadata.name;
    if name.len() > MAX_NAME {
        faults.invalid_text("metadata.name", name, &format!("must be no more than {MAX_NAME} characters"));
    }
}

/// What is wrong with changing a CronJob's spec from that of `old`.
pub(crate) fn on_update(cron_job: &CronJob, old: &CronJob, template: &JobSpec, faults: &mut Faults) {
    spec(&cron_job.spec, Some(&old.spec), template, faults);
}

fn spec(spec: &CronJobSpec, old: Option<&CronJobSpec>, template: &JobSpec, faults: &mut Faults) {
    if spec.schedule.is_empty() {
        faults.required("spec.schedule", "");
    } else {
        schedule(spec, old.is_some_and(|old| old.schedule.contains("TZ")), faults);
    }
    faults.not_negative("spec.startingDeadlineSeconds", spec.starting_deadline_seconds.unwrap_or(0));
    if let Some(zone) = &spec.time_zone
        && old.is_none_or(|old| old.time_zone != spec.time_zone)
    {
        time_zone(zone, faults);
    }
    if let ConcurrencyPolicy::Other(policy) = &spec.concurrency_policy {
        faults.not_supported("spec.concurrencyPolicy", policy, &["Allow", "Forbid", "Replace"]);
    }
    job_template(template, faults);
    for (field, limit) in [
        ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
    ] {
        faults.not_negative(format_args!("spec.{field}"), limit.map_or(0, i64::from));
    }
}

/// A text that is no schedule is told in the core's words, which say the mend, and not in upstream's. A zone in the
/// text is refused, unless an older server took one before.
fn schedule(spec: &CronJobSpec, had_zone: bool, faults: &mut Faults) {
    let path = "spec.schedule";
    if let Err(fault) = Schedule::parse(&spec.schedule, Zone::utc()) {
        faults.invalid_text(path, &spec.schedule, &fault.to_string());
    }
    if !spec.schedule.contains("TZ") {
        return;
    }
    if !had_zone {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        faults.invalid_text(path, &spec.schedule, detail);
    } else if spec.time_zone.is_some() {
        let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
        faults.invalid_text(path, &spec.schedule, detail);
    }
}

fn time_zone(zone: &str, faults: &mut Faults) {
    let path = "spec.timeZone";
    if zone.is_empty() {
        faults.invalid_text(path, zone, "timeZone must be nil or non-empty string");
        return;
    }
    if !zone.split('/').all(is_zone_part) {
        faults.invalid_text(path, zone, &format!("unknown time zone {zone}"));
        return;
    }
    if zone.eq_ignore_ascii_case("Local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        faults.invalid_text(path, zone, detail);
    }
    match Zone::by_name(zone) {
        // Upstream's library knows `Local`, which was refused above.
        Ok(_) | Err(ZoneFault::Local) => {}
        Err(ZoneFault::Capitals(_) | ZoneFault::Unknown) => {
            faults.invalid_text(path, zone, &format!("unknown time zone {zone}"));
        }
    }
}

fn is_zone_part(part: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
    (1..=MAX_ZONE_PART).contains(&part.len())
        && part.bytes().all(is_allowed)
        && !part.starts_with('-')
        && part != "."
        && part != ".."
}

fn job_template(template: &JobSpec, faults: &mut Faults) {
    let mut found = Faults::default();
    job::spec(template, &mut found);
    if let Some(selector) = &template.selector {
        found.invalid("spec.selector", shown(selector), "`selector` will be auto-generated");
    }
    if template.manual_selector == Some(true) {
        found.not_supported_value("spec.manualSelector", true, &["nil", "false"]);
    }
    faults.append_under("spec.jobTemplate", &found);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(spec: &str, old: Option<&str>) -> String {
        let read = |text: &str| -> CronJobSpec { serde_json::from_str(text).expect("a spec") };
        let template = r#"{"template":{"spec":{"restartPolicy":"Never","dnsPolicy":"Default","containers":[{"name":"a",
            "image":"b","imagePullPolicy":"Always","terminationMessagePolicy":"File"}]}}}"#;
        let template = serde_json::from_str(template).expect("a Job's spec");
        let mut faults = Faults::default();
        super::spec(&read(spec), old.map(read).as_ref(), &template, &mut faults);
        faults.to_string()
    }

    /// The API server takes no such CronJob any more, so the comparison with it cannot get here.
    #[test]
    fn a_zone_in_the_schedule_is_borne_where_there_was_one_before() {
        let zoned = r#"{"schedule":"TZ=UTC 0 3 * * *"}"#;
        assert_eq!(faults(zoned, Some(zoned)), "[]");
        assert_eq!(faults(r#"{"schedule":"CRON_TZ=Asia/Tokyo 1 3 * * *"}"#, Some(zoned)), "[]");
        assert_eq!(
            faults(r#"{"schedule":"TZ=UTC 0 3 * * *","timeZone":"UTC"}"#, Some(zoned)),
            "spec.schedule: Invalid value: \"TZ=UTC 0 3 * * *\": cannot use both timeZone field and TZ or CRON_TZ \
             in schedule"
        );
        let refused = "spec.schedule: Invalid value: \"TZ=UTC 0 3 * * *\": cannot use TZ or CRON_TZ in schedule, use \
                       timeZone field instead";
        assert_eq!(faults(zoned, None), refused);
        assert_eq!(faults(zoned, Some(r#"{"schedule":"0 3 * * *"}"#)), refused);
    }

    #[test]
    fn a_zone_that_was_stored_before_is_not_looked_at_again() {
        let odd = r#"{"schedule":"0 3 * * *","timeZone":"local"}"#;
        assert_ne!(faults(odd, None), "[]");
        assert_eq!(faults(odd, Some(odd)), "[]");
    }
}
