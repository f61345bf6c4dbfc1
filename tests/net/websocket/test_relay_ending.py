"""How a relay ends: Close carried across, sides lost, drain, and peers that never answer."""

from __future__ import annotations

from edgegw.net.websocket.relay import Relay
from edgegw.net.websocket.settings import WebSocketSettings
from tests.net.websocket.pair import PairCase, binary, close, ping, text

GONE = "the other side is gone"


class CloseTests(PairCase):
    def test_from_downstream(self) -> None:
        """Code and reason go to the upstream; its answer comes back, and then the connections end, the server's side first."""
        self.relay()
        self.client.send(close(4001, "auf Wiedersehen, ä"))
        self.assertEqual((self.server.got(), self.client.got()), ([close(4001, "auf Wiedersehen, ä")], []))
        self.server.send(close(4002, "bye"))
        self.assertEqual((self.client.got(), self.client.ended), ([close(4002, "bye")], ["lose"]))
        self.assertEqual(self.server.ended, [])  # The server closes first (RFC 6455 7.1.1).
        self.server.lose()
        self.assertEqual(self.summary(), ("closed", "downstream", 4001))

    def test_from_upstream(self) -> None:
        self.relay()
        self.server.send(text("last words"), close(1000))
        self.assertEqual((self.client.got(), self.server.got()), ([text("last words"), close(1000)], []))
        self.client.send(close(1000))
        self.assertEqual((self.server.got(), self.client.ended), ([close(1000)], ["lose"]))
        self.server.lose()
        self.assertEqual(self.summary(), ("closed", "upstream", 1000))

    def test_without_a_code(self) -> None:
        """1005 stays off the wire."""
        self.relay()
        self.client.send(close())
        self.assertEqual(self.server.got(), [close()])
        self.server.send(close())
        self.assertEqual(self.client.got(), [close()])
        self.finish()
        self.assertEqual(self.summary(), ("closed", "downstream", None))

    def test_what_was_on_its_way_arrives(self) -> None:
        """Testsuite 7.1.1: a message, a Close; the echo comes before the answer."""
        self.relay()
        self.client.send(text("hello"), close(1000))
        self.assertEqual(self.server.got(), [text("hello"), close(1000)])
        self.server.send(text("hello"), close(1000))
        self.assertEqual(self.client.got(), [text("hello"), close(1000)])

    def test_nothing_behind_a_close_counts(self) -> None:
        """Testsuite 7.1.2 to 7.1.6: neither a second Close, nor a ping, nor a message."""
        self.relay()
        self.client.send(close(1000), close(1001), ping(), text("late"))
        self.client.send(text("later"))
        self.assertEqual((self.server.got(), self.client.got()), ([close(1000)], []))

    def test_both_at_once(self) -> None:
        self.relay()
        self.client.send(close(4001))
        self.server.send(close(4002))
        self.assertEqual((self.client.got(), self.server.got()), ([close(4002)], [close(4001)]))
        self.assertEqual(self.client.ended, ["lose"])
        self.finish()
        self.assertEqual(self.summary(), ("closed", "downstream", 4001))

    def test_an_upstream_that_goes_instead_of_answering(self) -> None:
        """The client gets its own code back: as far as it can know, all is well."""
        self.relay()
        self.client.send(close(1000, "done"))
        self.server.lose()
        self.assertEqual((self.client.got(), self.client.ended), ([close(1000, "done")], ["lose"]))
        self.assertEqual(self.summary(), ("closed", "downstream", 1000))

    def test_a_client_that_goes_instead_of_answering(self) -> None:
        self.relay()
        self.server.send(close(1000))
        self.client.lose()
        self.assertEqual(self.server.got(), [close(1000)])
        self.server.lose()
        self.assertEqual(self.summary(), ("closed", "upstream", 1000))

    def test_a_bad_answer(self) -> None:
        """The upstream answers a Close with a code that must not be sent: it is done with, and the client gets its own back."""
        self.relay()
        self.client.send(close(1000))
        self.server.send((0x88, b"\x03\xee"))
        self.assertEqual((self.client.got(), self.client.ended), ([close(1000)], ["lose"]))

    def test_counts(self) -> None:
        self.relay()
        self.client.send(text("abc"), binary(b"de"))
        self.server.send(text("fghi"))
        self.wait(1.5)
        self.client.send(close(1000))
        self.server.send(close(1000))
        self.finish()
        found = self.outcome()
        self.assertEqual((found.messages_in, found.bytes_in, found.messages_out, found.bytes_out), (2, 5, 1, 4))
        self.assertAlmostEqual(found.seconds, 1.5, delta=0.2)


class LostTests(PairCase):
    def test_downstream(self) -> None:
        self.relay()
        self.client.lose()
        self.assertEqual(self.server.got(), [close(1001, GONE)])
        self.server.send(text("still on its way"), close(1001))
        self.server.lose()
        self.assertEqual(self.summary(), ("lost", "downstream", None))

    def test_upstream(self) -> None:
        self.relay()
        self.server.lose()
        self.assertEqual(self.client.got(), [close(1011, GONE)])
        self.client.send(text("too late"), close(1011))
        self.assertEqual(self.client.ended, ["lose"])
        self.assertEqual(self.summary(), ("lost", "upstream", None))

    def test_downstream_while_its_reading_rested(self) -> None:
        self.relay()
        self.server.transport.congest()
        self.client.lose()
        self.server.transport.relieve()
        self.assertEqual(self.server.got(), [close(1001, GONE)])

    def test_what_was_read_before_the_loss_arrives(self) -> None:
        self.relay()
        self.client.transport.congest()
        self.server.transport.protocol.dataReceived(self.server.encoded(text("last words")))
        self.server.lose()
        self.assertEqual(self.client.got(), [text("last words"), close(1011, GONE)])

    def test_a_side_that_was_stopped_by_the_lost_one_is_heard_again(self) -> None:
        self.relay()
        self.client.transport.congest()
        self.client.lose()
        self.assertTrue(self.server.transport.reading)
        self.server.send(close(1001))
        self.server.lose()
        self.assertEqual(len(self.outcomes), 1)


class DrainTests(PairCase):
    said = close(1001, "the gateway is going away")

    def test_drain(self) -> None:
        relay = self.relay()
        relay.drain()
        self.assertEqual((self.client.got(), self.server.got()), ([self.said], [self.said]))
        self.server.send(close(1001))
        self.client.send(close(1001))
        self.assertEqual(self.client.ended, ["lose"])
        self.server.lose()
        self.assertEqual(self.summary(), ("drained", "gateway", 1001))

    def test_who_does_not_answer_is_closed_then_cut(self) -> None:
        relay = self.relay()
        relay.drain()
        self.client.transport.congest(len(self.client.transport.written))
        self.wait(4.8)
        self.assertEqual((self.client.ended, self.server.ended), ([], []))
        self.wait(0.4)
        self.assertEqual((self.client.ended, self.server.ended), (["lose"], ["lose"]))
        self.wait(2.2)
        self.assertEqual(self.client.ended, ["lose", "abort"])
        self.assertEqual(self.summary(), ("drained", "gateway", 1001))
        self.assertEqual(len(self.wheel), 0)

    def test_a_slow_reader_gets_what_was_sent_before(self) -> None:
        relay = self.relay()
        self.server.send(binary(bytes(9000)))
        self.client.transport.congest(9000)
        relay.drain()
        for seconds, left in ((5, 6000), (2, 3000), (2, 1000)):
            self.client.transport.stuck = left
            self.wait(seconds)
            self.assertEqual(self.client.ended, [])
        self.client.transport.relieve()
        self.client.send(close(1001))
        self.assertEqual(self.client.ended, ["lose"])

    def test_a_drain_during_a_close_changes_nothing(self) -> None:
        relay = self.relay()
        self.client.send(close(1000))
        relay.drain()
        self.assertEqual(self.server.got(), [close(1000)])

    def test_a_server_that_answers_but_does_not_close(self) -> None:
        self.relay()
        self.client.send(close(1000))
        self.server.send(close(1000))
        self.wait(2.2)
        self.assertEqual(self.server.ended, ["lose"])
        self.assertEqual(self.summary(), ("closed", "downstream", 1000))


class BeforeTests(PairCase):
    """Between the two handshakes."""

    def setUp(self) -> None:
        super().setUp()
        self.made = Relay(WebSocketSettings(), self.wheel, ended=self.outcomes.append)

    def upstream(self) -> None:
        self.server.transport.protocol = self.made.connect_upstream(self.server.transport, b"")

    def downstream(self, received: bytes = b"") -> None:
        self.client.transport.protocol = self.made.connect(self.client.transport, received)

    def test_abandoned(self) -> None:
        self.upstream()
        self.made.abandon()
        self.assertEqual(self.server.got(), [close(1001)])
        self.assertTrue(self.server.transport.reading)
        self.wait(5.2)
        self.assertEqual(self.server.ended, ["lose"])
        self.assertEqual(self.summary(), ("abandoned", "downstream", None))

    def test_abandoned_before_anything(self) -> None:
        self.made.abandon()
        self.made.abandon()
        self.assertEqual(self.summary(), ("abandoned", "downstream", None))

    def test_abandon_means_nothing_later(self) -> None:
        self.upstream()
        self.downstream()
        self.made.abandon()
        self.assertEqual(self.server.got(), [])

    def test_the_upstream_is_lost(self) -> None:
        self.upstream()
        self.server.lose()
        self.downstream()
        self.assertEqual(self.client.got(), [close(1011, GONE)])
        self.client.send(close(1011))
        self.assertEqual(self.summary(), ("lost", "upstream", None))

    def test_the_upstream_is_lost_and_nobody_comes(self) -> None:
        self.upstream()
        self.server.lose()
        self.made.abandon()
        self.assertEqual(self.summary(), ("lost", "upstream", None))

    def test_drained(self) -> None:
        self.upstream()
        self.made.drain()
        self.assertEqual(self.server.got(), [DrainTests.said])
        self.downstream()
        self.assertEqual(self.client.got(), [DrainTests.said])

    def test_all_over_before_it_begins(self) -> None:
        """Both have said Close already: nothing is closed inside `connect`, whose caller could not be told yet."""
        self.server.transport.protocol = self.made.connect_upstream(
            self.server.transport, self.server.encoded(close(1000))
        )
        self.downstream(self.client.encoded(close(1000)))
        self.assertEqual((self.client.got(), self.server.got()), ([close(1000)], [close(1000)]))
        self.assertEqual(self.client.ended, [])
        self.wait(0.2)
        self.assertEqual(self.client.ended, ["lose"])
