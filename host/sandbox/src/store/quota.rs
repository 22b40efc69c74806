//! Quotas: how many Jobs or Pods a namespace may hold (upstream: the admission plugin ResourceQuota, for
//! `count/jobs.batch` and `count/pods`).

use std::collections::BTreeMap;

use windlass_core::kube::{ApiStatus, Kind, ObjectMeta, Str};

use super::Store;
use crate::{Resource, refusal};

/// A limit of the objects of one kind in one namespace, ended ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Name of the quota, which refusals tell.
    pub name: Str,
    /// Most objects.
    pub limit: usize,
}

impl Store {
    /// Sets how many Jobs `namespace` may hold; `None` takes the limit away.
    ///
    /// What is used is counted at each create, so that a Job that goes frees its place at once. A real quota's
    /// controller notices that a little later.
    pub fn limit_jobs(&mut self, namespace: &str, quota: Option<Quota>) {
        self.limit(Kind::Job, namespace, quota);
    }

    /// Sets how many Pods `namespace` may hold; otherwise as [`Store::limit_jobs`].
    pub fn limit_pods(&mut self, namespace: &str, quota: Option<Quota>) {
        self.limit(Kind::Pod, namespace, quota);
    }

    /// Makes sure that the namespace's quota leaves room for one more object of `kind`.
    pub(super) fn admit_by_quota(&self, kind: Kind, metadata: &ObjectMeta) -> Result<(), ApiStatus> {
        // Most stores have none, and Pods are made in great numbers.
        if self.quotas.is_empty() {
            return Ok(());
        }
        let key = (metadata.namespace.clone(), kind);
        let Some(Quota { name, limit }) = self.quotas.get(&key) else { return Ok(()) };
        let used = self.table(kind).by_namespace.get(&metadata.namespace).map_or(0, BTreeMap::len);
        if used < *limit {
            return Ok(());
        }
        let resource = Resource::from(kind);
        let counted = format!("count/{}", resource.plural());
        let why = format!(
            "exceeded quota: {name}, requested: {counted}=1, used: {counted}={used}, limited: {counted}={limit}"
        );
        Err(refusal::forbidden(resource, &metadata.name, why))
    }

    fn limit(&mut self, kind: Kind, namespace: &str, quota: Option<Quota>) {
        let key = (namespace.into(), kind);
        match quota {
            Some(quota) => self.quotas.insert(key, quota),
            None => self.quotas.remove(&key),
        };
    }
}
