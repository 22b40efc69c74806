// What plugins in JavaScript share. A plugin has no clock, no randomness and no memory: every call is its first.
import { log as record } from "windlass:plugin/log@0.1.0";

/** Messages for people, in the host's log: `log.information("...")`. There is no console. */
export const log = {
  error: (message) => record(0, message),
  warning: (message) => record(1, message),
  information: (message) => record(2, message),
  detail: (message) => record(3, message),
};

/**
 * One answer a question, in their order. Of a mistake in `answer` the log says where it is, and the host what it is.
 *
 * componentize-qjs 0.4 gives numbers of 2^31 and more, such as seeds and instants after January 2038, as negative
 * ones, and takes them so; here every number that the contract calls u32 is one, and has to be one.
 */
export function answers(questions, answer) {
  try {
    return questions.map((question) => carried("answer", answer(unsigned("question", question))));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    log.error(`${error.name}: ${error.message}\n${error.stack}`);
    throw `${error.name}: ${error.message}`;
  }
}

function unsigned(name, value) {
  // The only number with a sign.
  if (name === "exitCode") return value;
  if (typeof value === "number") return value >>> 0;
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value, (item) => unsigned("item", item));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unsigned(key, item)]));
}

function carried(name, value) {
  if (name === "answer" && typeof value?.tag !== "string") {
    throw new TypeError(`an answer is { tag, val }, and this is ${JSON.stringify(value)}`);
  }
  if (typeof value === "number") {
    if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value | 0;
    throw new RangeError(`${name} is a whole number from 0 to 4294967295, and this is ${value}`);
  }
  if (Array.isArray(value)) return value.map((item) => carried(name, item));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, carried(key, item)]));
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

/** Longest delay of a retry that the host takes, milliseconds: a day. An answer past it is a fault of the plugin. */
export const MAX_DELAY_MS = 86_400_000;
/** Shortest wait until it asks again that the host takes, milliseconds. */
export const MIN_ASK_AGAIN_MS = 1_000;
/** Longest one, milliseconds: a day. */
export const MAX_ASK_AGAIN_MS = 86_400_000;

/** The wait nearest to `waitMs` that the host takes. A plugin that is asked too early says to wait once more. */
export function askAgain(waitMs) {
  return Math.min(Math.max(waitMs, MIN_ASK_AGAIN_MS), MAX_ASK_AGAIN_MS);
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
  if (kindOf(given) !== "object") throw "settings: not a map";
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaults, name)) throw `settings: there is no ${name}, only ${Object.keys(defaults).join(", ")}`;
    const kind = kindOf(defaults[name]);
    if (kind === "number" ? typeof value !== kind : kindOf(value) !== kind) throw `settings: ${name} is no ${kind}`;
  }
  return { ...defaults, ...given };
}

/** A JSON schema of settings with these defaults. */
export function schemaOf(defaults) {
  const properties = {};
  for (const [name, value] of Object.entries(defaults)) {
    const kind = kindOf(value);
    const type = kind === WHOLE ? { type: "integer", minimum: 0 } : { type: kind };
    properties[name] = { ...type, default: value };
  }
  return JSON.stringify({ type: "object", additionalProperties: false, properties });
}

// What a setting has to be whose default is 0 or 10000; after one of -1 or 0.5, any number will do.
const WHOLE = "whole number of at least 0";

function kindOf(value) {
  if (Array.isArray(value)) return "array";
  if (value === null) return "null";
  return Number.isInteger(value) && value >= 0 ? WHOLE : typeof value;
}

/** The value of a fact, or of a node's label; undefined where there is none. */
export function valueOf(pairs, key) {
  return pairs.find(([name]) => name === key)?.[1];
}
