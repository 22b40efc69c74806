// What plugins in JavaScript share. A plugin has no clock, no randomness and no memory: every call is its first.

/**
 * The questions, with every number that the contract calls u32 as one: componentize-qjs 0.4 gives those of 2^31 and
 * more, such as seeds and instants after January 2038, as negative numbers.
 */
export function readQuestions(questions) {
  return questions.map((question) => unsigned("question", question));
}

function unsigned(name, value) {
  // The only number with a sign.
  if (name === "exitCode") return value;
  if (typeof value === "number") return value >>> 0;
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value, (item) => unsigned("item", item));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unsigned(key, item)]));
}

/** `number` as an answer has to carry it where it may be 2^31 or more, for the same reason. */
export function u32(number) {
  return number | 0;
}

/**
 * Numbers that look random and are the same for the same question, from its seed.
 *
 * Weyl's sequence through the finalizer of MurmurHash3, as in the SDK for Rust.
 */
export function jitter(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0;
    return (mixed ^ (mixed >>> 16)) >>> 0;
  };
  /** A number from `low` to `high`, both included. */
  const between = (low, high) => low + Math.floor((next() * (Math.max(high - low, 0) + 1)) / 2 ** 32);
  return { next, between };
}

/** The settings in a JSON text, and the default of each that it leaves out; throws what to mend. */
export function readSettings(text, defaults) {
  let given = {};
  if (text !== "") {
    try {
      given = JSON.parse(text);
    } catch (error) {
      throw `settings: ${error.message}`;
    }
  }
  for (const [name, value] of Object.entries(given)) {
    if (!(name in defaults)) throw `settings: there is no ${name}, only ${Object.keys(defaults).join(", ")}`;
    if (typeof value !== typeof defaults[name]) throw `settings: ${name} is no ${typeof defaults[name]}`;
  }
  return { ...defaults, ...given };
}

/** A JSON schema of settings with these defaults. */
export function schemaOf(defaults) {
  const properties = {};
  for (const [name, value] of Object.entries(defaults)) properties[name] = { type: typeof value, default: value };
  return JSON.stringify({ type: "object", additionalProperties: false, properties });
}

/** The value of a fact, or of a node's label; undefined where there is none. */
export function valueOf(pairs, key) {
  return pairs.find(([name]) => name === key)?.[1];
}
