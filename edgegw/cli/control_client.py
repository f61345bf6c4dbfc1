"""Asks the gateway that runs, over its control socket (`edgegw.gateway.control` describes the protocol). Blocking, no Twisted."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegw.cli.verbs import CommandFailed
from edgegw.gateway.messages import LONGEST_PATH

TIMEOUT_S = 60.0
"""For one answer: a reload builds a whole configuration first."""
_LARGEST = 64 * 1024 * 1024
_CHUNK = 1 << 16


class NotRunning(CommandFailed):
    """Nobody answers on the control socket."""


def ask(
    path: Path, command: str, arguments: Mapping[str, Any] | None = None, *, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """The result of a command.

    Raises:
        NotRunning: no gateway answers at `path`. CommandFailed: it refused the command, or its answer did not come.
    """
    request = json.dumps({"command": command, "arguments": dict(arguments or {})}).encode("ascii") + b"\n"
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise CommandFailed(f"{path} is too long for the name of a socket; set `state:` to a shorter one")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        _connect(connection, path)
        try:
            connection.sendall(request)
            line = _line(connection)
        except TimeoutError:
            raise CommandFailed(
                f"the gateway did not answer within {timeout_s:g} s ({path}); its log may say why"
            ) from None
        except OSError as error:
            raise CommandFailed(f"the connection to the gateway broke: {_reason(error)} ({path})") from None
    return _result(line, path)


def _connect(connection: socket.socket, path: Path) -> None:
    try:
        connection.connect(str(path))
    except FileNotFoundError:
        raise NotRunning(f"no gateway is running here: {path} does not exist; start it with: edgegw run") from None
    except ConnectionRefusedError:
        gone = f"no gateway is running here: {path} was left behind by one that ended"
        raise NotRunning(f"{gone}; start it with: edgegw run") from None
    except PermissionError:
        owner = _owner(path)
        raise CommandFailed(f"{path} may only be used by the user that runs the gateway{owner}") from None
    except TimeoutError:
        raise CommandFailed(f"the gateway does not accept connections on {path}; its process hangs") from None
    except OSError as error:
        raise NotRunning(f"no gateway can be asked at {path}: {_reason(error)}") from None


def _owner(path: Path) -> str:
    try:
        return f" (uid {path.stat().st_uid}; this is uid {os.geteuid()})"
    except OSError:
        return f" (this is uid {os.geteuid()})"


def _line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = connection.recv(_CHUNK)
        if not chunk:
            break
        received += chunk
        if len(received) > _LARGEST:
            raise CommandFailed("the gateway's answer is too long to be one")
    return bytes(received)


def _result(line: bytes, path: Path) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise CommandFailed(f"the gateway ended the connection without an answer ({path})")
    try:
        answer = json.loads(line)
        if answer["ok"]:
            result: dict[str, Any] = answer["result"]
            return result
        message = str(answer["message"])
    except (ValueError, KeyError, TypeError):
        raise CommandFailed(f"what answers on {path} is not an edgegw gateway") from None
    raise CommandFailed(message)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
