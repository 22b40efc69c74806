//! The verbs of CronJobs (upstream: pkg/registry/batch/cronjob/strategy.go).

use std::sync::Arc;

use windlass_core::kube::{ApiStatus, CronJob, CronJobStatus, JobSpec, Kind, Object};

use super::update::{check_preconditions, keep_system_metadata, not_of_kind};
use super::{Actor, Store, Verb};
use crate::body::Body;
use crate::field::Faults;
use crate::{Resource, defaults, refusal, validate};

impl Store {
    /// Creates a CronJob and gives it back as stored, with its defaults.
    ///
    /// # Errors
    /// As for [`Store::create_pod`], and 400 BadRequest where its template is not that of a Job.
    pub fn create_cron_job(&mut self, actor: Actor, mut new: CronJob) -> Result<Arc<CronJob>, ApiStatus> {
        let template = filled_in(&mut new)?;
        self.name_and_admit(actor, Resource::CronJob, &mut new.metadata)?;
        new.status = CronJobStatus::default();
        new.metadata.generation = 1;
        let mut faults = Faults::default();
        validate::cron_job::on_create(&new, &template, &mut faults);
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::CronJob, &new.metadata.name, &faults));
        }
        self.must_be_absent(Kind::CronJob, &new.metadata)?;
        let stored = self.put(actor, Verb::Create, None, Object::CronJob(Arc::new(new)), Some(Body::Slim));
        let Object::CronJob(stored) = stored else { return Err(not_of_kind(Kind::CronJob)) };
        Ok(stored)
    }

    /// Stores a CronJob that an older server took: its schedule and its zone are not looked at.
    ///
    /// # Errors
    /// 409 AlreadyExists, 403 Forbidden for its namespace, and 400 BadRequest where its template is not that of a Job.
    pub fn restore_cron_job(&mut self, actor: Actor, mut old: CronJob) -> Result<Arc<CronJob>, ApiStatus> {
        filled_in(&mut old)?;
        self.name_and_admit(actor, Resource::CronJob, &mut old.metadata)?;
        old.metadata.generation = 1;
        self.must_be_absent(Kind::CronJob, &old.metadata)?;
        let stored = self.put(actor, Verb::Create, None, Object::CronJob(Arc::new(old)), Some(Body::Slim));
        let Object::CronJob(stored) = stored else { return Err(not_of_kind(Kind::CronJob)) };
        Ok(stored)
    }

    /// Replaces a CronJob but for its status; metadata may carry the uid and the resourceVersion that are required.
    ///
    /// # Errors
    /// 404 NotFound, 409 Conflict for a precondition, 422 Invalid, 400 BadRequest as for a create.
    pub fn update_cron_job(&mut self, actor: Actor, new: &CronJob) -> Result<Arc<CronJob>, ApiStatus> {
        let before = self.get(Kind::CronJob, &new.metadata.namespace, &new.metadata.name)?;
        let Object::CronJob(old) = &before else { return Err(not_of_kind(Kind::CronJob)) };
        check_preconditions(Kind::CronJob, &new.metadata, &old.metadata)?;
        let mut after = new.clone();
        let template = filled_in(&mut after)?;
        after.status = old.status.clone();
        keep_system_metadata(&mut after.metadata, &old.metadata);
        if after.spec == old.spec {
            after.spec = old.spec.clone();
        } else {
            after.metadata.generation = old.metadata.generation.saturating_add(1);
        }
        let mut faults = Faults::default();
        validate::metadata::on_update(&after.metadata, &old.metadata, true, &mut faults);
        validate::cron_job::on_update(&after, old, &template, &mut faults);
        self.store_cron_job(actor, Verb::Update, &before, after, &faults)
    }

    /// Replaces a CronJob's status, which is not validated; metadata carries the resourceVersion that is required.
    ///
    /// # Errors
    /// 404 NotFound, 409 Conflict for a precondition, 422 Invalid for its metadata.
    pub fn update_cron_job_status(&mut self, actor: Actor, new: &CronJob) -> Result<Arc<CronJob>, ApiStatus> {
        let before = self.get(Kind::CronJob, &new.metadata.namespace, &new.metadata.name)?;
        let Object::CronJob(old) = &before else { return Err(not_of_kind(Kind::CronJob)) };
        check_preconditions(Kind::CronJob, &new.metadata, &old.metadata)?;
        let mut after =
            CronJob { metadata: new.metadata.clone(), spec: old.spec.clone(), status: new.status.clone() };
        keep_system_metadata(&mut after.metadata, &old.metadata);
        let mut faults = Faults::default();
        validate::metadata::on_update(&after.metadata, &old.metadata, true, &mut faults);
        self.store_cron_job(actor, Verb::UpdateStatus, &before, after, &faults)
    }

    fn store_cron_job(
        &mut self,
        actor: Actor,
        verb: Verb,
        before: &Object,
        after: CronJob,
        faults: &Faults,
    ) -> Result<Arc<CronJob>, ApiStatus> {
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::CronJob, &after.metadata.name, faults));
        }
        let after = Object::CronJob(Arc::new(after));
        let Object::CronJob(stored) = self.store_change(actor, verb, before, after, None) else {
            return Err(not_of_kind(Kind::CronJob));
        };
        Ok(stored)
    }
}

/// Fills in the defaults of a CronJob; gives the Job's spec in its template.
fn filled_in(cron_job: &mut CronJob) -> Result<JobSpec, ApiStatus> {
    let spec = Arc::make_mut(&mut cron_job.spec);
    defaults::cron_job_spec(spec).map_err(|error| {
        refusal::bad_request(format!("CronJob in version \"v1\" cannot be handled as a CronJob: {error}"))
    })
}
