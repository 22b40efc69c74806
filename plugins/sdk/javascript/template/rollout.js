// __NAME__: updates broken nodes first, then one at a time, and none while a Pod is not available.
import { answers, askAgain, readSettings, schemaOf } from "./windlass.js";

const defaults = { askAgainMs: 30000 };

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

function answer(settings, question) {
  const { nodes } = question;
  const old = [...nodes.keys()].filter((position) => nodes[position].state === "old");
  // What a bad release has broken makes way for the next one, or the rollout would wait for it for ever.
  const broken = old.filter((position) => !nodes[position].available);
  if (broken.length > 0) return { tag: "update", val: { nodes: broken } };
  const waited = nodes.find((node) => !node.available);
  if (waited) {
    const askAgainMs = askAgain(settings.askAgainMs);
    return { tag: "pause", val: { reason: `${waited.name} is not available`, askAgainMs } };
  }
  return { tag: "update", val: { nodes: old.slice(0, 1) } };
}
