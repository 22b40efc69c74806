//! What a call may use, and the state of one call.

use wasmtime::ResourceLimiter;

use crate::plugin::LogLine;

/// Most bytes that a plugin may hand over in one call.
pub(super) const HOSTCALL_BYTES: usize = 256 << 10;
/// Most elements of a table: a plugin in Python has some ten thousands.
pub(super) const TABLE_ELEMENTS: usize = 100_000;
/// Most lines of the log of one call; what a plugin says beyond them is dropped.
const LOG_LINES: usize = 64;
/// Most bytes of the log of one call.
const LOG_BYTES: usize = 16 << 10;
/// Largest level of a line that is kept.
const MOST_DETAILED: u32 = 3;

/// State of one call.
pub(super) struct CallState {
    /// What it has of memory.
    pub(super) memory: MemoryLimit,
    /// What the plugin said.
    pub(super) log: Vec<LogLine>,
    log_bytes: usize,
}

/// Refuses memory past a limit, and remembers how much was wanted.
pub(super) struct MemoryLimit {
    most_bytes: usize,
    in_use_bytes: usize,
    peak_bytes: usize,
    refused_bytes: Option<usize>,
}

impl CallState {
    pub(super) fn new(memory_bytes: usize) -> Self {
        let memory =
            MemoryLimit { most_bytes: memory_bytes, in_use_bytes: 0, peak_bytes: 0, refused_bytes: None };
        Self { memory, log: Vec::new(), log_bytes: 0 }
    }

    /// Keeps a line of the log, as far as there is room.
    pub(super) fn say(&mut self, level: u32, message: &str) {
        let room = LOG_BYTES.saturating_sub(self.log_bytes);
        if level > MOST_DETAILED || self.log.len() >= LOG_LINES || room == 0 {
            return;
        }
        let message = message.get(..message.floor_char_boundary(room)).unwrap_or_default();
        self.log_bytes += message.len().max(1);
        self.log.push(LogLine { level, message: message.to_owned() });
    }
}

impl MemoryLimit {
    /// Size that the plugin wanted and did not get, if there was one.
    pub(super) fn refused_bytes(&self) -> Option<usize> {
        self.refused_bytes
    }

    /// Most bytes that it had, all its memories together.
    pub(super) fn peak_bytes(&self) -> usize {
        self.peak_bytes
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // All memories of a component share what one may have.
        let in_use = self.in_use_bytes.saturating_sub(current).saturating_add(desired);
        if in_use > self.most_bytes {
            self.refused_bytes = Some(in_use);
            return Ok(false);
        }
        self.in_use_bytes = in_use;
        self.peak_bytes = self.peak_bytes.max(in_use);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_of_a_plugin_share_one_limit() {
        let mut memory = CallState::new(100).memory;
        assert!(memory.memory_growing(0, 60, None).expect("an answer"));
        assert!(memory.memory_growing(0, 40, None).expect("an answer"));
        assert!(!memory.memory_growing(40, 41, None).expect("an answer"));
        assert_eq!((memory.peak_bytes(), memory.refused_bytes()), (100, Some(101)));
    }

    #[test]
    fn a_log_ends_at_its_limit_between_characters() {
        let mut state = CallState::new(0);
        state.say(4, "too detailed");
        state.say(3, &"é".repeat(LOG_BYTES));
        state.say(0, "no room");
        assert_eq!(state.log.len(), 1);
        assert_eq!(state.log[0].message.len(), LOG_BYTES);
        let mut state = CallState::new(0);
        for _ in 0..1_000 {
            state.say(2, "");
        }
        assert_eq!(state.log.len(), LOG_LINES);
    }
}
