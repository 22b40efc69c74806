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
        (
            &request(r#""daemonSet":{"metadata":{"name":"a","namespace":"b","uid":"c"}}"#),
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
    let two = format!(r#""cronJob":{},"job":{}"#, cron_job("Allow", "{}"), job("Indexed"));
    let job_and_orphan = format!(r#""job":{},"orphanOwner":"Gone""#, job("Indexed"));
    let set_and_job = format!(r#""daemonSet":{},"job":{}"#, daemon_set("{}"), job("Indexed"));
    for rest in [two, job_and_orphan, set_and_job, r#""orphanOwner":"Gone""#.into()] {
        let fault = answer(&request(&rest)).unwrap_err();
        assert_eq!(fault["category"], "malformed_request", "{rest}");
    }
}

/// The template of every set here, as a list brings it.
const TEMPLATE: &str = r#"{"metadata":{"labels":{"app":"logs"}},"spec":{"nodeSelector":{"disk":"ssd"},"containers":[{"name":"main","image":"busybox"}]}}"#;

fn daemon_set(status: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"logs","namespace":"ops","uid":"set-uid","resourceVersion":"7","generation":2}},
            "spec":{{"selector":{{"matchLabels":{{"app":"logs"}}}},"template":{TEMPLATE},
                "updateStrategy":{{"type":"RollingUpdate","rollingUpdate":{{"maxUnavailable":"100%"}}}}}},
            "status":{status}}}"#
    )
}

fn node(name: &str, disk: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","uid":"uid-of-{name}","labels":{{"disk":"{disk}"}}}}}}"#)
}

/// What makes an object the set's; with another word for `ownerReferences` it is nobody's.
fn of_set(name: &str, hash: &str) -> String {
    format!(
        r#""metadata":{{"name":"{name}","namespace":"ops","uid":"uid-of-{name}","resourceVersion":"9",
            "labels":{{"app":"logs","controller-revision-hash":"{hash}"}},
            "ownerReferences":[{{"apiVersion":"apps/v1","kind":"DaemonSet","name":"logs","uid":"set-uid",
                "controller":true}}]}}"#
    )
}

fn pod_of_set(name: &str, hash: &str, node: &str) -> String {
    let status = r#"{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}"#;
    format!(r#"{{{},"spec":{{"nodeName":"{node}"}},"status":{status}}}"#, of_set(name, hash))
}

fn revision_of_set(hash: &str, number: i64, data: &str) -> String {
    format!(r#"{{{},"revision":{number},"data":{data}}}"#, of_set(&format!("logs-{hash}"), hash))
}

/// The data of the revision of [`TEMPLATE`].
fn data() -> String {
    daemon_set::revision::data(TEMPLATE).unwrap()
}

/// The steps of a plan: the verb of each, its targets' or objects' names, and the steps that it follows.
fn steps(plan: &Value) -> Vec<String> {
    let names = |step: &Value| {
        let items = step["items"].as_array().unwrap().iter();
        let name = |item: &Value| {
            let request = &item[0];
            let named = [&request["target"]["name"], &request["object"]["metadata"]["name"]];
            let name = named.into_iter().find_map(Value::as_str).unwrap_or_default();
            format!("{} {name}", request["verb"].as_str().unwrap())
        };
        items.map(name).collect::<Vec<_>>().join(", ")
    };
    let after = |step: &Value| {
        let all = step["after"].as_array().cloned().unwrap_or_default();
        all.iter().map(|after| format!(" after {}", after["step"])).collect::<String>()
    };
    plan["steps"].as_array().unwrap().iter().map(|step| names(step) + &after(step)).collect()
}

#[test]
fn a_new_daemon_set_gets_a_revision_and_then_a_whole_pod_on_each_node_that_fits() {
    let hash = daemon_set::revision::hash(&data(), None);
    let nodes = [node("n-2", "ssd"), node("n-1", "ssd"), node("n-0", "hdd")].join(",");
    let rest = format!(r#""daemonSet":{},"nodes":[{nodes}]"#, daemon_set("{}"));
    let plan = answer(&request(&rest)).unwrap();
    let set: crate::kube::DaemonSet = serde_json::from_str(&daemon_set("{}")).unwrap();
    let name = |node: &str, taken: &str| {
        daemon_set::naming::pod_name(&set, &format!("uid-of-{node}"), &hash, &|name| name == taken)
    };
    let (first, second) = (name("n-1", ""), name("n-2", ""));
    let expected = [
        format!("create logs-{hash}"),
        format!("create {first}, create {second} after 0"),
        "updateStatus logs after 0".into(),
    ];
    assert_eq!(steps(&plan), expected, "{plan:#}");
    let requests = requests(&plan);
    let revision = &requests[0]["object"];
    assert_eq!((&revision["kind"], &revision["revision"]), (&"ControllerRevision".into(), &1.into()));
    assert_eq!(revision["data"], serde_json::from_str::<Value>(&data()).unwrap());
    let pod = &requests[2]["object"];
    let fields = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        [0]["matchFields"][0];
    assert_eq!(fields["values"][0], "n-2");
    assert_eq!(pod["metadata"]["labels"]["controller-revision-hash"], *hash);
    assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], "set-uid");
    let written = &requests[3]["object"];
    assert_eq!(
        (&written["kind"], &written["metadata"]["resourceVersion"]),
        (&"DaemonSet".into(), &"7".into())
    );
    assert_eq!(written["status"]["desiredNumberScheduled"], 2);
    assert_eq!(written["status"]["observedGeneration"], 2);

    let others = [pod_of_set(&first, "x", "n-0"), pod_of_set(&second, "x", "n-0").replace("ops", "else")];
    let plan = answer(&request(&format!(r#"{rest},"pods":[{}]"#, others.join(",")))).unwrap();
    let again = format!("create {}, create {second} after 0", name("n-1", &first));
    assert!(
        steps(&plan).contains(&again),
        "the first name is taken here, and the second elsewhere: {plan:#}"
    );
}

#[test]
fn a_daemon_sets_pods_and_revisions_are_adopted_and_released_after_a_live_read() {
    let stray = |object: String| object.replace("ownerReferences", "noReferences");
    let leaving = |object: String| object.replace(r#""app":"logs""#, r#""app":"other""#);
    let rest = format!(
        r#""daemonSet":{},"nodes":[{}],"pods":[{},{}],"revisions":[{},{}]"#,
        daemon_set("{}"),
        node("n-1", "ssd"),
        stray(pod_of_set("stray", "b", "n-1")),
        leaving(pod_of_set("leaving", "b", "n-1")),
        stray(revision_of_set("stray", 1, "{}")),
        leaving(revision_of_set("leaving", 2, "{}")),
    );
    let asking = answer(&request(&rest)).unwrap();
    assert_eq!(asking["read"], "Owner");
    let plan = answer(&request(&format!(r#"{rest},"liveOwner":"Alive""#))).unwrap();
    let requests = requests(&plan);
    let mut told: Vec<String> = requests
        .iter()
        .filter(|request| request["verb"] == "patch")
        .map(|request| {
            let (target, metadata) = (&request["target"], &request["body"]["metadata"]);
            assert_eq!(metadata["uid"], target["uid"], "{request:#}");
            let reference = &metadata["ownerReferences"][0];
            format!(
                "{} {}: {} {} of {}",
                target["kind"],
                target["name"],
                reference["$patch"],
                reference["controller"],
                reference["uid"]
            )
            .replace('"', "")
        })
        .collect();
    told.sort();
    let expected = [
        "ControllerRevision logs-leaving: delete null of set-uid",
        "ControllerRevision logs-stray: null true of set-uid",
        "Pod leaving: delete null of set-uid",
        "Pod stray: null true of set-uid",
    ];
    assert_eq!(told, expected, "{plan:#}");
    let adoption = requests.iter().find(|request| request["target"]["name"] == "stray").unwrap();
    assert_eq!(adoption["body"]["metadata"]["resourceVersion"], "9");
}

#[test]
fn a_daemon_sets_revisions_are_numbered_labelled_and_deleted_and_its_pods_relabelled() {
    let nodes = [node("n-1", "ssd"), node("n-2", "ssd")].join(",");
    let pods = [pod_of_set("a", "low", "n-1"), pod_of_set("b", "old", "n-2")].join(",");
    let revisions = [
        revision_of_set("high", 2, &data()),
        revision_of_set("low", 1, &data()),
        revision_of_set("old", 5, "{}"),
        revision_of_set("unlabelled", 3, "{}").replace("controller-revision-hash", "no-hash"),
    ];
    let rest = format!(
        r#""daemonSet":{},"nodes":[{nodes}],"pods":[{pods}],"revisions":[{}]"#,
        daemon_set("{}"),
        revisions.join(",")
    );
    let plan = answer(&request(&rest)).unwrap();
    let requests = requests(&plan);
    let patch = |name: &str| {
        let found =
            requests.iter().find(|request| request["verb"] == "patch" && request["target"]["name"] == name);
        &found.unwrap_or_else(|| panic!("{name}: {plan:#}"))["body"]
    };
    assert_eq!(patch("logs-high")["revision"], 6);
    assert_eq!(patch("logs-high")["metadata"]["resourceVersion"], "9");
    let hash = |name: &str| &patch(name)["metadata"]["labels"]["controller-revision-hash"];
    assert_eq!(hash("logs-unlabelled"), "logs-unlabelled");
    assert_eq!(hash("a"), "high");
    let deleted: Vec<&Value> =
        requests.iter().filter(|request| request["verb"] == "delete").copied().collect();
    assert_eq!(deleted.len(), 1, "{plan:#}");
    assert_eq!(
        (&deleted[0]["target"]["kind"], &deleted[0]["target"]["uid"]),
        (&"Pod".into(), &"uid-of-b".into())
    );

    let rest = rest.replace(r#""controller-revision-hash":"low""#, r#""controller-revision-hash":"high""#);
    let rest = rest.replace(r#""name":"logs-high""#, r#""name":"logs-other""#);
    let plan = answer(&request(&rest)).unwrap();
    assert!(steps(&plan).contains(&"delete logs-low".into()), "{plan:#}");
}

#[test]
fn a_daemon_set_whose_new_revisions_name_is_taken_counts_the_collision() {
    let hash = daemon_set::revision::hash(&data(), None);
    let other = revision_of_set(&hash, 1, "{}").replace("set-uid", "uid-of-another");
    let rest = format!(r#""daemonSet":{},"revisions":[{other}]"#, daemon_set("{}"));
    let plan = answer(&request(&rest)).unwrap();
    assert_eq!(steps(&plan), ["updateStatus logs"]);
    assert_eq!(requests(&plan)[0]["object"]["status"]["collisionCount"], 1);
    let elsewhere =
        format!(r#""daemonSet":{},"revisions":[{}]"#, daemon_set("{}"), other.replace("ops", "else"));
    let plan = answer(&request(&elsewhere)).unwrap();
    assert_eq!(steps(&plan)[0], format!("create logs-{hash}"));
}

#[test]
fn a_daemon_set_follows_its_flags() {
    let nodes = [node("n-1", "ssd"), node("n-2", "ssd")].join(",");
    let rest =
        format!(r#""daemonSet":{},"nodes":[{nodes}],"flags":{{"maxPodsPerSync":1}}"#, daemon_set("{}"));
    let plan = answer(&request(&rest)).unwrap();
    let created = requests(&plan).iter().filter(|request| request["object"]["kind"] == "Pod").count();
    assert_eq!(created, 1, "{plan:#}");
}
