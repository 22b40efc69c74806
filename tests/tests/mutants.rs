//! Each defect that is put in on purpose is found by the checker that is there for it: a check that cannot
//! fail proves nothing.
//!
//! `WINDLASS_MUTANT=text` plays only the defects whose name has that text.

use windlass_host::engine::native::NativeEngine;
use windlass_tests::simulation::mutants::Mutant;
use windlass_tests::simulation::run_seeds;

/// Seeds within which a defect has to be found.
const SEEDS: u64 = 2_000;
/// Violations after which no further seed is played; the first may be another predicate's that is hurt too.
const MOST_VIOLATIONS: usize = 12;

#[test]
fn every_defect_is_found_by_the_checker_that_is_there_for_it() {
    let wanted = std::env::var("WINDLASS_MUTANT").unwrap_or_default();
    let chosen = Mutant::ALL.into_iter().filter(|(mutant, _)| format!("{mutant:?}").contains(&wanted));
    let (mut played, mut missed) = (0, Vec::new());
    for (mutant, predicates) in chosen {
        played += 1;
        let summary = run_seeds(1, SEEDS, 2, MOST_VIOLATIONS, &NativeEngine, Some(mutant));
        let found: Vec<&str> = summary.violations.iter().map(|(_, violation)| violation.predicate).collect();
        let first =
            summary.violations.iter().find(|(_, violation)| predicates.contains(&violation.predicate));
        match first {
            Some((seed, violation)) => println!("{mutant:?}: seed {seed}: {violation}"),
            None => missed.push(format!("{mutant:?} wants one of {predicates:?}, found {found:?}")),
        }
    }
    assert!(played > 0, "no defect is called {wanted}");
    assert!(missed.is_empty(), "missed:\n{}", missed.join("\n"));
}
