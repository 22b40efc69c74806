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
