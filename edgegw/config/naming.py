"""What people call the things in lists: a route by its name or match, a listener by its port."""

from collections.abc import Mapping

from pydantic import BaseModel

NAMING_KEYS = ("name", "match", "use", "url", "upstream", "unix", "systemd", "port")
_SINGULAR = {"listen": "listener", "proxies": "proxy"}


def name_of(item: object) -> str | None:
    """The name of a list item (plain data or settings): its `name`, `match`, `url` ...; None when it has none."""
    if isinstance(item, str):
        return item
    for key in NAMING_KEYS:
        value = _get(item, key)
        if key == "match" and isinstance(value, (Mapping, BaseModel)):
            return _match_text(value)
        if key == "port":
            return str(value) if type(value) is int else None
        if isinstance(value, str) and value:
            return value
    return None


def _get(item: object, key: str) -> object:
    if isinstance(item, Mapping):
        return item.get(key)
    return getattr(item, key, None) if isinstance(item, BaseModel) else None


def _match_text(match: object) -> str:
    """A match in its short form."""
    methods = _get(match, "methods")
    words = "|".join(str(each) for each in methods) if isinstance(methods, (list, tuple)) else str(methods or "")
    return f"{words} {_get(match, 'host') or ''}{_get(match, 'path') or ''}".strip()


def singular(key: str) -> str:
    """`routes` -> `route`, `listen` -> `listener`."""
    return _SINGULAR.get(key, key[:-1] if key.endswith("s") and not key.endswith("ss") else key)
