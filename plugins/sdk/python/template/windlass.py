"""What plugins in Python share. A plugin has no clock, no randomness and no memory: every call is its first."""

import json

from componentize_py_types import Err
from wit_world.imports.log import log as _record

_MASK = 0xFFFFFFFF


class log:
    """Messages for people, in the host's log: `log.information("...")`. There is no standard output to print to."""

    @staticmethod
    def error(message: str) -> None:
        _record(0, message)

    @staticmethod
    def warning(message: str) -> None:
        _record(1, message)

    @staticmethod
    def information(message: str) -> None:
        _record(2, message)

    @staticmethod
    def detail(message: str) -> None:
        _record(3, message)


def answers(questions: list, answer) -> list:
    """One answer a question, in their order. Of a mistake in `answer` the log says where it is, and the host what."""
    try:
        return [_checked(answer(question)) for question in questions]
    except Err:
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        log.error(told + _places(error.__traceback__))
        raise Err(told)


def _checked(answer):
    if not type(answer).__name__.startswith("Answer_"):
        raise TypeError(f"an answer is one of the classes Answer_..., and this is {answer!r}")
    return answer


def _places(traceback) -> str:
    """Where a traceback has been; the module of that name would look for files, and there are none."""
    places = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places += f"\n  {code.co_filename}:{traceback.tb_lineno}, in {code.co_name}"
        traceback = traceback.tb_next
    return places


class Jitter:
    """Numbers that look random and are the same for the same question, from its seed.

    Weyl's sequence through the finalizer of MurmurHash3, as in the SDK for Rust.
    """

    def __init__(self, seed: int):
        self._state = seed

    def next(self) -> int:
        self._state = (self._state + 0x9E3779B9) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 16)) * 0x85EBCA6B) & _MASK
        mixed = ((mixed ^ (mixed >> 13)) * 0xC2B2AE35) & _MASK
        return mixed ^ (mixed >> 16)

    def between(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return low + (self.next() * (max(high - low, 0) + 1) >> 32)


# Longest delay of a retry that the host takes, milliseconds: a day. An answer past it is a fault of the plugin.
MAX_DELAY_MS = 86_400_000
# Shortest wait until it asks again that the host takes, milliseconds.
MIN_ASK_AGAIN_MS = 1_000
# Longest one, milliseconds: a day.
MAX_ASK_AGAIN_MS = 86_400_000


def ask_again(wait_ms: int) -> int:
    """The wait nearest to `wait_ms` that the host takes. A plugin that is asked too early says to wait once more."""
    return min(max(wait_ms, MIN_ASK_AGAIN_MS), MAX_ASK_AGAIN_MS)


def read_settings(text: str, defaults: dict) -> dict:
    """The settings in a JSON text, and the default of each that it leaves out; raises what to mend."""
    try:
        given = json.loads(text) if text else {}
    except ValueError as error:
        raise Err(f"settings: {error}")
    if not isinstance(given, dict):
        raise Err("settings: not a map")
    for name, value in given.items():
        if name not in defaults:
            raise Err(f"settings: there is no {name}, only {', '.join(defaults)}")
        default = defaults[name]
        # A bool is no number here, though Python has it so; and a whole number will do for any other.
        if type(value) is not type(default) and (type(value), type(default)) != (int, float):
            raise Err(f"settings: {name} is no {_TYPES[type(default)]}")
        if _is_count(default) and value < 0:
            raise Err(f"settings: {name} is below 0")
    return {**defaults, **given}


def schema_of(defaults: dict) -> str:
    """A JSON schema of settings with these defaults."""
    properties = {}
    for name, value in defaults.items():
        minimum = {"minimum": 0} if _is_count(value) else {}
        properties[name] = {"type": _TYPES[type(value)], **minimum, "default": value}
    return json.dumps({"type": "object", "additionalProperties": False, "properties": properties})


# What JSON schemas call the types that a setting may have.
_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", list: "array", dict: "object"}


def _is_count(default) -> bool:
    """Whether a setting with this default has to be a whole number of at least 0."""
    return type(default) is int and default >= 0


def value_of(pairs, key: str):
    """The value of a fact, or of a node's label; None where there is none."""
    return dict(pairs).get(key)
