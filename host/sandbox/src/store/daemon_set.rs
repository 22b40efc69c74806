//! The verbs of DaemonSets (upstream: pkg/registry/apps/daemonset/strategy.go and pkg/apis/apps/v1/conversion.go).

use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, DaemonSet, DaemonSetStatus, Kind, Object, ObjectMeta, TEMPLATE_GENERATION_ANNOTATION,
};

use super::update::{check_preconditions, keep_system_metadata, not_of_kind};
use super::{Actor, Store, Verb};
use crate::body::Body;
use crate::field::Faults;
use crate::{Resource, defaults, refusal, validate};

impl Store {
    /// Creates a DaemonSet and gives it back as stored, with its defaults and the count of its template.
    ///
    /// # Errors
    /// As for [`Store::create_pod`], and 400 BadRequest where its template is not that of a Pod, or the annotation
    /// that counts its templates is no number.
    pub fn create_daemon_set(
        &mut self,
        actor: Actor,
        mut new: DaemonSet,
    ) -> Result<Arc<DaemonSet>, ApiStatus> {
        fill_in(&mut new)?;
        let asked = template_generation(&new.metadata)?.unwrap_or(0);
        self.name_and_admit(actor, Resource::DaemonSet, &mut new.metadata)?;
        new.status = DaemonSetStatus::default();
        new.metadata.generation = 1;
        set_template_generation(&mut new.metadata, asked.max(1));
        let mut faults = Faults::default();
        validate::daemon_set::on_create(&new, &mut faults);
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::DaemonSet, &new.metadata.name, &faults));
        }
        self.must_be_absent(Kind::DaemonSet, &new.metadata)?;
        let stored = self.put(actor, Verb::Create, None, Object::DaemonSet(Arc::new(new)), Some(Body::Slim));
        let Object::DaemonSet(stored) = stored else { return Err(not_of_kind(Kind::DaemonSet)) };
        Ok(stored)
    }

    /// Replaces a DaemonSet but for its status; metadata may carry the uid and the resourceVersion that are required.
    ///
    /// Its generation counts changes of the spec, and the annotation those of the template: a client cannot set either.
    ///
    /// # Errors
    /// 404 NotFound, 409 Conflict for a precondition, 422 Invalid, 400 BadRequest as for a create.
    pub fn update_daemon_set(&mut self, actor: Actor, new: &DaemonSet) -> Result<Arc<DaemonSet>, ApiStatus> {
        let before = self.get(Kind::DaemonSet, &new.metadata.namespace, &new.metadata.name)?;
        let Object::DaemonSet(old) = &before else { return Err(not_of_kind(Kind::DaemonSet)) };
        check_preconditions(Kind::DaemonSet, &new.metadata, &old.metadata)?;
        let mut after = new.clone();
        if Arc::ptr_eq(&new.spec, &old.spec) {
            after.spec = old.spec.clone();
        } else {
            fill_in(&mut after)?;
        }
        after.status = old.status.clone();
        keep_system_metadata(&mut after.metadata, &old.metadata);
        keep_template_generation(&mut after.metadata, &old.metadata)?;
        if after.spec == old.spec {
            after.spec = old.spec.clone();
        } else {
            after.metadata.generation = old.metadata.generation.saturating_add(1);
            let text = |set: &DaemonSet| set.spec.template.as_ref().map(|template| template.get().to_owned());
            if text(&after) != text(old) {
                let templates = old.template_generation().unwrap_or(0);
                set_template_generation(&mut after.metadata, templates.saturating_add(1));
            }
        }
        let mut faults = Faults::default();
        validate::metadata::on_update(&after.metadata, &old.metadata, true, &mut faults);
        validate::daemon_set::on_update(&after, old, &mut faults);
        self.store_daemon_set(actor, Verb::Update, &before, after, &faults)
    }

    /// Replaces a DaemonSet's status; metadata carries the resourceVersion that is required.
    ///
    /// # Errors
    /// 404 NotFound, 409 Conflict for a precondition, 422 Invalid for its metadata, for numbers below zero and for a
    /// lower count of collisions.
    pub fn update_daemon_set_status(
        &mut self,
        actor: Actor,
        new: &DaemonSet,
    ) -> Result<Arc<DaemonSet>, ApiStatus> {
        let before = self.get(Kind::DaemonSet, &new.metadata.namespace, &new.metadata.name)?;
        let Object::DaemonSet(old) = &before else { return Err(not_of_kind(Kind::DaemonSet)) };
        check_preconditions(Kind::DaemonSet, &new.metadata, &old.metadata)?;
        let mut after =
            DaemonSet { metadata: new.metadata.clone(), spec: old.spec.clone(), status: new.status.clone() };
        keep_system_metadata(&mut after.metadata, &old.metadata);
        keep_template_generation(&mut after.metadata, &old.metadata)?;
        let mut faults = Faults::default();
        validate::metadata::on_update(&after.metadata, &old.metadata, true, &mut faults);
        validate::daemon_set::on_status_update(&after, old, &mut faults);
        self.store_daemon_set(actor, Verb::UpdateStatus, &before, after, &faults)
    }

    fn store_daemon_set(
        &mut self,
        actor: Actor,
        verb: Verb,
        before: &Object,
        after: DaemonSet,
        faults: &Faults,
    ) -> Result<Arc<DaemonSet>, ApiStatus> {
        if !faults.is_empty() {
            return Err(refusal::invalid(Resource::DaemonSet, &after.metadata.name, faults));
        }
        let after = Object::DaemonSet(Arc::new(after));
        let Object::DaemonSet(stored) = self.store_change(actor, verb, before, after, None) else {
            return Err(not_of_kind(Kind::DaemonSet));
        };
        Ok(stored)
    }
}

/// Leaves the count of templates as it was, whatever a client made of the annotation.
///
/// # Errors
/// 400 BadRequest where the client's annotation is no number.
pub(super) fn keep_template_generation(new: &mut ObjectMeta, old: &ObjectMeta) -> Result<(), ApiStatus> {
    template_generation(new)?;
    let kept = old.annotations.get(TEMPLATE_GENERATION_ANNOTATION);
    if let Some(kept) = kept
        && new.annotations.get(TEMPLATE_GENERATION_ANNOTATION) != Some(kept)
    {
        Arc::make_mut(&mut new.annotations).insert(TEMPLATE_GENERATION_ANNOTATION.into(), kept.clone());
    }
    Ok(())
}

fn set_template_generation(metadata: &mut ObjectMeta, count: i64) {
    let annotations = Arc::make_mut(&mut metadata.annotations);
    annotations.insert(TEMPLATE_GENERATION_ANNOTATION.into(), count.to_string().into());
}

/// The count of templates that the annotation says, if there is one.
fn template_generation(metadata: &ObjectMeta) -> Result<Option<i64>, ApiStatus> {
    let Some(text) = metadata.annotations.get(TEMPLATE_GENERATION_ANNOTATION) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let fault = if is_number { "value out of range" } else { "invalid syntax" };
        unreadable(format_args!("strconv.ParseInt: parsing {text:?}: {fault}"))
    })
}

fn fill_in(set: &mut DaemonSet) -> Result<(), ApiStatus> {
    defaults::daemon_set_spec(Arc::make_mut(&mut set.spec)).map_err(unreadable)
}

fn unreadable(why: impl std::fmt::Display) -> ApiStatus {
    refusal::bad_request(format!("DaemonSet in version \"v1\" cannot be handled as a DaemonSet: {why}"))
}
