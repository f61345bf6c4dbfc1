"""Tests of edgegw.net.nats.sharing."""

from __future__ import annotations

from typing import Any

from edgegw.net.nats.client import NatsClient
from edgegw.net.nats.settings import Server
from edgegw.net.nats.sharing import Guest, SharedClient
from edgegw.wire.nats import Message
from tests.net.nats.double import NatsCase, Owner


class Case(NatsCase):
    """A shared connection to a server that the test speaks for."""

    def setUp(self) -> None:
        super().setUp()
        dialer = self.dialer(self.settings())
        servers = [Server("10.0.0.1", 4222)]
        self.shared = SharedClient(
            lambda owner: NatsClient(servers, dialer, owner, self.clock, self.chance), self.clock
        )
        self.owners: list[Owner] = []
        self.heard: list[tuple[int, bytes]] = []

    def guest(self, *subjects: str, start: bool = True) -> Guest:
        """Who writes down what it hears under its number."""
        number = len(self.owners)
        owner = Owner()
        self.owners.append(owner)
        guest = self.shared.guest(owner)

        def hear(message: Message) -> None:
            self.heard.append((number, message.payload))

        for subject in subjects:
            guest.subscribe(subject, hear)
        if start:
            guest.start()
        return guest

    def told(self) -> list[list[str]]:
        return [each.told for each in self.owners]

    def turn(self) -> list[str]:
        """The next turn of the loop; what was said."""
        self.clock.advance(0)
        return self.peer.said()


class ConnectionTests(Case):
    """One for all, as long as there is one of them."""

    def test_one_connection(self) -> None:
        for _ in range(100):
            self.guest("a")
        self.assertEqual(len(self.network.peers), 1)
        self.peer.admit()
        self.assertEqual(self.peer.said()[1:], ["SUB a 2", "PING"])
        self.assertEqual(self.told(), [["opened"]] * 100)

    def test_none_before_the_start(self) -> None:
        guest = self.guest("a", start=False)
        self.assertEqual((self.network.peers, guest.is_open, guest.client), ([], False, None))
        self.assertFalse(guest.publish("b"))
        self.assertRaises(RuntimeError, guest.fresh_inbox)

    def test_who_comes_later(self) -> None:
        """Is connected at once, and confirmed by a PING behind its subscriptions."""
        self.guest("a")
        self.peer.admit()
        self.peer.said()
        late = self.guest("a", "b")
        self.assertEqual((self.owners[1].told, late.is_open), (["opened"], True))
        self.assertEqual(self.peer.said(), ["SUB b 3", "PING"])
        self.clock.advance(1)
        self.peer.deliver(b"PONG\r\n" * 2)
        self.assertEqual([each.pings for each in self.owners], [[0.0, 0.0]] * 2)

    def test_who_comes_while_there_is_none(self) -> None:
        self.network.refused = {"10.0.0.1:4222"}
        self.guest()
        self.guest()
        (words,) = self.owners[1].told
        self.assertEqual(words, "failed: 10.0.0.1:4222: connection was refused by other side")
        self.assertEqual(len(self.network.tried), 1)

    def test_lost_and_back(self) -> None:
        self.guest("a")
        self.guest("b")
        self.peer.admit()
        self.peer.lose()
        self.clock.pump([0.1] * 10)
        self.peer.admit()
        self.assertEqual(self.peer.said()[1:], ["SUB a 2", "SUB b 3", "PING"])
        for told in self.told():
            self.assertEqual([each.partition(":")[0] for each in told], ["opened", "lost", "opened"])

    def test_the_last_one_closes(self) -> None:
        one, two = self.guest("a", "b"), self.guest("a")
        self.peer.admit()
        self.peer.said()
        self.assertIsNone(one.stop())
        self.assertEqual((self.turn(), self.peer.connected, one.is_open), (["UNSUB 3"], True, False))
        stopped = two.stop()
        assert stopped is not None
        self.assertEqual(self.turn(), ["UNSUB 2", "UNSUB 1", "PING"])
        self.assertNoResult(stopped)
        # The PONGs of the first PING and of the last.
        self.peer.deliver(b"PONG\r\n" * 2)
        self.successResultOf(stopped)
        self.assertEqual((self.peer.connected, self.clock.getDelayedCalls()), (False, []))
        self.assertIsNone(two.stop())

    def test_a_reload_keeps_it(self) -> None:
        """The old ones stop and others start within one turn."""
        old = self.guest("a")
        self.peer.admit()
        stopped = old.stop()
        assert stopped is not None
        new = self.guest("a")
        self.successResultOf(stopped)
        self.turn()
        self.assertEqual((len(self.network.peers), self.peer.connected, new.is_open), (1, True, True))
        self.assertEqual(self.owners[1].told, ["opened"])

    def test_anew_after_the_last_one(self) -> None:
        self.guest("a").stop()
        self.clock.advance(0)
        self.guest("a")
        self.peer.admit()
        self.assertEqual((len(self.network.peers), self.told()), (2, [[], ["opened"]]))


class MessageTests(Case):
    """Who hears what."""

    def test_everybody_who_listens(self) -> None:
        """What comes once is handed to all of them, whatever one of them makes of it."""
        one = self.guest("a")

        def broken(message: Message) -> None:
            raise ValueError

        one.subscribe("b", broken)
        self.guest("a", "b")
        self.peer.admit()
        self.peer.message("a", 2, b"x")
        self.peer.message("b", 3, b"y")
        self.assertEqual(self.heard, [(0, b"x"), (1, b"x"), (1, b"y")])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_not_who_left(self) -> None:
        one = self.guest("a")
        two = self.guest("a")
        self.peer.admit()
        self.peer.said()
        one.stop()
        self.peer.message("a", 2, b"x")
        (listening,) = two.listening
        two.unsubscribe(listening)
        two.unsubscribe(listening)
        self.assertEqual((self.heard, self.peer.said()), ([(1, b"x")], ["UNSUB 2"]))

    def test_one_that_leaves_while_it_hears(self) -> None:
        one = self.guest()
        one.subscribe("a", lambda message: one.stop() and None)
        self.guest("a")
        self.peer.admit()
        self.peer.message("a", 2, b"x")
        self.assertEqual((self.heard, one.is_open), ([(1, b"x")], False))

    def test_requests(self) -> None:
        one, two = self.guest(), self.guest()
        self.peer.admit()
        self.peer.said()
        answered = [one.request("s", b"1", 5), two.request("s", b"2", 5)]
        replies = [each.split()[2] for each in self.peer.said() if each.startswith("PUB")]
        self.peer.message(replies[1], 1, b"b")
        self.peer.message(replies[0], 1, b"a")
        self.assertEqual([self.successResultOf(each).payload for each in answered], [b"a", b"b"])
        found: list[Any] = []
        gathered = two.gather("s", b"", 1.0, found.append)
        self.peer.message(self.peer.said()[0].split()[2], 1, b"c")
        self.clock.advance(1)
        self.successResultOf(gathered)
        self.assertEqual([each.payload for each in found], [b"c"])


class RefusalTests(Case):
    """What the server does not want is told to whom it is about."""

    SUB = b"-ERR 'Permissions Violation for Subscription to \"b\"'\r\n"

    def test_subscription(self) -> None:
        for subjects in (("a",), ("a", "b"), ("b",)):
            self.guest(*subjects)
        self.peer.admit()
        self.peer.deliver(self.SUB)
        words = 'complained: Permissions Violation for Subscription to "b"'
        self.assertEqual(self.told(), [["opened"], ["opened", words], ["opened", words]])
        # The server is not asked again, so who comes later is told what it said.
        self.guest("b")
        self.guest("a")
        self.assertEqual(self.told()[3:], [["opened", words], ["opened"]])

    def test_one_that_leaves_as_it_comes(self) -> None:
        """It is told nothing more; the connection is as it was."""
        self.guest("a")
        self.peer.admit()
        self.peer.said()
        late = self.guest("b", start=False)
        self.owners[1].opened = late.stop  # type: ignore[assignment, method-assign]
        late.start()
        self.assertEqual((self.owners[1].told, self.peer.said()), ([], ["SUB b 3", "PING", "UNSUB 3"]))
        self.assertFalse(late.is_open)

    def test_forgotten_with_the_connection(self) -> None:
        self.guest("b")
        self.peer.admit()
        self.peer.deliver(self.SUB)
        self.peer.lose()
        self.clock.pump([0.1] * 10)
        self.peer.admit()
        self.guest("b")
        self.assertEqual(self.owners[1].told, ["opened"])

    def test_publication(self) -> None:
        one = self.guest("b")
        self.guest("b")
        self.peer.admit()
        one.publish("c")
        self.peer.deliver(b"-ERR 'Permissions Violation for Publish to \"c\"'\r\n")
        self.assertEqual([len(each) for each in self.told()], [2, 1])

    def test_nobody_knows_whom(self) -> None:
        self.guest("b")
        self.guest("a")
        self.peer.admit()
        self.peer.deliver(b"-ERR 'Permissions Violation'\r\n")
        self.assertEqual([len(each) for each in self.told()], [2, 2])

    def test_one_that_breaks(self) -> None:
        """What one does with what it is told is no trouble of the others."""
        self.guest()
        self.owners[0].opened = lambda: 1 / 0  # type: ignore[assignment, method-assign]
        self.guest()
        self.peer.admit()
        self.assertEqual(self.owners[1].told, ["opened"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
