"""One suite of transport behaviour, run on Twisted's stock TCP and on the adapter: both must show the same.

On a reactor without an asyncio loop only the stock half exists; CI runs the suite with `--reactor uvloop` as well.
"""

from twisted.internet import reactor

from edgegw.net.loop import is_native
from tests.net.recorder import BIG, HalfCloseable, NativePairs, Producer, Recorder, StockPairs, digest


class Behaviour:
    """The suite. Every assertion holds on both kinds of transport."""

    # Bytes.

    async def test_data_then_clean_close(self) -> None:
        server, client = await self.pair()
        client.transport.write(b"a")
        client.transport.writeSequence([b"b", b"", b"c"])
        await server.until_bytes(3)
        server.transport.write(b"answer")
        server.transport.loseConnection()
        await client.until_lost()
        await server.until_lost()
        self.assertEqual(bytes(server.received), b"abc")
        self.assertEqual(bytes(client.received), b"answer")
        self.assertEqual(server.events, ["made", "data", ("lost", "ConnectionDone")])
        self.assertEqual(client.events, ["made", "data", ("lost", "ConnectionDone")])

    async def test_write_in_connection_made(self) -> None:
        server = Recorder()
        server.at["made"] = lambda: server.transport.write(b"hello")
        _, client = await self.pair(server)
        await client.until_bytes(5)
        self.assertEqual(client.events, ["made", "data"])

    async def test_lose_connection_delivers_what_is_queued(self) -> None:
        server, client = await self.pair()
        client.transport.pauseProducing()
        server.transport.write(BIG)
        server.transport.loseConnection()
        self.assertTrue(server.transport.disconnecting)
        await self.settle()
        self.assertEqual(server.events, ["made"], "closed before the bytes had left")
        client.transport.resumeProducing()
        await client.until_lost()
        await server.until_lost()
        self.assertEqual(digest(client.received), digest(BIG))
        self.assertEqual(server.events, ["made", ("lost", "ConnectionDone")])

    async def test_lose_connection_stops_reading(self) -> None:
        server, client = await self.pair()
        client.transport.pauseProducing()
        server.transport.write(BIG)
        server.transport.loseConnection()
        client.transport.write(b"too late")
        await self.settle()
        self.assertEqual(server.events, ["made"])

    async def test_close_is_told_later_and_once(self) -> None:
        server, client = await self.pair()
        server.transport.loseConnection()
        server.transport.loseConnection()
        self.assertEqual(server.events, ["made"], "connectionLost inside loseConnection")
        await server.until_lost()
        server.transport.loseConnection()
        server.transport.abortConnection()
        await client.until_lost()
        await self.settle()
        self.assertEqual(server.events, ["made", ("lost", "ConnectionDone")])

    async def test_write_after_loss_is_dropped(self) -> None:
        server, client = await self.pair()
        server.at["lost"] = lambda: server.transport.write(b"from inside")
        client.transport.loseConnection()
        await server.until_lost()
        server.transport.write(b"x")
        server.transport.writeSequence([b"x"])
        await self.settle()
        self.assertEqual(server.events, ["made", ("lost", "ConnectionDone")])

    # Pausing.

    async def test_pause_holds_data_until_resume(self) -> None:
        server, client = await self.pair()
        server.transport.pauseProducing()
        server.transport.pauseProducing()
        client.transport.write(b"later")
        await self.settle()
        self.assertEqual(server.events, ["made"])
        server.transport.resumeProducing()
        server.transport.resumeProducing()
        await server.until_bytes(5)
        self.assertEqual(server.events, ["made", "data"])

    async def test_pause_in_connection_made(self) -> None:
        server, client = Recorder(), HalfCloseable()
        server.at["made"] = lambda: server.transport.pauseProducing()
        client.at["made"] = lambda: (client.transport.write(b"early"), client.transport.loseWriteConnection())
        await self.pair(server, client)
        await self.settle()
        self.assertEqual(server.events, ["made"])
        server.transport.resumeProducing()
        await server.until_lost()
        self.assertEqual(bytes(server.received), b"early")
        self.assertEqual(server.events, ["made", "data", ("lost", "ConnectionDone")])

    async def test_pause_in_connection_made_of_the_connecting_side(self) -> None:
        server, client = Recorder(), Recorder()
        server.at["made"] = lambda: server.transport.write(b"banner")
        client.at["made"] = lambda: client.transport.pauseProducing()
        await self.pair(server, client)
        await self.settle()
        self.assertEqual(client.events, ["made"])
        client.transport.resumeProducing()
        await client.until_bytes(6)
        self.assertEqual(client.events, ["made", "data"])

    async def test_pause_and_resume_inside_connection_made(self) -> None:
        server, client = Recorder(), Recorder()
        server.at["made"] = lambda: (server.transport.pauseProducing(), server.transport.resumeProducing())
        await self.pair(server, client)
        client.transport.write(b"on")
        await server.until_bytes(2)
        self.assertEqual(server.events, ["made", "data"])

    async def test_pause_in_data_received(self) -> None:
        server, client = await self.pair()
        server.at["data"] = lambda: server.transport.pauseProducing()
        client.transport.write(BIG)
        await server.until_bytes(1)
        first = len(server.received)
        await self.settle()
        self.assertEqual(len(server.received), first, "data after a pause")
        server.at.clear()
        server.transport.resumeProducing()
        await server.until_bytes(len(BIG))
        self.assertEqual(digest(server.received), digest(BIG))

    async def test_close_while_paused(self) -> None:
        server, _ = await self.pair()
        server.transport.pauseProducing()
        server.transport.loseConnection()
        server.transport.resumeProducing()
        await server.until_lost()
        self.assertEqual(server.events, ["made", ("lost", "ConnectionDone")])

    # Half-close.

    async def test_half_close_lets_the_other_side_answer(self) -> None:
        server, client = await self.pair(HalfCloseable(), HalfCloseable())
        client.transport.write(b"question")
        client.transport.loseWriteConnection()
        await client.until_event("write lost")
        await server.until_event("read lost")
        server.transport.write(b"answer")
        await client.until_bytes(6)
        server.transport.loseConnection()
        await client.until_event("read lost")
        client.transport.loseConnection()
        await client.until_lost()
        await server.until_lost()
        self.assertEqual(server.events, ["made", "data", "read lost", ("lost", "ConnectionDone")])
        self.assertEqual(client.events, ["made", "write lost", "data", "read lost", ("lost", "ConnectionDone")])

    async def test_half_close_sends_what_is_queued_first(self) -> None:
        server, client = await self.pair(HalfCloseable(), HalfCloseable())
        server.transport.pauseProducing()
        client.transport.write(BIG)
        client.transport.loseWriteConnection()
        await self.settle()
        self.assertEqual(client.events, ["made"], "write side closed before the bytes had left")
        server.transport.resumeProducing()
        await server.until_event("read lost")
        await client.until_event("write lost")
        self.assertEqual(digest(server.received), digest(BIG))
        client.transport.write(b"too late")
        server.transport.write(b"still open")
        await client.until_bytes(10)
        self.assertEqual(len(server.received), len(BIG))
        self.assertEqual(server.events, ["made", "data", "read lost"])

    async def test_half_close_of_an_ordinary_protocol_is_not_told(self) -> None:
        server, client = await self.pair(HalfCloseable(), Recorder())
        client.transport.loseWriteConnection()
        await server.until_event("read lost")
        server.transport.write(b"answer")
        await client.until_bytes(6)
        self.assertEqual(client.events, ["made", "data"])

    async def test_end_of_stream_drops_an_ordinary_protocol(self) -> None:
        server, client = await self.pair(Recorder(), HalfCloseable())
        client.transport.pauseProducing()
        producer = Producer(server.transport, [BIG, BIG], log=server.events)
        producer.start()
        client.transport.loseWriteConnection()
        await server.until_lost()
        self.assertEqual(server.events, ["made", "pause", "stop", ("lost", "ConnectionDone")])

    async def test_both_sides_half_closed_stay_until_closed(self) -> None:
        server, client = await self.pair(HalfCloseable(), HalfCloseable())
        client.transport.loseWriteConnection()
        server.transport.loseWriteConnection()
        await client.until_event("read lost")
        await server.until_event("read lost")
        await self.settle()
        server.transport.loseConnection()
        client.transport.loseConnection()
        await server.until_lost()
        await client.until_lost()
        self.assertEqual(sorted(map(str, server.events[1:3])), ["read lost", "write lost"])
        self.assertEqual(server.events[3:], [("lost", "ConnectionDone")])

    # Abort.

    async def test_abort_drops_what_is_queued_and_resets(self) -> None:
        server, client = await self.pair()
        client.transport.pauseProducing()
        server.transport.write(BIG)
        server.transport.abortConnection()
        server.transport.abortConnection()
        self.assertEqual(server.events, ["made"], "connectionLost inside abortConnection")
        await server.until_lost()
        client.transport.resumeProducing()
        await client.until_lost()
        self.assertEqual(server.events, ["made", ("lost", "ConnectionAborted")])
        self.assertEqual(client.events[-1], ("lost", "ConnectionLost"))
        self.assertLess(len(client.received), len(BIG))

    async def test_abort_of_an_idle_connection_resets(self) -> None:
        server, client = await self.pair()
        server.transport.abortConnection()
        await client.until_lost()
        await server.until_lost()
        self.assertEqual(server.events, ["made", ("lost", "ConnectionAborted")])
        self.assertEqual(client.events, ["made", ("lost", "ConnectionLost")])

    async def test_abort_after_lose_connection(self) -> None:
        server, client = await self.pair()
        client.transport.pauseProducing()
        server.transport.write(BIG)
        server.transport.loseConnection()
        server.transport.abortConnection()
        await server.until_lost()
        self.assertEqual(server.events, ["made", ("lost", "ConnectionAborted")])

    async def test_abort_does_not_wait_for_a_producer(self) -> None:
        server, _ = await self.pair()
        server.transport.registerProducer(Producer(server.transport, [], log=server.events), True)
        server.transport.loseConnection()
        server.transport.abortConnection()
        await server.until_lost()
        self.assertEqual(server.events, ["made", "stop", ("lost", "ConnectionAborted")])

    async def test_close_and_abort_in_connection_made(self) -> None:
        for method, reason in (("loseConnection", "ConnectionDone"), ("abortConnection", "ConnectionAborted")):
            server = Recorder()
            server.at["made"] = lambda server=server, method=method: getattr(server.transport, method)()
            _, client = await self.pair(server)
            await server.until_lost()
            await client.until_lost()
            self.assertEqual(server.events, ["made", ("lost", reason)])

    # Protocols that raise.

    async def test_exception_in_data_received(self) -> None:
        for error in (ValueError("bad"), OSError(104, "not the socket's"), KeyError("x")):
            server, client = await self.pair()
            server.at["data"] = lambda error=error: self.boom(error)
            client.transport.write(b"x")
            await server.until_lost()
            await client.until_lost()
            logged = self.flushLoggedErrors(type(error))
            self.assertEqual(len(logged), 1, error)
            self.assertIn("in boom", logged[0].getTraceback())
            self.assertEqual(server.events, ["made", "data", ("lost", type(error).__name__)])
            self.assertEqual(client.events, ["made", ("lost", "ConnectionDone")])

    async def test_exception_in_data_received_after_closing(self) -> None:
        server, client = await self.pair()
        server.at["data"] = lambda: (server.transport.loseConnection(), self.boom(ValueError("bad")))
        client.transport.write(b"x")
        await server.until_lost()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(server.events, ["made", "data", ("lost", "ValueError")])

    async def test_exception_in_connection_lost(self) -> None:
        server, client = await self.pair()
        server.at["lost"] = lambda: self.boom(ValueError("bad"))
        client.transport.loseConnection()
        await server.until_lost()
        await self.settle()
        if self.native:  # Stock lets it out to the reactor, which logs it as well.
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        else:
            self.assertTrue(self.flushLoggedErrors(ValueError))

    async def test_exception_in_half_close_callbacks(self) -> None:
        for event in ("read lost", "write lost"):
            server, client = await self.pair(HalfCloseable(), HalfCloseable())
            culprit = server if event == "read lost" else client
            culprit.at[event] = lambda: self.boom(ValueError("bad"))
            client.transport.loseWriteConnection()
            await culprit.until_lost()
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
            self.assertEqual(culprit.events, ["made", event, ("lost", "ValueError")])

    # What a transport knows.

    async def test_addresses(self) -> None:
        server, client = await self.pair()
        self.assertEqual(server.transport.getPeer(), client.transport.getHost())
        self.assertEqual(server.transport.getHost(), client.transport.getPeer())
        self.assertEqual((client.transport.getHost().type, client.transport.getHost().host), ("TCP", "127.0.0.1"))

    async def test_socket_options(self) -> None:
        _, client = await self.pair()
        for enabled in (True, False, True):
            client.transport.setTcpNoDelay(enabled)
            client.transport.setTcpKeepAlive(enabled)
            self.assertEqual(client.transport.getTcpNoDelay(), enabled)
            self.assertEqual(client.transport.getTcpKeepAlive(), enabled)

    async def test_flags(self) -> None:
        server, _ = await self.pair()
        self.assertTrue(server.transport.connected)
        self.assertFalse(server.transport.disconnecting or server.transport.disconnected)
        server.transport.loseConnection()
        self.assertTrue(server.transport.disconnecting)
        await server.until_lost()
        self.assertTrue(server.transport.disconnected)
        self.assertFalse(server.transport.connected)

    async def test_stop_producing_closes(self) -> None:
        server, client = await self.pair()
        server.transport.stopProducing()
        await client.until_lost()
        self.assertEqual(client.events, ["made", ("lost", "ConnectionDone")])

    def boom(self, error: Exception) -> None:
        raise error


class StockTransportTests(Behaviour, StockPairs):
    """The suite on stock TCP: what the adapter is measured by."""


if is_native(reactor):

    class NativeTransportTests(Behaviour, NativePairs):
        """The suite on the adapter."""
