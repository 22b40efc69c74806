//! Policy plugins written by hand in the text form of WebAssembly, for tests: small, built in milliseconds, and able
//! to do what no SDK would.
//!
//! A [`Guest`] answers each question by a few instructions that write one answer; the rest of the canonical ABI, which
//! is about lists, strings and memory, is the builder's. Every part of it can be replaced by something hostile.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::program::workspace;

/// Where texts begin in the guest's memory; below are the places of results.
const TEXTS: usize = 1_024;
/// Where the memory that is handed out begins.
const HEAP: usize = 32_768;
/// Bytes of a page of memory.
const PAGE: usize = 65_536;

/// What a guest decides, and how its question and answer lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decides {
    /// windlass:backoff. Question: failures at 16, exit code at 20 (whether it is there) and 24, seed at 40.
    Backoff,
    /// windlass:schedule. Question: after-s at 24, until-s at 28, limit at 32, latest at 36, seed at 40.
    Schedule,
    /// windlass:missed-runs. Question: the list missed-s at 8, its length at 12.
    MissedRuns,
    /// windlass:rollout. Question: the list nodes at 16, its length at 20. Answer: its case at 0, an update's list of nodes
    /// at 4 and 8, its `ask-again-ms` at 20 (whether it is there) and 24; a pause's reason at 4 and 8, its wait at 12.
    Rollout,
}

impl Decides {
    /// The word for it in the names of packages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Backoff => "backoff",
            Self::Schedule => "schedule",
            Self::MissedRuns => "missed-runs",
            Self::Rollout => "rollout",
        }
    }

    /// Bytes of a question in a list.
    #[must_use]
    pub const fn question_bytes(self) -> usize {
        match self {
            Self::Backoff | Self::Schedule => 52,
            Self::MissedRuns => 64,
            Self::Rollout => 48,
        }
    }

    /// Bytes of an answer in a list.
    #[must_use]
    pub const fn answer_bytes(self) -> usize {
        match self {
            Self::Backoff | Self::Schedule => 16,
            Self::MissedRuns => 12,
            Self::Rollout => 28,
        }
    }
}

/// A plugin in the making.
#[derive(Clone, Debug)]
pub struct Guest {
    decides: Vec<(Decides, Decide)>,
    validate: Option<String>,
    describe: Option<String>,
    wants: Vec<(String, String)>,
    imports: String,
    extra: String,
    start: String,
    texts: Vec<u8>,
    pages: usize,
}

#[derive(Clone, Debug)]
enum Decide {
    /// Instructions for one answer: `$q` is the question, `$a` the answer, zeroed.
    Each(String),
    /// Instructions for the whole function: parameters `$settings $settings_length $questions $count`, and the
    /// result is the address of the `result<list<answer>, string>`.
    Whole(String),
}

impl Guest {
    /// A plugin that answers each question about `decides` by these instructions: `$q` is the address of the
    /// question, `$a` that of the answer, which is zeroed.
    #[must_use]
    pub fn new(decides: Decides, each: &str) -> Self {
        Self {
            decides: vec![(decides, Decide::Each(each.to_owned()))],
            validate: None,
            describe: None,
            wants: Vec::new(),
            imports: String::new(),
            extra: String::new(),
            start: String::new(),
            texts: Vec::new(),
            pages: 2,
        }
    }

    /// A backoff plugin that says so many milliseconds to every question.
    #[must_use]
    pub fn retry_after_ms(delay_ms: u32) -> Self {
        Self::new(Decides::Backoff, &format!("(i32.store offset=4 (local.get $a) (i32.const {delay_ms}))"))
    }

    /// A plugin whose whole function `decide` is these instructions: its parameters are `$settings`,
    /// `$settings_length`, `$questions` and `$count`, its result the address of a `result<list<answer>, string>`.
    #[must_use]
    pub fn whole(decides: Decides, body: &str) -> Self {
        let mut guest = Self::new(decides, "");
        guest.decides = vec![(decides, Decide::Whole(body.to_owned()))];
        guest
    }

    /// The plugin, and another decision by these instructions for each question.
    #[must_use]
    pub fn and(mut self, decides: Decides, each: &str) -> Self {
        self.decides.push((decides, Decide::Each(each.to_owned())));
        self
    }

    /// The plugin, wanting a fact with each question of a decision.
    #[must_use]
    pub fn wanting(mut self, decision: &str, fact: &str) -> Self {
        self.wants.push((decision.to_owned(), fact.to_owned()));
        self
    }

    /// The plugin with these instructions as its function `validate-settings`: parameters `$decision`,
    /// `$decision_length`, `$settings` and `$settings_length`, result the address of a `result<_, string>`.
    #[must_use]
    pub fn validating(mut self, body: &str) -> Self {
        self.validate = Some(body.to_owned());
        self
    }

    /// The plugin with these instructions as its function `describe`, whose result is the address of a description.
    #[must_use]
    pub fn describing(mut self, body: &str) -> Self {
        self.describe = Some(body.to_owned());
        self
    }

    /// The plugin with these fields of its module besides, such as data, globals or functions.
    #[must_use]
    pub fn with(mut self, fields: &str) -> Self {
        self.extra.push_str(fields);
        self
    }

    /// The plugin with these instructions run when it is instantiated.
    #[must_use]
    pub fn starting(mut self, body: &str) -> Self {
        body.clone_into(&mut self.start);
        self
    }

    /// The plugin with more imports in its world, as WIT, and as fields of the module.
    #[must_use]
    pub fn importing(mut self, wit: &str, fields: &str) -> Self {
        wit.clone_into(&mut self.imports);
        self.extra.push_str(fields);
        self
    }

    /// The plugin with at first so many pages of memory, of 64 KiB each.
    #[must_use]
    pub fn with_pages(mut self, pages: usize) -> Self {
        self.pages = pages;
        self
    }

    /// Puts a text into the plugin's memory; gives its address and length.
    pub fn text(&mut self, text: &str) -> (usize, usize) {
        let at = TEXTS + self.texts.len();
        self.texts.extend(text.bytes());
        assert!(TEXTS + self.texts.len() < HEAP, "the texts of a guest must end below its heap");
        (at, text.len())
    }

    /// Instructions that log `message`.
    pub fn log(&mut self, level: u32, message: &str) -> String {
        let (at, length) = self.text(message);
        format!("(call $log (i32.const {level}) (i32.const {at}) (i32.const {length}))")
    }

    /// Instructions that write a `string` at `$a` + `offset`.
    pub fn store_text(&mut self, offset: usize, text: &str) -> String {
        let (at, length) = self.text(text);
        format!(
            "(i32.store offset={offset} (local.get $a) (i32.const {at}))
             (i32.store offset={} (local.get $a) (i32.const {length}))",
            offset + 4
        )
    }

    /// The plugin with other instructions for each question of its first decision.
    #[must_use]
    pub fn answering(mut self, each: &str) -> Self {
        if let Some((_, decide)) = self.decides.first_mut() {
            *decide = Decide::Each(each.to_owned());
        }
        self
    }

    /// The component.
    ///
    /// # Panics
    /// Where the instructions are none, or the result is no valid component.
    #[must_use]
    pub fn component(mut self) -> Vec<u8> {
        let module = self.module();
        let mut module = wat::parse_str(&module).unwrap_or_else(|error| panic!("{error}\n{module}"));
        let mut resolve = Resolve::default();
        let wit = workspace().join("wit");
        resolve.push_path(wit.join("plugin")).expect("wit/plugin");
        for decision in ["backoff", "schedule", "missed-runs", "rollout", "admission"] {
            resolve.push_path(wit.join("policy").join(decision).join("0.1.0")).expect("wit/policy");
        }
        let exports: String = self
            .decides
            .iter()
            .map(|(decides, _)| format!("export windlass:{}/policy@0.1.0;\n", decides.word()))
            .collect();
        let world = format!(
            "package windlass:guest;
             world guest {{
                 import windlass:plugin/log@0.1.0;
                 {}
                 export windlass:plugin/meta@0.1.0;
                 {exports}
             }}",
            self.imports
        );
        let package = resolve.push_str("guest.wit", &world).expect("a world");
        let world = resolve.select_world(&[package], Some("guest")).expect("a world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
        let encoder =
            ComponentEncoder::default().validate(true).module(&module).map(|encoder| encoder.encode());
        encoder.expect("a module").unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The core module in its text form.
    fn module(&mut self) -> String {
        let describe = self.describe.clone().unwrap_or_else(|| self.default_description());
        let validate = self.validate.clone().unwrap_or_else(|| "(i32.const 64)".to_owned());
        let decides: String = self.decides.iter().map(|(decides, body)| decide(*decides, body)).collect();
        let texts: String = self.texts.iter().map(|byte| format!("\\{byte:02x}")).collect();
        format!(
            r#"(module
            (import "windlass:plugin/log@0.1.0" "log" (func $log (param i32 i32 i32)))
            (memory (export "memory") {pages})
            (global $next (mut i32) (i32.const {HEAP}))
            (data (i32.const {TEXTS}) "{texts}")
            ;; Hands out memory upwards and takes nothing back: the instance lives for one call.
            (func $reserve (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and
                    (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
                    (i32.sub (i32.const 0) (local.get $align))))
                (global.set $next (i32.add (local.get $at) (local.get $size)))
                (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const {PAGE})))
                    (then (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1)
                        (i32.div_u (local.get $size) (i32.const {PAGE}))))) (then unreachable))))
                (local.get $at))
            (func $start {start})
            (start $start)
            (func (export "windlass:plugin/meta@0.1.0#describe") (result i32) {describe})
            (func (export "windlass:plugin/meta@0.1.0#validate-settings")
                (param $decision i32) (param $decision_length i32) (param $settings i32) (param $settings_length i32)
                (result i32) {validate})
            {decides}
            {extra})"#,
            pages = self.pages,
            start = self.start,
            extra = self.extra,
        )
    }

    /// Instructions for a description with the facts that are wanted.
    fn default_description(&mut self) -> String {
        let mut fields: Vec<(usize, usize)> =
            ["guest", "1.0.0", ""].into_iter().map(|text| self.text(text)).collect();
        let wants = self.wants.clone();
        let pairs: Vec<[(usize, usize); 2]> =
            wants.iter().map(|(decision, fact)| [self.text(decision), self.text(fact)]).collect();
        // A list of pairs of strings, aligned.
        while !self.texts.len().is_multiple_of(4) {
            self.texts.push(0);
        }
        let at = TEXTS + self.texts.len();
        for number in pairs.iter().flatten().flat_map(|(at, length)| [*at, *length]) {
            self.texts.extend(u32::try_from(number).expect("a small number").to_le_bytes());
        }
        fields.extend([(at, pairs.len()), (at, 0)]);
        let stores: String = fields
            .iter()
            .flat_map(|(at, length)| [*at, *length])
            .enumerate()
            .map(|(position, number)| {
                format!("(i32.store offset={} (i32.const 128) (i32.const {number}))", position * 4)
            })
            .collect();
        format!("{stores} (i32.const 128)")
    }
}

/// The function `decide` of a decision.
fn decide(decides: Decides, body: &Decide) -> String {
    let word = decides.word();
    let head = format!(
        r#"(func (export "windlass:{word}/policy@0.1.0#decide")
            (param $settings i32) (param $settings_length i32) (param $questions i32) (param $count i32)
            (result i32)"#
    );
    let each = match body {
        Decide::Whole(body) => return format!("{head} {body})"),
        Decide::Each(each) => each,
    };
    format!(
        "(func $each_{word} (param $q i32) (param $a i32) {each})
        {head} (local $answers i32) (local $position i32)
            (local.set $answers (call $reserve (i32.const 0) (i32.const 0) (i32.const 4)
                (i32.mul (local.get $count) (i32.const {answer}))))
            (block $done (loop $next_question
                (br_if $done (i32.ge_u (local.get $position) (local.get $count)))
                (call $each_{word}
                    (i32.add (local.get $questions) (i32.mul (local.get $position) (i32.const {question})))
                    (i32.add (local.get $answers) (i32.mul (local.get $position) (i32.const {answer}))))
                (local.set $position (i32.add (local.get $position) (i32.const 1)))
                (br $next_question)))
            (i32.store offset=4 (i32.const 96) (local.get $answers))
            (i32.store offset=8 (i32.const 96) (local.get $count))
            (i32.const 96))",
        answer = decides.answer_bytes(),
        question = decides.question_bytes(),
    )
}
