use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::*;
use crate::plan::PodSlot;
use crate::policy::BuiltIn;

const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

fn job(mode: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"work","namespace":"default","uid":"job-uid","resourceVersion":"7"}},
            "spec":{{"parallelism":2,"completions":2,"completionMode":"{mode}","backoffLimit":6,
                "selector":{{"matchLabels":{{"job":"work"}}}},
                "template":{{"metadata":{{"labels":{{"job":"work"}}}},
                    "spec":{{"restartPolicy":"Never","containers":[{{"name":"main","image":"busybox"}}]}}}}}},
            "status":{{}}}}"#
    )
}

fn pod(name: &str, phase: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"default","uid":"uid-of-{name}","resourceVersion":"9",
                "labels":{{"job":"work"}},"finalizers":["{FINALIZER}"],
                "ownerReferences":[{{"apiVersion":"batch/v1","kind":"Job","name":"work","uid":"job-uid",
                    "controller":true}}]}},
            "status":{{"phase":"{phase}"}}}}"#
    )
}

fn request(rest: &str) -> String {
    format!(
        r#"{{"apiVersion":"{API_VERSION}","kind":"{REQUEST_KIND}","now":"2026-01-01T00:00:00.250Z",{rest}}}"#
    )
}

fn answer(request: &str) -> Result<Value, Value> {
    let parse = |text: String| serde_json::from_str(&text).unwrap();
    reconcile(request, |flags| BuiltIn {
        backoff_base_ms: flags.backoff_base_ms,
        backoff_max_ms: flags.backoff_max_ms,
    })
    .map(parse)
    .map_err(parse)
}

/// Every request of a plan, whatever step it is in.
fn requests(plan: &Value) -> Vec<&Value> {
    plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| step["items"].as_array().unwrap())
        .flat_map(|item| item.as_array().unwrap())
        .collect()
}

#[test]
fn a_new_job_gets_whole_pods_under_derived_names() {
    let plan = answer(&request(&format!(r#""job":{}"#, job("Indexed")))).unwrap();
    assert_eq!(plan["kind"], "Plan");
    assert_eq!(plan["apiVersion"], API_VERSION);
    let created: Vec<&Value> = requests(&plan).into_iter().filter(|r| r["verb"] == "create").collect();
    assert_eq!(created.len(), 2, "{plan:#}");
    for (index, request) in created.iter().enumerate() {
        let pod = &request["object"];
        let slot = PodSlot { index: Some(index as u32), index_failures: None, index_ignored_failures: None };
        let name = format!("work-{index}-{}", job::naming::suffix("job-uid", slot, 0));
        assert_eq!(pod["metadata"]["name"], name);
        assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], "job-uid");
        assert_eq!(pod["metadata"]["finalizers"][0], FINALIZER);
        assert_eq!(pod["spec"]["containers"][0]["image"], "busybox");
        assert_eq!(pod["spec"]["hostname"], format!("work-{index}"));
    }
    let status = requests(&plan).into_iter().find(|r| r["verb"] == "updateStatus").unwrap();
    assert_eq!(status["object"]["metadata"]["resourceVersion"], "7");
    assert_eq!(status["object"]["status"]["startTime"], "2026-01-01T00:00:00Z");
}

#[test]
fn a_taken_name_is_not_used_again() {
    let slot = PodSlot { index: None, index_failures: None, index_ignored_failures: None };
    let first = format!("work-{}", job::naming::suffix("job-uid", slot, 0));
    let pods = format!(r#"[{}]"#, pod(&first, "Running"));
    let plan = answer(&request(&format!(r#""job":{},"pods":{pods}"#, job("NonIndexed")))).unwrap();
    let names: Vec<&Value> = requests(&plan)
        .into_iter()
        .filter(|r| r["verb"] == "create")
        .map(|r| &r["object"]["metadata"]["name"])
        .collect();
    assert_eq!(names, [&format!("work-{}", job::naming::suffix("job-uid", slot, 1))]);
}

#[test]
fn an_ended_pod_is_counted_before_its_finalizer_goes() {
    let pods = format!("[{},{}]", pod("work-a", "Succeeded"), pod("work-b", "Succeeded"));
    let plan = answer(&request(&format!(r#""job":{},"pods":{pods}"#, job("NonIndexed")))).unwrap();
    let patch = requests(&plan).into_iter().find(|r| r["verb"] == "patch").expect("a finalizer goes");
    assert_eq!(patch["contentType"], "application/strategic-merge-patch+json");
    assert_eq!(patch["body"]["metadata"]["uid"], "uid-of-work-a");
    assert_eq!(patch["body"]["metadata"]["$deleteFromPrimitiveList/finalizers"][0], FINALIZER);
    let steps = plan["steps"].as_array().unwrap();
    let is = |verb: &'static str| move |step: &Value| step["items"][0][0]["verb"] == verb;
    let untracks = steps.iter().position(is("patch")).unwrap();
    let writes = steps.iter().position(is("updateStatus")).unwrap();
    assert!(writes < untracks, "{plan:#}");
    assert_eq!(steps[untracks]["after"][0]["step"], writes);
}

#[test]
fn a_pod_without_its_job_loses_the_finalizer() {
    let plan =
        answer(&request(&format!(r#""orphanOwner":"Gone","pods":[{}]"#, pod("work-a", "Running")))).unwrap();
    let requests = requests(&plan);
    assert_eq!(requests.len(), 1, "{plan:#}");
    assert_eq!(requests[0]["body"]["metadata"]["resourceVersion"], "9");
}

#[test]
fn a_job_past_its_time_to_live_is_deleted_in_the_foreground() {
    let job = job("NonIndexed").replace(r#""backoffLimit":6"#, r#""ttlSecondsAfterFinished":0"#).replace(
        r#""status":{}"#,
        r#""status":{"conditions":[{"type":"Complete","status":"True",
            "lastTransitionTime":"2026-01-01T00:00:00Z"}]}"#,
    );
    let asking = answer(&request(&format!(r#""job":{job}"#))).unwrap();
    assert_eq!(asking["read"], "Owner");
    assert_eq!(requests(&asking).len(), 0, "{asking:#}");
    let plan = answer(&request(&format!(r#""job":{job},"liveOwner":"Alive""#))).unwrap();
    let requests = requests(&plan);
    assert_eq!(requests.len(), 1, "{plan:#}");
    assert_eq!(requests[0]["verb"], "delete");
    assert_eq!(requests[0]["propagationPolicy"], "Foreground");
    assert_eq!(requests[0]["target"]["uid"], "job-uid");
}

#[test]
fn a_pod_is_adopted_and_released_only_as_it_was_seen() {
    let stray = pod("stray", "Running").replace("ownerReferences", "noReferences");
    let leaving = pod("leaving", "Running").replace(r#"{"job":"work"}"#, r#"{"job":"other"}"#);
    let text = format!(r#""job":{},"pods":[{stray},{leaving}],"liveOwner":"Alive""#, job("NonIndexed"));
    let plan = answer(&request(&text)).unwrap();
    let requests = requests(&plan);
    assert_eq!(requests.len(), 2, "{plan:#}");
    for request in &requests {
        assert_eq!(request["body"]["metadata"]["resourceVersion"], "9", "{request:#}");
    }
    let reference = &requests[1]["body"]["metadata"]["ownerReferences"][0];
    assert_eq!((&reference["kind"], &reference["uid"]), (&"Job".into(), &"job-uid".into()));
    assert_eq!((&reference["controller"], &reference["blockOwnerDeletion"]), (&true.into(), &true.into()));
}

#[test]
fn what_is_no_request_gets_a_fault_with_a_category() {
    let cases = [
        ("{", "malformed_request"),
        ("{}", "unknown_document"),
        (r#"{"apiVersion":"windlass.dev/v2","kind":"ReconcileRequest"}"#, "unknown_document"),
        (&request(r#""flags":{}"#), "malformed_request"),
        (&request(&format!(r#""job":{},"memo":"xyz""#, job("Indexed"))), "malformed_request"),
        (&request(&format!(r#""job":{},"flags":{{"unknown":1}}"#, job("Indexed"))), "malformed_request"),
        (
            &request(r#""job":{"metadata":{"name":"a","namespace":"b","uid":"c"},"spec":{"completions":1}}"#),
            "malformed_template",
        ),
    ];
    for (request, category) in cases {
        let fault = answer(request).unwrap_err();
        assert_eq!(fault["kind"], "Fault");
        assert_eq!(fault["category"], category, "{fault} for {request}");
        assert!(!fault["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn the_memo_of_a_plan_is_read_back() {
    let plan = answer(&request(&format!(r#""job":{},"memo":"00ff10""#, job("Indexed"))));
    assert!(plan.is_ok(), "{plan:?}");
}

fn cron_job(policy: &str, status: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"cron","namespace":"default","uid":"cron-uid","resourceVersion":"7",
                "creationTimestamp":"2025-12-31T22:30:00Z"}},
            "spec":{{"schedule":"0 * * * *","timeZone":"Europe/Vienna","concurrencyPolicy":"{policy}",
                "jobTemplate":{{"metadata":{{"labels":{{"a":"b"}}}},"spec":{{"unheardOf":1.50}}}}}},
            "status":{status}}}"#
    )
}

fn job_of_cron_job(name: &str, status: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"default","uid":"uid-of-{name}","resourceVersion":"8",
                "ownerReferences":[{{"apiVersion":"batch/v1","kind":"CronJob","name":"cron","uid":"cron-uid",
                    "controller":true}}]}},
            "spec":{{}},"status":{status}}}"#
    )
}

/// How the status lists the Job of 23:00.
const LISTED: &str = r#"{"lastScheduleTime":"2025-12-31T23:00:00Z","active":[{"kind":"Job","namespace":"default",
    "name":"cron-29453700","uid":"uid-of-cron-29453700","apiVersion":"batch/v1","resourceVersion":"8"}]}"#;

#[test]
fn a_cron_job_replaces_its_job_by_a_whole_one() {
    let rest = format!(
        r#""cronJob":{},"jobs":[{}]"#,
        cron_job("Replace", LISTED),
        job_of_cron_job("cron-29453700", "{}")
    );
    let plan = answer(&request(&rest)).unwrap();
    assert_eq!(plan["wakeAt"], "2026-01-01T01:00:00Z");
    let requests = requests(&plan);
    assert_eq!(requests[0]["verb"], "delete");
    assert_eq!(requests[0]["target"]["uid"], "uid-of-cron-29453700");
    assert_eq!(requests[0]["propagationPolicy"], "Background");
    let object = &requests[1]["object"];
    assert_eq!(object["metadata"]["name"], "cron-29453760");
    assert_eq!(object["metadata"]["labels"]["a"], "b");
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "cron-uid");
    let annotation = &object["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"];
    assert_eq!(annotation, "2026-01-01T01:00:00+01:00");
    assert_eq!(object["spec"]["unheardOf"], 1.5);
    assert_eq!(plan["steps"][1]["after"][0]["needs"], "Succeeded");
    let update = requests[2];
    assert_eq!(update["object"]["kind"], "CronJob");
    assert_eq!(update["object"]["metadata"]["resourceVersion"], "7");
    assert_eq!(update["object"]["status"]["lastScheduleTime"], "2026-01-01T00:00:00Z");
    let active = &update["object"]["status"]["active"];
    assert_eq!(active.as_array().unwrap().len(), 1);
    assert_eq!(active[0]["name"], "cron-29453760");
    assert_eq!(active[0]["uid"], Value::Null);
    let source: Value = serde_json::from_str(r#"[{"active":0,"step":1,"item":0}]"#).unwrap();
    assert_eq!(update["uidsFrom"], source);
    assert_eq!(requests[3]["object"]["status"]["active"], Value::Null);
    assert_eq!(requests[3]["uidsFrom"], Value::Null);
}

#[test]
fn a_cron_jobs_listed_job_that_is_not_given_is_to_be_read() {
    let rest = format!(r#""cronJob":{}"#, cron_job("Forbid", LISTED));
    let plan = answer(&request(&rest)).unwrap();
    assert_eq!(plan["read"], "ActiveJobs");
    let found = format!(r#"{rest},"liveJobs":{{"uid-of-cron-29453700":"Gone"}}"#);
    let plan = answer(&request(&found)).unwrap();
    assert_eq!(plan["read"], Value::Null);
    let verbs: Vec<&Value> = requests(&plan).iter().map(|request| &request["verb"]).collect();
    assert_eq!(verbs, ["create", "updateStatus", "recordEvent", "updateStatus", "recordEvent"]);
}

#[test]
fn a_cron_job_follows_its_flags_and_its_edit() {
    let rest = format!(r#""cronJob":{},"editedAt":"2026-01-01T00:00:00Z""#, cron_job("Allow", "{}"));
    assert_eq!(requests(&answer(&request(&rest)).unwrap()).len(), 0);
    let rest = format!(r#"{rest},"flags":{{"editsRunThePast":true}}"#);
    assert_eq!(requests(&answer(&request(&rest)).unwrap()).len(), 2);
}

#[test]
fn a_request_is_about_one_object() {
    let rest = format!(r#""cronJob":{},"job":{}"#, cron_job("Allow", "{}"), job("Indexed"));
    let fault = answer(&request(&rest)).unwrap_err();
    assert_eq!(fault["category"], "malformed_request");
}
