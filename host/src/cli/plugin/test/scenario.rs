//! A case of a whole scenario: manifests on a simulated cluster, where the plugin decides for the objects that name it.

use std::path::Path;
use std::sync::Arc;

use windlass_core::kube::Str;
use windlass_host::controller::{Config, Controllers};
use windlass_host::engine::native::NativeEngine;
use windlass_host::plugin::Plugin;
use windlass_host::plugin::binding::ANNOTATION_PREFIX;
use windlass_host::plugin::set::{Loaded, PolicySet};
use windlass_host::simulate::change_log::change_log;
use windlass_host::simulate::driver::PluginTally;
use windlass_host::simulate::manifest::{Document, Place, documents_of, read_documents};
use windlass_host::simulate::{MAX_NODES, Options, Simulation};

use super::super::super::simulate::fields;
use super::Verdict;
use super::case::{Scenario, ScenarioCase};
use super::history::History;
use super::look::{Seen, differences};

/// Reason of the Events that tell of a plugin's failure.
const FAILED: &str = "PolicyFailed";

/// Simulates, and says what is other than expected.
///
/// # Errors
/// What keeps the scenario from being simulated: its author's mistake.
pub(super) fn judge(plugin: &Arc<dyn Plugin>, case: &ScenarioCase, place: &str) -> Result<Verdict, String> {
    let scenario = &case.scenario;
    let documents = documents(scenario, &case.directory, place)?;
    if let Some(refusal) = documents.iter().find_map(fields::refusal) {
        return Err(refusal);
    }
    let nodes = scenario.nodes.unwrap_or(0);
    if nodes > MAX_NODES {
        return Err(format!("scenario.nodes: {nodes} are more than {MAX_NODES}"));
    }
    let options = Options {
        nodes: scenario.nodes,
        seed: scenario.seed,
        keep_changes: true,
        controller: Config { controllers: Controllers::ALL, ..Config::default() },
        policies: Arc::new(PolicySet::new([Loaded::new(plugin.clone())])),
        plugins: None,
    };
    // Both engines give the same result, and this one needs no component.
    let simulation = Simulation::new(&documents, Arc::new(NativeEngine), options);
    let mut simulation = simulation.map_err(|fault| fault.to_string())?;
    let mut history = History::new(&simulation);
    let mut wrong = Vec::new();
    for (time, look) in &case.on_the_way {
        run_until(&mut simulation, &mut history, time.whole_ms())?;
        let seen = Seen { simulation: &simulation, history: &history };
        let differences = differences(look, &seen);
        wrong.extend(differences.into_iter().map(|difference| format!("at {}: {difference}", time.text())));
    }
    run_until(&mut simulation, &mut history, scenario.until.whole_ms())?;
    let seen = Seen { simulation: &simulation, history: &history };
    wrong.extend(differences(&case.at_the_end, &seen));
    wrong.extend(conduct(plugin, &simulation, &case.faults));
    let said = simulation
        .plugin_calls()
        .iter()
        .flat_map(|((plugin, _), tally)| tally.log.iter().map(|(at_ms, line)| (*at_ms, &**plugin, line)));
    let log = change_log(history.commits(), simulation.store().events(), said);
    Ok(Verdict { wrong, log })
}

/// The objects of a scenario: those that stand in it, then those of its files.
fn documents(scenario: &Scenario, directory: &Path, place: &str) -> Result<Vec<Document>, String> {
    let source: Arc<str> = place.rsplit_once(':').map_or(place, |(file, _)| file).into();
    let mut documents = Vec::new();
    for manifest in &scenario.manifests {
        let place = Place { source: source.clone(), line: manifest.referenced.line() };
        documents.extend(documents_of(&place, manifest.value.clone()).map_err(|fault| fault.to_string())?);
    }
    for file in &scenario.files {
        let file = directory.join(file);
        let shown = file.display();
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("scenario.files: cannot read {shown}: {error}"))?;
        documents.extend(read_documents(&shown.to_string(), &text).map_err(|fault| fault.to_string())?);
    }
    Ok(documents)
}

fn run_until(simulation: &mut Simulation, history: &mut History, until_ms: u64) -> Result<(), String> {
    simulation.run_until(until_ms, &mut |_, _| {}).map_err(|fault| fault.to_string())?;
    history.follow(simulation);
    let lost = simulation.store().lost_commits();
    if lost > 0 {
        return Err(format!("scenario: {lost} changes more than can be looked at; let it end earlier"));
    }
    Ok(())
}

/// What is wrong with how the plugin behaved: it must be asked, and must not fail but as expected.
fn conduct(plugin: &Arc<dyn Plugin>, simulation: &Simulation, expected: &[String]) -> Vec<String> {
    let identity = plugin.identity();
    let of_plugin = |name: &Str| *name == identity.name;
    let tallies: Vec<&PluginTally> =
        simulation.plugin_calls().iter().filter(|((name, _), _)| of_plugin(name)).map(|(_, t)| t).collect();
    if tallies.is_empty() {
        let annotations: Vec<String> = identity
            .decisions
            .iter()
            .map(|decision| format!("{ANNOTATION_PREFIX}{decision}: {}", identity.name))
            .collect();
        return vec![format!(
            "the plugin was never asked: an object has to have the annotation {}, and something to ask about",
            annotations.join(" or ")
        )];
    }
    let happened = |word: &str| tallies.iter().any(|tally| tally.faults.contains_key(word));
    let missing = expected.iter().filter(|word| !happened(word));
    let mut wrong: Vec<String> =
        missing.map(|word| format!("faults: expected {word}, which did not happen")).collect();
    let others: Vec<String> = tallies
        .iter()
        .flat_map(|tally| &tally.faults)
        .filter(|(word, _)| !expected.iter().any(|expected| expected == *word))
        .map(|(word, times)| format!("{word} ({times} times)"))
        .collect();
    if !others.is_empty() {
        let told = simulation.store().events().filter(|event| &*event.reason == FAILED);
        let told: Vec<String> = told.map(|event| format!("\n    {}", event.message)).collect();
        wrong.push(format!("faults: the plugin failed: {}{}", others.join(", "), told.concat()));
    }
    wrong
}
