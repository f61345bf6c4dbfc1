"""One connection to the API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import ssl
from twisted.web.server import Site

from edgegw.discovery.kubernetes.connection import HEAD_MAX
from edgegw.discovery.kubernetes.errors import ApiError
from tests.certs import Authority, Leaf
from tests.discovery.kubernetes.case import SLICES, ApiCase, reactor


class TlsCase(ApiCase):
    """The double behind TLS, which asks for a client certificate."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.authority = Authority()
        self.ca = str(self.authority.write(self.folder))
        self.seen: list[str] = []

    def serve(self, leaf: Leaf) -> int:
        certificate = ssl.PrivateCertificate.loadPEM(leaf.key_pem + leaf.cert_pem)
        authority = ssl.Certificate.loadPEM(self.authority.cert_pem)
        options = certificate.options(authority)
        context = options.getContext()

        def verify(connection: Any, shown: Any, number: int, depth: int, ok: int) -> bool:
            if depth == 0:
                self.seen.append(shown.get_subject().CN)
            return bool(ok)

        context.set_verify(SSL.VERIFY_PEER, verify)
        listening = reactor.listenSSL(0, Site(self.api), options, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        port: int = listening.getHost().port
        return port


class TlsTests(TlsCase):
    """Who the API server must be, and what is shown to it."""

    async def test_verified(self) -> None:
        port = self.serve(self.authority.issue("127.0.0.1"))
        page = await self.client(port=port, scheme="https", ca_file=self.ca).get(SLICES, {})
        self.assertEqual(page["kind"], "EndpointSliceList")

    async def test_client_certificate(self) -> None:
        port = self.serve(self.authority.issue("127.0.0.1"))
        me = self.authority.issue("edgegw", client=True).write(self.folder, "me")
        client = self.client(port=port, scheme="https", ca_file=self.ca, cert_file=str(me.cert), key_file=str(me.key))
        await client.get(SLICES, {})
        self.assertEqual(self.seen, ["edgegw"])

    async def refused(self, words: str, leaf: Leaf, **settings: Any) -> None:
        port = self.serve(leaf)
        client = self.client(port=port, scheme="https", token="secret", **settings)
        with self.assertRaises(ApiError) as caught:
            await client.get(SLICES, {})
        self.assertIn(words, caught.exception.words)
        self.assertTrue(caught.exception.unreachable)
        self.assertEqual(self.api.requests, [])

    async def test_another_name(self) -> None:
        """Nothing is sent, least of all the token."""
        await self.refused("not for 127.0.0.1", self.authority.issue("other.example.com"), ca_file=self.ca)

    async def test_another_authority(self) -> None:
        await self.refused("not in the trusted bundle", Authority().issue("127.0.0.1"), ca_file=self.ca)

    async def test_the_systems_authorities(self) -> None:
        await self.refused("not in the trusted bundle", self.authority.issue("127.0.0.1"))

    async def test_not_verified(self) -> None:
        """Only when it is asked for."""
        port = self.serve(Authority().issue("other.example.com"))
        page = await self.client(port=port, scheme="https", verify=False).get(SLICES, {})
        self.assertEqual(page["kind"], "EndpointSliceList")

    async def test_server_name(self) -> None:
        port = self.serve(self.authority.issue("api.example.com"))
        client = self.client(port=port, scheme="https", ca_file=self.ca, server_name="api.example.com")
        self.assertEqual((await client.get(SLICES, {}))["kind"], "EndpointSliceList")


class ConnectTests(ApiCase):
    """What can go wrong before an answer."""

    async def refused(self, words: str, client: Any) -> ApiError:
        with self.assertRaises(ApiError) as caught:
            await client.get(SLICES, {}, 1.0)
        self.assertIn(words, caught.exception.words)
        return caught.exception

    async def test_nobody_listens(self) -> None:
        port = self.port
        await self.listening.stopListening()
        error = await self.refused(f"127.0.0.1:{port}: Connection was refused", self.client())
        self.assertTrue(error.unreachable)

    async def test_a_name(self) -> None:
        """It is looked up by the gateway's own resolver."""
        client = self.client(url=f"http://api.example.com:{self.port}")
        self.assertEqual((await client.get(SLICES, {}))["kind"], "EndpointSliceList")

    async def test_a_name_that_is_none(self) -> None:
        await self.refused("is not an IPv4 address", self.client(url="http://2130706433:80"))

    async def test_no_answer(self) -> None:
        """The connection is closed when the time is over."""
        server = self.raw()
        await self.refused("no answer within 1 s", self.client(port=server.port))
        await self.until(lambda: not server.lines, "the connection closes")

    async def test_a_head_without_end(self) -> None:
        """It is cut when it is too long, not when the time is over."""
        server = self.raw(b"HTTP/1.1 200 OK\r\n", *[b"X-A: " + b"a" * 1000 + b"\r\n"] * (HEAD_MAX // 1000))
        client = self.client(port=server.port)
        with self.assertRaises(ApiError) as caught:
            await client.get(SLICES, {}, 5.0)
        self.assertNotIn("within", caught.exception.words)
        await self.until(lambda: not server.lines, "the connection closes")

    async def test_no_http(self) -> None:
        for said in (
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"\x16\x03\x01" * 9,
            b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        ):
            server = self.raw(said, closes=True)
            await self.refused("no answer from", self.client(port=server.port))
