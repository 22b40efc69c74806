//! From the text of the API server to slim objects, refusals and watch events.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use windlass_core::kube::{
    ApiStatus, ControllerRevision, CronJob, DaemonSet, Job, Kind, Node, Object, Pod, ResourceVersion,
};

use super::client::Encoding;
use super::protobuf;
use crate::watch::{WatchBody, WatchEnd};

/// Reason that a Status gives where a namespace is ending (upstream: corev1.NamespaceTerminatingCause).
pub(super) const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";
/// Most text of an answer that is no Status, characters, that a refusal quotes.
const MAX_QUOTE: usize = 200;

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page {
    /// Objects of the page.
    pub(super) objects: Vec<Object>,
    /// State that the list shows.
    pub(super) version: ResourceVersion,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<String>,
}

/// Why bytes are not what they should be, for the log.
pub(super) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// The page in the body of an answer.
pub(super) fn page(kind: Kind, encoding: Encoding, body: &[u8]) -> Result<Page, Fault> {
    if encoding == Encoding::Protobuf {
        return Ok(protobuf::page(body)?);
    }
    Ok(match kind {
        Kind::CronJob => page_of::<CronJob>(body, |cron_job| Object::CronJob(Arc::new(cron_job))),
        Kind::Job => page_of::<Job>(body, |job| Object::Job(Arc::new(job))),
        Kind::Pod => page_of::<Pod>(body, |pod| Object::Pod(Arc::new(pod))),
        Kind::Node => page_of::<Node>(body, |node| Object::Node(Arc::new(node))),
        Kind::DaemonSet => page_of::<DaemonSet>(body, |set| Object::DaemonSet(Arc::new(set))),
        Kind::ControllerRevision => {
            page_of::<ControllerRevision>(body, |revision| Object::ControllerRevision(Arc::new(revision)))
        }
    }?)
}

/// The object in the body of an answer; `None` where the server only says that it is done.
pub(super) fn object(kind: Kind, encoding: Encoding, body: &[u8]) -> Result<Option<Object>, Fault> {
    match encoding {
        Encoding::Json => Ok(object_of_json(kind, body)?),
        Encoding::Protobuf => Ok(protobuf::pod(body)?),
    }
}

fn object_of_json(kind: Kind, body: &[u8]) -> Result<Option<Object>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Kinded<'a> {
        #[serde(borrow, default)]
        kind: std::borrow::Cow<'a, str>,
    }
    let found: Kinded = serde_json::from_slice(body)?;
    // A Status says that it is done; anything else of another kind is not what was asked for.
    if !found.kind.is_empty() && found.kind != kind.name() {
        return Ok(None);
    }
    Ok(Some(match kind {
        Kind::CronJob => Object::CronJob(Arc::new(serde_json::from_slice(body)?)),
        Kind::Job => Object::Job(Arc::new(serde_json::from_slice(body)?)),
        Kind::Pod => Object::Pod(Arc::new(serde_json::from_slice(body)?)),
        Kind::Node => Object::Node(Arc::new(serde_json::from_slice(body)?)),
        Kind::DaemonSet => Object::DaemonSet(Arc::new(serde_json::from_slice(body)?)),
        Kind::ControllerRevision => Object::ControllerRevision(Arc::new(serde_json::from_slice(body)?)),
    }))
}

/// What one event of a watch says.
pub(super) fn watch_event(kind: Kind, encoding: Encoding, bytes: &[u8]) -> WatchBody {
    match encoding {
        Encoding::Json => watch_line(kind, bytes),
        Encoding::Protobuf => protobuf::watch_frame(bytes),
    }
}

fn watch_line(kind: Kind, line: &[u8]) -> WatchBody {
    match try_watch_line(kind, line) {
        Ok(body) => body,
        Err(error) => WatchBody::Ended(WatchEnd::Undecodable(format!("{}: {error}", kind.resource()))),
    }
}

/// A refusal, from the code and the body of an answer; `retry_after_ms` is what the header says.
pub(super) fn refusal(code: u16, encoding: Encoding, body: &[u8], retry_after_ms: Option<u64>) -> ApiStatus {
    let status = match encoding {
        Encoding::Json => serde_json::from_slice::<WireStatus>(body)
            .ok()
            .filter(|status| status.kind == "Status")
            .map(WireStatus::into_status),
        Encoding::Protobuf => protobuf::status(body),
    };
    let mut status = match status {
        Some(status) => status,
        None => {
            let text = String::from_utf8_lossy(body);
            let quote: String = text.trim().chars().take(MAX_QUOTE).collect();
            ApiStatus::new(code, default_reason(code), quote)
        }
    };
    status.code = code;
    status.retry_after_ms = status.retry_after_ms.or(retry_after_ms);
    status
}

#[derive(Deserialize)]
struct WireList<T> {
    metadata: ListMeta,
    // A Go server writes an empty list as null where nobody made one.
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: ResourceVersion,
    #[serde(rename = "continue", default)]
    next: String,
}

fn page_of<T: DeserializeOwned>(body: &[u8], wrap: impl Fn(T) -> Object) -> Result<Page, serde_json::Error> {
    let list: WireList<T> = serde_json::from_slice(body)?;
    Ok(Page {
        objects: list.items.unwrap_or_default().into_iter().map(wrap).collect(),
        version: list.metadata.resource_version,
        next: Some(list.metadata.next).filter(|next| !next.is_empty()),
    })
}

#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

fn try_watch_line(kind: Kind, line: &[u8]) -> Result<WatchBody, serde_json::Error> {
    #[derive(Deserialize)]
    struct Bookmark {
        metadata: BookmarkMeta,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct BookmarkMeta {
        resource_version: ResourceVersion,
    }
    let event: WireEvent = serde_json::from_slice(line)?;
    let text = event.object.get().as_bytes();
    let decoded = || -> Result<Object, serde_json::Error> {
        object_of_json(kind, text)?.ok_or_else(|| serde::de::Error::custom("a Status in place of an object"))
    };
    Ok(match &*event.kind {
        "ADDED" | "MODIFIED" => WatchBody::Applied(decoded()?),
        "DELETED" => WatchBody::Deleted(decoded()?),
        "BOOKMARK" => {
            WatchBody::Bookmark(serde_json::from_slice::<Bookmark>(text)?.metadata.resource_version)
        }
        "ERROR" => {
            let status = serde_json::from_slice::<WireStatus>(text)?.into_status();
            WatchBody::Ended(WatchEnd::Refused(status))
        }
        other => {
            let reason = format!("a watch event of the unknown type {other:?}");
            WatchBody::Ended(WatchEnd::Undecodable(reason))
        }
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireStatus {
    kind: String,
    code: u16,
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Details {
    retry_after_seconds: u64,
    causes: Option<Vec<Cause>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
}

impl WireStatus {
    fn into_status(self) -> ApiStatus {
        let details = self.details.unwrap_or_default();
        let seconds = Some(details.retry_after_seconds).filter(|seconds| *seconds > 0);
        let causes = details.causes.unwrap_or_default();
        ApiStatus {
            code: self.code,
            reason: self.reason.into(),
            message: self.message,
            retry_after_ms: seconds.map(|seconds| seconds.saturating_mul(1000)),
            namespace_terminating: causes.iter().any(|cause| cause.reason == NAMESPACE_TERMINATING),
        }
    }
}

fn default_reason(code: u16) -> &'static str {
    match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500..=599 => "InternalError",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_its_version_and_where_the_next_begins() {
        let body = br#"{"kind":"PodList","metadata":{"resourceVersion":"7","continue":"abc"},
            "items":[{"metadata":{"name":"p","resourceVersion":"5"},"status":{"phase":"Running"}}]}"#;
        let page = page(Kind::Pod, Encoding::Json, body).expect("a page");
        assert_eq!(
            (page.objects.len(), page.version, page.next.as_deref()),
            (1, ResourceVersion(7), Some("abc"))
        );
    }

    #[test]
    fn the_last_page_has_no_next_and_may_hold_null() {
        let body = br#"{"metadata":{"resourceVersion":"7"},"items":null}"#;
        let page = page(Kind::Job, Encoding::Json, body).expect("a page");
        assert!(page.objects.is_empty() && page.next.is_none());
    }

    #[test]
    fn watch_lines_become_events_of_their_type() {
        let line = |text: &str| watch_line(Kind::Pod, text.as_bytes());
        let pod = r#"{"kind":"Pod","metadata":{"name":"p","resourceVersion":"5"}}"#;
        assert!(matches!(line(&format!(r#"{{"type":"ADDED","object":{pod}}}"#)), WatchBody::Applied(_)));
        assert!(matches!(line(&format!(r#"{{"type":"DELETED","object":{pod}}}"#)), WatchBody::Deleted(_)));
        let bookmark = line(&format!(r#"{{"type":"BOOKMARK","object":{pod}}}"#));
        assert!(matches!(bookmark, WatchBody::Bookmark(ResourceVersion(5))));
        let expired = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#;
        let WatchBody::Ended(WatchEnd::Refused(status)) = line(expired) else { panic!("a refusal") };
        assert!(status.is_expired());
        for broken in ["{", r#"{"type":"NOVEL","object":{}}"#, r#"{"type":"ADDED","object":7}"#] {
            assert!(matches!(line(broken), WatchBody::Ended(WatchEnd::Undecodable(_))), "{broken}");
        }
    }

    #[test]
    fn a_refusal_carries_the_wait_and_the_ending_of_a_namespace() {
        let body = br#"{"kind":"Status","code":403,"reason":"Forbidden","message":"m","details":
            {"retryAfterSeconds":2,"causes":[{"reason":"NamespaceTerminating"}]}}"#;
        let status = refusal(403, Encoding::Json, body, None);
        assert_eq!(
            (status.code, status.retry_after_ms, status.namespace_terminating),
            (403, Some(2000), true)
        );
        let plain = refusal(503, Encoding::Json, b"upstream connect error", Some(1000));
        assert_eq!(
            (plain.code, plain.retry_after_ms, &*plain.message),
            (503, Some(1000), "upstream connect error")
        );
    }

    #[test]
    fn a_delete_that_answers_with_a_status_has_no_object() {
        let body = br#"{"kind":"Status","status":"Success","details":{"uid":"x"}}"#;
        assert_eq!(object(Kind::Job, Encoding::Json, body).expect("an answer"), None);
    }
}
