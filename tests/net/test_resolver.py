"""Tests of edgegw.net.resolver."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from edgegw.net.resolver import ResolveError, Resolver, ThreadedLookup


class _Names:
    """A lookup whose answers the test gives."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Deferred[Sequence[str]]]] = []

    def __call__(self, name: str) -> Deferred[Sequence[str]]:
        answer: Deferred[Sequence[str]] = Deferred()
        self.asked.append((name, answer))
        return answer

    def answer(self, *addresses: str) -> None:
        self.asked[-1][1].callback(addresses)

    def fail(self) -> None:
        self.asked[-1][1].errback(socket.gaierror(-2, "Name or service not known"))


class ResolverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.names = _Names()
        self.resolver = Resolver(self.clock, self.names, max_names=3)
        self.addCleanup(self.resolver.stop)

    def known(self, name: str = "a.example", *addresses: str) -> None:
        answer = self.resolver.resolve(name)
        self.names.answer(*(addresses or ("192.0.2.1",)))
        self.successResultOf(answer)

    def test_literals_are_their_own_answer(self) -> None:
        for text, expected in (
            ("192.0.2.1", "192.0.2.1"),
            ("::FFFF:192.0.2.1", "192.0.2.1"),
            ("2001:DB8::1", "2001:db8::1"),
        ):
            self.assertEqual(self.successResultOf(self.resolver.resolve(text)), [expected])
            self.assertEqual(self.resolver.addresses(text), (expected,))
        self.resolver.watch("192.0.2.1", self.fail)()
        self.assertEqual((self.names.asked, repr(self.resolver)), ([], "<Resolver 0 names, 0 failing>"))

    def test_hosts_that_only_look_like_names(self) -> None:
        for name in ("0", "2130706433", "127.1", "0x7f.1", "", "a b", "a\x00b", "http://a", "[::1]", "x" * 300):
            failure = self.failureResultOf(self.resolver.resolve(name), ResolveError)
            self.assertEqual(failure.value.reason, "bad_name", name)
            self.assertEqual(self.resolver.addresses(name), ())
        self.assertEqual(self.names.asked, [])

    def test_single_flight(self) -> None:
        first, second = self.resolver.resolve("a.example"), self.resolver.resolve("a.example")
        self.assertEqual(self.resolver.addresses("a.example"), ())
        self.assertNoResult(first)
        self.names.answer("192.0.2.1", "2001:db8::1", "192.0.2.1")
        self.assertEqual(self.successResultOf(first), ["192.0.2.1", "2001:db8::1"])
        self.assertEqual(self.successResultOf(second), ["192.0.2.1", "2001:db8::1"])
        self.assertEqual(len(self.names.asked), 1)

    def test_fresh_for_its_ttl_then_refreshed_behind_the_answer(self) -> None:
        self.known()
        self.clock.advance(29)
        self.assertEqual(self.resolver.addresses("a.example"), ("192.0.2.1",))
        self.assertEqual(len(self.names.asked), 1)
        self.clock.advance(2)
        self.assertEqual(self.successResultOf(self.resolver.resolve("a.example")), ["192.0.2.1"])
        self.assertEqual(len(self.names.asked), 2)
        self.names.answer("192.0.2.2")
        self.assertEqual(self.resolver.addresses("a.example"), ("192.0.2.2",))

    def test_last_good_is_kept_when_the_name_service_fails(self) -> None:
        self.known()
        for _ in range(3):
            self.clock.advance(31)
            self.assertEqual(self.resolver.addresses("a.example"), ("192.0.2.1",))
            self.names.fail()
        self.clock.advance(31)
        self.resolver.addresses("a.example")
        self.names.answer()
        self.assertEqual(self.successResultOf(self.resolver.resolve("a.example")), ["192.0.2.1"])
        self.assertEqual(repr(self.resolver), "<Resolver 1 names, 1 failing>")

    def test_a_failure_is_believed_for_a_while(self) -> None:
        answer = self.resolver.resolve("a.example")
        self.names.fail()
        failure = self.failureResultOf(answer, ResolveError)
        self.assertIn("Name or service not known", str(failure.value))
        self.failureResultOf(self.resolver.resolve("a.example"), ResolveError)
        self.assertEqual(len(self.names.asked), 1)
        self.clock.advance(5.1)
        self.known()
        self.assertEqual(len(self.names.asked), 2)

    def test_deadline_and_late_answer(self) -> None:
        answer = self.resolver.resolve("a.example")
        self.clock.advance(4.9)
        self.assertNoResult(answer)
        self.clock.advance(0.2)
        self.assertEqual(self.failureResultOf(answer, ResolveError).value.reason, "timeout")
        # The thread still hangs: nobody waits for it again, and no second one is spent on the name.
        self.assertEqual(self.failureResultOf(self.resolver.resolve("a.example"), ResolveError).value.reason, "timeout")
        self.assertEqual(len(self.names.asked), 1)
        self.names.answer("192.0.2.1")
        self.assertEqual(self.successResultOf(self.resolver.resolve("a.example")), ["192.0.2.1"])

    def test_watchers_hear_of_another_set_only(self) -> None:
        told: list[tuple[str, ...]] = []
        unwatch = self.resolver.watch("a.example", told.append)
        self.names.answer("192.0.2.1", "192.0.2.2")
        for addresses in (("192.0.2.2", "192.0.2.1"), ("192.0.2.2",), ("192.0.2.2",)):
            self.clock.pump([1] * 31)
            self.names.answer(*addresses)
        self.assertEqual(told, [("192.0.2.1", "192.0.2.2"), ("192.0.2.2",)])
        self.assertEqual(len(self.names.asked), 4)
        unwatch()
        self.clock.pump([1] * 100)
        self.assertEqual(len(self.names.asked), 4)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_failing_watcher_harms_nobody(self) -> None:
        told: list[tuple[str, ...]] = []
        self.resolver.watch("a.example", lambda addresses: 1 / 0)
        self.resolver.watch("a.example", told.append)
        self.names.answer("192.0.2.1")
        self.assertEqual(told, [("192.0.2.1",)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_lookup_that_raises(self) -> None:
        resolver = Resolver(self.clock, lambda name: 1 / 0)  # type: ignore[arg-type, return-value]
        self.failureResultOf(resolver.resolve("a.example"), ResolveError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_table_is_bounded_and_the_longest_unused_goes(self) -> None:
        for name in ("a.example", "b.example", "c.example"):
            self.known(name)
        self.resolver.addresses("a.example")
        self.known("d.example")
        self.assertEqual(list(self.resolver._table), ["c.example", "a.example", "d.example"])

    def test_names_in_use_are_not_pushed_out(self) -> None:
        for name in ("a.example", "b.example", "c.example"):
            self.resolver.watch(name, lambda addresses: None)
            self.names.answer("192.0.2.1")
        failure = self.failureResultOf(self.resolver.resolve("d.example"), ResolveError)
        self.assertEqual(failure.value.reason, "table_full")

    def test_a_waiter_may_leave(self) -> None:
        answer = self.resolver.resolve("a.example")
        answer.addErrback(lambda _: None)
        answer.cancel()
        self.names.answer("192.0.2.1")
        self.assertEqual(self.resolver.addresses("a.example"), ("192.0.2.1",))

    def test_stop(self) -> None:
        answer = self.resolver.resolve("a.example")
        self.resolver.watch("b.example", self.fail)
        self.resolver.stop()
        self.failureResultOf(answer, ResolveError)
        self.names.answer("192.0.2.1")
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ThreadedLookupTests(TestCase):
    async def test_runs_in_a_thread_of_its_own(self) -> None:
        def blocking(name: str) -> list[str]:
            return [f"{name} in {threading.current_thread().name}"]

        lookup = ThreadedLookup(reactor, blocking, threads=1)
        self.addCleanup(lookup.stop)
        (answer,) = await lookup("a.example")
        self.assertIn("a.example in PoolThread-edgegw-resolver", answer)

    async def test_getaddrinfo_for_real(self) -> None:
        lookup = ThreadedLookup(reactor)
        self.addCleanup(lookup.stop)
        resolver = Resolver(reactor, lookup)
        self.addCleanup(resolver.stop)
        self.assertIn((await resolver.resolve("localhost"))[0], ("127.0.0.1", "::1"))
        with self.assertRaises(ResolveError) as caught:
            await resolver.resolve("nothing.invalid")
        self.assertIn(caught.exception.reason, ("not_found", "timeout"))
