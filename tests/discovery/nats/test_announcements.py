"""Tests of edgegw.discovery.nats.announcements."""

from __future__ import annotations

import json
from typing import Any

from twisted.logger import globalLogPublisher

from edgegw.discovery.interfaces import Source
from edgegw.discovery.nats.announcements import Announcements
from edgegw.discovery.nats.instance import Scope
from tests.discovery.doubles import a, named
from tests.discovery.feeding import FeedCase
from tests.discovery.nats.case import Listener, SourceCase


def one(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": f"u{number}", "service": "users", "address": f"10.0.0.{number}", "port": 80, **more}


class Case(SourceCase):
    """A source that hears the prefix p."""

    def begin(self, service: str = "users", answer: bool = False, admit: bool = True) -> None:
        connecting = self.connecting()
        self.source: Source = Announcements("nats p", Scope("p", service), "http", connecting, self.environment, answer)
        self.source.start(self.listener)
        if admit:
            self.said = self.admit()

    def settle(self) -> None:
        self.clock.advance(0.05)

    @property
    def urls(self) -> list[str]:
        return [each.replace("http://10.0.0.", "") for each in self.listener.marked]


class HearTests(Case):
    """What instances say."""

    def test_subscriptions(self) -> None:
        self.begin()
        self.assertEqual(sorted(self.subjects)[1:], ["p.deregister", "p.health.>", "p.register"])
        self.assertIn('{"service": "users"}', self.said)
        self.begin("", answer=True)
        self.assertIn("p.discover", self.subjects)
        self.assertIn("{}", self.said)

    def test_nobody(self) -> None:
        """That nobody is there is an answer, when there was time for one."""
        self.begin()
        self.wait(0.75)
        self.assertEqual(self.listener.found_, [])
        self.wait(0.5)
        self.assertEqual(self.listener.found_, [[]])

    def test_register_and_deregister(self) -> None:
        self.begin()
        self.say("p.register", one(1))
        self.say("p.register", one(2))
        self.settle()
        self.assertEqual((len(self.listener.found_), self.urls), (1, ["1:80", "2:80"]))
        self.say("p.register", one(1))
        self.settle()
        self.assertEqual(len(self.listener.found_), 1)
        for gone in ({"id": "u1"}, "u2"):
            self.say("p.deregister", gone)
        self.settle()
        self.assertEqual(self.urls, [])

    def test_services(self) -> None:
        """Only what is asked for; one that moves to another service leaves."""
        self.begin()
        self.say("p.register", one(1))
        self.say("p.register", one(2, service="orders"))
        self.say("p.register", {"id": "u3", "address": "10.0.0.3", "port": 80})
        self.settle()
        self.assertEqual((self.urls, self.listener.refusals), (["1:80"], [("u3", "it does not say its service")]))
        self.say("p.register", one(1, service="orders"))
        self.settle()
        self.assertEqual(self.urls, [])

    def test_all_services(self) -> None:
        self.begin("")
        self.say("p.register", one(1))
        self.say("p.register", one(2, service="orders"))
        self.settle()
        self.assertEqual(self.urls, ["1:80", "2:80"])

    def test_garbage(self) -> None:
        self.begin()
        self.say("p.register", one(1))
        for subject in ("p.register", "p.deregister", "p.health.u1.update"):
            for data in (b"{", b"\xff", b"x" * 20_000):
                self.say(subject, data)
        self.say("p.deregister", [])
        self.say("p.register", one(2, port=0))
        self.settle()
        self.assertEqual((len(self.listener.refusals), self.urls), (11, ["1:80"]))
        self.assertIn(("a message on p.deregister", "it has no id"), self.listener.refusals)

    def test_status(self) -> None:
        self.begin()
        self.say("p.register", one(1))
        self.say("p.health.u1", {"status": "unhealthy"})
        self.settle()
        self.assertEqual(self.urls, ["1:80 unhealthy"])
        self.say("p.health.u1.update", b'"healthy"')
        self.settle()
        self.assertEqual(self.urls, ["1:80"])

    def test_heartbeats_of_others(self) -> None:
        """They are not even read."""
        self.begin()
        self.say("p.register", one(1))
        self.say("p.health.other", b"{")
        self.assertEqual(self.listener.refusals, [])
        self.say("p.health.u1", b"{")
        self.assertEqual(len(self.listener.refusals), 1)

    def test_too_many(self) -> None:
        self.begin("")
        for number in range(10_003):
            self.say("p.register", {"id": f"i{number}", "address": f"10.{number >> 8}.{number & 255}.1", "port": 80})
        self.settle()
        self.assertEqual((len(self.listener.found_[-1]), len(self.listener.refusals)), (10_000, 3))


class TimeTests(Case):
    """Who is not heard of is gone, but not while NATS is silent."""

    def test_ttl(self) -> None:
        self.begin()
        self.say("p.register", one(1))
        self.say("p.register", one(2, ttl=5))
        self.say("p.register", one(3, ttl=5))
        for _ in range(3):
            self.wait(4)
            self.say("p.health.u3.update")
        self.assertEqual(self.urls, ["1:80", "3:80"])
        self.wait(2)
        self.assertEqual(self.urls, ["1:80", "3:80"])
        self.wait(19)
        self.assertEqual(self.urls, [])

    def test_when(self) -> None:
        """Within two seconds after its time is over, not before."""
        self.begin()
        self.say("p.register", one(1, ttl=5))
        self.wait(4.75)
        self.assertEqual(self.urls, ["1:80"])
        self.wait(2.5)
        self.assertEqual(self.urls, [])

    def test_silent_server(self) -> None:
        """A server that does not answer pings may hold back announcements, too."""
        self.begin()
        self.say("p.register", one(1, ttl=5))
        self.wait(19, pongs=False)
        self.assertEqual(self.urls, ["1:80"])
        # It answers again; what it held back comes a moment later.
        self.peer.deliver(b"PONG\r\n" * 2)
        self.wait(3)
        self.assertEqual(self.urls, ["1:80"])
        self.wait(5)
        self.assertEqual(self.urls, [])

    def test_disconnected(self) -> None:
        """Nobody's time runs; after that each has its whole time."""
        self.begin()
        self.say("p.register", one(1, ttl=5))
        self.settle()
        self.network.refused.add("10.0.0.1:4222")
        self.peer.lose()
        self.wait(100)
        self.assertEqual(self.urls, ["1:80"])
        self.assertGreater(len(self.listener.failures), 5)
        self.network.refused.clear()
        while not self.peer.connected:
            self.wait(0.25)
        self.admit()
        self.wait(4.5)
        self.assertEqual(self.urls, ["1:80"])
        self.wait(3)
        self.assertEqual(self.urls, [])

    def test_confirmed_at_once_after_a_reconnection(self) -> None:
        """By the answer to a PING behind the subscriptions, not to the next one in its turn."""
        self.begin()
        self.say("p.register", one(1, ttl=3600))
        self.wait(2)
        self.peer.lose()
        while not self.peer.connected:
            self.clock.advance(0.25)
        before = self.listener.confirmations
        said = self.admit()
        self.assertLess(said.index(f"SUB p.register {self.subjects['p.register']}"), said.index("PING"))
        self.assertEqual((self.listener.confirmations, self.urls), (before + 1, ["1:80"]))

    def test_remembered(self) -> None:
        """What is known from an earlier life has one time to be heard of, from the first connection on."""
        self.listener = Listener(
            named("http://10.0.0.7:80", meta={"id": "u7"}) + named("http://10.0.0.8:80", meta={"id": "u8"})
        )
        self.begin(admit=False)
        self.wait(4)
        self.assertEqual(self.listener.found_, [])
        self.admit()
        self.say("p.register", one(1))
        self.settle()
        self.assertEqual(self.urls, ["1:80", "7:80", "8:80"])
        self.say("p.deregister", {"id": "u7"})
        self.wait(20)
        self.say("p.register", one(1))
        self.assertEqual(self.urls, ["1:80", "8:80"])
        self.wait(12)
        self.assertEqual(self.urls, ["1:80"])

    def test_confirmed(self) -> None:
        """Every ping that is answered; nothing while the server is silent."""
        self.begin()
        self.wait(41)
        self.assertEqual((self.listener.confirmations, self.listener.failures), (4, []))
        self.wait(20, pongs=False)
        self.assertEqual(self.listener.confirmations, 4)


class DiscoverTests(Case):
    """Questions to everybody."""

    def inbox(self) -> str:
        """Where answers to the last question go."""
        lines = [line.split() for line in self.said if line.startswith("PUB p.discover")]
        return lines[-1][2]

    def test_answers(self) -> None:
        self.begin()
        for data in ([one(1), {"bad": 1}], {"instances": [one(2)]}, one(3), {"services": []}):
            self.say(self.inbox(), data)
        self.say(self.inbox(), b"{")
        self.say(self.inbox(), 7)
        self.settle()
        self.assertEqual((self.urls, len(self.listener.refusals)), (["1:80", "2:80", "3:80"], 3))

    def test_asked_again(self) -> None:
        """A registry that answers keeps its instances alive; one that says nothing of them any more does not."""
        self.begin()
        for _ in range(5):
            self.say(self.inbox(), [one(1, ttl=12)])
            self.said = []
            while not any(line.startswith("PUB p.discover") for line in self.said):
                self.clock.advance(0.25)
                self.said += (said := self.read())
                self.peer.deliver(b"PONG\r\n" * said.count("PING"))
            self.assertEqual(self.urls, ["1:80"])
        self.wait(15)
        self.assertEqual(self.urls, [])

    def test_asked_after_a_loss(self) -> None:
        self.begin()
        self.peer.lose()
        self.wait(2)
        self.said = self.admit()
        self.say(self.inbox(), [one(1)])
        self.settle()
        self.assertEqual(self.urls, ["1:80"])

    def test_we_answer(self) -> None:
        self.begin("", answer=True)
        self.listener.known()
        self.say("p.register", one(1, ttl=20))
        self.say("p.register", one(2, service="orders"))
        self.wait(3)
        self.read()
        self.say("p.discover", {"service": "users"}, reply="r.1")
        self.say("p.discover", reply="r.2")
        self.say("p.discover", {"service": "nobody"}, reply="r.3")
        self.say("p.discover")
        self.say("p.discover", b"{", reply="r.4")
        first, answer, second, both = self.read()
        (said,) = json.loads(answer)
        self.assertEqual((first.split()[1], said["id"], said["ttl"], said["age"]), ("r.1", "u1", 20.0, 3.0))
        self.assertEqual((second.split()[1], len(json.loads(both))), ("r.2", 2))

    def test_we_do_not_answer_floods(self) -> None:
        self.begin("", answer=True)
        self.say("p.register", one(1))
        self.read()
        for _ in range(100):
            self.say("p.discover", reply="r.1")
        self.assertEqual(len(self.read()), 40)
        self.wait(1.25)
        self.say("p.discover", reply="r.1")
        self.assertEqual(len([line for line in self.read() if line.startswith("PUB r.1")]), 1)

    def test_we_do_not_tell_what_we_only_remember(self) -> None:
        self.listener = Listener(named("http://10.0.0.7:80", meta={"id": "u7"}))
        self.begin("", answer=True)
        self.say("p.discover", reply="r.1")
        self.assertEqual(self.read(), [])


class FaultTests(Case):
    """What operators are told."""

    def test_not_allowed_to_listen(self) -> None:
        """It is no answer that the connection stands."""
        self.begin()
        self.wait(1.5)
        self.peer.deliver(b"-ERR 'Permissions Violation for Subscription to \"p.register\"'\r\n")
        self.wait(25)
        words = 'the server does not let us listen: Permissions Violation for Subscription to "p.register"'
        self.assertEqual((set(self.listener.failures), self.listener.confirmations), ({words}, 0))

    def test_not_allowed_to_ask(self) -> None:
        """Announcements are heard all the same; it is told once."""
        told: list[Any] = []
        globalLogPublisher.addObserver(told.append)
        self.addCleanup(globalLogPublisher.removeObserver, told.append)
        self.begin()
        for _ in range(3):
            self.peer.deliver(b"-ERR 'Permissions Violation for Publish to \"p.discover\"'\r\n")
        self.wait(11)
        self.assertEqual(
            [each["words"] for each in told if "words" in each], ['Permissions Violation for Publish to "p.discover"']
        )
        self.assertEqual((self.listener.failures, self.listener.confirmations), ([], 1))

    def test_stop(self) -> None:
        self.begin()
        self.say("p.register", one(1))
        stopped = self.source.stop()
        assert stopped is not None
        self.clock.advance(0)
        self.peer.deliver(b"PONG\r\n" * 3)
        self.successResultOf(stopped)
        self.assertEqual((self.clock.getDelayedCalls(), self.listener.found_), ([], []))
        self.assertEqual(self.listener.failures, [])

    def test_stop_before_the_connection(self) -> None:
        self.begin(admit=False)
        self.source.stop()
        self.clock.advance(0)
        self.assertEqual((self.clock.getDelayedCalls(), self.listener.failures), ([], []))


class FeedTests(FeedCase):
    """What a source is given at the start."""

    def test_known(self) -> None:
        """What the feed keeps, also from the one before it."""
        old = self.feed()
        self.assertEqual(list(old.known()), [])
        old.found(a(1, 2))
        self.assertEqual(list(old.known()), a(1, 2))
        old.stopService()
        fresh = self.feed(start=False)
        fresh.succeed(old)
        given: list[Any] = []
        self.source.start = lambda listener: given.extend(listener.known())  # type: ignore[method-assign]
        fresh.startService()
        self.assertEqual(given, a(1, 2))
