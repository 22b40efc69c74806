//! One request from the state machine: sent, answered, and what the answer means.

use std::sync::Arc;

use tokio::sync::mpsc;
use windlass_core::kube::Kind;

use super::call::Call;
use super::client::{Answer, Client, SendFault};
use super::clock::Clock;
use super::decode;
use super::driver::Input;
use super::limiter::Limiter;
use crate::request::{Flow, Operation, Outcome, Request, RequestId};

/// What a request is carried out with.
pub(super) struct Sender {
    /// The way to the API server.
    pub(super) client: Client,
    /// Bound on requests a second, if there is one.
    pub(super) limiter: Option<Arc<Limiter>>,
    /// Where time comes from.
    pub(super) clock: Clock,
    /// Name of this process in Events.
    pub(super) instance: Arc<str>,
    /// The driver.
    pub(super) inputs: mpsc::Sender<Input>,
}

/// A request that has ended.
#[derive(Debug)]
pub(super) struct Answered {
    /// Which request.
    pub(super) id: RequestId,
    /// Bound that it fell under.
    pub(super) flow: Flow,
    /// What was asked.
    pub(super) operation: Arc<Operation>,
    /// HTTP status code, where there was an answer.
    pub(super) code: Option<u16>,
    /// Seconds from the sending to the outcome.
    pub(super) seconds: f64,
    /// How it ended.
    pub(super) outcome: Outcome,
}

impl Sender {
    /// Sends a request and tells the driver how it ended.
    pub(super) async fn carry_out(self, request: Request) {
        let Request { id, flow, operation, .. } = request;
        let mut answered = Answered {
            id,
            flow,
            operation: Arc::new(operation),
            code: None,
            seconds: 0.0,
            outcome: Outcome::NotSent,
        };
        match Call::new(&answered.operation, &self.instance) {
            Err(status) => answered.outcome = Outcome::Rejected(status),
            Ok(call) => {
                if let Some(limiter) = &self.limiter {
                    limiter.take().await;
                }
                let start = self.clock.elapsed();
                let result = self.client.send(&call).await;
                answered.seconds = self.clock.elapsed().saturating_sub(start).as_secs_f64();
                answered.code = result.as_ref().ok().map(|answer| answer.code);
                trace(&call, &result, answered.seconds);
                answered.outcome = outcome(&answered.operation, call.answer, result);
            }
        }
        // Without a driver there is nobody to tell.
        let _ = self.inputs.send(Input::Answer(answered)).await;
    }
}

/// What became of a request.
fn outcome(operation: &Operation, kind: Option<Kind>, result: Result<Answer, SendFault>) -> Outcome {
    let answer = match result {
        Ok(answer) => answer,
        Err(SendFault::NotSent(reason)) => {
            tracing::warn!("{} was not sent: {reason}", operation.describe());
            return Outcome::NotSent;
        }
        Err(SendFault::Unknown(reason)) => {
            tracing::warn!("{} has an unknown outcome: {reason}", operation.describe());
            return Outcome::Unknown;
        }
    };
    if let Some(status) = answer.refusal() {
        return Outcome::Rejected(status);
    }
    match kind.map(|kind| decode::object(kind, answer.encoding, &answer.body)) {
        None => Outcome::Done(None),
        Some(Ok(object)) => Outcome::Done(object),
        Some(Err(error)) => {
            // It was done, but what the object is now can only be learned by a read.
            tracing::warn!("the answer to {} cannot be read: {error}", operation.describe());
            Outcome::Unknown
        }
    }
}

fn trace(call: &Call, result: &Result<Answer, SendFault>, seconds: f64) {
    let code = result.as_ref().map_or(0, |answer| answer.code);
    tracing::trace!(method = %call.method, path = %call.path, code, seconds, "request");
}

#[cfg(test)]
mod tests {
    use windlass_core::kube::Object;

    use super::super::client::Encoding;
    use super::*;

    fn get() -> Operation {
        Operation::Get { kind: Kind::Pod, namespace: "a".into(), name: "p".into() }
    }

    fn answer(code: u16, body: &str) -> Result<Answer, SendFault> {
        Ok(Answer { code, encoding: Encoding::Json, body: body.as_bytes().to_vec(), retry_after_ms: None })
    }

    #[test]
    fn each_way_to_end_has_its_outcome() {
        let pod = r#"{"kind":"Pod","metadata":{"name":"p","resourceVersion":"3"}}"#;
        let of = |result| outcome(&get(), Some(Kind::Pod), result);
        assert!(matches!(of(answer(200, pod)), Outcome::Done(Some(Object::Pod(_)))));
        let gone = r#"{"kind":"Status","status":"Success"}"#;
        assert!(matches!(of(answer(200, gone)), Outcome::Done(None)));
        assert!(matches!(of(answer(404, "{}")), Outcome::Rejected(status) if status.is_not_found()));
        assert!(matches!(of(answer(503, "")), Outcome::Rejected(status) if status.code == 503));
        assert!(matches!(of(answer(200, "no JSON")), Outcome::Unknown));
        assert!(matches!(of(Err(SendFault::NotSent(String::new()))), Outcome::NotSent));
        assert!(matches!(of(Err(SendFault::Unknown(String::new()))), Outcome::Unknown));
    }
}
