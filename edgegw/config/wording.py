"""pydantic's errors in our words: what is wrong, what would be right, and the thing it is wrong with by its name."""

from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from edgegw.config.keys import Keys, Node
from edgegw.config.mask import Mask
from edgegw.config.naming import NAMING_KEYS, name_of, singular
from edgegw.config.problems import Loc, dotted, kind_of, quoted
from edgegw.config.schema import as_written
from edgegw.config.source import at

SHAPE = "edgegw_shape"
"""The type of our own errors that say a value is of the wrong kind; `ctx` has `expected` and `kind`."""

_EXPECTED = {
    "string_type": "text",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"), "a map"),
    "none_required": "empty",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "must be more than {}"),
    "greater_than_equal": ("ge", "must be {} or more"),
    "less_than": ("lt", "must be less than {}"),
    "less_than_equal": ("le", "must be {} or less"),
    "multiple_of": ("multiple_of", "must be a multiple of {}"),
}
_LENGTHS = {
    "string_too_short": ("min_length", "must have {} character{s} or more"),
    "string_too_long": ("max_length", "must have {} character{s} or less"),
    "too_short": ("min_length", "must have {} item{s} or more"),
    "too_long": ("max_length", "must have {} item{s} or less"),
    "string_pattern_mismatch": ("pattern", "must match {}"),
}


def expected(error: ErrorDetails) -> str | None:
    """What the value should have been, if the error is about its kind: `a list`, `"a" or "b"`."""
    context = error.get("ctx", {})
    if error["type"] == SHAPE:
        return str(context["expected"])
    if error["type"] in ("literal_error", "enum"):
        return choices(str(context["expected"]))
    return _EXPECTED.get(error["type"])


def choices(text: str) -> str:
    """pydantic's `'a', 'b' or 'c'` as `a, b or c`; a single word in quotes. Python's `False` is YAML's `false`."""
    words = text.replace("'", "")
    if words in ("False", "True"):
        return words.lower()
    return words if " " in words else quoted(words)


def predicate(error: ErrorDetails, node: Node | None = None) -> str:
    """What is wrong, to follow the name of the key: `must be a list, not "x"`. node: its schema, for the units of numbers."""
    kind, context = error["type"], error.get("ctx", {})
    right = expected(error)
    if right is not None:
        return f"must be {right}, not {kind_of(error['input'])}"
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        bound, given = (as_written(node or {}, each) for each in (context[name], error["input"]))
        return f"{text.format(bound)}, not {given}"
    if kind in _LENGTHS:
        name, text = _LENGTHS[kind]
        value = context[name]
        return text.format(value, s="" if value == 1 else "s")
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    return error["msg"].replace("Input should be", "must be").replace("Input should", "must")


def advice(error: ErrorDetails) -> str | None:
    """What to write instead, where it can be guessed."""
    value = error["input"]
    if error["type"] == "string_type" and isinstance(value, (int, float)):
        return f'put it in quotes: "{str(value).lower() if isinstance(value, bool) else value}"'
    if error["type"] in ("literal_error", "enum") and isinstance(value, str):
        words = str(error.get("ctx", {})["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        near = get_close_matches(value, words, 1)
        return f"did you mean {quoted(near[0])}?" if near else None
    if error["type"] in ("list_type", "tuple_type") and isinstance(value, (str, int)):
        return f"put it in brackets: [{value}]" if not isinstance(value, bool) else None
    return None


class Names:
    """Says what a loc is in the words of the configuration: `"max" in "pool" of upstream "users"`."""

    def __init__(self, data: Any, keys: Keys, mask: Mask) -> None:
        self._data = data
        self._keys = keys
        self._mask = mask

    def subject(self, loc: Loc) -> str:
        """The thing at `loc` with what it is in; for starting a sentence."""
        if not loc:
            return "the configuration"
        owner = self._owner(loc)
        if owner is not None and len(loc) == 2:
            return owner
        if isinstance(loc[-1], int):
            return f"item {loc[-1] + 1} of {self.subject(loc[:-1])}"
        return f"{quoted(str(loc[-1]))}{self.within(loc[:-1])}"

    def within(self, loc: Loc) -> str:
        """` in "pool" of upstream "users"` for something in the map at `loc`; empty at the top level."""
        if not loc:
            return ""
        owner = self._owner(loc)
        rest = loc[2:] if owner is not None else loc
        if not rest:
            return f" in {owner}"
        last = rest[-1]
        inside = f' in "{dotted(rest)}"' if isinstance(last, str) else f' in item {last + 1} of "{dotted(rest[:-1])}"'
        return f"{inside} of {owner}" if owner is not None else inside

    def _owner(self, loc: Loc) -> str | None:
        """The listed or named thing of the top level that `loc` is in: `route "users"`."""
        if len(loc) < 2 or self._keys.place(loc[:2]).kinds[1] not in ("item", "name"):
            return None
        kind = singular(str(loc[0]))
        if isinstance(loc[1], str):
            return f"{kind} {quoted(loc[1])}"
        name = name_of(at(self._data, loc[:2]))
        if name is None or self._mask.hides_any((*loc[:2], key) for key in NAMING_KEYS):
            return f"{kind} #{loc[1] + 1}"
        return f"{kind} {name}" if name.isdigit() else f"{kind} {quoted(name)}"
