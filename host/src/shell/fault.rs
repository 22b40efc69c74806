//! Why the shell cannot do its work: each says in one sentence what happened and what mends it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use windlass_core::kube::ApiStatus;

/// Why the shell cannot do its work.
#[derive(Debug)]
pub enum ShellFault {
    /// There is no usable configuration of a cluster.
    NoConfiguration {
        /// What was tried, and how each try failed.
        reason: String,
    },
    /// The configuration names files, certificates or methods that cannot be used.
    UnusableConfiguration {
        /// What cannot be used.
        reason: String,
    },
    /// The API server was not reached within the startup timeout.
    Unreachable {
        /// Its URL.
        url: String,
        /// How the last try failed.
        reason: String,
        /// How long it was tried.
        tried: Duration,
    },
    /// The API server does not know who asks.
    Unauthorized {
        /// Its URL.
        url: String,
        /// What it said.
        status: ApiStatus,
    },
    /// What has to be done is not permitted.
    Forbidden {
        /// Everything that is not permitted.
        missing: Vec<Permission>,
    },
    /// The API server refuses what every Kubernetes server grants.
    Refused {
        /// Its URL.
        url: String,
        /// What was asked.
        what: String,
        /// What it said.
        status: ApiStatus,
    },
    /// The address for metrics and probes cannot be listened on.
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The machine gives no thread, signal or runtime.
    Machine {
        /// What was wanted.
        what: &'static str,
        /// Why it was not given.
        source: std::io::Error,
    },
    /// What was in flight did not end within the limit; the outcome of the writes is not known here, and
    /// whoever acts next settles it.
    NotDrained {
        /// The limit.
        limit: Duration,
    },
    /// The directory of policy plugins cannot be read; the reason.
    Plugins(String),
    /// The PolicyPlugins or PolicyBindings of the cluster cannot be listed.
    PolicyResources {
        /// Name of the resource.
        plural: &'static str,
        /// What the API server said, if anything.
        reason: String,
    },
    /// The loop that drives the state machine ended by itself: our mistake.
    DriverEnded,
}

/// A verb on a resource, as RBAC words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Resource, with its subresource after a slash.
    pub resource: &'static str,
    /// Verb.
    pub verb: &'static str,
}

impl fmt::Display for ShellFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConfiguration { reason } => write!(
                formatter,
                "no cluster to talk to: {reason}; give --kubeconfig FILE, set KUBECONFIG, or run in a Pod with a \
                 service account"
            ),
            Self::UnusableConfiguration { reason } => {
                write!(
                    formatter,
                    "the kubeconfig cannot be used: {reason}; correct it, or name another with --kubeconfig"
                )
            }
            Self::Unreachable { url, reason, tried } => write!(
                formatter,
                "the API server at {url} could not be reached for {} s: {reason}; check that it runs, that the \
                 kubeconfig names the right server and CA, and that no firewall is in between",
                tried.as_secs()
            ),
            Self::Plugins(reason) => {
                write!(formatter, "{reason}; name a directory that exists with --plugin-dir")
            }
            Self::PolicyResources { plural, reason } => write!(
                formatter,
                "cannot list {plural}: {reason}; see why the API server does not give them, or run with \
                 --policy-resources=false"
            ),
            Self::Unauthorized { url, status } => write!(
                formatter,
                "the API server at {url} does not accept the credentials ({status}); renew the token or client \
                 certificate in the kubeconfig"
            ),
            Self::Forbidden { missing } => {
                let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
                let rules: Vec<String> = rules(missing).iter().map(ToString::to_string).collect();
                write!(
                    formatter,
                    "no permission to {}; grant it with these rules of a ClusterRole: {}",
                    names.join(", "),
                    rules.join(", ")
                )
            }
            Self::Refused { url, what, status } => write!(
                formatter,
                "the API server at {url} refused to {what}: {status}; check that it is a Kubernetes API server"
            ),
            Self::Bind { address, source } => {
                write!(formatter, "cannot listen on {address}: {source}; choose another with --bind-address")
            }
            Self::Machine { what, source } => write!(
                formatter,
                "the machine gives no {what}: {source}; check the limits on processes and open files"
            ),
            Self::NotDrained { limit } => write!(
                formatter,
                "writes were still in flight after {} s, so the process ends without their answers; the next one \
                 to run settles them",
                limit.as_secs()
            ),
            Self::DriverEnded => formatter.write_str(
                "the driver ended by itself, which is a mistake of windlass; report it with the log",
            ),
        }
    }
}

impl std::error::Error for ShellFault {}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(formatter, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// An RBAC rule with the verbs of one resource.
struct Rule {
    group: &'static str,
    resource: &'static str,
    verbs: Vec<&'static str>,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            r#"{{apiGroups: ["{}"], resources: ["{}"], verbs: ["{}"]}}"#,
            self.group,
            self.resource,
            self.verbs.join(r#"", ""#)
        )
    }
}

fn rules(missing: &[Permission]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for permission in missing {
        let Permission { group, resource, verb } = *permission;
        match rules.iter_mut().find(|rule| (rule.group, rule.resource) == (group, resource)) {
            Some(rule) => rule.verbs.push(verb),
            None => rules.push(Rule { group, resource, verbs: [verb].into() }),
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_permitted_is_named_with_the_rules_that_grant_it() {
        let batch = |resource, verb| Permission { group: "batch", resource, verb };
        let missing = vec![
            batch("jobs", "list"),
            batch("jobs", "watch"),
            Permission { group: "", resource: "pods", verb: "create" },
        ];
        let text = ShellFault::Forbidden { missing }.to_string();
        assert_eq!(
            text,
            "no permission to list jobs.batch, watch jobs.batch, create pods; grant it with these rules of a \
             ClusterRole: {apiGroups: [\"batch\"], resources: [\"jobs\"], verbs: [\"list\", \"watch\"]}, \
             {apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"create\"]}"
        );
    }
}
