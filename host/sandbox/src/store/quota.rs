//! Quotas: how many Jobs a namespace may hold (upstream: the admission plugin ResourceQuota, for `count/jobs.batch`).

use std::collections::BTreeMap;

use windlass_core::kube::{ApiStatus, Kind, ObjectMeta, Str};

use super::Store;
use crate::{Resource, refusal};

/// The resource that is limited, as quotas spell it.
const COUNTED: &str = "count/jobs.batch";

/// A limit of the Jobs in one namespace, ended ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobQuota {
    /// Name of the quota, which refusals tell.
    pub name: Str,
    /// Most Jobs.
    pub limit: usize,
}

impl Store {
    /// Sets how many Jobs `namespace` may hold; `None` takes the limit away.
    ///
    /// What is used is counted at each create, so that a Job that goes frees its place at once. A real quota's
    /// controller notices that a little later.
    pub fn limit_jobs(&mut self, namespace: &str, quota: Option<JobQuota>) {
        match quota {
            Some(quota) => self.job_quotas.insert(namespace.into(), quota),
            None => self.job_quotas.remove(namespace),
        };
    }

    /// Makes sure that the namespace's quota leaves room for one more Job.
    pub(super) fn admit_by_quota(&self, metadata: &ObjectMeta) -> Result<(), ApiStatus> {
        let Some(JobQuota { name, limit }) = self.job_quotas.get(&metadata.namespace) else { return Ok(()) };
        let used = self.table(Kind::Job).by_namespace.get(&metadata.namespace).map_or(0, BTreeMap::len);
        if used < *limit {
            return Ok(());
        }
        let why = format!(
            "exceeded quota: {name}, requested: {COUNTED}=1, used: {COUNTED}={used}, limited: {COUNTED}={limit}"
        );
        Err(refusal::forbidden(Resource::Job, &metadata.name, why))
    }
}
