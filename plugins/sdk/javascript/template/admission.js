// __NAME__: lets so many Jobs of a queue run at once.
import { answers, readSettings, schemaOf } from "./windlass.js";

const defaults = { jobs: 10 };

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
  const { running } = question.inQueue;
  if (running < settings.jobs) return { tag: "start" };
  const reason = `queue ${JSON.stringify(question.queue)} runs ${running} of ${settings.jobs} Jobs`;
  return { tag: "hold", val: { reason, askAgainMs: 5000 } };
}
