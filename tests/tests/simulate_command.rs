//! `windlass simulate` as its users meet it: the built program, files and pipes.

use serde_json::Value;
use windlass_host::simulate::manifest::read_documents;
use windlass_tests::program::{self, Outcome};

fn simulate(arguments: &[&str], input: &str) -> Outcome {
    program::run(&[&["simulate", "--engine", "native"], arguments].concat(), input)
}

fn demo() -> Outcome {
    simulate(&["-f", "demo"], "")
}

#[test]
fn the_demonstration_runs_to_its_end() {
    let Outcome { code, out, err } = demo();
    assert_eq!(code, Some(0), "{err}");
    let table: Vec<Vec<&str>> = out.lines().take(10).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(table[0], ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST", "SCHEDULE", "AGE"]);
    assert_eq!(table[1][6..], ["Europe/Vienna", "False", "0", "22h", "24h"]);
    assert_eq!(table[3][..6], ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE"]);
    assert_eq!(table[4][..6], ["log-agent", "3", "3", "3", "3", "3"]);
    assert_eq!(table[6], ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]);
    assert_eq!(table[7][..3], ["daily-cleanup-29453880", "Complete", "1/1"]);
    assert_eq!(table[8][..3], ["indexed-job", "Complete", "5/5"]);
    assert_eq!(table[9][..3], ["pi-calculation", "Complete", "1/1"]);
    assert!(out.contains("\nCompleted Indexes:  0-4\n"), "{out}");
    assert!(out.contains("  Normal  Completed         "), "{out}");
    assert!(out.contains("\nLast Schedule Time:  Thu, 01 Jan 2026 02:00:00 +0000\n"), "{out}");
    let end = "\ncronjob/daily-cleanup made 1 Job: 1 Complete.\nJobs: 3 Complete.\ndaemonset/log-agent runs on 3 nodes.\n";
    assert!(out.ends_with(end), "{out}");
    assert!(err.contains("of simulated time") && err.contains("create pods"), "{err}");
}

#[test]
fn a_week_of_runs_is_told_by_the_newest_and_counted() {
    let cron_job = r#"
apiVersion: batch/v1
kind: CronJob
metadata: {name: hourly}
spec:
  schedule: "@hourly"
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata: {annotations: {sandbox.windlass.dev/run-seconds: "60"}}
        spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}
"#;
    let Outcome { code, out, err } = simulate(&["-f", "-", "--until", "168h"], cron_job);
    assert_eq!(code, Some(0), "{err}");
    let rows = |prefix: &str| out.lines().filter(|line| line.starts_with(prefix)).count();
    assert_eq!(rows("hourly-294"), 3, "so many completed Jobs are kept: {out}");
    assert_eq!(rows("Name:"), 2, "the CronJob and its newest Job: {out}");
    assert!(
        out.contains(
            "\nOf each CronJob's Jobs only the newest is described; -o json has the other 2, too.\n"
        )
    );
    assert!(out.contains("\ncronjob/hourly made 167 Jobs: 167 Complete.\n"), "{out}");
}

#[test]
fn a_document_may_be_applied_later_and_rolls_a_daemon_set() {
    let Outcome { code, out, err } = simulate(&["-f", "demo/log-agent.yaml", "--events"], "");
    assert_eq!(code, Some(0), "{err}");
    for line in [
        " 3600.000s  user               updated  daemonset/log-agent: generation 2\n",
        " 3600.005s  windlass           status   daemonset/log-agent: 0 updated\n",
        " 3606.047s  windlass           status   daemonset/log-agent: 3 available\n",
    ] {
        assert!(out.contains(line), "{line:?} in {out}");
    }
    assert_eq!(out.matches("Deleted pod: log-agent-").count(), 6, "told as an Event, and described: {out}");
    let misspelt = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: x}\nspec: {updateStrategi: {}}\n";
    let Outcome { code, err, .. } = simulate(&["-f", "-"], misspelt);
    assert_eq!(code, Some(1));
    assert!(err.contains("unknown field \"spec.updateStrategi\""), "{err}");
}

#[test]
fn a_cron_job_that_the_api_would_reject_is_told_with_the_mend() {
    let cron_job = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\nspec:\n  schedule: '0 24 * * *'\n  timeZone: \
                    Europe/Wien\n  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, \
                    image: b}]}}}}\n";
    let Outcome { code, out, err } = simulate(&["-f", "-"], cron_job);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    for part in [
        "windlass: standard input:1: CronJob \"x\" is refused: CronJob.batch \"x\" is invalid:",
        "* spec.schedule: Invalid value: \"0 24 * * *\": `24` in the hour is too large; it goes from 0 to 23",
        "* spec.timeZone: Invalid value: \"Europe/Wien\": unknown time zone Europe/Wien",
    ] {
        assert!(err.contains(part), "{part:?} in {err}");
    }
}

#[test]
fn the_same_seed_gives_the_same_text_and_another_seed_gives_other_names() {
    let with_seed = |seed: &str| simulate(&["-f", "demo", "--events", "--seed", seed], "").out;
    assert_eq!(with_seed("7"), with_seed("7"));
    assert_ne!(with_seed("7"), with_seed("8"));
}

#[test]
fn the_log_tells_each_change_in_order_of_time() {
    let Outcome { code, out, .. } = simulate(&["-f", "demo", "--events"], "");
    assert_eq!(code, Some(0));
    let log: Vec<&str> = out.lines().take_while(|line| !line.is_empty()).collect();
    assert!(log.iter().any(|line| line.ends_with("created  job/pi-calculation")), "{out}");
    assert!(log.iter().any(|line| line.contains("Complete (CompletionsReached)")), "{out}");
    assert!(
        log.iter()
            .any(|line| line.ends_with("created  job/daily-cleanup-29453880: of cronjob/daily-cleanup")),
        "{out}"
    );
    assert!(
        log.iter().any(|line| line
            .contains("status   cronjob/daily-cleanup: 1 active, last schedule 2026-01-01T02:00:00Z")),
        "{out}"
    );
    let times: Vec<u64> = log
        .iter()
        .map(|line| {
            let seconds = line.split_whitespace().next().expect("a time");
            seconds.replace(['.', 's'], "").parse().expect("a number of milliseconds")
        })
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn machines_get_one_list_of_whole_objects_and_nothing_else() {
    let Outcome { code, out, err } = simulate(&["-f", "demo", "-o", "json"], "");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let list: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((list["apiVersion"].as_str(), list["kind"].as_str()), (Some("v1"), Some("List")));
    let items = list["items"].as_array().expect("items");
    let of_kind = |kind: &str| items.iter().filter(|item| item["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((of_kind("CronJob").len(), of_kind("Job").len(), of_kind("Pod").len()), (1, 3, 10));
    assert_eq!(of_kind("DaemonSet")[0]["status"]["numberAvailable"], 3);
    assert_eq!(of_kind("CronJob")[0]["status"]["lastScheduleTime"], "2026-01-01T02:00:00Z");
    let indexed =
        of_kind("Job").into_iter().find(|job| job["metadata"]["name"] == "indexed-job").expect("it");
    assert_eq!(indexed["status"]["completedIndexes"], "0-4");
    for pod in of_kind("Pod") {
        let of_a_daemon_set = pod["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet";
        let phase = if of_a_daemon_set { "Running" } else { "Succeeded" };
        assert_eq!(pod["status"]["phase"], phase, "{pod:#}");
        assert_eq!(pod["metadata"]["finalizers"], Value::Null, "{pod:#}");
    }
    assert!(of_kind("Event").iter().any(|event| event["reason"] == "Completed"), "{out}");

    let yaml = simulate(&["-f", "demo", "-o", "yaml"], "");
    assert_eq!((yaml.code, yaml.err.as_str()), (Some(0), ""));
    let documents = read_documents("yaml", &yaml.out).expect("YAML");
    let read: Vec<Value> =
        documents.iter().map(|document| serde_json::from_str(&document.text).expect("JSON")).collect();
    assert_eq!(&read, items);
}

#[test]
fn a_job_that_fails_is_a_simulation_that_ran() {
    let job = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: breaks}
spec:
  backoffLimit: 1
  template:
    metadata: {annotations: {sandbox.windlass.dev/exit-code: "3"}}
    spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}
"#;
    let Outcome { code, out, err } = simulate(&["-f", "-"], job);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("Warning  BackoffLimitExceeded"), "{out}");
    assert!(out.ends_with("Jobs: 1 Failed.\n"), "{out}");
}

#[test]
fn what_has_not_ended_is_explained() {
    let job = r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "waits"}, "spec": {"template": {"spec":
        {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}}}}"#;
    let Outcome { code, out, .. } = simulate(&["-f", "-", "--nodes", "0"], job);
    assert_eq!(code, Some(0));
    assert!(out.contains("job/waits is Running: Pods: 1 Pending, 1 of them without a node"), "{out}");
    let Outcome { code, out, .. } = simulate(&["-f", "-", "--until", "2s"], job);
    assert_eq!(code, Some(0));
    assert!(out.contains("The simulation stopped after 2s"), "{out}");
}

#[test]
fn text_that_is_no_yaml_is_told_with_file_line_and_column() {
    let Outcome { code, out, err } = simulate(&["-f", "-"], "kind: Job\nspec: [1, 2\nmore: }\n");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("windlass: standard input:3:"), "{err}");
    assert!(err.contains("not a manifest in YAML or JSON"), "{err}");
}

#[test]
fn an_unknown_kind_is_told_with_the_kinds_that_are_served() {
    let Outcome { code, out, err } =
        simulate(&["-f", "-"], "---\n# one\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        err.starts_with("windlass: standard input:3: Deployment \"web\": apps/v1 Deployment is not served"),
        "{err}"
    );
    assert!(err.contains("batch/v1 Job") && err.contains("Namespace"), "{err}");
}

#[test]
fn a_job_that_the_api_would_reject_is_told_with_every_cause() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: Bad_Name}\nspec:\n  parallelism: -1\n  \
               completionMode: Indexed\n  template:\n    spec:\n      containers: [{name: main, image: busybox}]\n";
    let Outcome { code, out, err } = simulate(&["-f", "-"], job);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    for part in [
        "windlass: standard input:1: Job \"Bad_Name\" is refused: Job.batch \"Bad_Name\" is invalid:",
        "* metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain must consist of",
        "* spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
        "* spec.completions: Required value: when completion mode is Indexed",
        "* spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
    ] {
        assert!(err.contains(part), "{part:?} in {err}");
    }
}

#[test]
fn wrong_usage_is_told_in_one_line() {
    for (arguments, part) in [
        (&[][..], "--filename <FILE>"),
        (&["-f", "demo", "--until", "soon"], "such as 10s"),
        (&["-f", "demo", "-o", "xml"], "text, json, yaml"),
        (&["-f", "demo", "--events", "-o", "json"], "--events"),
        (&["-f", "demo", "--nodes", "many"], "--nodes"),
    ] {
        let Outcome { code, out, err } = simulate(arguments, "");
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.starts_with("windlass: ") && err.contains(part), "{arguments:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{arguments:?}: {err}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let Outcome { code, err, .. } = simulate(&["-f", "demo/absent.yaml"], "");
    assert_eq!(code, Some(1));
    assert!(err.starts_with("windlass: cannot read demo/absent.yaml: "), "{err}");
}
