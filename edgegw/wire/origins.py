"""Which web origins are admitted (RFC 6454): an allow-list, compiled."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.\-]*)://(?P<wild>\*{1,2}\.)?(?P<host>[a-z0-9_.\-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
).fullmatch
_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_LABEL = "[a-z0-9_-]+"


def canonical_origin(text: str) -> str:
    """An entry as it is compared: lower case, without a port that says nothing and without a trailing dot.

    Raises:
        ValueError: neither `scheme://host[:port]`, the host perhaps beginning with `*.` or `**.`, nor `null`.
    """
    lower = text.lower()
    if lower == "null":
        return lower
    found = _ORIGIN(lower)
    if found is None:
        raise ValueError(f'"{text}" is not an origin; write https://app.example.com, https://*.example.com or null')
    scheme, port = found["scheme"], found["port"]
    host = (found["wild"] or "") + found["host"].removesuffix(".")
    return f"{scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS.get(scheme) else "")


class Origins:
    """An allow-list. `*.` stands for exactly one label, `**.` for one or more, as in the hosts of routes.

    Args:
        entries: see `canonical_origin`; none admits everything.

    Raises:
        ValueError: for an entry that is not one.
    """

    __slots__ = ("_entries", "_wild")

    def __init__(self, entries: Iterable[str] = ()) -> None:
        known = [canonical_origin(entry) for entry in entries]
        self._entries = frozenset(entry for entry in known if "*" not in entry)
        self._wild = [_compiled(entry) for entry in known if "*" in entry]

    def admits(self, origin: bytes | None) -> bool:
        """Whether a request with this Origin is admitted; one without any is not, where there is a list."""
        if not self._entries and not self._wild:
            return True
        if origin is None:
            return False
        try:
            text = canonical_origin(origin.decode("ascii"))
        except ValueError:
            return False
        return text in self._entries or any(pattern.fullmatch(text) for pattern in self._wild)

    def __bool__(self) -> bool:
        return bool(self._entries or self._wild)

    def __repr__(self) -> str:
        return f"<Origins {len(self._entries) + len(self._wild)} entries>"


def _compiled(entry: str) -> re.Pattern[str]:
    scheme, _, rest = entry.partition("://")
    stars, _, host = rest.partition(".")
    labels = rf"(?:{_LABEL}\.)+" if stars == "**" else rf"{_LABEL}\."
    return re.compile(rf"{re.escape(scheme)}://{labels}{re.escape(host)}")
