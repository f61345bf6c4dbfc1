"""Tests of edgegw.middleware.request_id."""

from __future__ import annotations

import itertools

from edgegw.exchange.model import Exchange
from edgegw.middleware.request_id import RequestId
from edgegw.middleware.rescue import Rescue
from edgegw.net.addresses import CidrSet
from edgegw.testing.exchanges import make_exchange
from tests.middleware.running import Case, Target, behind, sent

TRUSTED = CidrSet(["10.0.0.0/8", "unix"])


class RequestIdTests(Case):
    def setUp(self) -> None:
        self.target = Target((b"X-Request-Id", b"the upstream's own"))
        counter = itertools.count()
        self.drawn: list[int] = []

        def draw(size: int) -> bytes:
            self.drawn.append(size)
            return bytes([next(counter)]) * size

        self.layer = RequestId(self.target, TRUSTED, draw)

    def given(self, *ids: bytes, peer: str = "192.0.2.1") -> Exchange:
        exchange = make_exchange(headers=[(b"x-request-id", each) for each in ids], connection=behind(peer))
        exchange.id = ""
        response = self.respond(Rescue(self.layer, self.fail), exchange)
        self.assertEqual(sent(exchange, b"x-request-id"), {b"x-request-id": [exchange.id.encode()]})
        self.assertEqual(response.headers.get_all(b"x-request-id"), [exchange.id.encode()])
        return exchange

    def test_made_here(self) -> None:
        self.assertRegex(self.given().id, r"^[0-9a-f]{32}$")

    def test_a_strangers_is_replaced(self) -> None:
        self.assertEqual(self.given(b"forged").id, "00" * 16)
        self.assertEqual(self.given(b"forged", b"twice").id, "00" * 16)

    def test_a_trusted_proxys_is_kept(self) -> None:
        for peer in ("10.1.2.3", ""):
            self.assertEqual(self.given(b"a-B_9.z:/+=@".replace(b"_", b"-"), peer=peer).id, "a-B-9.z:/+=@")

    def test_not_if_it_could_do_harm(self) -> None:
        for bad in (b"a b", b'a"b', b"a\x1b[0m", b"", b"x" * 129, b"\xe9", b"a,b", b"<a>", b"a\nb"):
            self.assertEqual(self.given(bad, peer="10.1.2.3").id, "00" * 16, bad)
        self.assertEqual(self.given(b"x" * 128, peer="10.1.2.3").id, "x" * 128)

    def test_of_two_one_is_a_strangers(self) -> None:
        self.assertEqual(self.given(b"forged", b"real", peer="10.1.2.3").id, "00" * 16)

    def test_drawn_in_blocks_and_never_twice(self) -> None:
        layer = RequestId(self.target, TRUSTED)
        seen = set()
        for _ in range(300):
            exchange = make_exchange()
            self.respond(layer, exchange)
            seen.add(exchange.id)
        self.assertEqual(len(seen), 300)
        for _ in range(300):
            self.given()
        self.assertEqual(len(self.drawn), 3)

    def test_in_place_before_the_target_sees_it(self) -> None:
        exchange = make_exchange()
        exchange.id = ""
        ids: list[str] = []
        self.respond(RequestId(Target(does=lambda inner: ids.append(inner.id)), TRUSTED), exchange)
        self.assertEqual(ids, [exchange.id])
