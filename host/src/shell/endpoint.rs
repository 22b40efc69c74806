//! The plain-HTTP endpoint: /metrics, and the probes as Kubernetes components answer them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::fault::ShellFault;
use super::health::{Check, Health};
use crate::metrics::{CONTENT_TYPE, Metrics};

/// Listens on `address` and serves until the runtime ends; returns the address with its port.
pub(super) async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) -> Result<SocketAddr, ShellFault> {
    let bind = |source| ShellFault::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let local = listener.local_addr().map_err(bind)?;
    let probes = Router::new()
        .route("/livez", get(|State(health): State<Arc<Health>>, query| probe("livez", health.live(), query)))
        .route(
            "/healthz",
            get(|State(health): State<Arc<Health>>, query| probe("healthz", health.live(), query)),
        )
        .route(
            "/readyz",
            get(|State(health): State<Arc<Health>>, query| probe("readyz", health.ready(), query)),
        )
        .with_state(health);
    let encode = async move |State(metrics): State<Arc<Metrics>>| {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.encode())
    };
    let metrics = Router::new().route("/metrics", get(encode)).with_state(metrics);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, probes.merge(metrics)).await {
            tracing::error!("the endpoint for metrics and probes ended: {error}");
        }
    });
    Ok(local)
}

/// `ok`, or each check on a line where one fails or `?verbose` asks for them.
async fn probe(name: &'static str, checks: Vec<Check>, RawQuery(query): RawQuery) -> Response {
    let failed = checks.iter().any(|(_, outcome)| outcome.is_err());
    let verbose = query
        .is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")));
    if !failed && !verbose {
        return "ok".into_response();
    }
    let mut text = String::new();
    for (check, outcome) in checks {
        match outcome {
            Ok(()) => text.push_str(&format!("[+]{check} ok\n")),
            Err(reason) => text.push_str(&format!("[-]{check} failed: {reason}\n")),
        }
    }
    let (code, verdict) =
        if failed { (StatusCode::SERVICE_UNAVAILABLE, "failed") } else { (StatusCode::OK, "passed") };
    text.push_str(&format!("{name} check {verdict}\n"));
    (code, text).into_response()
}
