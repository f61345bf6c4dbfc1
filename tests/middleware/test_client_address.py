"""Tests of edgegw.middleware.client_address: trust.md A3.5."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edgegw.exchange.model import Exchange
from edgegw.middleware.client_address import ClientAddress
from edgegw.net.addresses import CidrSet
from edgegw.net.peer_identity import PeerIdentity
from edgegw.testing.exchanges import make_exchange
from tests.middleware.running import Case, Target, behind, sent

PROXY, OTHER_PROXY, STRANGER = "10.0.0.1", "10.0.0.2", "192.0.2.66"
FORGED = (
    (b"Forwarded", b"for=6.6.6.6;proto=https;host=evil"), (b"X-Forwarded-For", b"6.6.6.6"), (b"X-Real-IP", b"6.6.6.6"),
    (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"evil"), (b"X-Forwarded-Port", b"443"),
    (b"X-Forwarded-Prefix", b"/evil"), (b"x-FORWARDED-anything", b"1"), (b"True-Client-IP", b"6.6.6.6"),
    (b"X-Client-IP", b"6.6.6.6"), (b"X-Cluster-Client-IP", b"6.6.6.6"), (b"X-Client-Cert", b"forged"),
    (b"X-Client-Cert-Subject", b"CN=admin"), (b"x-client-cert-verified", b"yes"),
)  # fmt: skip
IDENTITY = PeerIdentity(
    "CN=ann",
    "CN=authority",
    "7f",
    ("ann.example.com", "b.example.com"),
    ("spiffe://x/ann",),
    (),
    "ab12",
    "-----BEGIN%20",
)


class Base(Case):
    def seen(
        self,
        *fields: tuple[bytes, bytes],
        peer: str = STRANGER,
        trusted: tuple[str, ...] = ("10.0.0.0/8", "unix"),
        **more: Any,
    ) -> Exchange:
        """The exchange as it leaves the layer."""
        tls = more.pop("tls", None)
        exchange = make_exchange(headers=fields, connection=behind(peer, tls), **more)
        target = Target()
        self.respond(ClientAddress(target, CidrSet(trusted)), exchange)
        self.assertEqual(target.seen, [exchange])
        return exchange


class StrangerTests(Base):
    def test_nothing_he_says_about_himself_survives(self) -> None:
        exchange = self.seen(*FORGED, (b"X-Other", b"stays"), url="http://shop.example.com:8080/")
        self.assertEqual(exchange.client, STRANGER)
        self.assertEqual(
            sent(exchange),
            {
                b"host": [b"shop.example.com:8080"],
                b"x-other": [b"stays"],
                b"x-forwarded-for": [STRANGER.encode()],
                b"x-forwarded-proto": [b"http"],
                b"x-forwarded-host": [b"shop.example.com:8080"],
            },
        )

    def test_nobody_is_trusted_by_default(self) -> None:
        exchange = self.seen(*FORGED, peer="127.0.0.1", trusted=())
        self.assertEqual((exchange.client, sent(exchange)[b"x-forwarded-for"]), ("127.0.0.1", [b"127.0.0.1"]))

    def test_scheme_is_that_of_the_connection(self) -> None:
        exchange = self.seen((b"X-Forwarded-Proto", b"http"), url="https://a/")
        self.assertEqual(sent(exchange)[b"x-forwarded-proto"], [b"https"])

    def test_without_host(self) -> None:
        exchange = make_exchange(connection=behind(STRANGER), headers=[(b"X-Forwarded-Host", b"evil")])
        exchange.request.authority = b""
        self.respond(ClientAddress(Target(), CidrSet()), exchange)
        self.assertNotIn(b"x-forwarded-host", sent(exchange))

    def test_on_a_unix_socket(self) -> None:
        exchange = self.seen(*FORGED, peer="", trusted=())
        self.assertEqual((exchange.client, sent(exchange)[b"x-forwarded-for"]), ("unix", [b"unix"]))

    def test_names_are_remembered_up_to_a_bound(self) -> None:
        layer = ClientAddress(Target(), CidrSet())
        for number in range(5000):
            self.respond(layer, make_exchange(headers=[(b"x-%d" % number, b"1")]))
        self.assertLessEqual(len(layer._forgeable), 4096)

    def test_peers_are_remembered_up_to_a_bound(self) -> None:
        layer = ClientAddress(Target(), CidrSet())
        for number in range(5000):
            peer = f"192.0.{number >> 8}.{number & 255}"
            exchange = make_exchange(connection=behind(peer))
            self.respond(layer, exchange)
            self.assertEqual(sent(exchange)[b"x-forwarded-for"], [peer.encode("ascii")])
        self.assertLessEqual(len(layer._told), 4096)


class TrustedTests(Base):
    def test_the_last_hop_that_is_not_trusted_is_the_client(self) -> None:
        for came, client, hops in (
            ((b"1.2.3.4",), "1.2.3.4", b"1.2.3.4, 10.0.0.1"),
            ((b"6.6.6.6, 1.2.3.4",), "1.2.3.4", b"1.2.3.4, 10.0.0.1"),
            ((b"6.6.6.6", b"1.2.3.4, 10.0.0.2"), "1.2.3.4", b"1.2.3.4, 10.0.0.2, 10.0.0.1"),
            ((b"6.6.6.6, unknown, 10.0.0.2",), "10.0.0.2", b"10.0.0.2, 10.0.0.1"),
            ((b"10.0.0.9, 10.0.0.2",), "10.0.0.9", b"10.0.0.9, 10.0.0.2, 10.0.0.1"),
            ((b", ,",), PROXY, b"10.0.0.1"),
            ((b"::ffff:1.2.3.4",), "1.2.3.4", b"1.2.3.4, 10.0.0.1"),
            ((b"[2001:DB8::1]:99",), "2001:db8::1", b"2001:db8::1, 10.0.0.1"),
            ((), PROXY, b"10.0.0.1"),
        ):
            exchange = self.seen(*((b"X-Forwarded-For", value) for value in came), peer=PROXY)
            self.assertEqual(exchange.client, client, came)
            # What the client claimed to the left of itself went no further.
            self.assertEqual(sent(exchange)[b"x-forwarded-for"], [hops], came)

    def test_fifty_hops(self) -> None:
        value = b"6.6.6.6, " + b", ".join([b"10.0.0.2"] * 60)
        exchange = self.seen((b"X-Forwarded-For", value), peer=PROXY)
        self.assertEqual(exchange.client, "10.0.0.2")

    def test_on_a_unix_socket(self) -> None:
        exchange = self.seen((b"X-Forwarded-For", b"1.2.3.4"), peer="")
        self.assertEqual((exchange.client, sent(exchange)[b"x-forwarded-for"]), ("1.2.3.4", [b"1.2.3.4, unix"]))

    def test_scheme_and_host_are_believed(self) -> None:
        exchange = self.seen((b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"shop"), peer=PROXY)
        self.assertEqual(
            sent(exchange, b"x-forwarded-proto", b"x-forwarded-host"),
            {b"x-forwarded-proto": [b"https"], b"x-forwarded-host": [b"shop"]},
        )

    def test_said_here_if_the_proxy_says_nothing_or_nonsense(self) -> None:
        for fields in (
            (), ((b"X-Forwarded-Proto", b"gopher"), (b"X-Forwarded-Host", b"")),
            ((b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Proto", b"http"), (b"X-Forwarded-Host", b"a"),
             (b"X-Forwarded-Host", b"b")),
        ):  # fmt: skip
            exchange = self.seen(*fields, peer=PROXY)
            self.assertEqual(
                sent(exchange, b"x-forwarded-proto", b"x-forwarded-host"),
                {b"x-forwarded-proto": [b"http"], b"x-forwarded-host": [b"example.com"]},
            )

    def test_other_names_for_the_client_say_the_same(self) -> None:
        exchange = self.seen(
            (b"X-Forwarded-For", b"1.2.3.4"), (b"True-Client-IP", b"6.6.6.6"), (b"X-Real-IP", b"6.6.6.6"), peer=PROXY
        )
        self.assertEqual(
            sent(exchange, b"true-client-ip", b"x-real-ip", b"x-client-ip"),
            {b"true-client-ip": [b"1.2.3.4"], b"x-real-ip": [b"1.2.3.4"]},
        )

    def test_what_it_says_of_a_client_certificate_is_passed_on(self) -> None:
        exchange = self.seen((b"X-Client-Cert-Subject", b"CN=ann"), peer=PROXY)
        self.assertEqual(sent(exchange)[b"x-client-cert-subject"], [b"CN=ann"])


class ForwardedTests(Base):
    def test_forwarded_alone(self) -> None:
        said = b'for=6.6.6.6;host=evil, for="1.2.3.4:99";proto=https;host=shop, for=10.0.0.2'
        exchange = self.seen((b"Forwarded", said), peer=PROXY)
        self.assertEqual(exchange.client, "1.2.3.4")
        self.assertEqual(
            sent(exchange, b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"),
            {
                b"forwarded": [
                    b"for=1.2.3.4;proto=https;host=shop, for=10.0.0.2, for=10.0.0.1;proto=http;host=example.com"
                ],
                b"x-forwarded-for": [b"1.2.3.4, 10.0.0.2, 10.0.0.1"],
                b"x-forwarded-proto": [b"https"],
                b"x-forwarded-host": [b"shop"],
            },
        )

    def test_x_forwarded_for_decides_when_both_came(self) -> None:
        fields = (b"Forwarded", b"for=6.6.6.6;host=evil"), (b"X-Forwarded-For", b"1.2.3.4")
        exchange = self.seen(*fields, peer=PROXY)
        self.assertEqual(exchange.client, "1.2.3.4")
        self.assertEqual(sent(exchange)[b"forwarded"], [b"for=1.2.3.4, for=10.0.0.1;proto=http;host=example.com"])

    def test_nonsense_says_nothing(self) -> None:
        for said in (b'for="[::1]:x"', b"for=unknown", b"for=_hidden", b'for="unclosed', b"", b",,"):
            exchange = self.seen((b"Forwarded", said), peer=PROXY)
            self.assertEqual(exchange.client, PROXY, said)
            self.assertEqual(sent(exchange)[b"forwarded"], [b"for=10.0.0.1;proto=http;host=example.com"])

    def test_scheme_and_host_must_make_sense(self) -> None:
        said = b'for=1.2.3.4;proto=gopher;host="a\tb/@c"'
        exchange = self.seen((b"Forwarded", said), peer=PROXY)
        self.assertEqual(sent(exchange)[b"x-forwarded-proto"], [b"http"])
        self.assertEqual(sent(exchange)[b"x-forwarded-host"], [b"example.com"])

    def test_version_six(self) -> None:
        exchange = self.seen((b"Forwarded", b'for="[2001:db8::1]"'), peer=PROXY)
        self.assertEqual(exchange.client, "2001:db8::1")
        self.assertTrue(sent(exchange)[b"forwarded"][0].startswith(b'for="[2001:db8::1]", '))

    def test_none_is_made_where_none_came(self) -> None:
        self.assertNotIn(b"forwarded", sent(self.seen(peer=PROXY)))


class CertificateTests(Base):
    def test_told_upstream(self) -> None:
        for peer in (STRANGER, PROXY):
            tls = SimpleNamespace(server_name="a", identity=IDENTITY)
            exchange = self.seen(*FORGED, peer=peer, tls=tls)
            found = {name: value for name, value in sent(exchange).items() if name.startswith(b"x-client-cert")}
            self.assertEqual(
                found,
                {
                    b"x-client-cert-subject": [b"CN=ann"],
                    b"x-client-cert-issuer": [b"CN=authority"],
                    b"x-client-cert-serial": [b"7f"],
                    b"x-client-cert-fingerprint": [b"ab12"],
                    b"x-client-cert-dns": [b"ann.example.com,b.example.com"],
                    b"x-client-cert-uri": [b"spiffe://x/ann"],
                    b"x-client-cert": [b"-----BEGIN%20"],
                },
            )

    def test_none_shown_none_told(self) -> None:
        exchange = self.seen(*FORGED, tls=SimpleNamespace(server_name="a", identity=None))
        self.assertEqual([name for name in sent(exchange) if name.startswith(b"x-client-cert")], [])

    def test_repr(self) -> None:
        self.assertIn("10.0.0.0/8", repr(ClientAddress(Target(), CidrSet(["10.0.0.0/8"]))))
