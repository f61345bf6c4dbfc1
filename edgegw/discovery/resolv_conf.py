"""What resolv.conf(5) says: who is asked, and under which full names a short one is looked for, in the order of glibc."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from edgegw.net.addresses import canonical

Server = tuple[str, int]
"""Address and port."""

PATH = "/etc/resolv.conf"
SUFFIXES = 32
"""At most so many are tried, as Kubernetes allows a pod (glibc has no bound since 2.26, six before)."""
NDOTS_MAX = 15
"""As glibc: more is this."""
DOMAIN = re.compile(r"(?=.{1,252}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?\Z")
_SERVERS = 3
_NAME_MAX = 253


class ResolvConf(NamedTuple):
    """servers: in the order in which they are asked. search: domains without a dot at the end; empty: the name as it is.
    ndots: a name with so many dots is tried as it is first.
    """

    servers: Sequence[Server]
    search: Sequence[str] = ()
    ndots: int = 1

    def full_names(self, name: str) -> list[str]:
        """What to ask for, one after the other until something is found; a dot at the end says that the name is whole."""
        if name.endswith("."):
            return [name.rstrip(".")]
        searched = [f"{name}.{suffix}" if suffix else name for suffix in self.search[:SUFFIXES]]
        found = [name, *searched] if name.count(".") >= self.ndots else [*searched, name]
        return [each for each in dict.fromkeys(found) if len(each) <= _NAME_MAX or each == name]


def system(path: str = PATH) -> ResolvConf:
    """As the file is now: at most three name servers, that of this machine where it names none."""
    servers: list[Server] = []
    search: list[str] = []
    ndots = 1
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = file.read(65_536).splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, *words = line.split() or [""]
        if key == "nameserver" and words and canonical(words[0].split("%")[0]):
            servers.append((words[0], 53))
        elif key in ("search", "domain") and words:
            # The last one of both counts.
            said = words if key == "search" else words[:1]
            # Under what is no domain nothing can be looked for, and the others must not suffer for it.
            search = [each.rstrip(".") for each in said if each == "." or DOMAIN.match(each)]
        elif key == "options":
            ndots = _ndots(words, ndots)
    return ResolvConf(servers[:_SERVERS] or [("127.0.0.1", 53)], search, ndots)


def _ndots(options: Sequence[str], before: int) -> int:
    for each in options:
        key, _, value = each.partition(":")
        if key == "ndots" and value.isascii() and value.isdigit():
            before = min(int(value[:3]), NDOTS_MAX)
    return before
