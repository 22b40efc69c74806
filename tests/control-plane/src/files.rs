//! The files that a control plane is given: tokens, kubeconfigs, the audit policy, nodes.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::options::{Audit, User};

/// The name of the user who may do everything.
pub(crate) const ADMINISTRATOR: &str = "administrator";

/// A user with the token that says who it is.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) user: User,
    pub(crate) token: String,
}

/// The administrator's credential and one for each of `users`.
pub(crate) fn credentials(users: &[User]) -> Result<Vec<Credential>> {
    let administrator = User { name: ADMINISTRATOR.to_owned(), groups: vec!["system:masters".to_owned()] };
    std::iter::once(&administrator)
        .chain(users)
        .map(|user| Ok(Credential { user: user.clone(), token: random_token()? }))
        .collect()
}

/// Writes what `kube-apiserver --token-auth-file` reads.
pub(crate) fn write_tokens(path: &Path, credentials: &[Credential]) -> Result<()> {
    let mut text = String::new();
    for Credential { user, token } in credentials {
        text.push_str(&format!(
            "{token},\"{}\",\"{}\",\"{}\"\n",
            user.name,
            user.name,
            user.groups.join(",")
        ));
    }
    write(path, &text)
}

/// Writes the policy that `kube-apiserver --audit-policy-file` reads.
pub(crate) fn write_audit_policy(path: &Path, audit: Audit) -> Result<()> {
    let level = match audit {
        Audit::Off => "None",
        Audit::Metadata | Audit::JobStatus => "Metadata",
        Audit::RequestResponse => "RequestResponse",
    };
    let job_status = match audit {
        Audit::JobStatus => "Request",
        Audit::Off | Audit::Metadata | Audit::RequestResponse => level,
    };
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": true,
        "rules": [
            // Health checks and discovery say nothing about what a controller does.
            { "level": "None", "nonResourceURLs": ["*"] },
            { "level": job_status, "resources": [{ "group": "batch", "resources": ["jobs/status"] }] },
            { "level": level },
        ],
    });
    write(path, &policy.to_string())
}

/// The CA certificate that signed the API server's own, which the server made when it started.
pub(crate) fn certificate_authority(server_certificate: &str) -> String {
    // The file holds the server's certificate, then its CA's.
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    match server_certificate.rfind(BEGIN) {
        Some(at) => server_certificate.get(at..).unwrap_or_default().to_owned(),
        None => server_certificate.to_owned(),
    }
}

/// Writes a kubeconfig that stands alone. JSON is YAML, and needs no quoting by hand.
pub(crate) fn write_kubeconfig(
    path: &Path,
    url: &str,
    authority: &str,
    credential: &Credential,
) -> Result<()> {
    let name = "windlass-test";
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": name,
            "cluster": { "server": url, "certificate-authority-data": base64(authority.as_bytes()) },
        }],
        "users": [{ "name": credential.user.name, "user": { "token": credential.token } }],
        "contexts": [{ "name": name, "context": { "cluster": name, "user": credential.user.name } }],
        "current-context": name,
    });
    write(path, &serde_json::to_string_pretty(&document)?)
}

/// The kubeconfig of a user, in the directory of a control plane.
pub(crate) fn kubeconfig_path(directory: &Path, user: &str) -> PathBuf {
    // A user may be called system:serviceaccount:default:default.
    let file_name: String = user.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    directory.join(format!("{file_name}.kubeconfig"))
}

/// A list of `count` Node objects, each with room for more pods than a test makes.
pub(crate) fn nodes(count: u32) -> Value {
    let items: Vec<Value> = (0..count).map(|number| node(&format!("node-{number}"))).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

fn node(name: &str) -> Value {
    let room = json!({ "cpu": "1000", "memory": "4Ti", "pods": "100000" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "status": { "allocatable": room, "capacity": room },
    })
}

/// Writes a file and says which one where it cannot.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

/// A token that nobody can guess: 128 bits from the system, in hexadecimal.
fn random_token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("could not read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The standard base64 of `bytes`, padded.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let octet = |position: usize| u32::from(chunk.get(position).copied().unwrap_or(0));
        let group = octet(0) << 16 | octet(1) << 8 | octet(2);
        for position in 0..4_usize {
            let sextet = (group >> (18 - 6 * position)) & 0x3f;
            text.push(if position <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_to_a_multiple_of_four() {
        let encoded = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn the_authority_is_the_last_certificate_of_the_file() {
        let file = "-----BEGIN CERTIFICATE-----\nserver\n-----END CERTIFICATE-----\n\
                    -----BEGIN CERTIFICATE-----\nauthority\n-----END CERTIFICATE-----\n";
        let authority = "-----BEGIN CERTIFICATE-----\nauthority\n-----END CERTIFICATE-----\n";
        assert_eq!(certificate_authority(file), authority);
        assert_eq!(certificate_authority(authority), authority);
    }

    #[test]
    fn tokens_are_not_repeated() -> Result<()> {
        assert_ne!(random_token()?, random_token()?);
        Ok(())
    }
}
