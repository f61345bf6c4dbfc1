"""Bounded requests of sources."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from edgegw.discovery.http import Answer, HttpClient
from edgegw.discovery.kubernetes.connection import HEAD_MAX
from edgegw.discovery.kubernetes.credentials import Access
from edgegw.discovery.kubernetes.errors import ApiError, Garbage
from tests.discovery.kubernetes.case import ApiCase, reactor


class HttpTests(ApiCase):
    """Against servers that send what the test says."""

    def setUp(self) -> None:
        super().setUp()
        self.http = HttpClient(reactor, self.resolver)
        self.addCleanup(self.http.stop)

    async def get(self, port: int, limit_s: float = 1.0, most: int = 100) -> Answer:
        access = Access(False, "127.0.0.1", port, "", "")
        return await self.http.get(access, "/x?y=1", {"X-Y": "z"}, limit_s, most)

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

    async def test_no_http(self) -> None:
        await self.failed("no answer from 127.0.0.1", b"SSH-2.0-OpenSSH\r\n", closes=True)

    async def test_head_without_end(self) -> None:
        lines = [b"X-A: " + b"a" * 1000 + b"\r\n"] * (HEAD_MAX // 1000)
        await self.failed("no answer from", b"HTTP/1.1 200 OK\r\n", *lines, limit_s=5.0)

    async def test_nobody_listens(self) -> None:
        await self.listening.stopListening()
        with self.assertRaises(ApiError) as caught:
            await self.get(self.port)
        self.assertIn("Connection was refused", str(caught.exception))

    async def test_cancelled(self) -> None:
        """The connection closes."""
        server = self.raw()
        asked = Deferred.fromCoroutine(self.get(server.port, limit_s=5.0))
        await self.until(lambda: server.heard, "the request arrives")
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        await self.until(lambda: not server.lines, "the connection closes")

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
