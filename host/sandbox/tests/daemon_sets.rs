//! DaemonSets and ControllerRevisions in the sandbox: verbs, counts, refusals, and what goes with a set.

use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, ControllerRevision, DaemonSet, DaemonSetStatus, DaemonTemplate, Kind, Object, ResourceVersion,
};
use windlass_sandbox::{
    Actor, Applied, ApplyError, DeleteOptions, Deletion, MetadataPatch, Store, StoreOptions, WatchEventKind,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const CONTROLLER: Actor = Actor("controller");
const TEMPLATES: &str = "deprecated.daemonset.template.generation";

/// The manifest of a DaemonSet; `spec` is put before what every one has.
fn text(metadata: &str, spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{{{metadata}"name":"logs"}},"spec":{{{spec}
        "selector":{{"matchLabels":{{"app":"logs"}}}},"template":{{"metadata":{{"labels":{{"app":"logs"}}}},
        "spec":{{"containers":[{{"name":"main","image":"busybox:1"}}]}}}}}}}}"#
    )
}

/// A manifest whose template has `fields` in its spec.
fn with_template(fields: &str) -> String {
    text("", "").replace(r#""spec":{"containers""#, &format!(r#""spec":{{{fields}"containers""#))
}

fn apply(store: &mut Store, text: &str) -> Result<Arc<DaemonSet>, Box<dyn std::error::Error>> {
    match store.apply_manifest(Actor::USER, text)? {
        Applied::Object(Object::DaemonSet(set)) => Ok(set),
        other => Err(format!("{other:?} is no DaemonSet").into()),
    }
}

/// What the server says against `text`.
fn refusal(text: &str) -> String {
    match Store::new(StoreOptions::default()).apply_manifest(Actor::USER, text) {
        Err(ApplyError::Refused(status)) => format!("{} {}: {}", status.code, status.reason, status.message),
        other => format!("{other:?}"),
    }
}

/// What the server finds wrong with the fields of `text`.
fn faults(text: &str) -> String {
    let said = refusal(text);
    said.strip_prefix("422 Invalid: DaemonSet.apps \"logs\" is invalid: ").unwrap_or(&said).to_owned()
}

fn stored(store: &Store) -> Result<DaemonSet, ApiStatus> {
    match store.get(Kind::DaemonSet, "default", "logs")? {
        Object::DaemonSet(set) => Ok(set.as_ref().clone()),
        other => Err(ApiStatus::new(0, "", format!("{other:?}"))),
    }
}

fn counts(set: &DaemonSet) -> (i64, Option<i64>) {
    (set.metadata.generation, set.template_generation())
}

fn message<T>(answer: Result<T, ApiStatus>) -> String {
    answer.err().map_or_else(String::new, |status| format!("{} {}", status.code, status.message))
}

#[test]
fn a_new_set_has_defaults_counts_and_no_status() -> Outcome {
    let mut store = Store::new(StoreOptions::default());
    let mut asked: serde_json::Value = serde_json::from_str(&text("", ""))?;
    asked["status"] = serde_json::json!({ "numberReady": 7 });
    asked["metadata"]["generation"] = 9.into();
    let set = apply(&mut store, &asked.to_string())?;
    assert_eq!(counts(&set), (1, Some(1)));
    assert_eq!(set.status, DaemonSetStatus::default());
    assert!(!set.metadata.uid.is_empty());
    let whole = store.to_json(&Object::DaemonSet(set.clone()));
    let strategy = serde_json::json!({
        "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1, "maxSurge": 0 }
    });
    assert_eq!(whole["spec"]["updateStrategy"], strategy);
    assert_eq!(whole["spec"]["revisionHistoryLimit"], 10);
    assert_eq!((&whole["apiVersion"], &whole["kind"]), (&"apps/v1".into(), &"DaemonSet".into()));
    let pod = &whole["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["restartPolicy"], &pod["containers"][0]["resources"]),
        (&"Always".into(), &serde_json::json!({}))
    );
    let revision = DaemonTemplate::read(&set)?;
    assert!(revision.data.starts_with(r#"{"spec":{"template":{"$patch":"replace","metadata":{"labels""#));
    Ok(())
}

#[test]
fn the_count_of_templates_may_begin_higher_but_not_below_one() -> Outcome {
    for (asked, begun) in [("7", 7), ("0", 1), ("-3", 1), ("+2", 2)] {
        let annotation = format!(r#""annotations":{{"{TEMPLATES}":"{asked}","a":"b"}},"#);
        let set = apply(&mut Store::new(StoreOptions::default()), &text(&annotation, ""))?;
        assert_eq!(counts(&set), (1, Some(begun)), "{asked}");
        assert_eq!(set.metadata.annotations.len(), 2);
    }
    let said = |asked: &str| refusal(&text(&format!(r#""annotations":{{"{TEMPLATES}":"{asked}"}},"#), ""));
    let prefix = "400 BadRequest: DaemonSet in version \"v1\" cannot be handled as a DaemonSet: strconv.ParseInt: parsing";
    assert_eq!(said("two"), format!("{prefix} \"two\": invalid syntax"));
    assert_eq!(
        said("99999999999999999999"),
        format!("{prefix} \"99999999999999999999\": value out of range")
    );
    Ok(())
}

#[test]
fn generations_count_changes_of_the_spec_and_of_the_template() -> Outcome {
    let mut store = Store::new(StoreOptions::default());
    apply(&mut store, &text("", ""))?;
    let change = |store: &mut Store, change: &dyn Fn(&mut DaemonSet)| -> Result<_, ApiStatus> {
        let mut set = stored(store)?;
        change(&mut set);
        store.update_daemon_set(Actor::USER, &set).map(|set| counts(&set))
    };
    let with_text = |set: &mut DaemonSet, from: &str, to: &str| {
        let spec = Arc::make_mut(&mut set.spec);
        let text = spec.template.as_ref().map_or("", |template| template.get()).replace(from, to);
        spec.template = serde_json::from_str(&text).ok();
    };
    let labelled = change(&mut store, &|set| {
        Arc::make_mut(&mut set.metadata.labels).insert("a".into(), "b".into());
    });
    assert_eq!(labelled, Ok((1, Some(1))));
    assert_eq!(
        change(&mut store, &|set| Arc::make_mut(&mut set.spec).min_ready_seconds = Some(3)),
        Ok((2, Some(1)))
    );
    assert_eq!(change(&mut store, &|set| with_text(set, "busybox:1", "busybox:2")), Ok((3, Some(2))));
    let before = store.revision();
    // The same template in other words, and counts that the client may not set.
    let restated = change(&mut store, &|set| {
        with_text(
            set,
            "\"restartPolicy\":\"Always\"",
            "\"tolerations\":[],\"hostNetwork\":false,\"volumes\":null",
        );
        Arc::make_mut(&mut set.metadata.annotations).remove(TEMPLATES);
        set.metadata.generation = 40;
        set.status.number_ready = 4;
    });
    assert_eq!((restated, store.revision()), (Ok((3, Some(2))), before));
    let unreadable = change(&mut store, &|set| {
        Arc::make_mut(&mut set.metadata.annotations).insert(TEMPLATES.into(), "x".into());
    });
    assert_eq!(unreadable.map_err(|status| status.code), Err(400));
    let patch = [(TEMPLATES.into(), Some("9".into())), ("c".into(), Some("d".into()))];
    let patch = MetadataPatch { annotations: &patch, ..MetadataPatch::default() };
    store.patch(Actor::USER, Kind::DaemonSet, "default", "logs", &patch)?;
    let patched = stored(&store)?;
    assert_eq!((counts(&patched), patched.metadata.annotations.len()), ((3, Some(2)), 2));
    Ok(())
}

#[test]
fn what_means_nothing_is_not_in_the_template_as_it_is_served() -> Outcome {
    let container = r#"{"name":"main","image":"busybox:1","env":[{"name":"A","value":""}],"command":[],"stdin":false,
        "resources":{"limits":{},"requests":{}},"volumeMounts":[{"name":"v","mountPath":"/v","readOnly":false}]}"#;
    let volumes =
        r#""volumes":[{"name":"v","emptyDir":{}}],"tolerations":[],"nodeSelector":{},"hostNetwork":false,"#;
    let wordy = with_template(volumes).replace(r#"{"name":"main","image":"busybox:1"}"#, container);
    let set = apply(&mut Store::new(StoreOptions::default()), &wordy)?;
    let template: serde_json::Value =
        serde_json::from_str(set.spec.template.as_ref().ok_or("no template")?.get())?;
    let expected = serde_json::json!({
        "metadata": { "labels": { "app": "logs" } },
        "spec": {
            "containers": [{
                "name": "main", "image": "busybox:1", "env": [{ "name": "A" }], "resources": {},
                "volumeMounts": [{ "name": "v", "mountPath": "/v" }], "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "volumes": [{ "name": "v", "emptyDir": {} }], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "securityContext": {}, "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30,
        },
    });
    assert_eq!(template, expected);
    let strategy = r#""updateStrategy":{"type":"OnDelete","rollingUpdate":{"maxSurge":3}},"#;
    let set = apply(&mut Store::new(StoreOptions::default()), &text("", strategy))?;
    let limits = serde_json::to_value(&set.spec.update_strategy.rolling_update)?;
    assert_eq!(limits, serde_json::json!({ "maxUnavailable": 0, "maxSurge": 3 }));
    Ok(())
}

#[test]
fn a_finalizer_has_a_prefix_or_is_one_of_the_systems() {
    let refused = "metadata.finalizers[0]: Invalid value: \"bad\": name is neither a standard finalizer name nor is it \
                   fully qualified";
    assert_eq!(faults(&text(r#""finalizers":["bad"],"#, "")), refused);
    assert!(faults(&text(r#""finalizers":["orphan","example.com/a"],"#, "")).starts_with("Ok("));
}

#[test]
fn an_update_is_refused_for_another_version_another_selector_and_a_bad_spec() -> Outcome {
    let mut store = Store::new(StoreOptions::default());
    let old = apply(&mut store, &text("", ""))?;
    let mut stale = old.as_ref().clone();
    stale.metadata.resource_version = ResourceVersion(1);
    assert!(
        message(store.update_daemon_set(Actor::USER, &stale))
            .starts_with("409 Operation cannot be fulfilled on daemonsets.apps \"logs\"")
    );
    let mut other = old.as_ref().clone();
    Arc::make_mut(&mut other.spec).selector =
        Some(serde_json::from_str(r#"{"matchExpressions":[{"key":"app","operator":"Exists"}]}"#)?);
    assert_eq!(
        message(store.update_daemon_set(Actor::USER, &other)),
        "422 DaemonSet.apps \"logs\" is invalid: spec.selector: Invalid value: \
         {\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Exists\"}]}: field is immutable"
    );
    let mut negative = old.as_ref().clone();
    Arc::make_mut(&mut negative.spec).min_ready_seconds = Some(-1);
    assert_eq!(
        message(store.update_daemon_set(Actor::USER, &negative)),
        "422 DaemonSet.apps \"logs\" is invalid: spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"
    );
    assert_eq!(stored(&store)?, *old);
    let mut absent = old.as_ref().clone();
    absent.metadata.name = "others".into();
    assert_eq!(
        message(store.update_daemon_set(Actor::USER, &absent)),
        "404 daemonsets.apps \"others\" not found"
    );
    Ok(())
}

#[test]
fn a_status_write_keeps_the_spec_and_is_checked() -> Outcome {
    let mut store = Store::new(StoreOptions::default());
    let old = apply(&mut store, &text("", ""))?;
    let write = |store: &mut Store, change: &dyn Fn(&mut DaemonSet)| {
        let mut set = stored(store)?;
        change(&mut set);
        store.update_daemon_set_status(CONTROLLER, &set)
    };
    let written = write(&mut store, &|set| {
        set.status.desired_number_scheduled = 3;
        set.status.observed_generation = 1;
        set.status.collision_count = Some(2);
        Arc::make_mut(&mut set.spec).revision_history_limit = Some(99);
        Arc::make_mut(&mut set.metadata.annotations).clear();
    })?;
    assert_eq!((written.spec.revision_history_limit, counts(&written)), (Some(10), (1, Some(1))));
    assert_eq!(written.status.desired_number_scheduled, 3);
    assert!(written.metadata.resource_version > old.metadata.resource_version);
    let fewer = "422 DaemonSet.apps \"logs\" is invalid: status.collisionCount: Invalid value:";
    let answer = write(&mut store, &|set| set.status.collision_count = Some(1));
    assert_eq!(message(answer), format!("{fewer} 1: cannot be decremented"));
    let answer = write(&mut store, &|set| set.status.collision_count = None);
    assert_eq!(message(answer), format!("{fewer} 0: cannot be decremented"));
    let answer = write(&mut store, &|set| {
        set.status.number_ready = -1;
        set.status.observed_generation = -2;
    });
    assert_eq!(
        message(answer),
        "422 DaemonSet.apps \"logs\" is invalid: [status.numberReady: Invalid value: -1: must be greater than or equal \
         to 0, status.observedGeneration: Invalid value: -2: must be greater than or equal to 0]"
    );
    Ok(())
}

#[test]
fn mistakes_are_refused_in_upstreams_words() {
    let unmatched = text("", "").replacen(r#"{"app":"logs"}"#, r#"{"app":"other"}"#, 1);
    assert_eq!(
        faults(&unmatched),
        "spec.template.metadata.labels: Invalid value: {\"app\":\"logs\"}: `selector` does not match template `labels`"
    );
    let empty = text("", "").replacen(r#"{"matchLabels":{"app":"logs"}}"#, "{}", 1);
    assert_eq!(faults(&empty), "spec.selector: Invalid value: {}: empty selector is invalid for daemonset");
    assert_eq!(
        faults(&with_template(r#""restartPolicy":"OnFailure","activeDeadlineSeconds":5,"#)),
        "[spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\", \
         spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported]"
    );
    assert_eq!(
        faults(&text("", r#""minReadySeconds":-1,"revisionHistoryLimit":-2,"#)),
        "[spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0, \
         spec.revisionHistoryLimit: Invalid value: -2: must be greater than or equal to 0]"
    );
    assert_eq!(
        faults(
            &text("", r#""template":{},"#).replace(r#""template":{"metadata""#, r#""ignored":{"metadata""#)
        ),
        "[spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`, \
         spec.template.spec.containers: Required value]"
    );
}

#[test]
fn limits_of_a_rolling_update_are_checked_in_upstreams_words() {
    let limits = |limits: &str| {
        faults(&text("", &format!(r#""updateStrategy":{{"rollingUpdate":{{{limits}}}}},"#)))
            .replace("spec.updateStrategy.rollingUpdate.", "")
    };
    let taken = |limits: &str| {
        let text = text("", &format!(r#""updateStrategy":{{"rollingUpdate":{{{limits}}}}},"#));
        apply(&mut Store::new(StoreOptions::default()), &text).is_ok()
    };
    assert!(taken(r#""maxUnavailable":"10%""#) && taken(r#""maxUnavailable":0,"maxSurge":"100%""#));
    assert_eq!(
        limits(r#""maxSurge":"10%""#),
        "maxSurge: Invalid value: \"10%\": may not be set when maxUnavailable is non-zero"
    );
    assert_eq!(
        limits(r#""maxUnavailable":"0%""#),
        "maxUnavailable: Required value: cannot be 0 when maxSurge is 0"
    );
    assert_eq!(
        limits(r#""maxUnavailable":"101%""#),
        "maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"
    );
    assert_eq!(
        limits(r#""maxUnavailable":-1"#),
        "maxUnavailable: Invalid value: -1: must be greater than or equal to 0"
    );
    assert_eq!(
        limits(r#""maxUnavailable":"many""#),
        "[maxUnavailable: Invalid value: \"many\": a valid percent string must be a numeric string followed by an ending \
         '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%'), \
         maxUnavailable: Required value: cannot be 0 when maxSurge is 0]"
    );
    assert_eq!(
        faults(&text("", r#""updateStrategy":{"type":"Later"},"#)),
        "spec.updateStrategy: Unsupported value: {\"Type\":\"Later\",\"RollingUpdate\":null}: supported values: \
         \"RollingUpdate\", \"OnDelete\""
    );
}

const DATA: &str = r#"{"spec": {"template":{"z":1,"$patch":"replace","a":"\u003c"}}}"#;

fn revision(name: &str, data: &str, number: i64) -> String {
    format!(
        r#"{{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{{"name":"{name}","labels":null}},
        "revision":{number},"data":{data}}}"#
    )
}

fn stored_revision(store: &Store, name: &str) -> Result<ControllerRevision, ApiStatus> {
    match store.get(Kind::ControllerRevision, "default", name)? {
        Object::ControllerRevision(revision) => Ok(revision.as_ref().clone()),
        other => Err(ApiStatus::new(0, "", format!("{other:?}"))),
    }
}

#[test]
fn a_revision_keeps_its_data_to_the_byte_and_takes_another_number() -> Outcome {
    let mut store = Store::new(StoreOptions::default());
    store.apply_manifest(Actor::USER, &revision("logs-a", DATA, 1))?;
    let first = stored_revision(&store, "logs-a")?;
    assert!(first.holds(DATA), "{first:?}");
    assert_eq!((first.revision, first.metadata.generation), (1, 0));
    let counted = revision("b", "{}", 1).replacen("\"labels\":null", "\"generation\":5", 1);
    store.apply_manifest(Actor::USER, &counted)?;
    assert_eq!(stored_revision(&store, "b")?.metadata.generation, 5);
    let mut second = first.clone();
    second.revision = 4;
    Arc::make_mut(&mut second.metadata.labels).insert("a".into(), "b".into());
    let second = store.update_revision(CONTROLLER, &second)?;
    assert_eq!((second.revision, second.metadata.labels.len()), (4, 1));
    assert!(second.holds(DATA) && second.metadata.resource_version > first.metadata.resource_version);
    assert_eq!(message(store.update_revision(CONTROLLER, &first)).get(..4), Some("409 "));
    let refused = |store: &mut Store, change: &dyn Fn(&mut ControllerRevision)| {
        let mut revision = second.as_ref().clone();
        change(&mut revision);
        message(store.update_revision(CONTROLLER, &revision))
    };
    let prefix = "422 ControllerRevision.apps \"logs-a\" is invalid: ";
    let negative = refused(&mut store, &|revision| revision.revision = -1);
    assert_eq!(negative, format!("{prefix}revision: Invalid value: -1: must be greater than or equal to 0"));
    let other = refused(&mut store, &|revision| revision.data = serde_json::from_str("{}").ok());
    assert_eq!(other, format!("{prefix}data: Invalid value: {{}}: field is immutable"));
    let none = refused(&mut store, &|revision| revision.data = None);
    assert_eq!(none, format!("{prefix}data: Invalid value: null: field is immutable"));
    assert_eq!(stored_revision(&store, "logs-a")?, *second);
    Ok(())
}

#[test]
fn a_new_revision_needs_an_object_as_data_and_a_name_of_its_own() {
    let mut store = Store::new(StoreOptions::default());
    let mut said = |text: &str| match store.apply_manifest(Actor::USER, text) {
        Err(ApplyError::Refused(status)) => status.message,
        other => format!("{other:?}"),
    };
    let prefix = "ControllerRevision.apps \"a\" is invalid: ";
    let negative = "revision: Invalid value: -1: must be greater than or equal to 0";
    assert_eq!(said(&revision("a", "{}", -1)), format!("{prefix}{negative}"));
    assert_eq!(said(&revision("a", "null", 1)), format!("{prefix}data: Required value: data is mandatory"));
    assert_eq!(
        said(&revision("a", "[]", 1)),
        format!("{prefix}data: Required value: data must be a valid JSON object")
    );
    assert!(said(&revision("a", "{}", 1)).starts_with("Ok("));
    assert_eq!(said(&revision("a", "{}", 1)), "controllerrevisions.apps \"a\" already exists");
}

#[test]
fn both_kinds_are_listed_watched_and_deleted_under_preconditions() -> Outcome {
    let mut store = Store::new(StoreOptions::default());
    let begun = store.revision();
    let set = apply(&mut store, &text("", ""))?;
    store.apply_manifest(Actor::USER, &revision("logs-a", DATA, 1))?;
    for kind in [Kind::DaemonSet, Kind::ControllerRevision] {
        assert_eq!((store.count(kind), store.list(kind, &Default::default())?.items.len()), (1, 1));
        let name = if kind == Kind::DaemonSet { "logs" } else { "logs-a" };
        let wrong = DeleteOptions { uid: Some("other"), ..DeleteOptions::default() };
        assert_eq!(message(store.delete(Actor::USER, kind, "default", name, &wrong)).get(..4), Some("409 "));
        let gone = store.delete(Actor::USER, kind, "default", name, &DeleteOptions::default())?;
        assert!(matches!(gone, Deletion::Removed(object) if object.kind() == kind));
        let events: Vec<_> = store.events_after(kind, begun)?.map(|event| event.kind).collect();
        assert_eq!(events, [WatchEventKind::Added, WatchEventKind::Deleted]);
    }
    assert_eq!(message(store.update_daemon_set(Actor::USER, &set)), "404 daemonsets.apps \"logs\" not found");
    Ok(())
}
