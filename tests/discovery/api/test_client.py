"""Bounded requests to APIs."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.client import Answer, Arriving, HttpClient, retry_after_s
from edgegw.discovery.api.connection import HEAD_MAX
from edgegw.discovery.api.errors import ApiError, Garbage
from tests.discovery.api.case import SocketCase, chunk, plain, reactor

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class ClientCase(SocketCase):
    """Against servers that send what the test says."""

    def setUp(self) -> None:
        super().setUp()
        self.http = HttpClient(reactor, self.resolver)
        self.addCleanup(self.http.stop)

    async def get(self, port: int, limit_s: float = 1.0, most: int = 100) -> Answer:
        return await self.http.get(plain(port), "/x?y=1", {"X-Y": "z"}, limit_s, most)


class GetTests(ClientCase):
    """Whole answers."""

    async def failed(self, words: str, *pieces: bytes, closes: bool = False, **options: Any) -> ApiError:
        server = self.raw(*pieces, closes=closes)
        with self.assertRaises(ApiError) as caught:
            await self.get(server.port, **options)
        self.assertIn(words, str(caught.exception))
        await self.until(lambda: not server.lines, "the connection closes")
        return caught.exception

    async def test_answer(self) -> None:
        """Whatever its status; the connection is not kept."""
        for head, body in (
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\n\r\n", b"ok"),
            (b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nx-a: 1\r\n\r\n2\r\nok\r\n", b"0\r\n\r\n"),
        ):
            server = self.raw(head, body)
            answer = await self.get(server.port)
            self.assertEqual((answer.body, answer.headers["x-a"]), (b"ok", "1"))
            self.assertEqual(answer.status, int(head.split()[1]))
            await self.until(lambda server=server: not server.lines, "the connection closes")
            self.assertIn(b"GET /x?y=1 HTTP/1.1\r\n", server.heard)
            self.assertIn(b"X-Y: z\r\n", server.heard)
            self.assertIn(b"User-Agent: edgegw\r\n", server.heard)

    async def test_until_the_connection_closes(self) -> None:
        server = self.raw(b"HTTP/1.1 200 OK\r\n\r\nok", closes=True)
        self.assertEqual((await self.get(server.port)).body, b"ok")

    async def test_a_body_longer_than_a_head_may_be(self) -> None:
        size = 2 * HEAD_MAX
        server = self.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, b"x" * size)
        self.assertEqual(len((await self.get(server.port, limit_s=5.0, most=size)).body), size)

    async def test_redirect(self) -> None:
        """It is an answer like others: what it leads to may be anything."""
        server = self.raw(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual((await self.get(server.port)).status, 302)

    async def test_too_large(self) -> None:
        """Announced or not; the rest is not read."""
        for length in (b"Content-Length: 101", b"Transfer-Encoding: chunked"):
            head = b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % length
            body = b"x" * 101 if b"Content" in length else b"65\r\n" + b"x" * 101 + b"\r\n"
            error = await self.failed("larger than 100 bytes", head, body)
            self.assertIsInstance(error, Garbage)

    async def test_silence(self) -> None:
        await self.failed("no answer within 0.2 s", limit_s=0.2)
        await self.failed("no answer within 0.2 s", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", limit_s=0.2)

    async def test_torn(self) -> None:
        await self.failed("its answer was torn", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", closes=True)
        await self.failed("no answer from 127.0.0.1", closes=True)

    async def test_cancelled(self) -> None:
        """The connection closes."""
        server = self.raw()
        asked = Deferred.fromCoroutine(self.get(server.port, limit_s=5.0))
        await self.until(lambda: server.heard, "the request arrives")
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        await self.until(lambda: not server.lines, "the connection closes")


class ArrivingTests(ClientCase):
    """Answers whose bodies are still to come."""

    async def begun(self, port: int, limit_s: float = 1.0) -> Arriving:
        return await self.http.begin(plain(port), "/x", {}, limit_s)

    async def test_lines(self) -> None:
        """Each as it comes; the connection is not kept."""
        server = self.raw(HEAD + chunk(b"a\n\nb"), chunk(b"c\nd") + b"0\r\n\r\n")
        arriving = await self.begun(server.port)
        self.assertEqual(arriving.status, 200)
        lines: list[bytes] = []
        await arriving.lines(lines.append, 10)
        self.assertEqual(lines, [b"a", b"bc"])
        await self.until(lambda: not server.lines, "the connection closes")

    async def test_lines_that_end_badly(self) -> None:
        """In an error, and without a connection."""
        for data, words in ((b"x" * 11, "more than 10 bytes"), (b"x", "torn")):
            server = self.raw(HEAD + chunk(data), closes=True)
            with self.assertRaises(ApiError) as caught:
                await (await self.begun(server.port)).lines(lambda line: None, 10)
            self.assertIn(words, str(caught.exception))
            await self.until(lambda server=server: not server.lines, "the connection closes")

    async def test_the_head_in_time(self) -> None:
        with self.assertRaises(ApiError) as caught:
            await self.begun(self.raw().port, 0.2)
        self.assertIn("no answer within 0.2 s", str(caught.exception))

    async def test_the_body_at_any_time(self) -> None:
        """That is up to the reader; cancelled, it closes the connection."""
        server = self.raw(HEAD + chunk(b"x"))
        reading = Deferred.fromCoroutine((await self.begun(server.port, 0.2)).whole(10))
        began_s = reactor.seconds()
        await self.until(lambda: reactor.seconds() > began_s + 0.3)
        self.assertNoResult(reading)
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        await self.until(lambda: not server.lines, "the connection closes")

    async def test_closed_unread(self) -> None:
        server = self.raw(HEAD + chunk(b"x"))
        (await self.begun(server.port)).close()
        await self.until(lambda: not server.lines, "the connection closes")
        self.assertIn("0 open", repr(self.http))


class StopTests(ClientCase):
    """The end."""

    async def test_stopped(self) -> None:
        """What is open closes, and nothing new begins."""
        server = self.raw()
        asked = Deferred.fromCoroutine(self.get(server.port, limit_s=60.0))
        await self.until(lambda: server.heard, "the request arrives")
        self.assertIn("1 open", repr(self.http))
        stopped = self.http.stop()
        await self.until(lambda: not server.lines, "the connection closes")
        await stopped
        with self.assertRaises(ApiError):
            await asked
        with self.assertRaises(ApiError) as caught:
            await self.get(server.port)
        self.assertIn("was stopped", str(caught.exception))

    async def test_stopped_while_nothing_is_open(self) -> None:
        """For good all the same."""
        server = self.raw(HEAD)
        await self.http.stop()
        with self.assertRaises(ApiError):
            await self.get(server.port)
        self.assertEqual(server.heard, b"")


class RetryAfterTests(SynchronousTestCase):
    """Retry-After."""

    def test_seconds(self) -> None:
        """Bounded; nonsense and dates are left out."""
        for said, after_s in (
            ("7", 7.0),
            ("0", 0.0),
            ("99999", 120.0),
            ("-5", 0.0),
            ("1e9", 0.0),
            ("9" * 30, 0.0),
            ("\xb2", 0.0),
        ):
            self.assertEqual(retry_after_s({"retry-after": said}), after_s)
        self.assertEqual(retry_after_s({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), 0.0)
        self.assertEqual(retry_after_s({}), 0.0)
