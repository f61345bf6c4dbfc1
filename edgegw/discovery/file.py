"""Endpoints from a file that somebody else writes: a list, JSON or YAML, in the form that `endpoints` of an upstream has.

A file that is broken, or gone, changes nothing; what is wrong with it is told with line and column.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from pydantic import Field, ValidationError
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from edgegw.config.model import Settings
from edgegw.config.problems import ConfigError
from edgegw.config.scalars import Substitution
from edgegw.config.source import Document
from edgegw.config.tree import Node, Unreadable, compose
from edgegw.config.validation import validate
from edgegw.config.walk import TooMuch, Walk
from edgegw.discovery.feed import MAX_ENDPOINTS
from edgegw.discovery.interfaces import DiscoveryPart, Listener, Source, Surroundings
from edgegw.discovery.settings import DiscoverySettings
from edgegw.discovery.threads import in_thread
from edgegw.runtime.supervise import Pace, Supervised
from edgegw.runtime.watch import Watch
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.environment import Environment

MAX_SIZE = 4 * 1024 * 1024
"""Bytes of such a file."""
_LOOK_S = 10.0


class EndpointsFile(Settings):
    """The file: `{endpoints: [...]}`, or the list alone."""

    endpoints: tuple[EndpointSettings, ...] = Field(max_length=MAX_ENDPOINTS, description="As in an upstream.")


class FileWrong(Exception):
    """It cannot be used; the text says where and why."""


class FileSource:
    """Watches one file.

    Args:
        path: absolute. shown: as the configuration has it.
    """

    def __init__(self, path: Path, shown: str, environment: Environment) -> None:
        self.name = f"file {shown}"
        self._path = path
        self._reactor = environment.reactor
        self._watch = Watch(environment.reactor, [path], lambda _: self._read())
        # The watch tells changes; that nothing changed must be told too.
        pace = Pace(_LOOK_S, jitter=0.1)
        self._look = Supervised(self.name, self._again, pace, environment.reactor, environment.chance.random)
        self._listener: Listener | None = None
        self._reading: Deferred[tuple[EndpointSettings, ...]] | None = None
        self._once_more = False
        self._is_right = False

    def start(self, listener: Listener) -> None:
        """`Source`."""
        self._listener = listener
        self._watch.start()
        self._look.startService()

    def stop(self) -> Deferred[None] | None:
        """`Source`."""
        self._listener = None
        self._watch.stop()
        return self._look.stopService()

    def _again(self) -> None:
        if not self._is_right:
            self._read()
        elif self._listener is not None:
            self._listener.confirmed()

    def _read(self) -> None:
        if self._reading is not None:
            # It changed while it was read.
            self._once_more = True
            return
        self._once_more = False
        self._reading = in_thread(self._reactor, lambda: read(self._path))
        self._reading.addBoth(self._was_read)

    def _was_read(self, result: tuple[EndpointSettings, ...] | Failure) -> None:
        self._reading = None
        listener = self._listener
        if listener is None:
            return
        if isinstance(result, Failure):
            self._is_right = False
            listener.failed(result.getErrorMessage())
        else:
            self._is_right = True
            listener.found([Named(each) for each in result])
        if self._once_more:
            self._read()

    def __repr__(self) -> str:
        return f"<FileSource {self._path}>"


def read(path: Path) -> tuple[EndpointSettings, ...]:
    """The endpoints of a file; blocking.

    Raises:
        FileWrong: it cannot be read, or is not what it should be.
    """
    text = _text(path)
    try:
        # Reading JSON as YAML would do, and be fifty times slower.
        data = json.loads(text)
        return EndpointsFile.model_validate({"endpoints": data} if isinstance(data, list) else data).endpoints
    except (ValueError, RecursionError, ValidationError):
        return _read_yaml(text, path.name)


def _text(path: Path) -> str:
    try:
        # Non-blocking, so that a FIFO cannot hold up a thread.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise FileWrong(f"{path.name} is not a regular file")
            content = file.read(MAX_SIZE + 1)
        if len(content) > MAX_SIZE:
            raise FileWrong(f"{path.name} is larger than {MAX_SIZE // 1024**2} MiB")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise FileWrong(f"{path.name} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise FileWrong(f"{path.name} is not UTF-8") from None


def _read_yaml(text: str, name: str) -> tuple[EndpointSettings, ...]:
    try:
        root, count = compose(text, name)
        if root is None:
            raise FileWrong(f"{name} is empty; no endpoints are written as []")
        walk = Walk(Substitution({}, Path(), _refuse))
        walk.add(_as_map(root), count + 2)
        document = Document(walk.data, {name: text}, walk.origins, tuple(walk.problems), "", (), walk.places)
        return validate(EndpointsFile, document).endpoints
    except Unreadable as error:
        raise FileWrong(str(error)) from None
    except TooMuch as error:
        raise FileWrong(f"{error.position}: {error}") from None
    except ConfigError as error:
        more = len(error.problems) - 1
        raise FileWrong(f"{error.problems[0]}{f', and {more} more' if more else ''}") from None


def _as_map(root: Node) -> Node:
    if root.kind == "map":
        return root
    if root.kind == "scalar":
        raise FileWrong(f"{root.position}: a list of endpoints stands here, not plain text")
    key = Node("scalar", root.file, root.line, root.column, root.line, root.column + 1, "endpoints", plain=True)
    return Node("map", root.file, root.line, root.column, root.end_line, root.end_column, pairs=[(key, root)])


def _refuse(path: Path) -> str:
    raise ValueError("is not read: only the configuration itself may take values from files")


def build_file(query: DiscoverySettings, connection: None, around: Surroundings) -> Source | None:
    """A source for `{from: file, path: ...}`."""
    assert query.path is not None
    path = (around.base_dir / query.path).absolute()
    if path.is_dir():
        around.problems.add(("path",), f"{query.path} is a folder; a file is needed")
        return None
    return FileSource(path, query.path, around.environment)


FILE = DiscoveryPart("file", frozenset({"path"}), frozenset({"path"}), build_file)
