//! Plays one seed of the simulator again, byte for byte.

use std::process::ExitCode;

use windlass_host::engine::Engine;
use windlass_host::engine::native::NativeEngine;
use windlass_tests::simulation::{self, world::Report};

/// Lines of the trace that are shown where not all of it is wanted.
const LAST_LINES: usize = 60;

struct Arguments {
    seed: u64,
    engine: String,
    is_traced: bool,
}

fn main() -> ExitCode {
    match parse().and_then(|arguments| Ok((engine(&arguments.engine)?, arguments))) {
        Ok((engine, arguments)) => {
            let report = simulation::run_seed(arguments.seed, engine.as_ref(), None, true);
            show(&report, arguments.is_traced);
            ExitCode::from(u8::from(report.violation.is_some()))
        }
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::from(2)
        }
    }
}

fn parse() -> Result<Arguments, String> {
    let mut arguments = Arguments { seed: 0, engine: "native".to_owned(), is_traced: false };
    let mut given = std::env::args().skip(1);
    let mut is_seeded = false;
    while let Some(flag) = given.next() {
        match flag.as_str() {
            "--seed" => {
                let text = given.next().unwrap_or_default();
                arguments.seed = text.parse().map_err(|_| format!("--seed wants a number, not {text:?}"))?;
                is_seeded = true;
            }
            "--engine" => arguments.engine = given.next().unwrap_or_default(),
            "--trace" => arguments.is_traced = true,
            other => return Err(format!("{other:?} is unknown: --seed N [--engine wasm|native] [--trace]")),
        }
    }
    if is_seeded { Ok(arguments) } else { Err("say which seed: --seed N".to_owned()) }
}

fn engine(name: &str) -> Result<Box<dyn Engine>, String> {
    match name {
        "native" => Ok(Box::new(NativeEngine)),
        #[cfg(feature = "wasm")]
        "wasm" => match windlass_host::engine::wasm::WasmEngine::embedded() {
            Ok(engine) => Ok(Box::new(engine)),
            Err(fault) => Err(format!("{fault}")),
        },
        #[cfg(not(feature = "wasm"))]
        "wasm" => Err("this program was built without the wasm engine: add --features wasm".to_owned()),
        other => Err(format!("{other:?} is no engine: wasm or native")),
    }
}

fn show(report: &Report, is_traced: bool) {
    let first = if is_traced { 0 } else { report.trace.len().saturating_sub(LAST_LINES) };
    for line in &report.trace[first..] {
        println!("{line}");
    }
    print!("{}", report.struck.table());
    for line in &report.end_state {
        println!("at the end: {line}");
    }
    println!(
        "seed {}: {} steps, {} commits, {} writes, {} s of virtual time, history {:016x}",
        report.seed,
        report.steps,
        report.commits,
        report.writes,
        report.virtual_ms / 1000,
        report.hash
    );
    match &report.violation {
        Some(violation) => println!("{violation}"),
        None => println!("every predicate held"),
    }
}
