//! Scenarios in files of cases: what may be expected of one, and what is said of one that is wrong.

use windlass_tests::guests::{Decides, Guest};
use windlass_tests::program::Outcome;

use super::{directory, linear, path, windlass};

/// A Job of a scenario, at the indentation of its manifests, with these annotations and those of its Pods.
fn job(annotations: &str, of_pods: &str) -> String {
    format!(
        "    manifests:
      - apiVersion: batch/v1
        kind: Job
        metadata: {{name: etl, annotations: {{{annotations}}}}}
        spec:
          template:
            metadata: {{annotations: {{{of_pods}}}}}
            spec: {{restartPolicy: Never, containers: [{{name: main, image: busybox}}]}}
"
    )
}

/// What `windlass plugin test` makes of a file of cases, with the plugin `linear` or another one under that name.
fn test(plugin: Vec<u8>, cases: &str, more: &[&str]) -> Outcome {
    let directory = directory(&[("linear.wasm", plugin), ("cases.yaml", cases.as_bytes().to_vec())]);
    let file = path(&directory, "linear.wasm");
    windlass(&[&["plugin", "test", &file], more].concat(), "")
}

/// A file with one case of a Job that fails twice, and this expectation of it.
fn failing_twice(expect: &str) -> String {
    let job = job("policy.windlass.dev/backoff: linear", "sandbox.windlass.dev/fail-first: \"2\"");
    format!("- name: two failures\n  scenario:\n{job}  expect:\n{expect}")
}

#[test]
fn a_scenario_may_expect_anything_of_what_becomes_of_its_objects() {
    let cases = failing_twice(
        "    jobs:
      etl: {status: Complete, active: 0, succeeded: 1, failed: 2, retried-after: [1s, 2s], pods-created-at: [0s, 7s, 15s]}
    events:
      - {reason: Completed, about: job/etl, message: Job completed, times: 1}
      - {reason: SuccessfulCreate, times: 3}
      - {reason: PolicyFailed, times: 0}
    log: [counting]
    at:
      3s: {jobs: {default/etl: {status: Running, active: 1, pods-created-at: [0s]}}}
      6500ms: {jobs: {etl: {failed: 1}}, log: [count]}
",
    );
    let Outcome { code, out, err } = test(linear(), &cases, &[]);
    assert_eq!((code, out.as_str()), (Some(0), "ok      two failures\n1 cases passed\n"), "{err}");
    let Outcome { out, .. } = test(linear(), &cases, &["--log"]);
    assert!(out.contains("plugin/linear      info     counting"), "{out}");
    assert!(out.contains("event    job/etl: Normal Completed: Job completed"), "{out}");
}

#[test]
fn what_is_other_than_expected_is_told_with_its_field_and_the_log() {
    let cases = failing_twice(
        "    jobs:
      etl: {status: Failed, reason: BackoffLimitExceeded, failed: 3, retried-after: [2s, 1s-2s], pods-created-at: [0s]}
      other: {status: Failed}
    events: [{reason: Completed, about: job/other}, {reason: Suspended}, {reason: SuccessfulCreate, times: 2}]
    log: [something else]
    at: {3s: {jobs: {etl: {status: Complete}}}}
    cron-jobs: {nightly: {jobs-made: 1}}
",
    );
    let Outcome { code, out, err } = test(linear(), &cases, &[]);
    assert_eq!(code, Some(1), "{err}");
    for expected in [
        "FAILED  two failures\n",
        "  at 3s: jobs.etl.status: expected Complete; got Running\n",
        "  jobs.etl.status: expected Failed; got Complete\n",
        "  jobs.etl.reason: expected BackoffLimitExceeded; got CompletionsReached\n",
        "  jobs.etl.failed: expected 3; got 2\n",
        "  jobs.etl.retried-after: expected [2s, 1s-2s]; got [1s",
        "  jobs.etl.pods-created-at: expected [0s]; got [6ms, 7s",
        "  jobs.other: there is none of that name; there are: default/etl\n",
        "  cron-jobs.nightly: there is none of that name; there are: none\n",
        "  events: expected one or more Completed about job/other; got 0\n    but etl: Job completed\n",
        "  events: expected one or more Suspended; got 0\n",
        "  events: expected 2 SuccessfulCreate; got 3\n",
        "  log: expected a line with \"something else\" in it; the plugin logged ",
        "plugin/linear      info     counting\n",
    ] {
        assert!(out.contains(expected), "{expected}\nis not in\n{out}");
    }
    assert!(err.contains("1 of 1 cases failed"), "{err}");
}

#[test]
fn a_plugin_that_fails_or_is_not_asked_fails_a_scenario_that_does_not_expect_it() {
    let broken = || Guest::new(Decides::Backoff, "unreachable").component();
    let plain = "    jobs: {etl: {status: Complete}}\n";
    let Outcome { code, out, .. } = test(broken(), &failing_twice(plain), &[]);
    assert_eq!(code, Some(1));
    assert!(out.contains("  faults: the plugin failed: quarantined ("), "{out}");
    assert!(out.contains("policy plugin linear (backoff) failed: it trapped"), "{out}");
    let expected = format!("{plain}    faults: [trap, quarantined]\n");
    let Outcome { code, out, err } = test(broken(), &failing_twice(&expected), &[]);
    assert_eq!(code, Some(0), "{out}{err}");
    let wrongly = format!("{plain}    faults: [timeout]\n");
    let Outcome { out, .. } = test(linear(), &failing_twice(&wrongly), &[]);
    assert!(out.contains("faults: expected timeout, which did not happen"), "{out}");
    let unbound = failing_twice(plain).replace("backoff: linear", "backoff: liner");
    let Outcome { out, .. } = test(linear(), &unbound, &[]);
    let told = "the plugin was never asked: an object has to have the annotation policy.windlass.dev/backoff: linear";
    assert!(out.contains(told), "{out}");
}

#[test]
fn a_scenario_may_take_its_manifests_from_files_beside_the_cases() {
    let manifest = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: etl, annotations: {policy.windlass.dev/backoff: linear}}\n\
                    spec:\n  template:\n    metadata: {annotations: {sandbox.windlass.dev/fail-first: \"1\"}}\n    \
                    spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}\n";
    let case = |file: &str| {
        format!(
            "- name: one\n  scenario: {{files: [{file}]}}\n  expect: {{jobs: {{etl: {{retried-after: [1s]}}}}}}\n"
        )
    };
    let directory = directory(&[
        ("linear.wasm", linear()),
        ("job.yaml", manifest.into()),
        ("cases.yaml", case("job.yaml").into()),
        ("missing.yaml", case("jobs.yaml").into()),
    ]);
    let [file, missing] = ["linear.wasm", "missing.yaml"].map(|name| path(&directory, name));
    let Outcome { code, out, err } = windlass(&["plugin", "test", &file], "");
    assert_eq!(code, Some(0), "{out}{err}");
    let Outcome { code, err, .. } = windlass(&["plugin", "test", &file, &missing], "");
    assert_eq!(code, Some(1));
    assert!(err.contains("missing.yaml:1: the case \"one\" is wrong: scenario.files: cannot read "), "{err}");
}

#[test]
fn a_slip_of_the_pen_is_told_with_file_line_and_field_before_anything_runs() {
    let good = failing_twice("    jobs: {etl: {status: Complete}}\n");
    let asked = "- {name: one, decision: backoff, question: {failures: 1}, expect: EXPECTED}\n";
    let expecting = |expected: &str| asked.replace("EXPECTED", expected);
    let cases = [
        (good.replace("expect:", "expects:"), "cases.yaml:11:3: no list of cases: unknown field `expects`"),
        (good.replace("status:", "state:"), "cases.yaml:12:18: no list of cases: unknown field `state`"),
        (
            good.replace("  scenario:", "  scenario:\n    untill: 5m"),
            "cases.yaml:3:5: no list of cases: unknown field `untill`",
        ),
        (
            good.replace("  scenario:", "  scenario:\n    until: 5 minutes"),
            "cases.yaml:3:12: no list of cases: a length of time is a number and a unit",
        ),
        (
            good.replace("Complete}", "Complete, retried-after: [9s-5s]}"),
            "the range 9s-5s ends before it begins",
        ),
        (
            good.replace("jobs: {etl: {status: Complete}}", "log: []"),
            "cases.yaml:1: the case \"two failures\" is wrong: expect: it expects nothing",
        ),
        (
            good.replace("status: Complete", "reason: Complete"),
            "expect: jobs.etl: reason and message are those of the condition that `status` names",
        ),
        (
            good.replace("jobs: {etl: {status: Complete}}", "cron-jobs: {etl: {runs: [noon]}}"),
            "expect: cron-jobs.etl.runs: \"noon\" is no instant",
        ),
        (
            good.replace("jobs: {etl: {status: Complete}}", "at: {25h: {log: [a]}}"),
            "expect.at: 25h is after the end",
        ),
        (
            good.replace("jobs: {etl: {status: Complete}}", "answer: start"),
            "answer, refusal and settings-refused are of a question",
        ),
        (
            good.replace("  scenario:", "  decision: backoff\n  scenario:"),
            "a scenario has no decision, settings or question",
        ),
        (
            good.replace("  template", "  templat"),
            "cases.yaml:4: Job \"etl\" is refused: Job in version \"v1\" cannot be handled",
        ),
        (good.replace("kind: Job", "kind: Deployment"), "cases.yaml:4: Deployment \"etl\""),
        (
            "- {name: one, scenario: {}, expect: {log: [a]}}\n".to_owned(),
            "scenario: it needs manifests, or files with manifests",
        ),
        (
            "- {name: one, expect: {answer: start}}\n".to_owned(),
            "it has neither a decision, with a question, nor a scenario",
        ),
        (expecting("{}"), "expect: one of answer, refusal and settings-refused is needed"),
        (
            expecting("{answer: not-counted, refusal: no}"),
            "expect: one of answer, refusal and settings-refused is needed",
        ),
        (expecting("{answer: soon}"), "expect.answer: unknown variant `soon`"),
        (expecting("{answer: not-counted, log: [a]}"), "only of a scenario more can be expected"),
        (
            expecting("{answer: not-counted}").replace("failures", "failure"),
            "cases.yaml:1: the case \"one\" is wrong: question: unknown field `failure`",
        ),
        (
            expecting("{answer: not-counted}").replace("backoff", "retry"),
            "\"retry\" is no decision: backoff, schedule, missed-runs, rollout, admission",
        ),
        ("[]\n".to_owned(), "cases.yaml holds no case"),
    ];
    for (cases, expected) in cases {
        let Outcome { code, out, err } = test(linear(), &cases, &[]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{cases}\n{err}");
        assert!(err.contains(expected), "{expected}\nis not in\n{err}of\n{cases}");
    }
}
