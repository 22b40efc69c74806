//! What the documents show of the program is what it prints.

use std::fs;

use windlass_tests::program::{self, Outcome};

/// Manifests that a document only speaks of: what is shown of them is not played.
const ONLY_SPOKEN_OF: [&str; 3] = ["nightly.yaml", "typo.yaml", "hourly.yaml"];
/// A line that stands for any number of lines.
const ELISION: &str = "...";

/// A command of a document, and what the document shows of its output.
struct Shown {
    place: String,
    command: String,
    lines: Vec<String>,
}

#[test]
fn what_documents_show_is_what_the_program_prints() {
    let mut played = 0;
    for shown in ["docs/cron.md", "docs/simulate.md"].iter().flat_map(|name| shown_in(name)) {
        let is_left_out = |word: &String| ONLY_SPOKEN_OF.contains(&word.as_str()) || word == "|";
        let words = words(&shown.command);
        if words.iter().any(is_left_out) {
            continue;
        }
        played += 1;
        let Outcome { out, err, .. } = program::run(&without_compiling(&words[1..]), "");
        let printed: Vec<String> = out.lines().chain(err.lines()).map(without_wall_time).collect();
        let expected: Vec<String> = shown.lines.iter().map(|line| without_wall_time(line)).collect();
        assert!(
            is_shown(&expected, &printed),
            "{}: `{}` prints\n{}",
            shown.place,
            shown.command,
            printed.join("\n")
        );
    }
    assert!(played >= 6, "{played} commands were played");
}

#[test]
fn an_elision_stands_for_any_lines_and_nothing_else_does() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(is_shown(&lines("a ... d"), &lines("a b c d")));
    assert!(is_shown(&lines("a ... d"), &lines("a d")));
    assert!(is_shown(&lines("... b ..."), &lines("a b c b d")));
    assert!(!is_shown(&lines("a ... d"), &lines("a b c")));
    assert!(!is_shown(&lines("a"), &lines("a b")));
    assert!(!is_shown(&lines("a b"), &lines("a")));
}

/// The arguments with the engine that needs no compiler: both print the same, as other tests show.
fn without_compiling(arguments: &[String]) -> Vec<String> {
    let mut arguments = arguments.to_vec();
    if arguments.first().is_some_and(|command| command == "simulate") {
        arguments.extend(["--engine".to_owned(), "native".to_owned()]);
    }
    arguments
}

/// The commands in the blocks of a document that begin with a dollar.
fn shown_in(name: &str) -> Vec<Shown> {
    let text = fs::read_to_string(program::workspace().join(name)).expect("the document is there");
    let mut found: Vec<Shown> = Vec::new();
    let mut is_console = false;
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(language) = line.strip_prefix("```") {
            is_console = language == "console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| is_console) {
            let place = format!("{name}:{number}");
            found.push(Shown { place, command: command.to_owned(), lines: Vec::new() });
        } else if let Some(shown) = found.last_mut().filter(|_| is_console) {
            shown.lines.push(line.to_owned());
        }
    }
    found
}

/// Whether `printed` is `expected`, where an elision is any lines.
fn is_shown(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == ELISION => {
            (0..=printed.len()).any(|skipped| is_shown(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed.first() == Some(first) && is_shown(rest, &printed[1..]),
    }
}

/// The words of a command as a shell takes them, as far as documents use quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (position, part) in command.split('"').enumerate() {
        if position % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// A line without the time that a run took on this machine.
fn without_wall_time(line: &str) -> String {
    match (line.split_once(" of simulated time in "), line.split_once(" of wall time")) {
        (Some((before, _)), Some((_, after))) => format!("{before} of simulated time{after}"),
        _ => line.to_owned(),
    }
}
