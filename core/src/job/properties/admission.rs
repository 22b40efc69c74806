//! A Job that may not start yet starts nothing, whatever else its snapshot says.

use alloc::vec;

use proptest::prelude::*;

use super::super::{conditions, reconcile};
use super::{any_answer, any_snapshot};
use crate::plan::Action;
use crate::view::{Admission, JobSnapshot};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn what_is_not_admitted_starts_nothing(
        snapshot in any_snapshot().prop_filter("a start to decide", is_about_to_start),
        admission in prop::sample::select(vec![
            Admission::Granted,
            Admission::Held,
            Admission::Refused("no".into()),
        ]),
        answer in any_answer(),
    ) {
        let is_granted = admission == Admission::Granted;
        let snapshot = JobSnapshot { admission: Some(admission), ..snapshot };
        let Ok(plan) = reconcile(&snapshot, &super::Fixed(answer)) else { return Ok(()) };
        for step in &plan.steps {
            prop_assert!(!matches!(step.action, Action::CreatePods(_)), "{plan:?}");
            let Action::WriteJobStatus(write) = &step.action else { continue };
            let has_ended = ["Complete", "Failed"]
                .into_iter()
                .any(|kind| conditions::find_true(&write.conditions, kind).is_some());
            let starts = write.start_time != snapshot.job.status.start_time;
            prop_assert!(is_granted || has_ended || !starts, "{plan:?}");
        }
    }
}

/// Whether the Job has no start that counts, and may run.
fn is_about_to_start(snapshot: &JobSnapshot) -> bool {
    let (job, status) = (&snapshot.job, &snapshot.job.status);
    let resumes = conditions::find_true(&status.conditions, conditions::SUSPENDED).is_some();
    !job.suspended && (status.start_time.is_none() || resumes)
}
