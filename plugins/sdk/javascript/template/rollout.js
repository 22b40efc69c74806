// __NAME__: updates one node at a time, and none while a Pod is not available.
import { answers, readSettings, schemaOf } from "./windlass.js";

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
  const waited = question.nodes.find((node) => !node.available);
  if (waited) {
    return { tag: "pause", val: { reason: `${waited.name} is not available`, askAgainMs: settings.askAgainMs } };
  }
  const next = question.nodes.findIndex((node) => node.state === "old");
  return { tag: "update", val: { nodes: next < 0 ? [] : [next] } };
}
