//! Plugins as artifacts of a registry: pushed, and pulled by the digest of their manifest.
//!
//! An artifact has the form that the CNCF's guidance for WebAssembly gives it: a small configuration of type
//! `application/vnd.wasm.config.v0+json`, and the component as its one layer, of type `application/wasm`. Credentials are
//! those of `docker login`: the file `config.json` in the directory that DOCKER_CONFIG names, or in `~/.docker`.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciImageManifest, WASM_LAYER_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::json;
use tokio::io::AsyncWrite;

use super::Digest;

/// Media type of a layer that is a component.
const LAYER: &str = "application/wasm";
/// Media type of an artifact's configuration.
const CONFIGURATION: &str = "application/vnd.wasm.config.v0+json";
/// Most bytes of a component.
const MAX_BYTES: usize = 64 << 20;
/// How long a connection may take to be opened, and how long a registry may be silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a whole transfer may take.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(300);

/// What was pulled.
#[derive(Debug)]
pub struct Pulled {
    /// The component.
    pub bytes: Vec<u8>,
    /// Digest of the manifest.
    pub manifest: String,
}

/// Why an artifact was not pushed or pulled.
#[derive(Debug)]
pub enum OciFault {
    /// The reference is none; it, and why.
    Reference(String, String),
    /// What `docker login` left cannot be used; the registry, and why.
    Credentials(String, String),
    /// The registry did not do it; the reference, and why.
    Registry(String, String),
    /// The artifact is no component; the reference, and what it is.
    NotAPlugin(String, String),
    /// The artifact is larger than a plugin may be; the reference.
    TooLarge(String),
    /// It took too long; the reference.
    TooLong(String),
}

/// The component that `reference` names, which is held to its digests. A registry on this machine is spoken to in plain
/// HTTP, another only where `plain_http` says so.
///
/// # Errors
/// An [`OciFault`] that says whose fault it is.
pub async fn pull(reference: &str, plain_http: bool) -> Result<Pulled, OciFault> {
    let image = parse(reference)?;
    let transfer = async {
        let client = client(&image, plain_http);
        let failed = |error: oci_client::errors::OciDistributionError| failed(reference, &error);
        let credentials = credentials(&image, plain_http).await?;
        let (manifest, digest) = client.pull_image_manifest(&image, &credentials).await.map_err(failed)?;
        let [layer] = &manifest.layers[..] else {
            let what = format!("it has {} layers instead of one", manifest.layers.len());
            return Err(OciFault::NotAPlugin(reference.to_owned(), what));
        };
        if layer.media_type != LAYER && layer.media_type != WASM_LAYER_MEDIA_TYPE {
            let what = format!("its layer is {}, and not {LAYER}", layer.media_type);
            return Err(OciFault::NotAPlugin(reference.to_owned(), what));
        }
        let mut bytes = Limited(Vec::new());
        let pulled = client.pull_blob(&image, layer, &mut bytes).await;
        if bytes.is_full() {
            return Err(OciFault::TooLarge(reference.to_owned()));
        }
        pulled.map_err(failed)?;
        let found = Digest::of(&bytes.0);
        if Digest::parse(&layer.digest) != Some(found) {
            let what = format!("its layer is {found}, and its manifest says {}", layer.digest);
            return Err(OciFault::NotAPlugin(reference.to_owned(), what));
        }
        Ok(Pulled { bytes: bytes.0, manifest: digest })
    };
    let done = tokio::time::timeout(TRANSFER_TIMEOUT, transfer).await;
    done.unwrap_or_else(|_| Err(OciFault::TooLong(reference.to_owned())))
}

/// Stores a component under `reference`, with annotations on its manifest, and returns the reference by digest that names
/// it from now on.
///
/// # Errors
/// An [`OciFault`] that says whose fault it is.
pub async fn push(
    reference: &str,
    bytes: Vec<u8>,
    annotations: BTreeMap<String, String>,
    plain_http: bool,
) -> Result<String, OciFault> {
    let image = parse(reference)?;
    if bytes.len() > MAX_BYTES {
        return Err(OciFault::TooLarge(reference.to_owned()));
    }
    let transfer = async {
        let client = client(&image, plain_http);
        let layer = ImageLayer::new(bytes, LAYER.to_owned(), None);
        let configuration = json!({
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer.sha256_digest()],
        });
        let config = Config::new(configuration.to_string().into_bytes(), CONFIGURATION.to_owned(), None);
        let layers = [layer];
        let mut manifest = OciImageManifest::build(&layers, &config, Some(annotations));
        manifest.media_type = Some(OCI_IMAGE_MEDIA_TYPE.to_owned());
        let credentials = credentials(&image, plain_http).await?;
        let pushed = client.push(&image, &layers, config, &credentials, Some(manifest)).await;
        let failed = |error: oci_client::errors::OciDistributionError| failed(reference, &error);
        pushed.map_err(failed)?;
        let digest = client.fetch_manifest_digest(&image, &credentials).await.map_err(failed)?;
        Ok(format!("{}/{}@{digest}", image.registry(), image.repository()))
    };
    let done = tokio::time::timeout(TRANSFER_TIMEOUT, transfer).await;
    done.unwrap_or_else(|_| Err(OciFault::TooLong(reference.to_owned())))
}

fn parse(reference: &str) -> Result<Reference, OciFault> {
    reference.parse().map_err(|error| OciFault::Reference(reference.to_owned(), format!("{error}")))
}

fn client(image: &Reference, plain_http: bool) -> Client {
    install_tls();
    let protocol =
        if plain_http || is_local(image.registry()) { ClientProtocol::Http } else { ClientProtocol::Https };
    Client::new(ClientConfig {
        protocol,
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(READ_TIMEOUT),
        user_agent: concat!("windlass/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    })
}

/// Lets rustls use ring, as the rest of the program does.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Somebody who embeds the library may have chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Whether a registry is on this machine, where plain HTTP is the custom.
fn is_local(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// What `docker login` left for the registry. Nothing is sent in the clear to another machine.
async fn credentials(image: &Reference, plain_http: bool) -> Result<RegistryAuth, OciFault> {
    if plain_http && !is_local(image.registry()) {
        return Ok(RegistryAuth::Anonymous);
    }
    let registry = image.resolve_registry().to_owned();
    // It may start a program and wait for it.
    let found = tokio::task::spawn_blocking(move || docker_credential::get_credential(&registry)).await;
    let unusable = |reason: String| OciFault::Credentials(image.registry().to_owned(), reason);
    match found.map_err(|error| unusable(error.to_string()))? {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(token)) => Ok(RegistryAuth::Bearer(token)),
        // Without a login, a registry gives what it gives to everybody.
        Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound) => {
            Ok(RegistryAuth::Anonymous)
        }
        Err(CredentialRetrievalError::ConfigReadError) if !has_configuration() => Ok(RegistryAuth::Anonymous),
        // What a program printed may be a secret.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            Err(unusable(format!("the credential helper {helper} failed")))
        }
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// Whether there is a file of credentials, be it as it may.
fn has_configuration() -> bool {
    let directory = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| Some(std::env::home_dir()?.join(".docker")));
    directory.is_some_and(|directory| directory.join("config.json").exists())
}

/// What went wrong, with its causes, in one line: the first of each, since what follows may be a page.
fn failed(reference: &str, error: &dyn std::error::Error) -> OciFault {
    let mut text = error.to_string().lines().next().unwrap_or_default().to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string().lines().next().unwrap_or_default().to_owned();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    OciFault::Registry(reference.to_owned(), text)
}

/// Takes bytes up to the limit, and one more.
struct Limited(Vec<u8>);

impl Limited {
    fn is_full(&self) -> bool {
        self.0.len() > MAX_BYTES
    }
}

impl AsyncWrite for Limited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, io::Error>> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            self.0.resize(MAX_BYTES + 1, 0);
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Display for OciFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference, reason) => write!(
                formatter,
                "{reference:?} is no reference such as registry.example.com/policies/retry:1.0: {reason}"
            ),
            Self::Credentials(registry, reason) => write!(
                formatter,
                "the credentials of {registry} cannot be had: {reason}; mend what docker login left"
            ),
            Self::Registry(reference, reason) => write!(formatter, "{reference}: {reason}"),
            Self::NotAPlugin(reference, what) => write!(formatter, "{reference} is no policy plugin: {what}"),
            Self::TooLarge(reference) => {
                write!(
                    formatter,
                    "{reference} has more than {MAX_BYTES} bytes, the most that a plugin may have"
                )
            }
            Self::TooLong(reference) => {
                write!(formatter, "{reference}: the transfer took more than {} s", TRANSFER_TIMEOUT.as_secs())
            }
        }
    }
}

impl std::error::Error for OciFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registry_of_this_machine_is_spoken_to_in_plain_http() {
        for local in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert!(is_local(local), "{local}");
        }
        for remote in
            ["registry.example.com", "localhost.example.com:5000", "10.0.0.1:5000", "127.0.0.1.nip.io"]
        {
            assert!(!is_local(remote), "{remote}");
        }
    }

    #[test]
    fn what_is_no_reference_is_told() {
        let fault = parse("Registry/UPPER CASE").expect_err("a fault");
        assert!(fault.to_string().starts_with("\"Registry/UPPER CASE\" is no reference such as"), "{fault}");
    }
}
