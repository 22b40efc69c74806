//! Short names: ranges such as `n-[1-5]`, `@2` for a revision that the controller named, `new` for a hash.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use windlass_core::daemon_set::revision;
use windlass_core::kube::Str;

/// Longest range that a line may name.
const MAX_RANGE: u32 = 20_000;
/// Shortest run of numbers that is printed as a range.
const MIN_RUN: usize = 3;

/// How hashes and revisions are called.
pub(super) struct Naming {
    /// Name of the set.
    pub(super) set: Str,
    /// The hash that a new revision for the template would get.
    pub(super) new: Str,
    /// Revisions with the name that the controller gives, and the number that they had first.
    pub(super) made: BTreeMap<Str, i64>,
}

impl Naming {
    /// The name that a new revision for the template would get.
    pub(super) fn new_name(&self) -> Str {
        revision::name(&self.set, &self.new)
    }

    /// `@2` for the revision that the controller made as the second, `@` for one that has the name which a new one
    /// would get, else the name.
    pub(super) fn revision(&self, name: &str) -> String {
        match self.made.get(name) {
            Some(number) => format!("@{number}"),
            None if name == &*self.new_name() => "@".to_owned(),
            None => name.to_owned(),
        }
    }

    /// `new` for the hash that a new revision for the template would get, `@2` for that of the revision `@2`.
    pub(super) fn hash(&self, hash: &str) -> String {
        let made = self.made.get(&revision::name(&self.set, hash));
        match made {
            _ if hash == &*self.new => "new".to_owned(),
            Some(number) => format!("@{number}"),
            None => hash.to_owned(),
        }
    }

    /// The revision's name for which `text` stands.
    pub(super) fn revision_name(&self, text: &str) -> Result<Str> {
        match text.strip_prefix('@') {
            None => Ok(text.into()),
            Some("") => Ok(self.new_name()),
            Some(number) => {
                let number: i64 = number.parse()?;
                let found = self.made.iter().find(|(_, one)| **one == number);
                found.map(|(name, _)| name.clone()).with_context(|| format!("there is no revision {text}"))
            }
        }
    }

    /// The hash in the name of the revision `text`.
    pub(super) fn revision_hash(&self, text: &str) -> Result<Str> {
        let name = self.revision_name(text)?;
        let hash = name.strip_prefix(&*self.set).and_then(|rest| rest.strip_prefix('-'));
        hash.map(Str::from).with_context(|| format!("{name} has no hash"))
    }
}

/// `a,b-[1-3]` as `a`, `b-1`, `b-2`, `b-3`; the numbers of `[01-10]` all have two digits.
pub(super) fn expand(text: &str) -> Result<Vec<Str>> {
    let mut names = Vec::new();
    for part in text.split(',') {
        let Some((head, rest)) = part.split_once('[') else {
            ensure!(!part.is_empty(), "a name is empty in `{text}`");
            names.push(part.into());
            continue;
        };
        let (range, tail) = rest.split_once(']').context("a range ends with ]")?;
        let (first, last) = range.split_once('-').context("a range is FIRST-LAST")?;
        let width = if first.starts_with('0') { first.len() } else { 0 };
        let (first, last): (u32, u32) = (first.parse()?, last.parse()?);
        ensure!(first <= last && last - first < MAX_RANGE, "`{range}` is no range");
        names.extend((first..=last).map(|number| format!("{head}{number:0width$}{tail}").into()));
    }
    Ok(names)
}

/// The opposite of [`expand`]: runs of numbers become ranges.
pub(super) fn fold(names: &[String]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = names;
    while let Some(first) = rest.first() {
        let run = run_length(rest);
        match rest.get(run - 1) {
            Some(last) if run >= MIN_RUN => {
                let (head, from) = split_number(first);
                parts.push(format!("{head}[{from}-{}]", split_number(last).1));
                rest = &rest[run..];
            }
            _ => {
                parts.push(first.clone());
                rest = &rest[1..];
            }
        }
    }
    parts.join(",")
}

/// How many names from the first on count up by one, written alike.
fn run_length(names: &[String]) -> usize {
    let follows = |pair: &[String]| {
        let ((one, from), (other, to)) = (split_number(&pair[0]), split_number(&pair[1]));
        let width = if from.starts_with('0') { from.len() } else { 0 };
        let next = from.parse::<u32>().ok().and_then(|number| number.checked_add(1));
        one == other && next.is_some_and(|next| format!("{next:0width$}") == to)
    };
    1 + names.windows(2).take_while(|pair| follows(pair)).count()
}

/// A name, and the digits at its end.
fn split_number(name: &str) -> (&str, &str) {
    let head = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (head, &name[head.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_they_are_written() {
        for text in
            ["a", "n-[1-3]", "n-[08-12],b", "n-1,n-2,n-4", "n-[9-11],n-13", "n-01,n-2", "b.n-[1-3],a.n-[1-3]"]
        {
            let names: Vec<String> = expand(text).unwrap().iter().map(|name| name.to_string()).collect();
            assert_eq!(fold(&names), text);
        }
        assert!(expand("n-[3-1]").is_err() && expand("n-[1").is_err() && expand("a,").is_err());
    }
}
