//! What is loaded and what is refused, and what a call may use.

use windlass_core::policy::backoff::{Answer, Question};
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::load::{LoadFault, Loader as _};
use windlass_host::plugin::wasm::inspect::inspect;
use windlass_host::plugin::wasm::{Budget, Cache, Compiler, Options, PluginEngine};
use windlass_host::plugin::{LogLine, PluginFault};
use windlass_tests::guests::{Decides, Guest};
use windlass_tests::program::windlass;

use super::load;

fn question(failures: u32) -> Question {
    Question { owner: "ops/etl".to_owned(), failures, seed: 7, ..Question::default() }
}

/// What a plugin that is loaded says to one question about a retry.
fn ask(guest: Guest) -> Result<Vec<Answer>, PluginFault> {
    load(&guest.component()).unwrap().backoff("", &[question(1)]).result
}

#[test]
fn a_plugin_answers_each_question_of_a_batch_from_what_it_is_told() {
    // A second for each failure.
    let each =
        "(i32.store offset=4 (local.get $a) (i32.mul (i32.const 1000) (i32.load offset=16 (local.get $q))))";
    let plugin = load(&Guest::new(Decides::Backoff, each).component()).unwrap();
    let called = plugin.backoff("", &[question(1), question(3), question(2)]);
    let delays = [1_000, 3_000, 2_000].map(Answer::RetryAfterMs);
    assert_eq!(called.result.unwrap(), delays);
    assert!(called.cost.fuel.is_some_and(|fuel| fuel > 100) && called.cost.memory_bytes == 2 << 16);
    assert_eq!(plugin.identity().decisions, [Decision::Backoff]);
    assert_eq!(plugin.description().name, "guest");
}

#[test]
fn what_a_plugin_is_can_be_read_without_compiling_it() {
    let bytes = Guest::retry_after_ms(1).and(Decides::MissedRuns, "").component();
    let inspection = inspect(&bytes).unwrap();
    assert_eq!(inspection.decisions, [Decision::Backoff, Decision::MissedRuns]);
    assert_eq!(inspection.size_bytes, u64::try_from(bytes.len()).unwrap());
    let callable: Vec<_> = inspection.imports.iter().filter(|name| !name.contains("/types@")).collect();
    assert_eq!(callable, ["windlass:plugin/log@0.1.0"]);
    assert!(inspection.exports.contains(&"windlass:backoff/policy@0.1.0".to_owned()));
    assert_ne!(inspect(&Guest::retry_after_ms(2).component()).unwrap().digest, inspection.digest);
}

#[test]
fn a_plugin_that_imports_more_than_a_log_is_refused_by_the_name_of_it() {
    let guest = Guest::retry_after_ms(1).importing("import clock: interface { now: func() -> u32; }", "");
    // What is not used is left out by the encoder, so that the import has to be called.
    let guest = guest.with(r#"(func (export "unused") (result i32) (i32.const 0))"#);
    let used = guest.component();
    assert!(inspect(&used).is_ok(), "an import that nobody uses is not there");
    let bytes = wat::parse_str(
        r#"(component
            (import "wasi:clocks/wall-clock@0.2.0" (instance (export "now" (func (result u64)))))
            (instance $empty) (export "windlass:plugin/meta@0.1.0" (instance $empty)))"#,
    );
    let fault = inspect(&bytes.unwrap()).unwrap_err();
    assert_eq!(fault, LoadFault::ForeignImport("wasi:clocks/wall-clock@0.2.0".to_owned()));
}

#[test]
fn a_plugin_whose_function_has_another_type_is_refused() {
    let bytes = wat::parse_str(
        r#"(component (instance $empty)
            (export "windlass:plugin/meta@0.1.0" (instance $empty))
            (export "windlass:backoff/policy@0.1.0" (instance $empty)))"#,
    );
    let fault = load(&bytes.unwrap()).err().unwrap();
    assert_eq!(fault.category(), "wrong_type", "{fault}");
}

#[test]
fn a_plugin_that_cannot_say_what_it_is_is_refused() {
    for body in ["unreachable", "(loop $again (br $again)) unreachable", "(i32.const -4)"] {
        let fault = load(&Guest::retry_after_ms(1).describing(body).component()).err().unwrap();
        assert_eq!(fault.category(), "not_described", "{fault}");
    }
}

#[test]
fn whatever_a_plugin_does_its_call_ends_with_a_fault_of_its_kind() {
    let endless = "(loop $again (br $again))";
    let greedy = "(drop (memory.grow (i32.const 1100))) unreachable";
    let deep = "(call $deep (i32.const 0))";
    let deep_function = "(func $deep (param i32) (call $deep (local.get 0)) (call $deep (local.get 0)))";
    // A list of 100,000 answers, all in the memory that there is.
    let talkative = "(drop (memory.grow (i32.const 40)))
        (i32.store (i32.const 96) (i32.const 0)) (i32.store offset=4 (i32.const 96) (i32.const 1024))
        (i32.store offset=8 (i32.const 96) (i32.const 100000)) (i32.const 96)";
    let outside = "(i32.store offset=4 (i32.const 96) (i32.const 4)) (i32.store offset=8 (i32.const 96)
        (i32.const 0x0fffffff)) (i32.const 96)";
    let whole = |body: &str| Guest::whole(Decides::Backoff, body);
    let cases = [
        (Guest::new(Decides::Backoff, "unreachable"), "trap"),
        (Guest::new(Decides::Backoff, endless), "timeout"),
        (whole(greedy), "memory"),
        (Guest::new(Decides::Backoff, deep).with(deep_function), "trap"),
        (whole(talkative), "output"),
        (whole(outside), "trap"),
        (whole("(i32.const 0x7fffffff)"), "trap"),
        // A case of the answer that there is none of.
        (Guest::new(Decides::Backoff, "(i32.store8 (local.get $a) (i32.const 9))"), "trap"),
    ];
    for (guest, expected) in cases {
        let shown = format!("{guest:?}");
        let fault = ask(guest).unwrap_err();
        assert_eq!(fault.category(), expected, "{fault} of {shown}");
        assert!(fault.is_misbehaviour());
    }
    assert_eq!(ask(Guest::retry_after_ms(5)), Ok(vec![Answer::RetryAfterMs(5)]), "the host still works");
}

#[test]
fn time_as_a_budget_ends_an_endless_loop_as_well() {
    let options = Options { budget: Budget::TimeMs(10), ..Options::default() };
    let engine = PluginEngine::new(options).unwrap();
    let guest = Guest::new(Decides::Backoff, "(loop $again (br $again))");
    let plugin = engine.load("guest", &guest.component()).unwrap();
    for _ in 0..3 {
        assert_eq!(plugin.backoff("", &[question(1)]).result, Err(PluginFault::TookTooLong));
    }
    let plugin = engine.load("guest", &Guest::retry_after_ms(5).component()).unwrap();
    assert_eq!(plugin.backoff("", &[question(1)]).result, Ok(vec![Answer::RetryAfterMs(5)]));
}

#[test]
fn nothing_of_a_call_is_left_for_the_next() {
    // Says how often it was asked, as far as it can tell.
    let each = "(global.set $asked (i32.add (global.get $asked) (i32.const 1)))
        (i32.store (i32.const 512) (i32.add (i32.load (i32.const 512)) (i32.const 1)))
        (i32.store offset=4 (local.get $a) (i32.add (global.get $asked) (i32.load (i32.const 512))))";
    let guest = Guest::new(Decides::Backoff, each).with("(global $asked (mut i32) (i32.const 0))");
    let plugin = load(&guest.component()).unwrap();
    for _ in 0..3 {
        assert_eq!(plugin.backoff("", &[question(1)]).result, Ok(vec![Answer::RetryAfterMs(2)]));
    }
}

#[test]
fn an_error_in_good_order_is_no_misbehaviour() {
    let mut guest = Guest::retry_after_ms(1);
    let (at, length) = guest.text("no idea");
    let body = format!(
        "(i32.store (i32.const 96) (i32.const 1)) (i32.store offset=4 (i32.const 96) (i32.const {at}))
         (i32.store offset=8 (i32.const 96) (i32.const {length})) (i32.const 96)"
    );
    let mut refusing = Guest::whole(Decides::Backoff, &body);
    refusing.text("no idea");
    let fault = ask(refusing).unwrap_err();
    assert_eq!(fault, PluginFault::Refused("no idea".to_owned()));
    assert!(!fault.is_misbehaviour());
}

#[test]
fn settings_are_judged_by_the_plugin() {
    // Whatever is not empty is refused, in its own words.
    let body = "(i32.store8 (i32.const 64) (i32.gt_u (local.get $settings_length) (i32.const 0)))
        (i32.store offset=4 (i32.const 64) (local.get $settings))
        (i32.store offset=8 (i32.const 64) (local.get $settings_length)) (i32.const 64)";
    let plugin = load(&Guest::retry_after_ms(1).validating(body).component()).unwrap();
    assert_eq!(plugin.validate_settings(Decision::Backoff, "").result, Ok(()));
    let refused = PluginFault::SettingsRefused("{}".to_owned());
    assert_eq!(plugin.validate_settings(Decision::Backoff, "{}").result, Err(refused));
}

#[test]
fn what_a_plugin_says_is_kept_even_where_it_traps_afterwards() {
    let mut guest = Guest::retry_after_ms(1);
    let log = guest.log(1, "about to fail");
    let called = load(&guest.answering(&format!("{log} unreachable")).component())
        .unwrap()
        .backoff("", &[question(1)]);
    assert_eq!(called.log, [LogLine { level: 1, message: "about to fail".to_owned() }]);
    assert_eq!(called.result.unwrap_err().category(), "trap");
}

#[test]
fn machine_code_is_kept_in_a_directory_of_our_own_and_read_again_where_it_is_whole() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("code");
    let bytes = Guest::retry_after_ms(5).component();
    let ask = || {
        let cache = Cache::open(&kept).unwrap();
        let options = Options::deterministic();
        let engine = PluginEngine::with_compiler(options, Compiler::Here, Some(cache)).unwrap();
        let plugin = engine.load("guest", &bytes).unwrap();
        assert_eq!(plugin.backoff("", &[question(1)]).result, Ok(vec![Answer::RetryAfterMs(5)]));
    };
    let files =
        || -> Vec<_> { std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect() };
    ask();
    assert_eq!(files().len(), 1);
    let written = std::fs::metadata(&files()[0]).unwrap().modified().unwrap();
    ask();
    assert_eq!(
        std::fs::metadata(&files()[0]).unwrap().modified().unwrap(),
        written,
        "it was taken from there"
    );
    // A file that is not whole is not run, but replaced.
    let mut code = std::fs::read(&files()[0]).unwrap();
    let last = code.len() - 1;
    code[last] ^= 1;
    std::fs::write(&files()[0], &code).unwrap();
    ask();
    assert_ne!(std::fs::read(&files()[0]).unwrap(), code);
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o777)).unwrap();
    let fault = Cache::open(&kept).unwrap_err();
    assert!(fault.to_string().contains("is not this user's alone"), "{fault}");
}

#[test]
fn a_compiler_that_is_a_process_of_its_own_may_fail_as_it_likes() {
    let bytes = Guest::retry_after_ms(5).component();
    let load = |program: &str, arguments: &[&str]| {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let compiler = Compiler::Child { program: program.into(), arguments };
        let engine = PluginEngine::with_compiler(Options::deterministic(), compiler, None).unwrap();
        engine.load("guest", &bytes)
    };
    let cases: [(&str, &[&str], &str); 3] = [
        ("/nonexistent", &[], "cannot start a process for it: "),
        ("/bin/sh", &["-c", "echo too hard >&2; exit 1"], "the compiler refused it: too hard"),
        ("/bin/sh", &["-c", "kill -9 $$"], "the compiler took more time or memory than it may"),
    ];
    for (program, arguments, expected) in cases {
        let fault = load(program, arguments).err().unwrap();
        assert!(fault.to_string().contains(expected), "{fault}");
    }
    // What is no machine code is not run, and nothing is compiled here, where nothing would end it.
    let fault = load("/bin/sh", &["-c", "echo nothing"]).err().unwrap();
    assert!(fault.to_string().contains("the program on disk is another version"), "{fault}");
}

#[test]
fn the_compiler_has_so_much_time_and_memory_and_no_more() {
    // Millions of instructions in one function, which the compiler holds all at once.
    let long = format!(
        "(func (param i32) (result i32) (local.get 0) {})",
        "(i32.add (i32.const 3)) (i32.rotl (i32.const 5))".repeat(1_000_000)
    );
    let bomb = Guest::retry_after_ms(5).with(&long).component();
    let small = Guest::retry_after_ms(5).component();
    let load = |bytes: &[u8], limits: &[&str]| {
        let arguments = ["plugin", "compile", "--fuel"].iter().chain(limits);
        let arguments = arguments.map(|argument| (*argument).to_owned()).collect();
        let compiler = Compiler::Child { program: windlass().to_owned(), arguments };
        let engine = PluginEngine::with_compiler(Options::deterministic(), compiler, None).unwrap();
        engine.load("guest", bytes).map(|plugin| plugin.backoff("", &[question(1)]).result)
    };
    for limits in [["--processor-seconds", "1"], ["--memory-mebibytes", "1024"]] {
        assert_eq!(load(&small, &limits).unwrap(), Ok(vec![Answer::RetryAfterMs(5)]), "{limits:?}");
        let fault = load(&bomb, &limits).err().unwrap();
        let told = fault.to_string();
        assert!(told.contains("the compiler took more time or memory than it may"), "{limits:?}: {told}");
    }
}
