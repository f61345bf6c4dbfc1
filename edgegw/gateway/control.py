"""The control socket: how the `edgegw` command talks to the gateway that runs. A UNIX socket, always on, mode 0600.

The protocol: each side sends lines of UTF-8, each a JSON object. A request is

    {"command": "reload", "arguments": {"dry_run": true}, "id": 1}

(`arguments` and `id` may be left out; `id` comes back as it was). An answer is one of

    {"id": 1, "ok": true, "result": {...}}
    {"id": 1, "ok": false, "error": "unknown_command", "message": "..."}

Requests of one connection are answered in order. `ok` says that the command ran; whether a reload was accepted stands in its result
(`edgegw.gateway.messages.verdict_data`). The commands are in `edgegw.gateway.commands`. A line may have 64 KiB, a connection must
send a request within 10 s and take its answer within 10 s, and 16 of them may be open.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from edgegw.gateway.commands import COMMANDS, CommandError, Gateway
from edgegw.gateway.history import make_private
from edgegw.gateway.messages import LONGEST_PATH
from edgegw.net.accepting import Listening, listen
from edgegw.net.sockets import UnixPlace

MAX_LINE = 64 * 1024
MAX_CONNECTIONS = 16
DEADLINE_S = 10.0
_PROBE_S = 2.0
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

_log = Logger("edgegw.gateway.control")


class ControlUnavailable(OSError):
    """The control socket cannot be opened. The text says why, and what to do."""


class ControlService(Service):
    """Answers operators on a socket in the state folder.

    Args:
        gateway: what is asked. path: of the socket; its folder is made with mode 0700. reactor: accepts and keeps time.

    Raises:
        ControlUnavailable: another gateway answers there, or the place will not do.
    """

    name = "control"

    def __init__(self, gateway: Gateway, path: str | Path, reactor: Any) -> None:
        self.path = Path(path)
        self.factory = ControlFactory(gateway, reactor)
        self._reactor = reactor
        self._port: Listening | None = None
        claim(self.path)

    def privilegedStartService(self) -> None:
        """Twisted: open the socket before privileges go, so that its folder need not belong to whom they go to."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._listen()

    def startService(self) -> None:
        """Twisted: answer from now on."""
        super().startService()  # type: ignore[no-untyped-call]
        self._listen()

    def _listen(self) -> None:
        if self._port is not None:
            return
        old = os.umask(0o177)  # There is no moment at which somebody else could connect.
        try:
            self._port = listen(self._reactor, UnixPlace(str(self.path), 0o600), self.factory)
        finally:
            os.umask(old)

    def stopService(self) -> Deferred[None] | None:
        """Twisted: close the socket, whose file goes with it, and every connection."""
        super().stopService()  # type: ignore[no-untyped-call]
        port, self._port = self._port, None
        self.factory.close()
        return port.stop() if port is not None else None

    def __repr__(self) -> str:
        state = "open" if self._port is not None else "closed"
        return f"<ControlService {self.path} {state}, {len(self.factory.connections)} connections>"


class ControlFactory(ServerFactory):
    """Builds connections, at most `MAX_CONNECTIONS` of them at once."""

    noisy = False

    def __init__(self, gateway: Gateway, clock: Any) -> None:
        self.gateway = gateway
        self.clock = clock
        self.connections: dict[ControlConnection, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> ControlConnection:
        """Twisted: somebody connected."""
        made = ControlConnection(self.gateway, self.clock, self.connections)
        made.factory = self
        return made

    def close(self) -> None:
        """End every connection, the answers on their way being sent."""
        for connection in list(self.connections):
            connection.close()


class ControlConnection(LineReceiver):
    """One operator. Never raises for what comes in: garbage is answered with an error, and the worst of it with the end."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE

    def __init__(self, gateway: Gateway, clock: Any, others: dict[ControlConnection, None]) -> None:
        self._gateway = gateway
        self._clock = clock
        self._others = others
        self._deadline: IDelayedCall | None = None
        self._busy = False
        self._closing = False

    def connectionMade(self) -> None:
        """Twisted: the connection stands."""
        if len(self._others) >= MAX_CONNECTIONS:
            self._refuse(None, "busy", f"{MAX_CONNECTIONS} connections are open already")
            self.close()
            return
        self._others[self] = None
        self._wait()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: it is gone."""
        self._others.pop(self, None)
        self._closing = True
        self._stop_waiting()

    def lineReceived(self, line: bytes) -> None:
        """Twisted: a request."""
        if self._closing or not line.strip():
            return
        request = _parsed(line)
        if isinstance(request, str):
            self._refuse(None, "bad_request", request)
            return
        identity, name = request.get("id"), request["command"]
        command = COMMANDS.get(name)
        if command is None:
            self._refuse(identity, "unknown_command", f"there is no command {name!r}; there are: {', '.join(COMMANDS)}")
            return
        self._busy = True
        self._stop_waiting()
        self.pauseProducing()  # type: ignore[no-untyped-call]
        running: Deferred[Any] = Deferred.fromCoroutine(command(self._gateway, request.get("arguments") or {}))
        running.addCallbacks(
            lambda result: self._send({"id": identity, "ok": True, "result": result}),
            lambda failure: self._failed(identity, name, failure),
        )
        running.addErrback(lambda failure: self._failed(identity, name, failure))
        running.addBoth(lambda _: self._done())

    def lineLengthExceeded(self, line: bytes) -> None:
        """Twisted: more than any request has."""
        self._refuse(None, "line_too_long", f"a request may have {MAX_LINE} bytes")
        self.close()

    def close(self) -> None:
        """End the connection once what was written is sent; at once if the peer does not take it."""
        if self.transport is None:
            return
        self._closing = True
        self.clearLineBuffer()  # type: ignore[no-untyped-call]
        self.transport.loseConnection()
        self._wait()

    def _done(self) -> None:
        self._busy = False
        if not self._closing:
            self._wait()
            self.resumeProducing()  # type: ignore[no-untyped-call]

    def _failed(self, identity: object, name: str, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, CommandError):
            self._refuse(identity, error.reason, str(error))
            return
        _log.failure("the control command {name} failed", failure=failure, name=name)
        self._refuse(identity, "internal_error", f"{type(error).__name__}: {error}; the gateway's log has more")

    def _refuse(self, identity: object, error: str, message: str) -> None:
        self._send({"id": identity, "ok": False, "error": error, "message": message})

    def _send(self, answer: dict[str, Any]) -> None:
        # Written without escapes, lone surrogates (which JSON can smuggle in) could not be encoded.
        line = json.dumps(answer).encode("ascii") + b"\n"
        if self.transport is not None and not (self._closing and self._busy):
            self.transport.write(line)

    def _wait(self) -> None:
        self._stop_waiting()
        self._deadline = self._clock.callLater(DEADLINE_S, self._expired)

    def _stop_waiting(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def _expired(self) -> None:
        self._deadline = None
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        state = "closing" if self._closing else "busy" if self._busy else "waiting"
        return f"<ControlConnection {state}>"


def _parsed(line: bytes) -> dict[str, Any] | str:
    """A request, or what is wrong with it."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return "a request is one line of JSON"
    if not isinstance(request, dict) or not isinstance(request.get("command"), str):
        return 'a request is an object with a "command"'
    if not isinstance(request.get("arguments") or {}, dict):
        return '"arguments" is an object'
    return request


def claim(path: Path) -> None:
    """Make sure that a control socket can be opened at `path`.

    Raises:
        ControlUnavailable: another gateway answers there, something else is there, or the path is too long.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        length = len(os.fsencode(path))
        reason = f"its path has {length} bytes, and {LONGEST_PATH} are possible; set `state:` to a shorter one"
        raise ControlUnavailable(f"cannot open the control socket {path}: {reason}")
    try:
        make_private(path.parent)
        if path.parent.stat().st_mode & _WRITABLE_BY_OTHERS:
            _log.warn(
                "others may write to {folder}, and so put their own control socket there", folder=str(path.parent)
            )
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ControlUnavailable(
            f"cannot open the control socket {path}: {(error.strerror or str(error)).lower()}"
        ) from None
    if not stat.S_ISSOCK(mode):
        raise ControlUnavailable(f"cannot open the control socket {path}: there is something else of that name")
    if is_answered(path):
        raise ControlUnavailable(
            f"another gateway runs with this state folder: it answers on {path}; stop it, or set `state:` to another folder"
        )
    with suppress(FileNotFoundError):
        path.unlink()


def is_answered(path: Path) -> bool:
    """Whether a process listens on the UNIX socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT, errno.ENOTSOCK)
    return True
