"""Tests of edgegw.net.stall: on stock and on loop transports, the peer's progress can be told."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.loop import is_native
from edgegw.net.stall import TAKEN, unsent
from edgegw.net.tls import ServerTls
from edgegw.testing.memory import MemoryTransport
from tests.net.recorder import BIG, NativePairs, StockPairs
from tests.net.tlspair import AnyClient, Pair, store


class ProgressSuite:
    """What a slow reader takes is seen, though the transport says nothing."""

    async def test_progress(self) -> None:
        server, client = await self.pair()
        self.assertEqual(unsent(server.transport), TAKEN)
        client.transport.pauseProducing()
        server.transport.write(BIG)
        await self.settle()
        waiting = unsent(server.transport)
        self.assertGreater(sum(waiting), len(BIG) // 4)
        self.assertEqual(unsent(server.transport), waiting, "two readings without progress are equal")
        client.at["data"] = lambda: client.transport.pauseProducing()
        client.transport.resumeProducing()
        await client.until_bytes(1)
        await self.moved(server.transport, waiting)
        client.at.clear()
        client.transport.resumeProducing()
        await client.until_bytes(len(BIG))
        await self.moved(server.transport, waiting, until=TAKEN)

    async def moved(self, transport: Any, mark: tuple[int, int], until: tuple[int, int] | None = None) -> None:
        while unsent(transport) == mark or (until is not None and unsent(transport) != until):
            await deferLater(reactor, 0.01)

    async def test_lost_connection_has_nothing_left(self) -> None:
        server, client = await self.pair()
        client.transport.abortConnection()
        await server.until_lost()
        self.assertEqual(unsent(server.transport), TAKEN)


class StockProgressTests(ProgressSuite, StockPairs):
    pass


if is_native(reactor):

    class NativeProgressTests(ProgressSuite, NativePairs):
        pass


class UnsentTests(SynchronousTestCase):
    def test_of_what_is_under_tls(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient())
        inner = MemoryTransport(None)
        inner.stuck = 5
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        ours.send(b"abc")
        inner.getHandle = lambda: ours  # type: ignore[attr-defined]
        pair.server_tls.transport = inner
        queued, in_kernel = unsent(pair.server_tls)
        self.assertEqual(queued, 5)
        self.assertGreater(in_kernel, 0)

    def test_of_a_transport_that_joins_its_writes(self) -> None:
        transport = SimpleNamespace(dataBuffer=b"abcdef", offset=2, _tempDataLen=10)
        self.assertEqual(unsent(transport), (14, 0))

    def test_of_a_socket_that_is_closed_or_none(self) -> None:
        class Closed:
            def fileno(self) -> int:
                return -1

        self.assertEqual(unsent(SimpleNamespace(unsent_bytes=lambda: 3, getHandle=Closed)), (3, 0))
        self.assertEqual(unsent(SimpleNamespace(unsent_bytes=lambda: 3, getHandle=lambda: None)), (3, 0))
