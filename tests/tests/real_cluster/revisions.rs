//! ControllerRevisions: what this writes for a template is what the built-in DaemonSet controller writes, to the byte.
//!
//! The bytes of `data` reach us in JSON, where the API server leaves out white space and escapes for HTML whatever it
//! has stored. The built-in controller reads them in protobuf, as they were stored. So one test compares what it wrote
//! with what we would have written, and the other has it find what we wrote.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use windlass_control_plane::{BuiltInControllers, ControlPlane, Options, start_or_skip};
use windlass_core::daemon_set::history::{Current, History, RevisionRow};
use windlass_core::daemon_set::revision;
use windlass_core::kube::{ControllerRevision, ObjectMeta, OwnerReference, RevisionManifest, Str};

const NAMESPACE: &str = "default";

/// What is read of a DaemonSet: its template as the text that the API server sent.
#[derive(Deserialize)]
struct DaemonSet {
    metadata: ObjectMeta,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Spec {
    template: Box<RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    collision_count: Option<i32>,
}

#[derive(Deserialize)]
struct Template {
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

impl DaemonSet {
    fn data(&self) -> Result<String> {
        let name = &self.metadata.name;
        revision::data(self.spec.template.get()).with_context(|| format!("the template of {name}"))
    }

    /// The revision that we would create.
    fn manifest(&self, number: i64) -> Result<RevisionManifest> {
        let metadata = &self.metadata;
        let owner = OwnerReference {
            api_version: "apps/v1".into(),
            kind: "DaemonSet".into(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        };
        let template: Template = serde_json::from_str(self.spec.template.get())?;
        let data = self.data()?;
        let hash = revision::hash(&data, self.status.collision_count);
        Ok(RevisionManifest::new(metadata, owner, &template.metadata, data, &hash, number)?)
    }
}

#[test]
fn revisions_are_those_of_the_built_in_controller_to_the_byte() -> Result<()> {
    let test = "revisions_are_those_of_the_built_in_controller_to_the_byte";
    let Some(plane) = start_or_skip(test, options("daemonset-controller"))? else { return Ok(()) };
    let names = create_all(&plane)?;
    await_observed(&plane, 1)?;
    let sets = daemon_sets(&plane)?;
    assert_eq!(sets.iter().map(|set| set.metadata.name.to_string()).collect::<Vec<_>>(), names);
    let revisions = revisions(&plane)?;
    let mut differences = Vec::new();
    for set in &sets {
        let [written] = owned(&revisions, set)[..] else {
            panic!("{} has not one revision", set.metadata.name)
        };
        let manifest = set.manifest(1)?;
        let stored = written.data.as_deref().map_or("", RawValue::get);
        if stored != manifest.data.get() {
            differences
                .push(format!("{}:\n  theirs {stored}\n  ours   {}", set.metadata.name, manifest.data));
        }
        assert_eq!(written.revision, 1, "{}", set.metadata.name);
        assert_eq!(
            without_hash(&written.metadata),
            without_hash(&manifest.metadata),
            "{}",
            set.metadata.name
        );
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), sets.len(), differences.join("\n"));

    // A change, and back again: upstream numbers as the functions say.
    let set = "int-values";
    let path = r#"{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":SECONDS}}}}"#;
    for (generation, seconds, expected) in [(2, "7", vec![1, 2]), (3, "45", vec![2, 3])] {
        let known = rows(&plane, set)?;
        plane.kubectl(&["patch", "daemonset", set, "-p", &path.replace("SECONDS", seconds)])?;
        let due = rows_for_template(&plane, set, &known)?;
        await_observed_of(&plane, set, generation)?;
        let found = rows(&plane, set)?;
        let mut numbers: Vec<i64> = found.iter().map(|row| row.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, expected);
        let current = found.iter().find(|row| row.holds_template).context("a revision for the template")?;
        assert_eq!(current.number, due, "the number of the template's revision");
        assert_eq!(History::of(&found).current(), keeps(&found, current));
    }
    Ok(())
}

#[test]
fn the_built_in_controller_goes_on_with_the_revisions_that_we_wrote() -> Result<()> {
    let test = "the_built_in_controller_goes_on_with_the_revisions_that_we_wrote";
    let Some(mut plane) = start_or_skip(test, options("namespace-controller"))? else { return Ok(()) };
    create_all(&plane)?;
    let sets = daemon_sets(&plane)?;
    let mut ours: BTreeMap<String, Str> = BTreeMap::new();
    for set in &sets {
        let manifest = set.manifest(1)?;
        // Without --raw, kubectl would write the JSON anew, and escape it.
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/controllerrevisions");
        plane
            .as_administrator()
            .run_with_input(&["create", "--raw", &path, "-f", "-"], &manifest.to_json()?)?;
        ours.insert(set.metadata.name.to_string(), manifest.metadata.name);
    }
    plane.change_controllers(BuiltInControllers::List("daemonset-controller".to_owned()))?;
    await_observed(&plane, 1)?;
    let revisions = revisions(&plane)?;
    let mut others = Vec::new();
    for set in &sets {
        let found: Vec<&str> =
            owned(&revisions, set).iter().map(|revision| &*revision.metadata.name).collect();
        let expected = &*ours[&*set.metadata.name];
        if found != [expected] {
            others.push(format!("{expected}: {found:?}"));
        }
    }
    assert!(others.is_empty(), "it made its own beside {} of {}: {others:#?}", others.len(), sets.len());
    Ok(())
}

/// A control plane without nodes, so that a DaemonSet has no Pods, and with these controllers alone.
fn options(controllers: &str) -> Options {
    let controllers = BuiltInControllers::List(controllers.to_owned());
    Options { nodes: 0, kubelets: false, scheduler: false, controllers, ..Options::default() }
}

/// Creates a DaemonSet for each of [`templates`]; their names, sorted.
fn create_all(plane: &ControlPlane) -> Result<Vec<String>> {
    let sets = templates();
    let mut names: Vec<String> = sets.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    names.sort_unstable();
    let items: Vec<Value> =
        sets.into_iter().map(|(name, annotations, spec)| daemon_set(name, &annotations, spec)).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    plane.as_administrator().run_with_input(&["create", "-f", "-"], &list.to_string())?;
    Ok(names)
}

fn daemon_set(name: &str, annotations: &Value, mut spec: Value) -> Value {
    if spec["containers"].is_null() {
        spec["containers"] = json!([{ "name": "main", "image": "busybox" }]);
    }
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": { "name": name, "annotations": { "kubernetes.io/change-cause": format!("first <{name}>") } },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name, "tier": "node" }, "annotations": annotations },
                "spec": spec,
            },
        },
    })
}

/// Waits until the controller has seen every set, which it says only after it has made its revision.
fn await_observed(plane: &ControlPlane, generation: i64) -> Result<()> {
    await_observed_of(plane, "--all", generation)
}

fn await_observed_of(plane: &ControlPlane, which: &str, generation: i64) -> Result<()> {
    let path = format!("--for=jsonpath={{.status.observedGeneration}}={generation}");
    plane.kubectl(&["wait", "daemonset", which, "--timeout=60s", &path]).map(drop)
}

/// All DaemonSets, as the API server sends them.
fn daemon_sets(plane: &ControlPlane) -> Result<Vec<DaemonSet>> {
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets");
    let text = plane.kubectl(&["get", "--raw", &path])?;
    let list: List<DaemonSet> = serde_json::from_str(&text)?;
    ensure!(!list.items.is_empty(), "no DaemonSet was listed");
    Ok(list.items)
}

/// All ControllerRevisions, with their data as the text that the API server sends.
fn revisions(plane: &ControlPlane) -> Result<Vec<ControllerRevision>> {
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/controllerrevisions");
    let text = plane.kubectl(&["get", "--raw", &path])?;
    Ok(serde_json::from_str::<List<ControllerRevision>>(&text)?.items)
}

fn owned<'all>(revisions: &'all [ControllerRevision], set: &DaemonSet) -> Vec<&'all ControllerRevision> {
    let own = |revision: &&ControllerRevision| {
        revision.metadata.controller().is_some_and(|owner| owner.uid == set.metadata.uid)
    };
    revisions.iter().filter(own).collect()
}

/// The history of one set.
fn rows(plane: &ControlPlane, name: &str) -> Result<Vec<RevisionRow>> {
    let sets = daemon_sets(plane)?;
    let set = sets.iter().find(|set| &*set.metadata.name == name).context("the set")?;
    let data = set.data()?;
    Ok(owned(&revisions(plane)?, set).iter().map(|revision| revision.row(&data)).collect())
}

/// The number that the revision for the set's present template is to get, where `known` was its history before.
fn rows_for_template(plane: &ControlPlane, name: &str, known: &[RevisionRow]) -> Result<i64> {
    let sets = daemon_sets(plane)?;
    let set = sets.iter().find(|set| &*set.metadata.name == name).context("the set")?;
    let data = set.data()?;
    let held = revisions(plane)?;
    let rows: Vec<RevisionRow> = known
        .iter()
        .map(|row| {
            let holds_template = held.iter().any(|held| held.metadata.name == row.name && held.holds(&data));
            RevisionRow { holds_template, ..row.clone() }
        })
        .collect();
    Ok(match History::of(&rows).current() {
        Current::Create { number } => number,
        Current::Keep { position, renumber } => renumber.unwrap_or(rows[position as usize].number),
    })
}

/// What says that nothing is to be done about `current`.
fn keeps(rows: &[RevisionRow], current: &RevisionRow) -> Current {
    let position =
        rows.iter().position(|row| row == current).and_then(|position| u32::try_from(position).ok());
    Current::Keep { position: position.unwrap_or(u32::MAX), renumber: None }
}

/// What two controllers must agree on in the metadata: all but the hash, and what the API server adds.
fn without_hash(metadata: &ObjectMeta) -> Value {
    let mut labels = metadata.labels.as_ref().clone();
    let hash = labels.remove("controller-revision-hash").unwrap_or_default();
    let prefix = metadata.name.strip_suffix(&*hash).unwrap_or("the name does not end in the hash");
    json!({
        "prefix": prefix, "namespace": metadata.namespace, "labels": labels,
        "annotations": metadata.annotations, "ownerReferences": metadata.owner_references,
    })
}

/// Name, annotations of the template, and Pod spec of each set.
fn templates() -> Vec<(&'static str, Value, Value)> {
    let none = || json!({});
    let container = |rest: Value| {
        let mut container = json!({ "name": "main", "image": "busybox" });
        for (key, value) in rest.as_object().into_iter().flatten() {
            container[key] = value.clone();
        }
        json!([container])
    };
    let mut all = plain_templates();
    all.extend([
        ("args-html", none(), json!({ "containers": container(json!({ "args": ["a<b", "c>d && e", "</script>"] })) })),
        ("args-unicode", none(), json!({ "containers": container(json!({ "args": ["naïve", "日本語", "😀", "\u{2028}\u{2029}", "\u{feff}\u{7f}\u{ffff}"] })) })),
        ("args-quotes", none(), json!({ "containers": container(json!({ "args": ["\"quoted\"", "back\\slash", "/slash", "'single'"] })) })),
        ("args-control", none(), json!({ "containers": container(json!({ "command": ["sh", "-c", "a\nb\tc\rd\u{8}e\u{c}f\u{1}g\u{1f}h"] })) })),
        ("resources", none(), json!({ "containers": container(json!({ "resources": { "limits": { "cpu": "1000m", "memory": "1024Mi", "ephemeral-storage": "1.5Gi" }, "requests": { "cpu": "0.10", "memory": "1e3" } } })) })),
        ("resources-empty", none(), json!({ "containers": container(json!({ "resources": { "limits": {}, "requests": {} } })) })),
        ("resources-int", none(), json!({ "containers": container(json!({ "resources": { "limits": { "cpu": 2, "memory": 134_217_728 } } })) })),
        ("probes", none(), json!({ "containers": container(json!({
            "livenessProbe": { "httpGet": { "path": "/h?a=1&b=<2>", "port": 8080, "httpHeaders": [{ "name": "X-A", "value": "b" }] }, "periodSeconds": 7 },
            "readinessProbe": { "tcpSocket": { "port": "web" }, "initialDelaySeconds": 3 },
            "startupProbe": { "grpc": { "port": 9 }, "failureThreshold": 30 },
            "lifecycle": { "preStop": { "sleep": { "seconds": 5 } }, "postStart": { "exec": { "command": ["true"] } } },
            "ports": [{ "name": "web", "containerPort": 8080, "hostPort": 8080 }],
        })) })),
        ("env", none(), json!({ "containers": container(json!({
            "env": [
                { "name": "EMPTY", "value": "" }, { "name": "HTML", "value": "<&>" },
                { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
                { "name": "CPU", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu", "divisor": "1m" } } },
                { "name": "SECRET", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k", "optional": false } } },
            ],
            "envFrom": [{ "prefix": "P_", "configMapRef": { "name": "c", "optional": true } }],
        })) })),
        ("security", none(), json!({
            "securityContext": { "runAsUser": 0, "fsGroup": 2_000, "supplementalGroups": [], "sysctls": [{ "name": "net.ipv4.ip_forward", "value": "1" }] },
            "containers": container(json!({ "securityContext": { "privileged": false, "capabilities": { "add": ["NET_ADMIN"], "drop": [] } } })),
        })),
        ("several-containers", none(), json!({
            "initContainers": [{ "name": "z", "image": "i" }, { "name": "y", "image": "i", "restartPolicy": "Always" }],
            "containers": [{ "name": "b", "image": "i" }, { "name": "a", "image": "i:2", "tty": true, "stdin": false }],
        })),
        ("empty-lists", none(), json!({ "containers": container(json!({ "args": [], "command": [], "env": [], "ports": [], "volumeMounts": [] })), "volumes": [], "tolerations": [], "hostAliases": [], "nodeSelector": {}, "imagePullSecrets": [] })),
    ]);
    all
}

/// Those whose container is like any other.
fn plain_templates() -> Vec<(&'static str, Value, Value)> {
    let none = || json!({});
    let big = i64::from(u32::MAX) * 1_000;
    vec![
        ("minimal", Value::Null, json!({})),
        (
            "annotations",
            json!({ "b": "<b>\u{1}\u{0}\u{7f}\n", "a/z": "é\u{2028}", "a.b": "{\"k\": \"v\"}", "B": "" }),
            json!({}),
        ),
        ("int-values", none(), json!({ "terminationGracePeriodSeconds": 45, "priority": 0 })),
        (
            "int-large",
            none(),
            json!({ "terminationGracePeriodSeconds": big, "securityContext": { "runAsUser": 2_147_483_647 } }),
        ),
        (
            "projected",
            none(),
            json!({ "volumes": [
            { "name": "none", "projected": {} }, { "name": "empty", "projected": { "sources": [] } },
            { "name": "some", "projected": { "defaultMode": 256, "sources": [
                { "serviceAccountToken": { "path": "token", "audience": "a&b" } },
                { "configMap": { "name": "c", "items": [{ "key": "k", "path": "p", "mode": 0 }] } },
                { "downwardAPI": { "items": [{ "path": "l", "fieldRef": { "fieldPath": "metadata.labels['a']" } }] } },
            ] } },
        ] }),
        ),
        (
            "volumes",
            none(),
            json!({ "volumes": [
            { "name": "e" }, { "name": "m", "emptyDir": { "medium": "Memory", "sizeLimit": "0.5Gi" } },
            { "name": "h", "hostPath": { "path": "/var/log", "type": "" } },
            { "name": "c", "configMap": { "name": "c", "defaultMode": 420, "optional": false } },
            { "name": "p", "ephemeral": { "volumeClaimTemplate": { "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1000Mi" } } } } } },
        ] }),
        ),
        (
            "affinity",
            none(),
            json!({ "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                    { "matchExpressions": [{ "key": "z", "operator": "Gt", "values": ["3"] }, { "key": "a", "operator": "Exists" }] },
                    { "matchFields": [{ "key": "metadata.name", "operator": "NotIn", "values": ["n"] }] }, {},
                ] },
                "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "preference": {} }],
            },
            "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": "t", "labelSelector": {} }] },
        } }),
        ),
        (
            "tolerations",
            none(),
            json!({ "tolerations": [
            { "operator": "Exists" }, { "key": "k", "value": "v", "effect": "NoSchedule" },
            { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0 },
        ] }),
        ),
        (
            "node-selector",
            none(),
            json!({ "nodeSelector": { "b": "2", "a": "", "a.b/c": "x", "A": "1" }, "nodeName": "n" }),
        ),
        (
            "host",
            none(),
            json!({ "hostNetwork": true, "hostPID": true, "hostAliases": [{ "ip": "127.0.0.1", "hostnames": ["h"] }] }),
        ),
        (
            "dns",
            none(),
            json!({ "dnsPolicy": "None", "dnsConfig": { "nameservers": ["10.0.0.1"], "options": [{ "name": "ndots", "value": "2" }, { "name": "use-vc" }] } }),
        ),
        (
            "overhead",
            none(),
            json!({ "enableServiceLinks": false, "automountServiceAccountToken": false, "readinessGates": [{ "conditionType": "x.y/z" }] }),
        ),
        (
            "spread",
            none(),
            json!({ "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": { "matchLabels": { "app": "spread" } }, "matchLabelKeys": ["tier"] }] }),
        ),
        (
            "claims",
            none(),
            json!({ "resourceClaims": [{ "name": "gpu", "resourceClaimTemplateName": "t" }], "os": { "name": "linux" } }),
        ),
    ]
}
