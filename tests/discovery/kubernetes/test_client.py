"""Requests to the API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet import ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from edgegw.discovery.api.access import Access
from edgegw.discovery.api.errors import ApiError, CredentialsError, Garbage
from edgegw.discovery.kubernetes import client as module
from edgegw.discovery.kubernetes.client import KubernetesClient, decoded
from tests.certs import Authority
from tests.discovery.api.case import chunk
from tests.discovery.kubernetes.case import SLICES, ApiCase, reactor
from tests.discovery.kubernetes.commands import V1, runs, saying, script
from tests.discovery.kubernetes.test_kubeconfig import kubeconfig
from tests.live.kube_objects import endpoint, endpoint_slice

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class DecodeTests(SynchronousTestCase):
    """JSON."""

    def test_garbage(self) -> None:
        """Nesting without measure is garbage like the rest."""
        for data in (b"", b"[]", b"5", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 5000, b"NaN", b'{"a": 1} x'):
            self.assertRaises(Garbage, decoded, data)
        self.assertEqual(decoded('{"a": "é"}'.encode()), {"a": "é"})


class GetTests(ApiCase):
    """One answer."""

    async def test_what_is_sent(self) -> None:
        client = self.client(token="secret")
        await client.get(SLICES, {"labelSelector": "a in (b,c)", "limit": "5"})
        (seen,) = self.api.requests
        self.assertEqual((seen["method"], seen["path"]), ("GET", SLICES))
        self.assertEqual(seen["args"], {"labelSelector": "a in (b,c)", "limit": "5"})
        self.assertEqual((seen["token"], seen["agent"]), ("secret", "edgegw"))

    async def test_connections_are_closed(self) -> None:
        client = self.client()
        for _ in range(3):
            await client.get(SLICES, {})
        await self.until(lambda: "0 open" in repr(client))

    async def refused(self, status: int, words: str, **client: Any) -> ApiError:
        with self.assertRaises(ApiError) as caught:
            await self.client(**client).get(SLICES, {}, 2.0)
        self.assertEqual(caught.exception.status, status)
        self.assertIn(words, caught.exception.words)
        return caught.exception

    async def test_refusals(self) -> None:
        self.api.control({"forbid": [["list", "endpointslices"]]})
        await self.refused(403, 'cannot list resource \\"endpointslices\\"'.replace("\\", ""))
        self.api.control({"forbid": [], "tokens": ["right"]})
        await self.refused(401, "credentials")
        await self.refused(401, "credentials", token="wrong")

    async def test_too_many_requests(self) -> None:
        self.api.control({"answer": {"status": 429, "headers": {"Retry-After": "7"}}})
        self.assertEqual((await self.refused(429, "429")).retry_after_s, 7.0)
        for said in ("Wed, 21 Oct 2026 07:28:00 GMT", "-5", "1e9", "9" * 30):
            self.api.control({"answer": {"status": 503, "headers": {"Retry-After": said}}})
            self.assertEqual((await self.refused(503, "503")).retry_after_s, 0.0)

    async def test_redirects_are_not_followed(self) -> None:
        """The token would go along."""
        self.api.control({"answer": {"status": 302, "headers": {"Location": f"http://127.0.0.1:{self.port}/x"}}})
        await self.refused(302, "302", token="secret")
        self.assertEqual(len(self.api.requests), 1)

    async def test_garbage(self) -> None:
        for body in ("", "<html>", "[]", "{"):
            self.api.control({"answer": {"status": 200, "body": body}})
            await self.refused(0, "JSON")
        self.api.control({"answer": {"status": 500, "body": "<html>"}})
        await self.refused(500, "it does not say why")

    async def test_a_body_without_measure(self) -> None:
        server = self.raw(HEAD, *[chunk(b"x" * 1000)] * 20)
        with patch.object(module, "PAGE_MAX", 10_000):
            await self.refused(0, "larger than 10000 bytes", port=server.port)
        await self.until(lambda: not server.lines, "the connection closes")

    async def test_the_body_of_a_refusal(self) -> None:
        """It has bounds of its own."""
        head = HEAD.replace(b"200 OK", b"500 No")
        server = self.raw(head, chunk(b"x" * (64 * 1024 + 1)))
        await self.refused(0, "larger than 65536 bytes", port=server.port)
        await self.until(lambda: not server.lines, "the connection closes")
        server = self.raw(head, chunk(b"x"))
        with patch.object(module, "GET_S", 0.3):
            await self.refused(0, "within 0.3 s", port=server.port)
        await self.until(lambda: not server.lines, "the connection closes")

    async def test_a_body_that_is_torn(self) -> None:
        server = self.raw(HEAD + chunk(b"{"), closes=True)
        await self.refused(0, "torn", port=server.port)

    async def test_a_body_that_drips(self) -> None:
        """The deadline is for all of it."""
        server = self.raw(HEAD + chunk(b"{"))
        await self.refused(0, "within 2 s", port=server.port)
        await self.until(lambda: not server.lines, "the connection closes")


class Tokens:
    """Credentials of which there is another one after each that was refused."""

    def __init__(self, port: int, *tokens: str) -> None:
        self.port, self.tokens = port, list(tokens)

    async def current(self) -> Access:
        if not self.tokens:
            raise CredentialsError("no file")
        return Access(False, "127.0.0.1", self.port, "", "", None, self.tokens[0])

    async def renewed(self, refused: Access) -> Access | None:
        if len(self.tokens) == 1:
            return None
        self.tokens.pop(0)
        return await self.current()


class CredentialTests(ApiCase):
    """401."""

    def with_tokens(self, *tokens: str) -> KubernetesClient:
        credentials: Any = Tokens(self.port, *tokens)
        client = KubernetesClient(reactor, self.resolver, credentials)
        self.addCleanup(client.stop)
        return client

    async def test_read_again_at_once(self) -> None:
        self.api.control({"tokens": ["new"]})
        await self.with_tokens("old", "new").get(SLICES, {})
        self.assertEqual([each["token"] for each in self.api.requests], ["old", "new"])

    async def test_once(self) -> None:
        """A token that is no other is not tried again, and one that is refused too is an error."""
        self.api.control({"tokens": ["right"]})
        for tokens, tried in ((["old"], 1), (["old", "wrong"], 2)):
            self.api.requests.clear()
            with self.assertRaises(ApiError) as caught:
                await self.with_tokens(*tokens).get(SLICES, {})
            self.assertEqual((caught.exception.status, len(self.api.requests)), (401, tried))

    async def test_nothing_stays_open(self) -> None:
        """Nobody waits for what such an answer goes on to say."""
        server = self.raw(HEAD.replace(b"200 OK", b"401 No"), chunk(b"x"))
        credentials: Any = Tokens(server.port, "old")
        client = KubernetesClient(reactor, self.resolver, credentials)
        self.addCleanup(client.stop)
        with self.assertRaises(ApiError):
            await client.get(SLICES, {})
        await self.until(lambda: not server.lines, "the connection closes")

    async def test_no_credentials(self) -> None:
        with self.assertRaises(ApiError) as caught:
            await self.with_tokens().get(SLICES, {})
        self.assertEqual(caught.exception.words, "no file")

    async def test_an_exec_plugin(self) -> None:
        """Run for the first request, and again after a 401; not when it tells the same once more."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        command = script(folder, saying(token="old"))
        user = {"exec": {"apiVersion": V1, "command": command}}
        (folder / "config").write_text(kubeconfig({"server": f"http://127.0.0.1:{self.port}"}, user))
        client = self.client(kubeconfig=str(folder / "config"), url=None)
        await client.get(SLICES, {})
        await client.get(SLICES, {})
        self.assertEqual(runs(folder), 1)
        self.api.control({"tokens": ["new"]})
        with self.assertRaises(ApiError) as caught:
            await client.get(SLICES, {})
        self.assertEqual((caught.exception.status, runs(folder)), (401, 2))
        script(folder, saying(token="new"))
        await client.get(SLICES, {})
        self.assertEqual(([each["token"] for each in self.api.requests][-2:], runs(folder)), (["old", "new"], 3))
        script(folder, "echo log in >&2; exit 1")
        self.api.control({"tokens": ["newer"]})
        with self.assertRaises(ApiError) as caught:
            await client.get(SLICES, {})
        self.assertIn("failed with exit code 1: log in", caught.exception.words)

    async def test_a_token_file(self) -> None:
        """It is read before each request."""
        path = Path(self.mktemp()).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        client = self.client(token_file=str(path))
        for token in ("one", "second", "third-token"):
            path.write_text(token)
            await client.get(SLICES, {})
        self.assertEqual([each["token"] for each in self.api.requests], ["one", "second", "third-token"])


class WatchTests(ApiCase):
    """A stream of events."""

    def watching(self, client: KubernetesClient, limit_s: float = 5.0) -> tuple[Deferred[None], list[Any]]:
        seen: list[Any] = []
        params = {"watch": "1", "resourceVersion": "1000", "allowWatchBookmarks": "true"}
        watch = client.watch(SLICES, params, lambda: seen.append("opened"), seen.append, limit_s)
        return Deferred.fromCoroutine(watch), seen

    async def test_events(self) -> None:
        """The answer's begin is told before anything happens; split reads and characters come whole."""
        client = self.client()
        done, seen = self.watching(client)
        await self.until(lambda: seen == ["opened"], "opened")
        self.api.control({"split": 3})
        self.api.put("endpointslices", endpoint_slice("é-1", endpoint("10.0.0.1")))
        await self.until(lambda: len(seen) == 2, "an event")
        self.assertEqual(decoded(seen[1])["object"]["metadata"]["name"], "é-1")
        self.api.control({"end": True})
        await done
        await self.until(lambda: "0 open" in repr(client))

    async def test_torn(self) -> None:
        done, seen = self.watching(self.client())
        await self.until(lambda: seen, "opened")
        self.api.control({"cut": True})
        with self.assertRaises(ApiError) as caught:
            await done
        self.assertTrue(caught.exception.unreachable)

    async def test_a_line_that_is_too_long(self) -> None:
        server = self.raw(HEAD + chunk(b"x" * 101))
        with patch.object(module, "LINE_MAX", 100):
            done, _ = self.watching(self.client(port=server.port))
            with self.assertRaises(Garbage) as caught:
                await done
        self.assertIn("more than 100 bytes", caught.exception.words)
        await self.until(lambda: not server.lines, "the connection closes")

    async def test_it_must_end(self) -> None:
        """A stream that drips for ever is cut."""
        done, seen = self.watching(self.client(), 0.3)
        await self.until(lambda: seen, "opened")
        with self.assertRaises(ApiError) as caught:
            await done
        self.assertIn("did not end", caught.exception.words)
        await self.until(lambda: not self.api.watches, "the double sees it")

    async def test_cancelled(self) -> None:
        """The connection is really closed."""
        client = self.client()
        done, seen = self.watching(client)
        await self.until(lambda: seen, "opened")
        done.cancel()
        with self.assertRaises(CancelledError):
            await done
        await self.until(lambda: not self.api.watches, "the double sees it")
        self.assertIn("0 open", repr(client))

    async def test_cancelled_before_it_begins(self) -> None:
        """While connected and while connecting."""
        self.api.control({"hang": True})
        client = self.client()
        done, seen = self.watching(client)
        await self.until(lambda: self.api.requests, "the request came")
        done.cancel()
        with self.assertRaises(CancelledError):
            await done
        await self.until(lambda: "0 open" in repr(client), "the connection closes")
        done, seen = self.watching(client)
        done.cancel()
        with self.assertRaises(CancelledError):
            await done
        self.assertEqual((seen, "0 open" in repr(client)), ([], True))

    async def test_a_status(self) -> None:
        self.api.control({"gone": "http", "compact": True, "version": 2000})
        done, seen = self.watching(self.client())
        with self.assertRaises(ApiError) as caught:
            await done
        self.assertEqual((caught.exception.status, seen), (410, []))

    async def test_a_last_line_without_an_end(self) -> None:
        """It was cut, and nothing of it counts."""
        server = self.raw(HEAD + chunk(b'{"a": 1}\n{"b": 2') + b"0\r\n\r\n", closes=True)
        done, seen = self.watching(self.client(port=server.port))
        await done
        self.assertEqual(seen, ["opened", b'{"a": 1}'])

    async def test_stop(self) -> None:
        """Fires when the sockets are closed; nothing begins after it."""
        client = self.client()
        done, seen = self.watching(client)
        done.addErrback(lambda _: None)
        await self.until(lambda: seen, "opened")
        await client.stop().addTimeout(1.0, reactor)
        self.assertIn("0 open", repr(client))
        await self.until(lambda: not self.api.watches, "the double sees it")
        with self.assertRaises(ApiError):
            await client.get(SLICES, {})


class TlsTests(ApiCase):
    """What the settings say of certificates is what is used."""

    async def test_settings(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        authority = Authority()
        ca = str(authority.write(folder))
        me = authority.issue("edgegw", client=True).write(folder, "me")
        leaf = authority.issue("api.example.com")
        options = ssl.PrivateCertificate.loadPEM(leaf.key_pem + leaf.cert_pem).options(
            ssl.Certificate.loadPEM(authority.cert_pem)
        )
        port = self.site(Site(self.api), options).getHost().port
        shown = {"ca_file": ca, "cert_file": str(me.cert), "key_file": str(me.key), "server_name": "api.example.com"}
        page = await self.client(port=port, scheme="https", **shown).get(SLICES, {})
        self.assertEqual(page["kind"], "EndpointSliceList")
        for missing in shown:
            settings = {key: value for key, value in shown.items() if key != missing}
            if missing in ("cert_file", "key_file"):
                settings = {key: value for key, value in shown.items() if key not in ("cert_file", "key_file")}
            with self.assertRaises(ApiError):
                await self.client(port=port, scheme="https", **settings).get(SLICES, {})
        self.assertEqual(len(self.api.requests), 1)
        page = await self.client(port=port, scheme="https", **{**shown, "server_name": None}, verify=False).get(
            SLICES, {}
        )
        self.assertEqual(page["kind"], "EndpointSliceList")
