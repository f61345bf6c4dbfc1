"""The access log: records are appended to a list on the loop, and every 100 ms the list goes to a writer thread."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from edgegw.export.settings import AccessLogSettings
from edgegw.export.writer import Reason, Writer
from edgegw.observe.cells import Counter
from edgegw.observe.records import ConsoleRecords, Encoder, JsonRecords

FLUSH_S = 0.1
MAX_RECORDS = 10_000
MAX_BYTES = 16 * 1024 * 1024

_log = Logger("edgegw.export.access_log")

_VERBS: dict[Reason, str] = {"write": "be written, records are dropped", "reopen": "be reopened, the old file is kept"}


class AccessLog(Service):
    """A bounded queue of lines in front of a writer. A full one drops records and counts them.

    Args:
        writer: where lines go. clock: for the flush. dropped: counts records that were lost. max_records, max_bytes: what may wait,
            here and in the writer together.
    """

    def __init__(
        self,
        writer: Writer,
        clock: IReactorTime,
        dropped: Counter,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._dropped = dropped
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._room = max_records
        self._room_bytes = max_bytes
        self._lines: list[bytes] = []
        self._size = 0
        self._lost = 0
        self._call: IDelayedCall | None = None
        self._ended = False

    def write(self, line: bytes) -> None:
        """Append one record with its line feed; on the path of every exchange (0.2 us)."""
        size = self._size + len(line)
        if len(self._lines) >= self._room or size > self._room_bytes or self._ended:
            self._dropped.value += 1
            return
        self._lines.append(line)
        self._size = size

    def flush(self) -> None:
        """Hand to the writer what has gathered, and take stock of what it could not write."""
        writer = self._writer
        if self._lines:
            writer.write(self._lines, self._size)
            self._lines = []
            self._size = 0
        self._room = max(0, self._max_records - writer.waiting_lines)
        self._room_bytes = max(0, self._max_bytes - writer.waiting_bytes)
        if writer.lost != self._lost:
            lost, self._lost = writer.lost - self._lost, writer.lost
            self._dropped.inc(lost)
        while writer.complaints:
            reason, error = writer.complaints.popleft()
            _log.error(
                "the access log {path} cannot {what}: {error}", path=writer.path, what=_VERBS[reason], error=str(error)
            )

    def reopen(self) -> None:
        """Open the file anew (rotation): what came before goes to the old one."""
        self.flush()
        self._writer.reopen()

    def startService(self) -> None:
        """Twisted: begin to flush."""
        Service.startService(self)
        self._turn()

    def stopService(self) -> Deferred[None]:
        """Twisted: as `stop` with 2 s."""
        Service.stopService(self)
        return self.stop(2.0)

    def stop(self, deadline_s: float) -> Deferred[None]:
        """Write what is left and end; fires when that is done or the deadline has passed. Later records are dropped."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._ended:
            return succeed(None)
        self.flush()
        self._ended = True
        self._writer.stop()
        done: Deferred[None] = Deferred()
        self._await(done, self._clock.seconds() + deadline_s)
        return done

    def _await(self, done: Deferred[None], until_s: float) -> None:
        if self._writer.alive and self._clock.seconds() < until_s:
            # Asked for rather than told of: a thread that is stuck in a write tells nobody.
            self._clock.callLater(0.01, self._await, done, until_s)
            return
        # What the thread lost, and what still waits behind a write that does not return.
        self._dropped.inc(self._writer.lost - self._lost + self._writer.waiting_lines)
        self._lost = self._writer.lost
        done.callback(None)

    def _turn(self) -> None:
        self._call = self._clock.callLater(FLUSH_S, self._turn)
        self.flush()

    def __repr__(self) -> str:
        return f"<AccessLog {len(self._lines)} records gathered, {self._dropped.value:g} dropped, {self._writer!r}>"


def encoder_of(settings: AccessLogSettings) -> Encoder:
    """What turns an exchange into the line that the settings ask for."""
    return JsonRecords() if settings.format == "json" else ConsoleRecords()


def open_access_log(settings: AccessLogSettings, clock: IReactorTime, dropped: Counter) -> AccessLog | None:
    """The access log of a configuration; None when it is `off`.

    Raises:
        OSError: its file cannot be opened.
    """
    if settings.path == "off":
        return None
    return AccessLog(Writer(settings.path), clock, dropped)
