"""What plugins in Python share. A plugin has no clock, no randomness and no memory: every call is its first."""

import json

from componentize_py_types import Err

_MASK = 0xFFFFFFFF


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
        if type(value) is not type(defaults[name]):
            raise Err(f"settings: {name} is no {type(defaults[name]).__name__}")
    return {**defaults, **given}


def schema_of(defaults: dict) -> str:
    """A JSON schema of settings with these defaults."""
    types = {int: "integer", str: "string", bool: "boolean", list: "array", dict: "object"}
    properties = {name: {"type": types[type(value)], "default": value} for name, value in defaults.items()}
    return json.dumps({"type": "object", "additionalProperties": False, "properties": properties})


def value_of(pairs, key: str):
    """The value of a fact, or of a node's label; None where there is none."""
    return dict(pairs).get(key)
