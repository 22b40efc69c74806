// __NAME__: makes the latest of the runs that were missed.
import { answers, readSettings, schemaOf } from "./windlass.js";

const defaults = { atMost: 3 };

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
  const positions = Array.from(question.missedS, (_, position) => position);
  return { tag: "run", val: positions.slice(Math.max(positions.length - settings.atMost, 0)) };
}
