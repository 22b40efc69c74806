//! Files of cases: what their author writes, and what is meant by it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::{MessageFormatter as _, Spanned, UserMessageFormatter};
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::document::{Answer, Question};

use super::super::super::values::Length;
use super::super::{Failure, read};

/// A case that makes sense.
pub(super) struct Case {
    /// What it shows, in a few words.
    pub(super) name: String,
    /// File and line of it, for messages.
    pub(super) place: String,
    /// What is done and expected.
    pub(super) body: Body,
}

/// What a case does.
pub(super) enum Body {
    /// Asks one question.
    Question(Box<QuestionCase>),
    /// Simulates a cluster.
    Scenario(Box<ScenarioCase>),
}

/// One question, and what is expected of it.
pub(super) struct QuestionCase {
    /// What is asked about.
    pub(super) decision: Decision,
    /// The settings, a text.
    pub(super) settings: String,
    /// What is asked.
    pub(super) question: Question,
    /// What is expected.
    pub(super) expect: Expected,
}

/// What is expected of a question.
pub(super) enum Expected {
    /// This answer, as it was written and as it is meant.
    Answer(Value, Answer),
    /// An error in good order that has this text in it.
    Refusal(String),
    /// That the settings are refused, with this text in the message.
    SettingsRefused(String),
}

/// A cluster, what is applied to it, and what becomes of that.
pub(super) struct ScenarioCase {
    /// What is simulated.
    pub(super) scenario: Scenario,
    /// Directory from which paths of the scenario begin: that of the file of cases.
    pub(super) directory: PathBuf,
    /// What is expected at times on the way, the earliest first.
    pub(super) on_the_way: BTreeMap<Length, Look>,
    /// What is expected at the end.
    pub(super) at_the_end: Look,
    /// Words for the faults of the plugin that are expected; others must not happen.
    pub(super) faults: Vec<String>,
}

/// What is simulated.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Scenario {
    /// Objects that are applied, in their order.
    #[serde(default)]
    pub(super) manifests: Vec<Spanned<Value>>,
    /// Files with objects that are applied after those.
    #[serde(default)]
    pub(super) files: Vec<PathBuf>,
    /// Nodes besides those of the manifests.
    pub(super) nodes: Option<u32>,
    /// Decides names, and run times given as a range.
    #[serde(default)]
    pub(super) seed: u64,
    /// Virtual time after which it ends, where something still happens.
    #[serde(default = "a_day")]
    pub(super) until: Length,
}

/// What is expected of a cluster at one time; what it does not speak of may be as it likes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Look {
    /// Jobs by name, or by namespace and name with a slash between them.
    pub(super) jobs: BTreeMap<String, JobLook>,
    /// CronJobs, likewise.
    pub(super) cron_jobs: BTreeMap<String, CronJobLook>,
    /// DaemonSets, likewise.
    pub(super) daemon_sets: BTreeMap<String, DaemonSetLook>,
    /// Events that were recorded until then.
    pub(super) events: Vec<EventLook>,
    /// Texts each of which a line has that the plugin logged until then.
    pub(super) log: Vec<String>,
}

/// What is expected of a Job.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct JobLook {
    /// The word that `kubectl get jobs` shows for it.
    pub(super) status: Option<String>,
    /// Reason of the condition of that word.
    pub(super) reason: Option<String>,
    /// Text in the message of that condition.
    pub(super) message: Option<String>,
    /// Pods that run or wait.
    pub(super) active: Option<i32>,
    /// Pods that succeeded.
    pub(super) succeeded: Option<i32>,
    /// Pods that failed.
    pub(super) failed: Option<i32>,
    /// When its Pods were created, from the start of the scenario.
    pub(super) pods_created_at: Option<Vec<Range>>,
    /// For each Pod that was created after one had failed (of the same index), how long after that one's end.
    pub(super) retried_after: Option<Vec<Range>>,
}

/// A length of time, such as `5s`, or a range of them, such as `5s-10s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Range {
    /// The shortest.
    pub(super) from: Length,
    /// The longest.
    pub(super) to: Length,
}

impl TryFrom<String> for Range {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (from, to) = text.split_once('-').unwrap_or((&text, &text));
        let range = Self { from: from.parse()?, to: to.parse()? };
        if range.from > range.to {
            return Err(format!("the range {text} ends before it begins"));
        }
        Ok(range)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.from.text())?;
        if self.to == self.from { Ok(()) } else { write!(formatter, "-{}", self.to.text()) }
    }
}

/// What is expected of a CronJob.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct CronJobLook {
    /// Jobs that it made, those that are gone included.
    pub(super) jobs_made: Option<usize>,
    /// The instants that these are the runs of, in RFC 3339, the earliest first.
    pub(super) runs: Option<Vec<String>>,
}

/// What is expected of a DaemonSet.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct DaemonSetLook {
    /// Nodes that are to have a Pod.
    pub(super) desired: Option<i32>,
    /// Nodes with a Pod of the latest revision.
    pub(super) updated: Option<i32>,
    /// Nodes with a Pod that is available.
    pub(super) available: Option<i32>,
    /// Nodes in the order in which they got a Pod of the latest revision.
    pub(super) updated_in_order: Option<Vec<String>>,
}

/// An Event that is expected.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct EventLook {
    /// Its reason.
    pub(super) reason: String,
    /// Kind and name of what it is about, such as `job/report`.
    pub(super) about: Option<String>,
    /// Text in its message.
    pub(super) message: Option<String>,
    /// How often it was recorded; without it, at least once.
    pub(super) times: Option<u32>,
}

/// A case as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    name: String,
    decision: Option<String>,
    settings: Option<Value>,
    question: Option<Value>,
    scenario: Option<Scenario>,
    expect: WrittenExpectation,
}

/// What is expected of a question or of a scenario, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct WrittenExpectation {
    answer: Option<Value>,
    refusal: Option<String>,
    settings_refused: Option<String>,
    jobs: BTreeMap<String, JobLook>,
    cron_jobs: BTreeMap<String, CronJobLook>,
    daemon_sets: BTreeMap<String, DaemonSetLook>,
    events: Vec<EventLook>,
    log: Vec<String>,
    faults: Vec<String>,
    at: BTreeMap<Length, Look>,
}

/// The cases of a file.
///
/// # Errors
/// A sentence with the file, the line, and the case or the field.
pub(super) fn cases(file: &Path) -> Result<Vec<Case>, Failure> {
    let shown = file.display();
    let text = String::from_utf8(read(file)?)
        .map_err(|_| Failure::Failed(format!("{shown} is no text: write the cases in YAML or JSON")))?;
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    let written: Vec<Spanned<Written>> =
        serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
            let at = error.location().filter(|location| location.line() > 0);
            let at = at.map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
            let found = UserMessageFormatter.format_message(error.without_snippet()).into_owned();
            Failure::Failed(format!("{shown}{at}: no list of cases: {found}"))
        })?;
    if written.is_empty() {
        return Err(Failure::Failed(format!("{shown} holds no case")));
    }
    let directory = file.parent().unwrap_or(Path::new(""));
    let meant = |case: Spanned<Written>| {
        let place = format!("{shown}:{}", case.referenced.line());
        let name = case.value.name.clone();
        let body = meant(case.value, directory)
            .map_err(|wrong| Failure::Failed(format!("{place}: the case {name:?} is wrong: {wrong}")))?;
        Ok(Case { name, place, body })
    };
    written.into_iter().map(meant).collect()
}

/// What is meant by a case, or what is wrong with it.
fn meant(case: Written, directory: &Path) -> Result<Body, String> {
    let Written { decision, settings, question, scenario, expect, .. } = case;
    let Some(scenario) = scenario else {
        let decision = decision.ok_or("it has neither a decision, with a question, nor a scenario")?;
        let decision = Decision::of_label(&decision).ok_or_else(|| {
            format!("{decision:?} is no decision: {}", Decision::ALL.map(Decision::label).join(", "))
        })?;
        let settings = match settings.unwrap_or_default() {
            Value::Null => String::new(),
            Value::String(text) => text,
            settings => settings.to_string(),
        };
        let nothing = Value::Object(serde_json::Map::new());
        let question = Question::read(decision, question.unwrap_or(nothing));
        let question = question.map_err(|fault| format!("question: {fault}"))?;
        let expect = of_question(decision, expect)?;
        return Ok(Body::Question(Box::new(QuestionCase { decision, settings, question, expect })));
    };
    if decision.is_some() || settings.is_some() || question.is_some() {
        return Err("a scenario has no decision, settings or question: its manifests bind the plugin by \
                    annotations"
            .to_owned());
    }
    if scenario.manifests.is_empty() && scenario.files.is_empty() {
        return Err("scenario: it needs manifests, or files with manifests".to_owned());
    }
    let WrittenExpectation { answer, refusal, settings_refused, at, faults, .. } = expect;
    let WrittenExpectation { jobs, cron_jobs, daemon_sets, events, log, .. } = expect;
    if answer.is_some() || refusal.is_some() || settings_refused.is_some() {
        return Err("expect: answer, refusal and settings-refused are of a question, and this is a scenario"
            .to_owned());
    }
    if let Some((late, _)) = at.last_key_value().filter(|(time, _)| **time > scenario.until) {
        return Err(format!(
            "expect.at: {} is after the end, which `until` of the scenario says",
            late.text()
        ));
    }
    let at_the_end = Look { jobs, cron_jobs, daemon_sets, events, log };
    if at_the_end.is_empty() && at.is_empty() && faults.is_empty() {
        return Err("expect: it expects nothing".to_owned());
    }
    for look in at.values().chain([&at_the_end]) {
        look.check()?;
    }
    let directory = directory.to_owned();
    Ok(Body::Scenario(Box::new(ScenarioCase { scenario, directory, on_the_way: at, at_the_end, faults })))
}

fn of_question(decision: Decision, expect: WrittenExpectation) -> Result<Expected, String> {
    let WrittenExpectation { answer, refusal, settings_refused, at, faults, .. } = expect;
    let WrittenExpectation { jobs, cron_jobs, daemon_sets, events, log, .. } = expect;
    let look = Look { jobs, cron_jobs, daemon_sets, events, log };
    if !(look.is_empty() && at.is_empty() && faults.is_empty()) {
        return Err(
            "expect: only of a scenario more can be expected than answer, refusal or settings-refused"
                .to_owned(),
        );
    }
    match (answer, refusal, settings_refused) {
        (Some(answer), None, None) => {
            let read = Answer::read(decision, answer.clone());
            Ok(Expected::Answer(answer, read.map_err(|fault| format!("expect.answer: {fault}"))?))
        }
        (None, Some(text), None) => Ok(Expected::Refusal(text)),
        (None, None, Some(text)) => Ok(Expected::SettingsRefused(text)),
        _ => Err("expect: one of answer, refusal and settings-refused is needed".to_owned()),
    }
}

impl Look {
    fn is_empty(&self) -> bool {
        let Self { jobs, cron_jobs, daemon_sets, events, log } = self;
        jobs.is_empty()
            && cron_jobs.is_empty()
            && daemon_sets.is_empty()
            && events.is_empty()
            && log.is_empty()
    }

    /// What can be wrong with it before anything is simulated.
    fn check(&self) -> Result<(), String> {
        for (name, look) in &self.jobs {
            if look.status.is_none() && (look.reason.is_some() || look.message.is_some()) {
                return Err(format!(
                    "expect: jobs.{name}: reason and message are those of the condition that `status` names"
                ));
            }
        }
        for (name, look) in &self.cron_jobs {
            let is_wrong = |text: &&String| windlass_core::kube::Time::parse(text).is_none();
            if let Some(wrong) = look.runs.iter().flatten().find(is_wrong) {
                return Err(format!(
                    "expect: cron-jobs.{name}.runs: {wrong:?} is no instant such as 2026-01-31T18:00:00Z"
                ));
            }
        }
        Ok(())
    }
}

fn a_day() -> Length {
    Length(std::time::Duration::from_secs(24 * 60 * 60))
}
