//! Requests to the API server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long an answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long it is waited before a watch that broke off is begun again.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// A client of one API server; copies share its connections.
#[derive(Clone)]
pub(crate) struct Client(kube::Client);

impl Client {
    /// A client for what the kubeconfig names.
    pub(crate) async fn connect(kubeconfig: &Path) -> Result<Self> {
        let config = Kubeconfig::read_from(kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        Ok(Self(kube::Client::try_from(config)?))
    }

    /// Creates an object.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<()> {
        match self.send(Method::POST, path, "application/json", object).await? {
            201 => Ok(()),
            code => bail!("POST {path} was answered with {code}"),
        }
    }

    /// Creates what belongs to an object, and returns whether that was there.
    pub(crate) async fn create_if_there(&self, path: &str, object: &Value) -> Result<bool> {
        match self.send(Method::POST, path, "application/json", object).await? {
            200 | 201 => Ok(true),
            404 | 409 => Ok(false),
            code => bail!("POST {path} was answered with {code}"),
        }
    }

    /// Changes an object by a merge patch, and returns whether it was there; one of another uid than the patch names is not.
    pub(crate) async fn patch(&self, path: &str, patch: &Value) -> Result<bool> {
        self.patch_as("application/merge-patch+json", path, patch).await
    }

    /// Changes an object by a strategic merge patch, as kubectl does, and returns whether it was there.
    pub(crate) async fn patch_strategically(&self, path: &str, patch: &Value) -> Result<bool> {
        self.patch_as("application/strategic-merge-patch+json", path, patch).await
    }

    /// Deletes an object, and returns whether it was there; one of another uid than the options name is not.
    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Result<bool> {
        match self.send(Method::DELETE, path, "application/json", options).await? {
            200 | 202 => Ok(true),
            404 | 409 => Ok(false),
            code => bail!("DELETE {path} was answered with {code}"),
        }
    }

    /// Follows a collection until the server ends the watch: what is there, then what changes.
    pub(crate) async fn watch<T: DeserializeOwned>(
        &self,
        path: &str,
        mut on_event: impl FnMut(T),
    ) -> Result<()> {
        let request = Request::get(format!("{path}?watch=true")).body(Body::empty())?;
        let mut body = self.0.send(request).await?.into_body();
        let mut buffer = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.context("a watch broke off")?.into_data() else { continue };
            buffer.extend_from_slice(&data);
            let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else { continue };
            let rest = buffer.split_off(end + 1);
            for line in buffer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                on_event(serde_json::from_slice(line).with_context(|| format!("an event of {path}"))?);
            }
            buffer = rest;
        }
        Ok(())
    }

    async fn patch_as(&self, content_type: &str, path: &str, patch: &Value) -> Result<bool> {
        match self.send(Method::PATCH, path, content_type, patch).await? {
            200 => Ok(true),
            404 | 409 => Ok(false),
            code => bail!("PATCH {path} was answered with {code}"),
        }
    }

    async fn send(&self, method: Method, path: &str, content_type: &str, body: &Value) -> Result<u16> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body.to_string().into_bytes()))?;
        let exchange = async {
            let response = self.0.send(request).await?;
            let code = response.status().as_u16();
            // A connection is used again only once its answer was read.
            response.into_body().collect().await?;
            anyhow::Ok(code)
        };
        tokio::time::timeout(REQUEST_TIMEOUT, exchange)
            .await
            .with_context(|| format!("{path} was not answered within {} s", REQUEST_TIMEOUT.as_secs()))?
    }
}
