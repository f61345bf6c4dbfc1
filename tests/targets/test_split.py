"""Shares, canaries and clients that come back."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Response
from edgegw.exchange.predicates import WhenSettings, compile_when
from edgegw.targets.split import Destination, DestinationSettings, Draw, Split, SplitSettings
from edgegw.testing.exchanges import make_exchange

WEIGHTS = st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any)
SECRET = b"s" * 32


class Even:
    """Chance that takes every point of the interval in turn."""

    def __init__(self, points: int) -> None:
        self._points = points
        self._at = -1

    def random(self) -> float:
        self._at += 1
        return (self._at + 0.5) / self._points


class Named:
    """A responder that says its name, or fails."""

    def __init__(self, name: str, error: GatewayError | None = None) -> None:
        self.name = name
        self.error = error

    async def __call__(self, exchange: Exchange) -> Response:
        if self.error is not None:
            raise self.error
        return Response.of(200, self.name.encode())

    def __repr__(self) -> str:
        return f"<Named {self.name}>"


class DrawTests(SynchronousTestCase):
    @given(WEIGHTS)
    def test_shares_are_exact(self, weights: list[int]) -> None:
        """Over all points of the interval each has as many as its weight; who has none is never drawn."""
        total = sum(weights)
        draw = Draw(weights, Even(total))  # type: ignore[arg-type]
        found = Counter(draw.by_chance() for _ in range(total))
        self.assertEqual([found[at] for at in range(len(weights))], weights)

    def test_by_chance(self) -> None:
        """Chi-square of 20,000 draws, three degrees of freedom: 16.3 is exceeded once in a thousand seeds."""
        weights, draws = [80, 15, 4, 1], 20_000
        draw = Draw(weights, Random(7))
        found = Counter(draw.by_chance() for _ in range(draws))
        expected = [weight * draws / 100 for weight in weights]
        self.assertLess(sum((found[at] - wanted) ** 2 / wanted for at, wanted in enumerate(expected)), 16.3)

    def test_by_key(self) -> None:
        """The same for keys, which draw the same each time."""
        weights, keys = [90, 10], [b"client-%d" % number for number in range(20_000)]
        draw = Draw(weights, Random(1))
        found = Counter(draw.by_key(key) for key in keys)
        self.assertLess((found[1] - 2000) ** 2 / 2000 + (found[0] - 18000) ** 2 / 18000, 10.8)
        self.assertEqual([draw.by_key(key) for key in keys], [Draw(weights, Random(2)).by_key(key) for key in keys])

    @given(st.integers(0, 99), st.integers(1, 100))
    def test_a_canary_that_grows_keeps_its_clients(self, before: int, more: int) -> None:
        after = min(before + more, 100)
        keys = [b"%d" % number for number in range(200)]
        small, large = Draw([100 - before, before], Random(1)), Draw([100 - after, after], Random(1))
        self.assertLessEqual({key for key in keys if small.by_key(key)}, {key for key in keys if large.by_key(key)})

    def test_nothing_to_draw(self) -> None:
        self.assertRaises(ValueError, Draw, [0, 0], Random(1))


class SplitCase(SynchronousTestCase):
    def split(self, *destinations: Destination, chance: Any = None, secret: bytes = SECRET, **settings: Any) -> Split:
        return Split(destinations, SplitSettings.model_validate(settings), chance or Random(3), secret)

    def ask(self, split: Split, exchange: Exchange | None = None) -> Response:
        async def answer() -> Response:
            return await split(exchange or make_exchange())

        return self.successResultOf(Deferred.fromCoroutine(answer()))

    def name(self, split: Split, *fields: tuple[bytes, bytes]) -> str:
        return self.ask(split, make_exchange(headers=fields)).body.take_ready().decode()

    def names(self, split: Split, times: int, *fields: tuple[bytes, bytes]) -> Counter[str]:
        return Counter(self.name(split, *fields) for _ in range(times))


def when(**tests: Any) -> Any:
    return compile_when(WhenSettings.model_validate(tests), Problems())


A, B = Destination("a", Named("a"), 95), Destination("b", Named("b"), 5)


class ChoiceTests(SplitCase):
    def test_weights(self) -> None:
        self.assertEqual(self.names(self.split(A, B, chance=Even(100)), 100), {"a": 95, "b": 5})

    def test_no_weight(self) -> None:
        split = self.split(Destination("a", Named("a"), 0), B)
        self.assertEqual(self.names(split, 50), {"b": 50})

    def test_canaries_come_first_in_order(self) -> None:
        split = self.split(
            A,
            Destination("one", Named("one"), when=when(header={"X-Canary": "1"})),
            Destination("two", Named("two"), when=when(header={"X-Canary": {"present": True}})),
            Destination("three", Named("three"), when=when(cookie={"beta": "yes"})),
        )
        self.assertEqual(self.names(split, 20, (b"X-Canary", b"1"), (b"Cookie", b"beta=yes")), {"one": 20})
        self.assertEqual(self.names(split, 20, (b"X-Canary", b"0")), {"two": 20})
        self.assertEqual(self.names(split, 20, (b"Cookie", b"x=1; beta=yes")), {"three": 20})
        self.assertEqual(self.names(split, 20), {"a": 20}, "a canary has no share of the draw")

    def test_what_it_says_of_itself(self) -> None:
        text = repr(self.split(A, Destination("c", Named("c"), when=when(header={"X-A": "1"}))))
        self.assertEqual(text, "<Split 95 <Named a>; <Predicate header x-a exact 1> <Named c>>")


class KeyTests(SplitCase):
    def test_the_same_key_goes_the_same_way(self) -> None:
        a, b = Destination("a", Named("a"), 50), Destination("b", Named("b"), 50)
        for key, field in (("header:X-User", b"X-User"), ("cookie:user", b"Cookie")):
            split, found = self.split(a, b, key=key), Counter[str]()
            for number in range(40):
                value = b"user=%d" % number if field == b"Cookie" else b"%d" % number
                names = self.names(split, 5, (field, value))
                self.assertEqual(len(names), 1, (key, value))
                found.update(names)
            self.assertGreater(min(found["a"], found["b"]), 40, key)

    def test_by_address(self) -> None:
        split, found = self.split(*(Destination(name, Named(name), 1) for name in "ab"), key="client_ip"), set()
        for number in range(20):
            names = set()
            for _ in range(5):
                exchange = make_exchange()
                exchange.client = f"192.0.2.{number}"
                names.add(self.ask(split, exchange).body.take_ready())
            self.assertEqual(len(names), 1)
            found |= names
        self.assertEqual(found, {b"a", b"b"})

    def test_without_a_key_by_chance(self) -> None:
        split = self.split(A, B, chance=Even(100), key="header:X-User")
        self.assertEqual(self.names(split, 50), {"a": 50})
        self.assertEqual(self.names(split, 50, (b"X-User", b"")), {"a": 45, "b": 5}, "an empty one is none")


class StickyTests(SplitCase):
    def even(self) -> list[Destination]:
        return [Destination(name, Named(name), 50) for name in "ab"]

    def drawn(self, split: Split, url: str = "http://example.com/") -> tuple[bytes, bytes]:
        """The name drawn, and the Set-Cookie with it."""
        response = self.ask(split, make_exchange(url=url))
        return response.body.take_ready(), response.headers.get(b"set-cookie") or b""

    def test_a_client_comes_back(self) -> None:
        split = self.split(*self.even(), sticky={})
        for _ in range(10):
            name, field = self.drawn(split)
            cookie, _, attributes = field.partition(b"; ")
            self.assertEqual(attributes, b"Path=/; HttpOnly; SameSite=Lax")
            fields = (b"Cookie", b"other=1; " + cookie)
            self.assertEqual(self.names(split, 20, fields), {name.decode(): 20})
            again = self.ask(split, make_exchange(headers=[fields]))
            self.assertIsNone(again.headers.get(b"set-cookie"), "it has one")

    def test_without_it_nobody_does(self) -> None:
        """What the test above would find with stickiness switched off."""
        self.assertEqual(len(self.names(self.split(*self.even()), 30)), 2)
        self.assertIsNone(self.ask(self.split(*self.even())).headers.get(b"set-cookie"))

    def test_settings_of_the_cookie(self) -> None:
        split = self.split(*self.even(), sticky={"cookie": "side", "ttl": "1h"})
        field = self.drawn(split, "https://example.com/")[1]
        self.assertRegex(field, rb"^side=[^;]+; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax$")

    def test_another_process_knows_it_and_a_forger_makes_none(self) -> None:
        name, field = self.drawn(self.split(*self.even(), sticky={}))
        cookie = (b"Cookie", field.partition(b";")[0])
        other = self.split(*self.even(), chance=Random(99), sticky={})
        self.assertEqual(self.names(other, 20, cookie), {name.decode(): 20})
        for secret, value in ((b"t" * 32, cookie[1]), (SECRET, cookie[1][:-1] + b"!"), (SECRET, b"edgegw_split=a")):
            stranger = self.split(*self.even(), secret=secret, sticky={})
            self.assertEqual(len(self.names(stranger, 30, (b"Cookie", value))), 2, value)

    def test_a_canary_that_is_taken_down_loses_its_clients(self) -> None:
        up = self.split(*(Destination(name, Named(name), 1) for name in "ab"), sticky={})
        cookies = dict(self.drawn(up) for _ in range(20))
        back = (b"Cookie", cookies[b"b"].partition(b";")[0])
        self.assertEqual(self.name(up, back), "b")
        down = self.split(Destination("a", Named("a"), 1), Destination("b", Named("b"), 0), sticky={})
        self.assertEqual(self.names(down, 20, back), {"a": 20})

    def test_canaries_by_when_are_not_remembered(self) -> None:
        split = self.split(A, Destination("c", Named("c"), when=when(header={"X-A": "1"})), sticky={})
        response = self.ask(split, make_exchange(headers=[(b"X-A", b"1")]))
        self.assertEqual((response.body.take_ready(), response.headers.get(b"set-cookie")), (b"c", None))

    def test_an_error_is_not_remembered(self) -> None:
        split = self.split(Destination("a", Named("a", GatewayError(503, "no_endpoint"))), sticky={})

        async def answer() -> Response:
            return await split(make_exchange())

        self.failureResultOf(Deferred.fromCoroutine(answer()), GatewayError)


class SettingsTests(SynchronousTestCase):
    def test_short_forms(self) -> None:
        made = DestinationSettings.model_validate("users")
        self.assertEqual((made.upstream, made.weight, made.when, str(made)), ("users", 1, None, "users"))
        self.assertEqual(str(DestinationSettings(upstream="u", meta={"b": "2", "a": "1"})), "u (a=1, b=2)")
        sticky = SplitSettings.model_validate({"sticky": "side"}).sticky
        assert sticky is not None
        self.assertEqual(sticky.cookie, "side")

    def test_keys(self) -> None:
        for key in ("client_ip", "header:X-User", "cookie:user"):
            self.assertEqual(SplitSettings(key=key).key, key)
        for key in ("header", "header:", "header:a b", "client_ip:x", "query:a", ""):
            self.assertRaises(ValidationError, SplitSettings, key=key)
