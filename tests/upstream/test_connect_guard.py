"""Tests of edgegw.upstream.connect: what discovery named may not lead anywhere (reference/trust.md A5)."""

from __future__ import annotations

from edgegw.discovery.policy import EndpointPolicy
from edgegw.errors import GatewayError, Retry
from edgegw.upstream.address import EndpointUrl
from tests.upstream.test_connect import Case as ConnectCase


class GuardTests(ConnectCase):
    """Each address is judged, and the judged address is dialled."""

    def setUp(self) -> None:
        super().setUp()
        written = [EndpointUrl.parse("http://written:80")]
        self.connector.guard = EndpointPolicy(("10.9.0.0/16",), lambda: [("10.0.0.7", 80)]).guard(written)
        self.names["evil"] = ["127.0.0.1", "169.254.169.254"]
        self.names["half"] = ["127.0.0.1", "10.0.0.1"]
        self.names["self"] = ["10.0.0.7"]
        self.names["written"] = ["127.0.0.1"]

    def error(self, url: str) -> GatewayError:
        error: GatewayError = self.failureResultOf(self.dial(url), GatewayError).value
        return error

    def test_refused(self) -> None:
        error = self.error("http://evil:80")
        self.assertEqual((error.status, error.reason, error.retry), (503, "address_refused", Retry.ALWAYS))
        self.assertIn("127.0.0.1: an address of this machine (loopback)", error.detail)
        self.assertIn("169.254.169.254: a link-local address", error.detail)
        self.assertEqual(self.tried(), [])

    def test_literals_too(self) -> None:
        for url in ("http://127.0.0.1:80", "http://[::ffff:127.0.0.1]:80", "http://169.254.169.254:80"):
            self.assertEqual(self.error(url).reason, "address_refused", url)

    def test_own_listener(self) -> None:
        self.assertEqual(self.error("http://self:80").reason, "address_refused")

    def test_the_others_of_the_name(self) -> None:
        for _ in range(4):
            self.dial("http://half:80").addErrback(lambda _: None)
        self.assertEqual(set(self.tried()), {("10.0.0.1", 80)})

    def test_rebinding(self) -> None:
        """A name that leads to another address at the next look is judged by that."""
        self.dial("http://h:80").addErrback(lambda _: None)
        self.assertEqual(self.tried(), [("10.0.0.1", 80)])
        self.names["h"] = ["127.0.0.1"]
        self.reactor.advance(31)
        self.dial("http://h:80").addErrback(lambda _: None)
        self.assertEqual(self.error("http://h:80").reason, "address_refused")

    def test_written_in_the_configuration(self) -> None:
        self.dial("http://written:80").addErrback(lambda _: None)
        self.assertEqual(self.tried(), [("127.0.0.1", 80)])

    def test_without(self) -> None:
        self.connector.guard = None
        self.dial("http://evil:80").addErrback(lambda _: None)
        self.assertEqual(len(self.tried()), 1)


del ConnectCase
