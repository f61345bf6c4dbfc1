"""One connection to an API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import ssl
from twisted.internet.protocol import Factory
from twisted.web.resource import Resource
from twisted.web.server import Site

from edgegw.config.problems import Problems
from edgegw.discovery.api.access import Access
from edgegw.discovery.api.client import HttpClient
from edgegw.discovery.api.connection import HEAD_MAX
from edgegw.discovery.api.errors import ApiError
from edgegw.net.tls import UpstreamTls, UpstreamTlsSettings
from tests.certs import Authority, Leaf
from tests.discovery.api.case import SocketCase, plain, reactor

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Case(SocketCase):
    """A client."""

    def setUp(self) -> None:
        super().setUp()
        self.http = HttpClient(reactor, self.resolver)
        self.addCleanup(self.http.stop)

    async def get(self, access: Access, limit_s: float = 5.0) -> bytes:
        return (await self.http.get(access, "/", {}, limit_s)).body

    async def refused(self, words: str, access: Access, limit_s: float = 5.0) -> ApiError:
        with self.assertRaises(ApiError) as caught:
            await self.get(access, limit_s)
        self.assertIn(words, caught.exception.words)
        self.assertTrue(caught.exception.unreachable)
        return caught.exception


class Asked(Resource):
    """A page that counts how often it was asked for."""

    isLeaf = True
    times = 0

    def render_GET(self, request: Any) -> bytes:
        self.times += 1
        return b"ok"


class TlsTests(Case):
    """Who the other side must be, and what is shown to it."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.authority = Authority()
        self.ca = str(self.authority.write(self.folder))
        self.page = Asked()
        self.seen: list[str] = []

    def serve(self, leaf: Leaf) -> int:
        """A server that asks for a client certificate; returns its port."""
        certificate = ssl.PrivateCertificate.loadPEM(leaf.key_pem + leaf.cert_pem)
        options = certificate.options(ssl.Certificate.loadPEM(self.authority.cert_pem))

        def verify(connection: Any, shown: Any, number: int, depth: int, ok: int) -> bool:
            if depth == 0:
                self.seen.append(shown.get_subject().CN)
            return bool(ok)

        options.getContext().set_verify(SSL.VERIFY_PEER, verify)
        port: int = self.site(Site(self.page), options).getHost().port
        return port

    def access(self, port: int, **settings: Any) -> Access:
        problems = Problems()
        tls = UpstreamTls.load(UpstreamTlsSettings(**settings), problems, self.folder)
        assert tls is not None, problems.errors
        return Access(True, "127.0.0.1", port, "", "", tls, "secret")

    async def test_verified(self) -> None:
        port = self.serve(self.authority.issue("127.0.0.1"))
        self.assertEqual(await self.get(self.access(port, ca=self.ca)), b"ok")

    async def test_client_certificate(self) -> None:
        port = self.serve(self.authority.issue("127.0.0.1"))
        me = self.authority.issue("edgegw", client=True).write(self.folder, "me")
        await self.get(self.access(port, ca=self.ca, cert=str(me.cert), key=str(me.key)))
        self.assertEqual(self.seen, ["edgegw"])

    async def mistrusted(self, words: str, leaf: Leaf, **settings: Any) -> None:
        """Nothing is sent, least of all a token."""
        port = self.serve(leaf)
        await self.refused(words, self.access(port, **settings))
        self.assertEqual(self.page.times, 0)

    async def test_another_name(self) -> None:
        await self.mistrusted("not for 127.0.0.1", self.authority.issue("other.example.com"), ca=self.ca)

    async def test_another_authority(self) -> None:
        await self.mistrusted("not in the trusted bundle", Authority().issue("127.0.0.1"), ca=self.ca)

    async def test_the_systems_authorities(self) -> None:
        await self.mistrusted("not in the trusted bundle", self.authority.issue("127.0.0.1"))

    async def test_not_verified(self) -> None:
        """Only when it is asked for."""
        port = self.serve(Authority().issue("other.example.com"))
        self.assertEqual(await self.get(self.access(port, verify=False)), b"ok")

    async def test_server_name(self) -> None:
        port = self.serve(self.authority.issue("api.example.com"))
        self.assertEqual(await self.get(self.access(port, ca=self.ca, server_name="api.example.com")), b"ok")


class ConnectTests(Case):
    """What can go wrong before an answer."""

    async def test_nobody_listens(self) -> None:
        listening = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        port = listening.getHost().port
        await listening.stopListening()
        await self.refused(f"127.0.0.1:{port}: Connection was refused", plain(port))

    async def test_a_name(self) -> None:
        """It is looked up by the gateway's own resolver."""
        server = self.raw(OK)
        self.assertEqual(await self.get(Access(False, "api.example.com", server.port, "", "")), b"ok")

    async def test_a_name_that_is_none(self) -> None:
        await self.refused("is not an IPv4 address", Access(False, "2130706433", 80, "", ""))

    async def test_no_answer(self) -> None:
        """The connection is closed when the time is over."""
        server = self.raw()
        await self.refused("no answer within 1 s", plain(server.port), 1.0)
        await self.until(lambda: not server.lines, "the connection closes")

    async def test_a_head_without_end(self) -> None:
        """It is cut when it is too long, not when the time is over."""
        server = self.raw(b"HTTP/1.1 200 OK\r\n", *[b"X-A: " + b"a" * 1000 + b"\r\n"] * (HEAD_MAX // 1000))
        error = await self.refused("no answer from", plain(server.port))
        self.assertNotIn("within", error.words)
        await self.until(lambda: not server.lines, "the connection closes")

    async def test_no_http(self) -> None:
        for said in (
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"\x16\x03\x01" * 9,
            b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        ):
            server = self.raw(said, closes=True)
            await self.refused("no answer from", plain(server.port))
