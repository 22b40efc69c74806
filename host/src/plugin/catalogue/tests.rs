//! Resources and a directory as they change, with a loader that makes plugins of single bytes.

use serde_json::json;
use windlass_core::kube::Kind;

use super::*;
use crate::controller::Notice;
use crate::key::Key;
use crate::plugin::binding::OnFailure;
use crate::plugin::decision::Decision;
use crate::plugin::fake::{FakeLoader, REFUSES_SETTINGS};
use crate::plugin::report::Report;
use crate::plugin::resource::Condition;
use crate::plugin::set::Call;
use crate::plugin::{Cost, Digest, PluginFault};

const NOW: Time = Time { unix_seconds: 1_000 };

fn catalogue() -> Catalogue {
    Catalogue::new(Arc::new(FakeLoader), None, "one".to_owned())
}

fn metadata(name: &str, namespace: &str, generation: i64) -> ObjectMeta {
    ObjectMeta { name: name.into(), namespace: namespace.into(), generation, ..ObjectMeta::default() }
}

fn reference(manifest: u8) -> String {
    format!("registry.example.com/retry@{}", Digest([manifest; 32]))
}

/// Puts a PolicyPlugin of that name and generation, and brings what its artifact holds.
fn put(catalogue: &mut Catalogue, name: &str, generation: i64, bytes: &[u8]) {
    let manifest = u8::try_from(generation).expect("a small number");
    let source = json!({ "oci": { "reference": reference(manifest) } });
    catalogue.put_plugin(&metadata(name, "", generation), &json!({ "source": source }));
    bring(catalogue, Ok(bytes));
}

/// Brings the same for every plugin whose bytes are wanted and not had.
fn bring(catalogue: &mut Catalogue, bytes: Result<&[u8], &str>) {
    let wanted: Vec<_> = catalogue
        .wanted()
        .filter(|(_, _, had)| had.is_none())
        .map(|(name, source, _)| (name.clone(), source.clone()))
        .collect();
    for (name, source) in wanted {
        let Source::Oci(oci) = &source else { panic!("an artifact is wanted") };
        let stamp = Stamp::Version(oci.reference.as_str().into());
        let brought = bytes.map(|bytes| (stamp, bytes.into())).map_err(ToOwned::to_owned);
        catalogue.supply(&name, source, brought);
    }
}

fn bind(catalogue: &mut Catalogue, name: &str, spec: Value) {
    catalogue.put_binding(&metadata(name, "ops", 1), &spec);
}

fn look(catalogue: &mut Catalogue) -> Update {
    let (update, read) = catalogue.look(NOW, true);
    read.expect("there is no directory that could not be read");
    update
}

/// Conditions of a resource as type, status and reason.
fn conditions(catalogue: &Catalogue, title: &str) -> Vec<(String, String, String)> {
    let reports = catalogue.reports().lock().expect("no panic before");
    let plain = |conditions: &[Condition]| {
        let plain = conditions.iter().map(|is| (is.kind.clone(), is.status.clone(), is.reason.clone()));
        plain.collect::<Vec<_>>()
    };
    let found = reports.all().find_map(|report| match report {
        Report::Plugin(name, replica) if *name == *title => Some(plain(&replica.conditions)),
        Report::Binding(name, replica) if name.to_string() == title => Some(plain(&replica.conditions)),
        Report::Plugin(..) | Report::Binding(..) => None,
    });
    found.expect("a report")
}

fn said(conditions: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    let owned =
        |(one, two, three): &(&str, &str, &str)| ((*one).to_owned(), (*two).to_owned(), (*three).to_owned());
    conditions.iter().map(owned).collect()
}

fn loaded(update: &Update, name: &str) -> Option<u8> {
    let set = update.set.as_ref()?;
    Some(set.plugin(name)?.plugin().identity().digest.0[0])
}

#[test]
fn a_plugin_and_its_binding_decide_as_soon_as_both_are_there() {
    let mut catalogue = catalogue();
    bind(&mut catalogue, "soon", json!({ "decision": "backoff", "plugin": "retry" }));
    let update = look(&mut catalogue);
    assert!(
        update.set.is_some(),
        "an object that is bound to nothing holds or falls back as the binding says"
    );
    let not_loaded = [("Answering", "Unknown", "NotAsked"), ("Bound", "False", "NotLoaded")];
    assert_eq!(conditions(&catalogue, "ops/soon"), said(&not_loaded));
    put(&mut catalogue, "retry", 1, &[7]);
    let update = look(&mut catalogue);
    assert_eq!(loaded(&update, "retry"), Some(7));
    let bound = update.set.expect("a set").bindings_of(Kind::Job, &metadata("any", "ops", 1));
    assert_eq!(bound[0].rule, Some(Name { namespace: "ops".into(), name: "soon".into() }));
    let fine = [("Loaded", "True", "AsExpected"), ("UpToDate", "True", "AsExpected")];
    assert_eq!(conditions(&catalogue, "retry"), said(&fine));
    let may = [("Answering", "Unknown", "NotAsked"), ("Bound", "True", "AsExpected")];
    assert_eq!(conditions(&catalogue, "ops/soon"), said(&may));
    let update = look(&mut catalogue);
    assert!(update.set.is_none() && update.news.is_empty(), "nothing has changed");
}

#[test]
fn a_version_that_cannot_be_used_leaves_the_good_one_and_says_why() {
    let mut catalogue = catalogue();
    put(&mut catalogue, "retry", 1, &[7]);
    look(&mut catalogue);
    put(&mut catalogue, "retry", 2, b"bad");
    let update = look(&mut catalogue);
    assert!(update.set.is_none());
    let stale = [("Loaded", "True", "AsExpected"), ("UpToDate", "False", "DecidesNothing")];
    assert_eq!(conditions(&catalogue, "retry"), said(&stale));
    // A registry that does not answer changes nothing either.
    let spec = json!({ "source": { "oci": { "reference": reference(3) } } });
    catalogue.put_plugin(&metadata("retry", "", 3), &spec);
    look(&mut catalogue);
    let fetching = [("Loaded", "True", "AsExpected"), ("UpToDate", "False", "Fetching")];
    assert_eq!(conditions(&catalogue, "retry"), said(&fetching));
    bring(&mut catalogue, Err("it does not answer"));
    assert!(look(&mut catalogue).set.is_none());
    let unreadable = [("Loaded", "True", "AsExpected"), ("UpToDate", "False", "Unreadable")];
    assert_eq!(conditions(&catalogue, "retry"), said(&unreadable));
    bring(&mut catalogue, Ok(&[9]));
    assert_eq!(loaded(&look(&mut catalogue), "retry"), Some(9));
    // Nor does a spec that says nothing.
    catalogue.put_plugin(&metadata("retry", "", 4), &json!({}));
    let update = look(&mut catalogue);
    let malformed = [("Loaded", "True", "AsExpected"), ("UpToDate", "False", "Malformed")];
    assert_eq!((conditions(&catalogue, "retry"), update.set.is_none()), (said(&malformed), true));
}

#[test]
fn bytes_that_were_not_announced_are_not_loaded() {
    let mut catalogue = catalogue();
    let spec = json!({
        "source": { "oci": { "reference": reference(1) } },
        "digest": Digest::of(&[8]).to_string(),
    });
    catalogue.put_plugin(&metadata("retry", "", 1), &spec);
    bring(&mut catalogue, Ok(&[7]));
    look(&mut catalogue);
    let refused = [("Loaded", "False", "OtherDigest"), ("UpToDate", "False", "OtherDigest")];
    assert_eq!(conditions(&catalogue, "retry"), said(&refused));
}

#[test]
fn a_version_that_refuses_the_settings_of_a_binding_replaces_none_that_takes_them() {
    let mut catalogue = catalogue();
    let spec = json!({ "decision": "backoff", "plugin": "retry", "settings": { "x": 1 } });
    bind(&mut catalogue, "soon", spec);
    put(&mut catalogue, "retry", 1, &[7]);
    look(&mut catalogue);
    put(&mut catalogue, "retry", 2, &[REFUSES_SETTINGS]);
    assert!(look(&mut catalogue).set.is_none());
    let refused = [("Loaded", "True", "AsExpected"), ("UpToDate", "False", "SettingsRefused")];
    assert_eq!(conditions(&catalogue, "retry"), said(&refused));
    // Once nothing binds it with them, it is taken.
    bind(&mut catalogue, "soon", json!({ "decision": "backoff", "plugin": "retry" }));
    look(&mut catalogue);
    bring(&mut catalogue, Ok(&[REFUSES_SETTINGS]));
    assert_eq!(loaded(&look(&mut catalogue), "retry"), Some(REFUSES_SETTINGS));
    // And what is bound with them afterwards is told so.
    let spec = json!({ "decision": "backoff", "plugin": "retry", "settings": { "x": 1 } });
    bind(&mut catalogue, "soon", spec);
    look(&mut catalogue);
    let bound = &conditions(&catalogue, "ops/soon")[1];
    assert_eq!((&*bound.1, &*bound.2), ("False", "SettingsRefused"));
}

#[test]
fn other_terms_take_the_bytes_again_and_hold_for_the_namespaces() {
    let mut catalogue = catalogue();
    put(&mut catalogue, "retry", 1, &[7]);
    bind(&mut catalogue, "soon", json!({ "decision": "backoff", "plugin": "retry" }));
    look(&mut catalogue);
    let source = json!({ "oci": { "reference": reference(1) } });
    let spec = json!({ "source": source, "allowedNamespaces": ["shop"] });
    catalogue.put_plugin(&metadata("retry", "", 2), &spec);
    look(&mut catalogue);
    bring(&mut catalogue, Ok(&[7]));
    let update = look(&mut catalogue);
    assert!(update.set.is_some() && update.news.is_empty(), "the same bytes on other terms");
    let bound = &conditions(&catalogue, "ops/soon")[1];
    assert_eq!((&*bound.1, &*bound.2), ("False", "NotForNamespace"));
}

#[test]
fn what_answers_and_what_fails_is_told_of_the_binding() {
    let mut catalogue = catalogue();
    put(&mut catalogue, "retry", 1, &[7]);
    bind(&mut catalogue, "soon", json!({ "decision": "backoff", "plugin": "retry", "onFailure": "Hold" }));
    look(&mut catalogue);
    let rule = Name { namespace: "ops".into(), name: "soon".into() };
    let asked = |fault: Option<PluginFault>| Notice::PolicyAsked {
        key: Key::Job(rule.clone()),
        call: Box::new(Call {
            decision: Decision::Backoff,
            plugin: "retry".into(),
            identity: None,
            rule: Some(rule.clone()),
            fault,
            on_failure: OnFailure::Hold,
            held: None,
            trial: false,
            ran: true,
            cost: Cost::default(),
            log: Vec::new(),
        }),
    };
    let reports = catalogue.reports().clone();
    let after = |notice: &Notice, at: i64| {
        let mut reports = reports.lock().expect("no panic before");
        reports.take();
        reports.notice(Time::from_unix_seconds(at), notice);
        let told = reports.take();
        told.into_iter().find_map(|report| match report {
            Report::Binding(_, replica) => replica.conditions.into_iter().find(|is| is.kind == "Answering"),
            Report::Plugin(..) => None,
        })
    };
    let fine = after(&asked(None), 10).expect("news");
    assert_eq!((&*fine.status, fine.last_transition_time.unix_seconds), ("True", 10));
    assert_eq!(after(&asked(None), 11), None, "nothing new");
    let failed = after(&asked(Some(PluginFault::Trapped("x".to_owned()))), 12).expect("news");
    assert_eq!((&*failed.status, &*failed.reason), ("False", "Trap"));
    assert_eq!(failed.message, "backoff: it trapped: x; what it decides waits");
    assert_eq!(after(&asked(Some(PluginFault::Trapped("y".to_owned()))), 13), None, "nothing new");
    let left =
        after(&Notice::PluginQuarantined { plugin: "retry".into(), for_ms: 10_000 }, 14).expect("news");
    assert_eq!(left.reason, "Quarantined");
    assert!(left.message.ends_with("left alone until 1970-01-01T00:00:24Z"), "{}", left.message);
    assert_eq!(left.last_transition_time.unix_seconds, 12, "it did not answer before either");
    assert_eq!(after(&asked(Some(PluginFault::Quarantined { for_ms: 5 })), 15), None);
    let longer =
        after(&Notice::PluginQuarantined { plugin: "retry".into(), for_ms: 20_000 }, 24).expect("news");
    assert!(longer.message.ends_with("left alone until 1970-01-01T00:00:44Z"), "{}", longer.message);
    let restored = after(&Notice::PluginRestored { plugin: "retry".into() }, 29).expect("news");
    assert_eq!((&*restored.status, &*restored.reason), ("Unknown", "NotAsked"));
    assert_eq!(after(&asked(None), 30).expect("news").status, "True");
}

#[test]
fn another_binding_whose_settings_are_refused_is_named_in_place_of_the_first() {
    let mut catalogue = catalogue();
    let spec = |settings: Value| json!({ "decision": "backoff", "plugin": "retry", "settings": settings });
    bind(&mut catalogue, "soon", spec(json!({ "x": 1 })));
    bind(&mut catalogue, "later", spec(json!({ "x": 1 })));
    put(&mut catalogue, "retry", 1, &[7]);
    look(&mut catalogue);
    put(&mut catalogue, "retry", 2, &[REFUSES_SETTINGS]);
    look(&mut catalogue);
    let message = |catalogue: &Catalogue| {
        let reports = catalogue.reports().lock().expect("no panic before");
        let of_plugin = reports.all().find_map(|report| match report {
            Report::Plugin(_, replica) => Some(replica.conditions),
            Report::Binding(..) => None,
        });
        let up_to_date = of_plugin.expect("a plugin").into_iter().find(|is| is.kind == "UpToDate");
        up_to_date.expect("a condition").message
    };
    assert!(message(&catalogue).contains("ops/later"), "{}", message(&catalogue));
    bind(&mut catalogue, "later", spec(json!({})));
    look(&mut catalogue);
    bring(&mut catalogue, Ok(&[REFUSES_SETTINGS]));
    look(&mut catalogue);
    assert!(message(&catalogue).contains("ops/soon"), "{}", message(&catalogue));
}

#[test]
fn a_binding_that_goes_decides_no_more_while_a_plugin_is_being_loaded() {
    let mut catalogue = catalogue();
    put(&mut catalogue, "retry", 1, &[7]);
    bind(&mut catalogue, "soon", json!({ "decision": "backoff", "plugin": "retry" }));
    look(&mut catalogue);
    put(&mut catalogue, "retry", 2, &[8]);
    let (update, _) = catalogue.survey(NOW, true);
    assert!(update.set.is_none());
    let loading = [("Loaded", "True", "AsExpected"), ("UpToDate", "False", "Loading")];
    assert_eq!(conditions(&catalogue, "retry"), said(&loading), "it waits for its turn");
    let slow = catalogue.next_load().expect("a load");
    catalogue.survey(NOW, true).1.expect("no directory");
    assert_eq!(conditions(&catalogue, "retry"), said(&loading), "it is its turn");
    catalogue.remove_binding(&Name { namespace: "ops".into(), name: "soon".into() });
    let (update, _) = catalogue.survey(NOW, true);
    let set = update.set.expect("another set");
    assert!(set.bindings_of(Kind::Job, &metadata("any", "ops", 1)).is_empty());
    assert_eq!(loaded(&catalogue.settle(NOW, slow.run()), "retry"), Some(8));
    let fine = [("Loaded", "True", "AsExpected"), ("UpToDate", "True", "AsExpected")];
    assert_eq!(conditions(&catalogue, "retry"), said(&fine));
}

#[test]
fn what_a_file_takes_the_place_of_is_not_fetched_until_the_file_is_gone() {
    let directory = std::env::temp_dir().join(format!("windlass-shadowed-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("retry.wasm");
    std::fs::write(&file, [5]).expect("a file");
    let mut catalogue = Catalogue::new(Arc::new(FakeLoader), Some(directory.clone()), "one".to_owned());
    put(&mut catalogue, "retry", 1, &[7]);
    for _ in 0..3 {
        look(&mut catalogue);
        assert_eq!(catalogue.wanted().count(), 0);
    }
    let shadowed = [("Loaded", "True", "AsExpected"), ("UpToDate", "False", "Shadowed")];
    assert_eq!(conditions(&catalogue, "retry"), said(&shadowed));
    std::fs::remove_file(&file).expect("a file");
    assert!(look(&mut catalogue).set.is_none(), "what is loaded decides until the other is there");
    assert_eq!(catalogue.wanted().count(), 1);
    bring(&mut catalogue, Ok(&[7]));
    assert_eq!(loaded(&look(&mut catalogue), "retry"), Some(7));
    std::fs::remove_dir_all(&directory).expect("a directory");
}
