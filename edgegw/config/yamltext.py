"""Values written as YAML that reads back as the same value, here and in readers of YAML 1.1."""

import re
from collections.abc import Mapping, Sequence

from edgegw.config.scalars import core_type

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+=@%-]*(?: [A-Za-z0-9_./+=@%-]+)*")
_WORDS_OF_1_1 = {"y", "yes", "n", "no", "on", "off", "true", "false", "null"}
_ODD = re.compile(r"[0-9][0-9_.:eExXoO+-]*|[0-9]{4}-.*|\.[0-9].*|=")


def scalar(value: object) -> str:
    """One value on one line. Lists and maps come out in the flow form."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key_text(str(key))}: {scalar(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(scalar(each) for each in value) + "]"
    return str(value)


def key_text(key: str) -> str:
    """A key, in quotes where it needs them."""
    return key if _PLAIN.fullmatch(key) else _in_quotes(key)


def _text(text: str) -> str:
    # What would be put in from elsewhere when read again is escaped.
    text = text.replace("${", "$${")
    if text.startswith("file:"):
        text = f"$${text}"
    odd = _ODD.fullmatch(text) or text.lower() in _WORDS_OF_1_1 or not isinstance(_core(text), str)
    return text if _PLAIN.fullmatch(text) and not odd else _in_quotes(text)


def _core(text: str) -> object:
    try:
        return core_type(text)
    except ValueError:
        return None


def _in_quotes(text: str) -> str:
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char == "\n":
        return "\\n"
    if char.isprintable() and char != "\ufeff":
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
