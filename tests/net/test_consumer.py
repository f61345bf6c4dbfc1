"""Producers over a transport: one suite, run on Twisted's stock TCP and on the adapter."""

import io

from twisted.internet import reactor
from twisted.protocols.basic import FileSender

from edgegw.net.loop import is_native
from tests.net.recorder import BIG, CHUNKS, NativePairs, Producer, PullProducer, StockPairs, digest


class Behaviour:
    """The suite. Every assertion holds on both kinds of transport."""

    async def test_push_producer_is_paused_and_every_byte_arrives(self) -> None:
        server, client = await self.pair()
        client.transport.pauseProducing()
        producer = Producer(server.transport, list(CHUNKS))
        producer.start()
        await self.settle()
        self.assertIn("pause", producer.log)
        self.assertTrue(producer.chunks, "the producer was never held back")
        server.transport.loseConnection()
        client.transport.resumeProducing()
        await client.until_lost()
        await server.until_lost()
        self.assertEqual(digest(client.received), digest(BIG))
        self.assertEqual(server.events, ["made", ("lost", "ConnectionDone")])
        self.assertEqual(producer.log[:2], ["pause", "resume"])
        self.assertNotIn("stop", producer.log)

    async def test_pull_producer_is_asked_until_it_is_done(self) -> None:
        server, client = await self.pair()
        producer = PullProducer(server.transport, list(CHUNKS))
        server.transport.registerProducer(producer, False)
        self.assertEqual(producer.asked, 1)
        await client.until_bytes(len(BIG))
        self.assertEqual(digest(client.received), digest(BIG))
        server.transport.write(b"and on")
        await client.until_bytes(len(BIG) + 6)
        self.assertEqual(producer.asked, len(CHUNKS) + 1)

    async def test_pull_producer_waits_for_a_slow_reader(self) -> None:
        server, client = await self.pair()
        client.transport.pauseProducing()
        producer = PullProducer(server.transport, list(CHUNKS))
        server.transport.registerProducer(producer, False)
        await self.settle()
        self.assertTrue(producer.chunks, "the producer was never held back")
        client.transport.resumeProducing()
        await client.until_bytes(len(BIG))
        self.assertEqual(digest(client.received), digest(BIG))

    async def test_file_sender(self) -> None:
        server, client = await self.pair()
        await FileSender().beginFileTransfer(io.BytesIO(BIG), server.transport)
        server.transport.loseConnection()
        await client.until_lost()
        self.assertEqual(digest(client.received), digest(BIG))

    async def test_pull_producer_with_nothing_to_say_is_left_alone(self) -> None:
        server, client = await self.pair()
        asked: list[str] = []

        class Silent:
            def resumeProducing(self) -> None:
                asked.append("resume")

            def stopProducing(self) -> None:
                asked.append("stop")

        server.transport.registerProducer(Silent(), False)
        await self.settle()
        self.assertEqual(asked, ["resume"])
        client.transport.loseConnection()
        await server.until_lost()
        self.assertEqual(asked, ["resume", "stop"])

    async def test_nothing_is_read_while_closing_waits_for_the_producer(self) -> None:
        server, client = await self.pair()
        client.transport.pauseProducing()
        Producer(server.transport, [BIG, BIG]).start()
        server.transport.loseConnection()
        server.transport.resumeProducing()
        client.transport.write(b"too late")
        await self.settle()
        self.assertEqual(server.events, ["made"])

    async def test_two_producers_are_refused(self) -> None:
        server, _ = await self.pair()
        server.transport.registerProducer(Producer(server.transport, []), True)
        self.assertRaises(RuntimeError, server.transport.registerProducer, Producer(server.transport, []), True)

    async def test_producer_is_stopped_before_connection_lost(self) -> None:
        server, client = await self.pair()
        server.transport.registerProducer(Producer(server.transport, [], log=server.events), True)
        client.transport.abortConnection()
        await server.until_lost()
        self.assertEqual(server.events, ["made", "stop", ("lost", "ConnectionLost")])

    async def test_producer_that_comes_after_the_loss_is_stopped(self) -> None:
        server, client = await self.pair()
        client.transport.loseConnection()
        await server.until_lost()
        producer = Producer(server.transport, [])
        server.transport.registerProducer(producer, True)
        self.assertEqual(producer.log, ["stop"])

    async def test_transport_as_the_producer_of_its_peer(self) -> None:
        """A relay as in twisted.protocols.portforward: a slow reader on one side stops the reading on the other."""
        left, source = await self.pair()
        right, sink = await self.pair()
        sink.transport.pauseProducing()
        left.dataReceived = right.transport.write
        if self.native:
            left.transport.rebind()
        right.transport.registerProducer(left.transport, True)
        feed = Producer(source.transport, list(CHUNKS) * 2)
        feed.start()
        await self.settle()
        self.assertIn("pause", feed.log)
        self.assertTrue(feed.chunks)
        sink.transport.resumeProducing()
        await sink.until_bytes(2 * len(BIG))
        self.assertEqual(digest(sink.received), digest(BIG + BIG))

    async def test_exception_in_a_producer_that_is_resumed(self) -> None:
        server, client = await self.pair()
        client.transport.pauseProducing()
        producer = Producer(server.transport, [BIG])
        producer.chunks.append(b"never")
        producer.resumeProducing = lambda: self.boom(ValueError("bad"))  # type: ignore[method-assign]
        producer.start()
        client.transport.resumeProducing()
        await server.until_lost()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(server.events, ["made", ("lost", "ValueError")])

    def boom(self, error: Exception) -> None:
        raise error


class StockConsumerTests(Behaviour, StockPairs):
    """The suite on stock TCP: what the adapter is measured by."""


if is_native(reactor):

    class NativeConsumerTests(Behaviour, NativePairs):
        """The suite on the adapter, and where it differs from stock."""

        async def test_producer_that_registers_with_a_full_buffer_is_paused(self) -> None:
            server, client = await self.pair()
            client.transport.pauseProducing()
            server.transport.write(BIG)
            producer = Producer(server.transport, [b"end"])
            server.transport.registerProducer(producer, True)
            self.assertEqual(producer.log, ["pause"])
            client.transport.resumeProducing()
            await client.until_bytes(len(BIG) + 3)
            self.assertEqual(producer.log, ["pause", "resume"])

        async def test_lose_connection_waits_for_the_producer(self) -> None:
            server, client = await self.pair()
            server.transport.registerProducer(Producer(server.transport, []), True)
            server.transport.write(b"one ")
            server.transport.loseConnection()
            await self.settle()
            self.assertEqual(server.events, ["made"])
            server.transport.write(b"two")
            server.transport.unregisterProducer()
            await client.until_lost()
            self.assertEqual(bytes(client.received), b"one two")
