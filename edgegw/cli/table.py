"""Every verb, in the order of the help."""

from __future__ import annotations

from collections.abc import Mapping

from edgegw.cli import looking, offline, pages, past, running, starting, upstreams
from edgegw.cli.verbs import Verb

_BY_GROUP: Mapping[str, tuple[Verb, ...]] = {
    "Begin": (starting.INIT, starting.RUN, starting.PROXY),
    "Write a configuration": (
        offline.CHECK,
        offline.EXPLAIN,
        offline.SHOW,
        offline.SCHEMA,
        looking.ROUTES,
        looking.MATCH,
    ),
    "Change a running gateway": (
        running.RELOAD,
        past.DIFF,
        past.HISTORY,
        running.ROLLBACK,
        upstreams.UPSTREAM,
        running.STOP,
    ),
    "Look at it": (running.STATUS, upstreams.UPSTREAMS, upstreams.EVENTS),
    "Other": (pages.VERSION, pages.DOCS),
}

VERBS: Mapping[str, Verb] = {verb.name: verb for group in _BY_GROUP.values() for verb in group}
GROUPS: Mapping[str, tuple[str, ...]] = {
    title: tuple(verb.name for verb in group) for title, group in _BY_GROUP.items()
}
