"""What can be asked over the control socket: a table of commands, from plain data to plain data.

ping        version and pid
status      one look at the process
reload      {dry_run}: read the configuration again; a verdict
rollback    {number, dry_run}: serve an earlier configuration; a verdict
history     every accepted configuration
texts       {number}: the texts of one of them
diff        {old, new}: each a number, `running` or `file`; what differs
routes      every route
match       {request, headers, client}: which route takes a request, and why
upstreams   every upstream with breaker, discovery and endpoints: standing, checks, what is in flight, connections
upstream    {name, action, endpoint, weight}: drain, ready, weight of an endpoint; reset of the breaker
events      {since, wait_s}: what happened to upstreams after this number; waits so long if there is nothing yet
stop        drain, then end the process
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, TypeAdapter, ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from edgegw.config.diff import diff
from edgegw.config.problems import ConfigError
from edgegw.config.report import render
from edgegw.config.source import Document
from edgegw.gateway import inquiry, operating, upstream_view
from edgegw.gateway.eventlog import EventLog
from edgegw.gateway.history import History, NoSuchNumber
from edgegw.gateway.loading import accept, base_dir_of, read
from edgegw.gateway.messages import Refusal, Verdict, changes_data, verdict_data
from edgegw.gateway.settings import GatewaySettings
from edgegw.gateway.snapshot import Snapshot
from edgegw.gateway.upkeep import Upkeep
from edgegw.upstream.cluster import Cluster

RUNNING, FILE = "running", "file"

MOST_WAIT_S = 30.0
"""How long `events` may wait."""

MOST_FOLLOWERS = 8
"""How many may wait for events: half of the connections are left to those who want to do something."""

_log = Logger("edgegw.gateway.commands")


class Gateway(Protocol):
    """The gateway as far as the commands know it (`edgegw.gateway.service.GatewayService`)."""

    @property
    def config_path(self) -> Path:
        """File or folder of the configuration."""

    @property
    def snapshot(self) -> Snapshot:
        """What serves now."""

    @property
    def history(self) -> History:
        """What was accepted."""

    async def reload(self, source: str, *, document: Document | None = None, dry_run: bool = False) -> Verdict:
        """Take another configuration."""

    async def drain_and_stop(self) -> None:
        """Finish what is in flight, then end the process."""

    def status(self) -> dict[str, Any]:
        """One look at the process."""

    @property
    def upkeep(self) -> Upkeep:
        """Discovery, among others."""

    @property
    def event_log(self) -> EventLog:
        """What happened to upstreams."""


class CommandError(Exception):
    """A command that cannot be carried out. reason: a short name for programs; the text is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


Arguments = Mapping[str, Any]
Command = Callable[[Gateway, Arguments], Coroutine[Deferred[Any], Any, dict[str, Any]]]


async def _status(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    return {"pid": os.getpid(), **gateway.status()}


async def _ping(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    status = gateway.status()
    return {"pid": os.getpid(), "version": status.get("version"), "ready": status.get("ready")}


async def _reload(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    return verdict_data(await gateway.reload("control", dry_run=_flag(arguments, "dry_run")))


async def _rollback(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    number = _number(arguments, "number")
    try:
        document = gateway.history.document(number, base_dir=base_dir_of(gateway.config_path))
    except NoSuchNumber as error:
        raise CommandError("no_such_number", str(error)) from None
    except ConfigError as error:
        return _refused(gateway, error)
    dry_run = _flag(arguments, "dry_run")
    return verdict_data(await gateway.reload(f"rollback {number}", document=document, dry_run=dry_run))


def _refused(gateway: Gateway, error: ConfigError) -> dict[str, Any]:
    """The verdict on a configuration that did not even reach the gateway."""
    return verdict_data(Refusal(gateway.snapshot.number, error.problems, error.sources))


async def _history(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    entries = [entry.as_data() for entry in gateway.history.entries()]
    return {"entries": entries, "running": gateway.snapshot.number}


async def _texts(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    try:
        return {"files": dict(gateway.history.texts(_number(arguments, "number")))}
    except NoSuchNumber as error:
        raise CommandError("no_such_number", str(error)) from None


async def _diff(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    names = (arguments.get("old", RUNNING), arguments.get("new", FILE))
    sides = [await _side(gateway, name) for name in names]
    (old, old_document), (new, new_document) = sides
    changes = diff(old, new, old_document, new_document)
    return {"old": names[0], "new": names[1], "changes": changes_data(changes), "running": gateway.snapshot.number}


async def _side(gateway: Gateway, name: object) -> tuple[BaseModel, Document]:
    """One side of a comparison. Reading takes its time, so it is done in a thread."""
    if name == RUNNING:
        return gateway.snapshot.settings, gateway.snapshot.document
    found: Deferred[tuple[GatewaySettings, Document]] = deferToThread(side, name, gateway.config_path, gateway.history)
    return await found


def side(name: object, config_path: Path, history: History) -> tuple[GatewaySettings, Document]:
    """Settings and document of `file` or of a number.

    Raises:
        CommandError: there is no such number, or the configuration has errors.
    """
    try:
        if name == FILE:
            loaded = read(config_path)
        elif isinstance(name, int) and not isinstance(name, bool):
            base_dir = base_dir_of(config_path)
            loaded = accept(history.document(name, base_dir=base_dir), base_dir)
        else:
            raise CommandError("bad_argument", f"a side of a diff is a number, running or file, not {name!r}")
    except NoSuchNumber as error:
        raise CommandError("no_such_number", str(error)) from None
    except ConfigError as error:
        what = "the file" if name == FILE else f"configuration {name}"
        raise CommandError("invalid_config", f"{what} has errors:\n{render(error.problems, error.sources)}") from None
    return loaded.settings, loaded.document


async def _routes(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    return {"routes": inquiry.routes(gateway.snapshot), "number": gateway.snapshot.number}


async def _match(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    headers = [(name, value) for name, value in _checked(arguments, "headers", list[tuple[str, str]], [])]
    client = _checked(arguments, "client", str, "")
    try:
        question = inquiry.Question.parse(_checked(arguments, "request", str), headers, client)
        return inquiry.match(gateway.snapshot, question)
    except inquiry.BadQuestion as error:
        raise CommandError("bad_argument", str(error)) from None


async def _upstreams(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    return {"upstreams": upstream_view.upstreams(gateway.snapshot.clusters.values(), gateway.upkeep.feeds)}


async def _upstream(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    action = _checked(arguments, "action", Literal[operating.ACTIONS])
    try:
        cluster = operating.cluster_of(gateway.snapshot.clusters, _checked(arguments, "name", str))
        if action == "reset":
            return _reset(cluster)
        endpoint = operating.endpoint_of(cluster, _checked(arguments, "endpoint", str))
    except operating.Unknown as error:
        raise CommandError("unknown", str(error)) from None
    if action == "drain":
        operating.drain(endpoint)
    elif action == "ready":
        operating.ready(cluster, endpoint)
    else:
        cluster.weigh(endpoint, _weight(arguments))
    state = endpoint.standing.state
    return {"upstream": cluster.name, "endpoint": endpoint.name, "state": state, "weight": endpoint.weight}


def _reset(cluster: Cluster) -> dict[str, Any]:
    if cluster.breaker is None:
        raise CommandError("unknown", f"upstream {cluster.name} has no breaker")
    cluster.breaker.reset()
    return {"upstream": cluster.name, "breaker": cluster.breaker.state}


def _weight(arguments: Arguments) -> int:
    weight = arguments.get("weight")
    if not isinstance(weight, int) or isinstance(weight, bool) or not 0 < weight <= operating.MOST:
        raise CommandError("bad_argument", f'"weight" is from 1 to {operating.MOST}')
    return weight


async def _events(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    since, wait_s = _checked(arguments, "since", int, 0), _checked(arguments, "wait_s", float, 0.0)
    if not 0 <= wait_s <= MOST_WAIT_S:
        raise CommandError("bad_argument", f'"wait_s" is from 0 to {MOST_WAIT_S:g}')
    events = gateway.event_log.events
    if wait_s and not events.since(since):
        if gateway.event_log.waiting >= MOST_FOLLOWERS:
            raise CommandError("busy", f"{MOST_FOLLOWERS} others wait for events already")
        await gateway.event_log.next(wait_s)
    return {"events": [event.as_data() for event in events.since(since)], "last": events.last}


async def _stop(gateway: Gateway, arguments: Arguments) -> dict[str, Any]:
    """Answers at once: who asked sees how it goes on by the connection and by the process."""
    times = gateway.snapshot.settings.shutdown
    _log.info("told to stop over the control socket")
    Deferred.fromCoroutine(gateway.drain_and_stop()).addErrback(
        lambda failure: _log.failure("stopping failed", failure)
    )
    return {"stopping": True, "lame_duck_s": times.lame_duck, "grace_s": times.grace}


COMMANDS: Mapping[str, Command] = {
    "ping": _ping,
    "status": _status,
    "reload": _reload,
    "rollback": _rollback,
    "history": _history,
    "texts": _texts,
    "diff": _diff,
    "routes": _routes,
    "match": _match,
    "upstreams": _upstreams,
    "upstream": _upstream,
    "events": _events,
    "stop": _stop,
}


_REQUIRED: Any = object()


def _checked(arguments: Arguments, name: str, kind: Any, default: Any = _REQUIRED) -> Any:
    """An argument of this type. JSON has no tuples: lists pass for them, nothing else is made to fit."""
    if name not in arguments and default is not _REQUIRED:
        return default
    try:
        return TypeAdapter(kind).validate_python(arguments.get(name))
    except ValidationError:
        raise CommandError("bad_argument", f'"{name}" is missing or of the wrong kind') from None


def _flag(arguments: Arguments, name: str) -> bool:
    value = arguments.get(name, False)
    if not isinstance(value, bool):
        raise CommandError("bad_argument", f'"{name}" is true or false')
    return value


def _number(arguments: Arguments, name: str) -> int:
    value = arguments.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CommandError("bad_argument", f'"{name}" is the number of a configuration, 1 or more')
    return value
