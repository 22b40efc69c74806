//! The way to the API server: configuration, connection, and one request with its answer.
//!
//! Over TLS the connection is HTTP/2 where the server speaks it, and is probed with PING frames: a connection
//! that fell silent, also behind a proxy that keeps it open, is noticed by the time that two pings take.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tower::{BoxError, ServiceExt as _};
use windlass_core::kube::{ApiStatus, Kind};

use super::call::Call;
use super::decode;
use super::fault::ShellFault;

/// How long a connection may take to be opened.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one request may take from the moment it is sent to the last byte of its answer.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a silent connection is probed, and how long an answer may take; together less than the 30 s in
/// which a half-open watch is to be noticed.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for the probes of TCP, where the server speaks HTTP/1.1.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// Room for answers that are under way, bytes: for all streams of a connection, and for one.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Largest answer that is read into memory, bytes; a page of 500 Pods is about 5 MB.
pub(super) const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// A client of one API server; copies share its connections.
#[derive(Clone)]
pub(super) struct Client {
    inner: kube::Client,
    url: Arc<str>,
    /// Whether the server was seen to speak HTTP/1.1, over which nothing probes a stream.
    unprobed: Arc<AtomicBool>,
}

/// How a request failed before there was an answer.
#[derive(Debug)]
pub(super) enum SendFault {
    /// Nothing left this machine.
    NotSent(String),
    /// It may have reached the server.
    Unknown(String),
}

/// How the body of an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// JSON.
    #[default]
    Json,
    /// The API server's protobuf, which is asked for where the answer is of Pods.
    Protobuf,
}

/// An answer whose body was read.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP status code.
    pub(super) code: u16,
    /// How the body is written.
    pub(super) encoding: Encoding,
    /// Body.
    pub(super) body: Vec<u8>,
    /// What the Retry-After header asks for, milliseconds.
    pub(super) retry_after_ms: Option<u64>,
}

impl Client {
    /// A client for the cluster that `kubeconfig` names, or else the environment.
    pub(super) async fn connect(kubeconfig: Option<PathBuf>, user_agent: &str) -> Result<Self, ShellFault> {
        let config = configuration(kubeconfig).await?;
        Self::new(&config, user_agent)
            .map_err(|error| ShellFault::UnusableConfiguration { reason: chain(&error) })
    }

    /// The client beneath, for resources that are none of the state machine's.
    pub(super) fn kube(&self) -> &kube::Client {
        &self.inner
    }

    /// URL of the API server, for messages.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether a watch has to be ended often because nothing probes its connection.
    pub(super) fn is_unprobed(&self) -> bool {
        self.unprobed.load(Ordering::Relaxed)
    }

    /// Sends a request; the body of the answer is still to be read.
    pub(super) async fn open(&self, call: &Call) -> Result<Response<Body>, SendFault> {
        let mut builder = Request::builder()
            .method(call.method.clone())
            .uri(&call.path)
            .header(header::ACCEPT, Encoding::accepted(call.answer));
        if let Some(content_type) = call.content_type {
            builder = builder.header(header::CONTENT_TYPE, content_type);
        }
        let request = builder
            .body(Body::from(call.body.clone().into_bytes()))
            .map_err(|error| SendFault::NotSent(error.to_string()))?;
        let response = self.inner.send(request).await.map_err(send_fault)?;
        self.unprobed.store(response.version() < http::Version::HTTP_2, Ordering::Relaxed);
        Ok(response)
    }

    /// Sends a request and reads its answer, within [`REQUEST_TIMEOUT`].
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, SendFault> {
        let exchange = async {
            let response = self.open(call).await?;
            read(response).await
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendFault::Unknown(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()))),
        }
    }

    fn new(config: &kube::Config, user_agent: &str) -> kube::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(PING_INTERVAL));
        tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        let mut tls = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config.rustls_client_config()?)
            .https_or_http();
        if let Some(name) = &config.tls_server_name
            && let Ok(name) = name.clone().try_into()
        {
            tls = tls.with_server_name_resolver(hyper_rustls::FixedServerNameResolver::new(name));
        }
        let transport = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .build(tls.enable_all_versions().wrap_connector(tcp));
        let mut config = config.clone();
        if let Ok(agent) = user_agent.parse() {
            config.headers.push((header::USER_AGENT, agent));
        }
        let service = tower::ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .service(transport.map_err(BoxError::from));
        Ok(Self {
            inner: kube::Client::new(service, config.default_namespace.clone()),
            url: config.cluster_url.to_string().trim_end_matches('/').into(),
            unprobed: Arc::new(AtomicBool::new(false)),
        })
    }
}

impl Encoding {
    /// What is asked for where the answer is to be of `kind`.
    fn accepted(kind: Option<Kind>) -> &'static str {
        match kind {
            Some(Kind::Pod) => "application/vnd.kubernetes.protobuf,application/json",
            Some(Kind::CronJob | Kind::Job | Kind::Node | Kind::DaemonSet | Kind::ControllerRevision)
            | None => "application/json",
        }
    }

    /// How the body of a response is written; a proxy in between may answer by itself, in what it likes.
    pub(super) fn of(response: &Response<Body>) -> Self {
        let written = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match written {
            Some(text) if text.starts_with("application/vnd.kubernetes.protobuf") => Self::Protobuf,
            Some(_) | None => Self::Json,
        }
    }
}

impl Answer {
    /// The refusal that the answer is, if it is one.
    pub(super) fn refusal(&self) -> Option<ApiStatus> {
        (!(200..300).contains(&self.code))
            .then(|| decode::refusal(self.code, self.encoding, &self.body, self.retry_after_ms))
    }
}

/// Reads the body of an answer.
pub(super) async fn read(response: Response<Body>) -> Result<Answer, SendFault> {
    let code = response.status().as_u16();
    let encoding = Encoding::of(&response);
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after_ms = retry_after
        .and_then(|text| text.trim().parse::<u64>().ok())
        .map(|seconds| seconds.saturating_mul(1000));
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| SendFault::Unknown(chain(&*error)))?.to_bytes().to_vec();
    Ok(Answer { code, encoding, body, retry_after_ms })
}

/// An error with its causes, in one line: the first of each, since what follows may quote a file with secrets.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let first_line = |error: &dyn std::error::Error| -> String {
        error.to_string().lines().next().unwrap_or_default().to_owned()
    };
    let mut text = first_line(error);
    let mut source = error.source();
    while let Some(cause) = source {
        let said = first_line(cause);
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

async fn configuration(kubeconfig: Option<PathBuf>) -> Result<kube::Config, ShellFault> {
    let options = KubeConfigOptions::default();
    let Some(path) = kubeconfig else {
        return kube::Config::infer()
            .await
            .map_err(|error| ShellFault::NoConfiguration { reason: chain(&error) });
    };
    let unusable = |reason: String| ShellFault::UnusableConfiguration { reason };
    let read = Kubeconfig::read_from(&path)
        .map_err(|error| unusable(format!("{}: {}", path.display(), chain(&error))))?;
    let config = kube::Config::from_custom_kubeconfig(read, &options).await;
    config.map_err(|error| unusable(format!("{}: {}", path.display(), chain(&error))))
}

/// Whether anything was sent: not before a connection stands, nor where the credentials could not be had.
fn send_fault(error: kube::Error) -> SendFault {
    if matches!(error, kube::Error::Auth(_)) {
        return SendFault::NotSent(chain(&error));
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect) {
            return SendFault::NotSent(chain(&error));
        }
        source = cause.source();
    }
    SendFault::Unknown(chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call {
            method: http::Method::GET,
            path: "/version".to_owned(),
            content_type: None,
            body: String::new(),
            answer: None,
        }
    }

    fn client_of(address: std::net::SocketAddr) -> Client {
        let config = kube::Config::new(format!("http://{address}").parse().expect("a URL"));
        Client::new(&config, "windlass/test").expect("a client")
    }

    #[tokio::test]
    async fn a_refused_connection_means_that_nothing_was_sent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let fault = client_of(address).send(&call()).await.expect_err("a fault");
        assert!(matches!(fault, SendFault::NotSent(_)), "{fault:?}");
    }

    #[tokio::test]
    async fn a_connection_that_ends_after_the_request_leaves_the_outcome_unknown() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut buffer = [0; 512];
            loop {
                stream.readable().await.expect("a request");
                if stream.try_read(&mut buffer).is_ok() {
                    return;
                }
            }
        });
        let fault = client_of(address).send(&call()).await.expect_err("a fault");
        assert!(matches!(fault, SendFault::Unknown(_)), "{fault:?}");
        server.await.expect("the server's end");
    }
}
