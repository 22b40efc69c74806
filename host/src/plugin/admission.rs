//! P5, admission: whether a Job may start, and what the Job itself says of it.

use windlass_core::kube::{Job, Str};

/// Something that a Job declared it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependency {
    /// Namespace and name of the Job waited for, joined by a slash.
    pub owner: String,
    /// How it stands: `absent`, `waiting`, `running`, `complete`, `failed`, or a word of a later version.
    pub state: String,
}

/// Jobs of one queue, or of one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that have started and not ended.
    pub running: u32,
    /// Jobs that wait for admission, the one that is asked about included.
    pub waiting: u32,
    /// Pods that the running Jobs may have at once, saturating.
    pub pods: u32,
}

/// A Job that is about to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Namespace and name of the Job, joined by a slash.
    pub owner: String,
    /// Name of its queue; empty: the one queue of its namespace.
    pub queue: String,
    /// Most Pods that the Job may have at once.
    pub parallelism: u32,
    /// The Jobs of its queue.
    pub in_queue: Counts,
    /// The Jobs of its namespace.
    pub in_namespace: Counts,
    /// What it waits for.
    pub dependencies: Vec<Dependency>,
    /// Time since the Job was created, milliseconds, saturating.
    pub age_ms: u32,
    /// For jitter: the same for the same question.
    pub seed: u32,
    /// Facts that the policy asked for.
    pub facts: Vec<(String, String)>,
}

/// An answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The Job may start.
    Start,
    /// The Job waits, and the question is asked again later.
    Hold(Hold),
    /// An answer that this version does not know; the built-in answer stands in for it.
    Other(String),
}

/// A wait without a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Why, for people.
    pub reason: String,
    /// When to ask again, milliseconds.
    pub ask_again_ms: u32,
}

/// Annotation with the name of a Job's queue.
pub const QUEUE_ANNOTATION: &str = "policy.windlass.dev/queue";
/// Annotation with the names of the Jobs that a Job waits for, in its own namespace.
pub const DEPENDS_ON_ANNOTATION: &str = "policy.windlass.dev/depends-on";
/// Most Jobs that one may wait for.
pub const MAX_DEPENDENCIES: usize = 64;

/// What becomes of a Job that is about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It starts.
    Start,
    /// It waits.
    Hold(Hold),
    /// It fails; why, for people. No plugin can say so: it is what the binding makes of a plugin that failed.
    Fail(String),
}

impl From<&Verdict> for windlass_core::view::Admission {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Start => Self::Granted,
            Verdict::Hold(_) => Self::Held,
            Verdict::Fail(why) => Self::Refused(why.as_str().into()),
        }
    }
}

/// Whether the start of the Job is still to come, so that somebody may have to be asked about it.
#[must_use]
pub fn is_ahead_of(job: &Job) -> bool {
    !job.is_started() && !job.is_suspended() && !job.is_finished()
}

/// Name of the Job's queue; empty where it names none.
#[must_use]
pub fn queue_of(job: &Job) -> Str {
    job.metadata.annotations.get(QUEUE_ANNOTATION).cloned().unwrap_or_default()
}

/// Names of the Jobs that the Job waits for, in the order written and each once; `None` if they are more than
/// [`MAX_DEPENDENCIES`].
#[must_use]
pub fn dependencies_of(job: &Job) -> Option<Vec<Str>> {
    let Some(text) = job.metadata.annotations.get(DEPENDS_ON_ANNOTATION) else { return Some(Vec::new()) };
    let mut names: Vec<Str> = Vec::new();
    for name in text.split([',', ' ', '\n', '\t']).filter(|name| !name.is_empty()) {
        if names.iter().any(|known| **known == *name) {
            continue;
        }
        if names.len() == MAX_DEPENDENCIES {
            return None;
        }
        names.push(name.into());
    }
    Some(names)
}

/// How a Job stands that another one waits for, as a word of the interface; `None` is one that is not there.
#[must_use]
pub fn state_of(job: Option<&Job>) -> &'static str {
    match job {
        None => "absent",
        Some(job) if job.is_complete() => "complete",
        Some(job) if job.is_finished() => "failed",
        Some(job) if job.is_started() => "running",
        Some(_) => "waiting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(annotations: &str, status: &str) -> Job {
        let text = format!(r#"{{"metadata":{{"annotations":{{{annotations}}}}},"status":{{{status}}}}}"#);
        serde_json::from_str(&text).expect("a Job")
    }

    #[test]
    fn a_job_names_its_queue_and_what_it_waits_for() {
        let named = job(
            r#""policy.windlass.dev/queue":"web","policy.windlass.dev/depends-on":"load, clean,,load\nsort""#,
            "",
        );
        assert_eq!(&*queue_of(&named), "web");
        assert_eq!(dependencies_of(&named).expect("few"), ["load".into(), "clean".into(), "sort".into()]);
        let plain = job("", "");
        assert_eq!((&*queue_of(&plain), dependencies_of(&plain)), ("", Some(Vec::new())));
    }

    #[test]
    fn nobody_waits_for_more_jobs_than_are_shown() {
        let names = |count: usize| -> String { (0..count).map(|n| format!("a{n} ")).collect() };
        let of = |count| job(&format!(r#""policy.windlass.dev/depends-on":"{}""#, names(count)), "");
        assert_eq!(dependencies_of(&of(MAX_DEPENDENCIES)).map(|names| names.len()), Some(MAX_DEPENDENCIES));
        assert_eq!(dependencies_of(&of(MAX_DEPENDENCIES + 1)), None);
    }

    #[test]
    fn a_job_that_resumes_has_its_start_ahead_again() {
        let condition = |kind: &str| format!(r#""conditions":[{{"type":"{kind}","status":"True"}}]"#);
        let started = r#""startTime":"2026-01-01T00:00:00Z""#;
        let resumed = format!("{started},{}", condition("Suspended"));
        for (status, state, is_ahead) in [
            ("", "waiting", true),
            (started, "running", false),
            (resumed.as_str(), "waiting", true),
            (condition("Complete").as_str(), "complete", false),
            (condition("Failed").as_str(), "failed", false),
        ] {
            let job = job("", status);
            assert_eq!((state_of(Some(&job)), is_ahead_of(&job)), (state, is_ahead), "{status}");
        }
        assert_eq!(state_of(None), "absent");
    }
}
