// __NAME__: doubles the delay after each failure, with jitter.
import { answers, jitter, log, readSettings, schemaOf } from "./windlass.js";

const defaults = { baseMs: 10000 };

export const meta = {
  describe() {
    return { name: "__NAME__", version: "0.1.0", settingsSchema: schemaOf(defaults), wants: [], extra: [] };
  },

  // Called when the settings are bound; what is thrown says what to mend.
  validateSettings(decision, settings) {
    readSettings(settings, defaults);
  },
};

export const policy = {
  // One answer a question, in their order. What is thrown means that there is no answer, and says why.
  decide(settings, questions) {
    const bound = readSettings(settings, defaults);
    return answers(questions, (question) => answer(bound, question));
  },
};

// Longest delay, milliseconds.
const MAX_MS = 600000;

function answer(settings, question) {
  if (question.exitCode === 2) return { tag: "stop", val: "exit code 2 means wrong usage" };
  const doubled = settings.baseMs * 2 ** Math.min(Math.max(question.failures, 1) - 1, 20);
  const longestMs = Math.min(doubled, MAX_MS);
  const delayMs = jitter(question.seed).between(Math.floor(longestMs / 2), longestMs);
  log.detail(`failure ${question.failures}: ${delayMs} ms of ${longestMs}`);
  return { tag: "retry-after-ms", val: delayMs };
}
