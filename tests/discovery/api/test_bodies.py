"""Bodies as they arrive."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from edgegw.discovery.api.bodies import Lines, Whole
from edgegw.discovery.api.errors import ApiError, Garbage

MOST = 100


class Open:
    """A connection that remembers whether it was ended."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True


class WholeTests(SynchronousTestCase):
    """A body that is wanted as one."""

    def fed(self, *pieces: bytes, end: Exception | None = None) -> tuple[Whole, Open]:
        connection: Any = Open()
        body = Whole(connection, MOST)
        for piece in pieces:
            body.dataReceived(piece)
        if end is not None:
            body.connectionLost(Failure(end))
        return body, connection

    def test_ends(self) -> None:
        """As announced, or with the connection."""
        for end in (ResponseDone(), PotentialDataLoss()):
            body, _ = self.fed(b"a", b"b" * 99, end=end)
            self.assertEqual(self.successResultOf(body.finished), b"a" + b"b" * 99)

    def test_torn(self) -> None:
        body, _ = self.fed(b"a", end=ConnectionLost("away"))
        self.assertIn("its answer was torn", str(self.failureResultOf(body.finished, ApiError).value))

    def test_too_large(self) -> None:
        """It ends at once; what comes after that changes nothing."""
        body, connection = self.fed(b"a" * 60, b"b" * 41, b"c" * 60, end=ConnectionLost())
        self.assertIn("larger than 100 bytes", str(self.failureResultOf(body.finished, Garbage).value))
        self.assertTrue(connection.aborted)

    def test_cancelled(self) -> None:
        body, connection = self.fed(b"a")
        body.finished.addErrback(lambda _: None)
        body.finished.cancel()
        self.assertTrue(connection.aborted)


class LineTests(SynchronousTestCase):
    """A stream of lines."""

    def fed(self, *pieces: bytes) -> tuple[list[bytes], Lines, Open]:
        lines: list[bytes] = []
        connection: Any = Open()
        body = Lines(connection, lines.append, MOST)
        for piece in pieces:
            body.dataReceived(piece)
        return lines, body, connection

    @given(st.lists(st.text(max_size=6), max_size=8), st.integers(1, 7))
    def test_any_cut(self, texts: list[str], size: int) -> None:
        """Wherever reads end, in the middle of a character too, the lines are the same."""
        wanted = [text.replace("\n", "").encode() for text in texts]
        data = b"".join(each + b"\n" for each in wanted)
        lines, _, _ = self.fed(*(data[at : at + size] for at in range(0, len(data), size)))
        self.assertEqual(lines, [each for each in wanted if each.strip()])

    def test_a_line_that_is_too_long(self) -> None:
        """It ends the stream, whole or not; a line of just the limit does not."""
        for pieces in ([b"x" * (MOST + 1)], [b"x" * MOST, b"x"], [b"{}\n" + b"x" * MOST + b"x\n"]):
            _, body, connection = self.fed(*pieces)
            self.failureResultOf(body.finished, Garbage)
            self.assertTrue(connection.aborted)
        lines, _, connection = self.fed(b"x" * MOST, b"\n")
        self.assertEqual((len(lines), connection.aborted), (1, False))

    def test_a_line_that_is_not_liked(self) -> None:
        """No line after it is looked at."""
        seen: list[bytes] = []

        def line(data: bytes) -> None:
            seen.append(data)
            raise Garbage("no")

        connection: Any = Open()
        body = Lines(connection, line, MOST)
        body.dataReceived(b"a\nb\n")
        body.dataReceived(b"c\n")
        self.failureResultOf(body.finished, Garbage)
        self.assertEqual(seen, [b"a"])

    def test_a_bug_of_ours(self) -> None:
        """It is logged and ends the stream; nothing escapes."""
        connection: Any = Open()
        body = Lines(connection, lambda data: 1 / 0, MOST)  # type: ignore[arg-type, return-value]
        body.dataReceived(b"a\n")
        self.failureResultOf(body.finished, Garbage)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
