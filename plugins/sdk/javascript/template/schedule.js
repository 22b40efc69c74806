// __NAME__: fires once an hour.
import { answers, readSettings, schemaOf } from "./windlass.js";

const defaults = { minute: 30 };

export const meta = {
  describe() {
    return { name: "__NAME__", version: "0.1.0", settingsSchema: schemaOf(defaults), wants: [], extra: [] };
  },

  // Called when the settings are bound; what is thrown says what to mend.
  validateSettings(decision, settings) {
    const { minute } = readSettings(settings, defaults);
    if (minute > 59) throw "settings: minute is from 0 to 59";
  },
};

export const policy = {
  // One answer a question, in their order. What is thrown means that there is no answer, and says why.
  decide(settings, questions) {
    const bound = readSettings(settings, defaults);
    return answers(questions, (question) => answer(bound, question));
  },
};

// Seconds of an hour.
const HOUR_S = 3600;

function answer(settings, question) {
  const offsetS = settings.minute * 60;
  const { afterS, untilS, limit, latest } = question;
  // The numbers of the first and of the last hour whose instant is in the window.
  const first = Math.floor((afterS - offsetS) / HOUR_S) + 1;
  const last = Math.floor((untilS - offsetS) / HOUR_S);
  const count = Math.max(last - first + 1, 0);
  const kept = Math.min(count, limit);
  const start = latest ? last - kept + 1 : first;
  const atS = Array.from({ length: kept }, (_, n) => (start + n) * HOUR_S + offsetS);
  return { tag: "fires", val: { atS, more: count > kept } };
}
