"""Bodies of answers as they arrive, with a bound on what is kept of them.

What the other side sends ends in a value or in an `ApiError`, never in another exception.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from edgegw.discovery.api.connection import Connection
from edgegw.discovery.api.errors import ApiError, Garbage, reasons

_log = Logger("edgegw.discovery.api")


class Body(Protocol):
    """Takes a body; `finished` fires when it is there, or fails with ApiError. Cancelling it closes the connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.finished: Deferred[bytes] = Deferred(lambda _: connection.abort())

    def dataReceived(self, data: bytes) -> None:
        if self.finished.called:
            return
        try:
            self.take(data)
        except ApiError as error:
            self._fail(error)
        except Exception:
            _log.failure("Discovery: reading an answer failed")
            self._fail(Garbage("its answer cannot be read"))

    def take(self, data: bytes) -> None:
        """Some more bytes. Raises ApiError."""
        raise NotImplementedError

    def ended(self) -> bytes:
        """The body is whole: what `finished` fires with."""
        raise NotImplementedError

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.finished.called:
            return
        # PotentialDataLoss: it ends with the connection; JSON shows by itself whether it is whole.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.finished.callback(self.ended())
        else:
            self.finished.errback(ApiError(f"its answer was torn: {reasons(reason.value)}"))

    def _fail(self, error: ApiError) -> None:
        self.finished.errback(error)
        self._connection.abort()


class Whole(Body):
    """A body that is wanted as one, of at most so many bytes."""

    def __init__(self, connection: Connection, most: int) -> None:
        super().__init__(connection)
        self._most = most
        self._length = 0
        self._parts: list[bytes] = []

    def take(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > self._most:
            raise Garbage(f"its answer is larger than {self._most} bytes")
        self._parts.append(data)

    def ended(self) -> bytes:
        return b"".join(self._parts)


class Lines(Body):
    """A body of lines, each of at most so many bytes and handed on as soon as it is whole; `line` may raise ApiError."""

    def __init__(self, connection: Connection, line: Callable[[bytes], None], most: int) -> None:
        super().__init__(connection)
        self._line = line
        self._most = most
        self._parts: list[bytes] = []
        self._length = 0

    def take(self, data: bytes) -> None:
        first, *more = data.split(b"\n")
        self._keep(first)
        for following in more:
            whole = b"".join(self._parts)
            self._parts, self._length = [], 0
            if whole.strip():
                self._line(whole)
            if self.finished.called:
                # What the line was about made somebody end this.
                return
            self._keep(following)

    def _keep(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > self._most:
            raise Garbage(f"it sent a line of more than {self._most} bytes")
        if data:
            self._parts.append(data)

    def ended(self) -> bytes:
        """A line without an end was cut, and nothing of it counts."""
        return b""
