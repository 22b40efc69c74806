//! The real API server, through `kubectl proxy`, so that plain HTTP on loopback is enough.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use windlass_control_plane::ControlPlane;
use windlass_core::kube::Kind;

use crate::answer::Answer;
use crate::request::{Change, Request, Sent, WRONG_UID, WRONG_VERSION, edit};

/// A connection to an API server.
pub(crate) struct ApiServer {
    proxy: Child,
    address: String,
    connection: BufReader<TcpStream>,
}

/// What a quota of Jobs counts.
const JOBS: &str = "count/jobs.batch";
/// Seconds for which a watch is followed; all that it is to tell has happened before it begins.
const WATCH_SECONDS: u32 = 1;

impl Drop for ApiServer {
    fn drop(&mut self) {
        // It holds no state; whether it had ended already does not matter.
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

impl ApiServer {
    pub(crate) fn connect(plane: &ControlPlane) -> Result<Self> {
        let mut command = plane.as_administrator().command(&["proxy", "--port=0"]);
        let mut proxy = command.stdout(Stdio::piped()).spawn().context("kubectl proxy")?;
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        let connection = BufReader::new(TcpStream::connect(&address).with_context(|| line.clone())?);
        Ok(Self { proxy, address, connection })
    }

    /// The version of the store as a list shows it now.
    pub(crate) fn version(&mut self, namespace: &str) -> Result<String> {
        let list = self.send("GET", &path(Kind::Pod, namespace, ""), "application/json", "")?;
        let version = list.body["metadata"]["resourceVersion"].as_str();
        Ok(version.context("a list without a version")?.to_owned())
    }

    /// What watches of the kinds tell that begin at `version`, one list of events for each.
    pub(crate) fn watch(&self, namespace: &str, kinds: &[Kind], version: &str) -> Result<Vec<Vec<Value>>> {
        let mut connections = Vec::new();
        for kind in kinds {
            let mut connection = TcpStream::connect(&self.address)?;
            write!(
                connection,
                "GET {}?watch=1&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS} HTTP/1.1\r\n\
                 Host: localhost\r\nConnection: close\r\n\r\n",
                path(*kind, namespace, "")
            )?;
            connections.push(BufReader::new(connection));
        }
        connections
            .into_iter()
            .map(|mut connection| {
                let (code, bytes) = read_answer(&mut connection)?;
                let text = String::from_utf8(bytes)?;
                if code != 200 {
                    bail!("a watch was refused with {code}: {text}");
                }
                text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
            })
            .collect()
    }

    pub(crate) fn create_namespace(&mut self, name: &str) -> Result<()> {
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let answer = self.send("POST", "/api/v1/namespaces", "application/json", &body.to_string())?;
        if answer.code != 201 {
            bail!("namespace {name}: {answer:?}");
        }
        Ok(())
    }

    /// Limits how many Jobs `namespace` may hold, and notes how many it holds, as a quota's controller does.
    pub(crate) fn limit_jobs(&mut self, namespace: &str, name: &str, limit: u32, used: u32) -> Result<()> {
        let quotas = format!("/api/v1/namespaces/{namespace}/resourcequotas");
        let (hard, used) = (json!({ JOBS: limit.to_string() }), json!({ JOBS: used.to_string() }));
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": name }, "spec": { "hard": hard },
        });
        self.send("POST", &quotas, "application/json", &quota.to_string())?;
        let status = json!({ "status": { "hard": hard, "used": used } });
        let path = format!("{quotas}/{name}/status");
        let answer = self.send("PATCH", &path, "application/merge-patch+json", &status.to_string())?;
        if answer.code != 200 {
            bail!("quota {name}: {answer:?}");
        }
        Ok(())
    }

    pub(crate) fn ask(&mut self, namespace: &str, request: &Request) -> Result<Answer> {
        match request {
            Request::Create(kind, body) => {
                let path = path(*kind, namespace, "");
                let created = self.send("POST", &path, "application/json", &body.to_string())?;
                if *kind != Kind::Job || created.code != 201 {
                    return Ok(created);
                }
                // A declared difference: of a Job without labels the server shows those of its template at once, but
                // stores them with the next write, even one that changes nothing. So here such a write comes first.
                let name = created.body["metadata"]["name"].as_str().unwrap_or_default();
                let content = "application/strategic-merge-patch+json";
                let stored = self.send("PATCH", &format!("{path}/{name}"), content, "{}")?;
                Ok(Answer { code: created.code, body: stored.body })
            }
            Request::Get(kind, name) => self.get(*kind, namespace, name),
            Request::Update { kind, name, status, edits, uid, version } => {
                let read = self.get(*kind, namespace, name)?;
                if read.code != 200 {
                    return Ok(read);
                }
                let mut object = read.body;
                edit(&mut object, edits);
                identify(&mut object, *uid, *version);
                let suffix = if *status { "/status" } else { "" };
                let path = format!("{}{suffix}", path(*kind, namespace, name));
                self.send("PUT", &path, "application/json", &object.to_string())
            }
            Request::Patch { kind, name, change, uid, version } => {
                let read = self.get(*kind, namespace, name)?;
                if read.code != 200 {
                    return Ok(read);
                }
                let patch = patch(&read.body, change, *uid, *version);
                let content = "application/strategic-merge-patch+json";
                self.send("PATCH", &path(*kind, namespace, name), content, &patch.to_string())
            }
            Request::Delete { kind, name, uid, version, grace_seconds, propagation } => {
                let read = self.get(*kind, namespace, name)?;
                let metadata = &read.body["metadata"];
                let options = json!({
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "gracePeriodSeconds": grace_seconds,
                    "propagationPolicy": propagation,
                    "preconditions": {
                        "uid": sent(*uid, &metadata["uid"], WRONG_UID),
                        "resourceVersion": sent(*version, &metadata["resourceVersion"], WRONG_VERSION),
                    },
                });
                self.send("DELETE", &path(*kind, namespace, name), "application/json", &options.to_string())
            }
        }
    }

    fn get(&mut self, kind: Kind, namespace: &str, name: &str) -> Result<Answer> {
        self.send("GET", &path(kind, namespace, name), "application/json", "")
    }

    fn send(&mut self, method: &str, path: &str, content: &str, body: &str) -> Result<Answer> {
        let length = body.len();
        write!(
            self.connection.get_mut(),
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nContent-Type: {content}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )?;
        let (code, bytes) = read_answer(&mut self.connection)?;
        let body = serde_json::from_slice(&bytes)
            .with_context(|| format!("{method} {path}: {}", String::from_utf8_lossy(&bytes)))?;
        Ok(Answer { code, body })
    }
}

/// Status code and body of one HTTP answer.
fn read_answer(connection: &mut BufReader<TcpStream>) -> Result<(u16, Vec<u8>)> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let code = line.split(' ').nth(1).with_context(|| format!("no status in {line:?}"))?.parse()?;
    let (mut length, mut is_chunked) = (0, false);
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        is_chunked |= header.starts_with("transfer-encoding:") && header.ends_with("chunked");
    }
    let mut bytes = Vec::new();
    if !is_chunked {
        connection.take(length).read_to_end(&mut bytes)?;
        return Ok((code, bytes));
    }
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).with_context(|| line.clone())?;
        connection.by_ref().take(size).read_to_end(&mut bytes)?;
        line.clear();
        connection.read_line(&mut line)?;
        if size == 0 {
            return Ok((code, bytes));
        }
    }
}

fn path(kind: Kind, namespace: &str, name: &str) -> String {
    let group = match kind {
        Kind::CronJob | Kind::Job => "/apis/batch/v1",
        Kind::Pod | Kind::Node => "/api/v1",
        Kind::DaemonSet | Kind::ControllerRevision => "/apis/apps/v1",
    };
    let slash = if name.is_empty() { "" } else { "/" };
    format!("{group}/namespaces/{namespace}/{}{slash}{name}", kind.resource())
}

/// Sends uid and version with an object as the request says.
pub(crate) fn identify(object: &mut Value, uid: Sent, version: Sent) {
    for (field, how, wrong) in [("uid", uid, WRONG_UID), ("resourceVersion", version, WRONG_VERSION)] {
        match how {
            Sent::Right => {}
            Sent::Wrong => object["metadata"][field] = json!(wrong),
            Sent::Not => {
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove(field);
                }
            }
        }
    }
}

fn sent(how: Sent, right: &Value, wrong: &str) -> Value {
    match how {
        Sent::Not => Value::Null,
        Sent::Right => right.clone(),
        Sent::Wrong => json!(wrong),
    }
}

/// The strategic merge patch for a change.
fn patch(object: &Value, change: &Change, uid: Sent, version: Sent) -> Value {
    let mut metadata = match change {
        Change::Nothing => json!({}),
        Change::AddFinalizer(name) => json!({ "finalizers": [name] }),
        Change::RemoveFinalizer(name) => json!({ "$deleteFromPrimitiveList/finalizers": [name] }),
        Change::AddOwner(uid, controller) => json!({ "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "Job", "name": "owner", "uid": uid, "controller": controller,
        }] }),
        Change::RemoveOwner(uid) => json!({ "ownerReferences": [{ "$patch": "delete", "uid": uid }] }),
        Change::Label(key, value) => json!({ "labels": { *key: value } }),
        Change::Annotation(key, value) => json!({ "annotations": { *key: value } }),
    };
    let current = &object["metadata"];
    if uid != Sent::Not {
        metadata["uid"] = sent(uid, &current["uid"], WRONG_UID);
    }
    if version != Sent::Not {
        metadata["resourceVersion"] = sent(version, &current["resourceVersion"], WRONG_VERSION);
    }
    json!({ "metadata": metadata })
}
