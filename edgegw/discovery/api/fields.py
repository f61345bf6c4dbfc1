"""Reads objects that nobody has checked: every field is what it must be, or `Malformed` says where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LIST_MAX = 5000
_TEXT_MAX = 65536


class Malformed(Exception):
    """An object that the API does not define. The message says which field."""


def mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A map; an empty one if it is not there."""
    found = data.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Malformed(f"{key} is not a map")
    return found


def listed(data: Mapping[str, Any], key: str) -> list[Any]:
    """A list; an empty one if it is not there."""
    found = data.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > _LIST_MAX:
        raise Malformed(f"{key} is not a list of at most {_LIST_MAX}")
    return found


def maps(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """A list of maps."""
    found = listed(data, key)
    if not all(isinstance(each, dict) for each in found):
        raise Malformed(f"{key} is not a list of maps")
    return found


def text(data: Mapping[str, Any], key: str) -> str:
    """A text; an empty one if it is not there."""
    found = data.get(key)
    if found is None:
        return ""
    if not isinstance(found, str) or len(found) > _TEXT_MAX:
        raise Malformed(f"{key} is not a text")
    return found


def texts(data: Mapping[str, Any], key: str) -> dict[str, str]:
    """A map of texts (labels, annotations)."""
    found = mapping(data, key)
    if not all(isinstance(each, str) for each in found.values()):
        raise Malformed(f"{key} is not a map of texts")
    return dict(found)


def flag(data: Mapping[str, Any], key: str) -> bool | None:
    """true, false, or None if nothing is said."""
    found = data.get(key)
    if found is not None and not isinstance(found, bool):
        raise Malformed(f"{key} is neither true nor false")
    return found


def port_number(data: Mapping[str, Any], key: str) -> int | None:
    """A port, or None if nothing is said."""
    found = data.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found < 65536:
        raise Malformed(f"{key} is not a port")
    return found
