//! The DaemonSet controller's decisions, one file each; [`reconcile`] lists them in their order.

mod backoff;
mod canonical_json;
mod changes;
mod claim;
mod facts;
pub mod history;
mod manage;
mod memo;
pub mod naming;
pub mod placement;
mod pods;
pub mod revision;
mod revisions;
mod rollout;
mod selects_all;
mod settled;
mod status;
mod steps;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;

use crate::fault::Fault;
use crate::plan::Plan;
use crate::policy::Policy;
use crate::view::DaemonSetSnapshot;

use backoff::Backoff;
use facts::Facts;
use memo::Rolling;
use revisions::{Claimed, Revisions};
use rollout::Rolled;
use steps::Decisions;

/// The plan for a DaemonSet as it stands in the snapshot, whose questions `policy` answers.
///
/// # Errors
/// A [`Fault`] if the snapshot contradicts itself.
pub fn reconcile(snapshot: &DaemonSetSnapshot, policy: &dyn Policy) -> Result<Plan, Fault> {
    let facts = &Facts::read(snapshot)?;
    if let Some(plan) = selects_all::plan(facts) {
        return Ok(plan);
    }
    if facts.set.terminating {
        return Ok(Plan { memo: snapshot.memo.clone(), ..Plan::default() });
    }
    if let Some(plan) = claim::plan(facts) {
        return Ok(plan);
    }
    let revisions = Revisions::decide(facts, &Claimed::of(facts));
    if let Some(plan) = revisions.name_taken(facts) {
        return Ok(plan);
    }
    let mut backoff = Backoff::of(facts);
    let managed = manage::decide(facts, &revisions, &mut backoff);
    // What is rolled hangs on what is there: first everything else is as it should be.
    let rolling = Rolling::of(facts, &revisions, backoff.rolling());
    let rolled = if managed.is_empty() {
        rollout::decide(facts, &revisions, rolling.since_ms, policy)
    } else {
        Rolled::nothing()
    };
    let status = status::decide(facts, &revisions, backoff.last_write_ms());
    let settled = settled::decide(facts, &revisions);
    let looks = [backoff.next_ms(), facts.until_available_ms(), status.due_in_ms(), rolled.ask_again_ms];
    let requeue_after_ms = looks.into_iter().flatten().min();
    let rolled = rolled.changes;
    let turn = managed.turn.or(rolled.turn).and_then(|node| facts.turn_of(node));
    let mut memo = backoff.into_memo();
    memo.last_write_ms = status.last_write_ms();
    memo.rolling = snapshot.rollout_policy.is_some().then_some(rolling);
    if turn.is_some() || status::is_complete(status.write.as_ref().unwrap_or(&facts.set.status)) {
        memo.turn = turn;
    }
    let memo = memo.encode(&facts.set.uid);
    Ok(Decisions { revisions, managed, rolled, status: status.write, requeue_after_ms, memo, settled }
        .into_plan())
}
