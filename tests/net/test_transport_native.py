"""What the adapter has that stock transports have not. Exists only on a reactor with an asyncio loop."""

import asyncio
import contextvars
import os
import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IConsumer, IPushProducer, ITCPTransport
from zope.interface.verify import verifyObject

import edgegw
from edgegw.net.loop import is_native, loop_of, report
from edgegw.net.transport import LoopTransport
from tests.net.recorder import NativePairs, Once, Recorder

if is_native(reactor):

    class AdapterTests(NativePairs):
        """What only the adapter has."""

        async def test_interfaces(self) -> None:
            server, _ = await self.pair()
            for interface in (ITCPTransport, IConsumer, IPushProducer):
                verifyObject(interface, server.transport)

        async def test_dropped_writes_are_counted(self) -> None:
            server, _ = await self.pair()
            server.transport.loseWriteConnection()
            server.transport.write(b"1")
            server.transport.writeSequence([b"2"])
            self.assertEqual(server.transport.dropped_writes, 2)
            server.transport.loseConnection()
            server.transport.write(b"3")
            await server.until_lost()
            server.transport.write(b"4")
            server.transport.loseWriteConnection()
            self.assertEqual(server.transport.dropped_writes, 4)

        async def test_rebind_finds_a_replaced_data_received(self) -> None:
            server, client = await self.pair()
            other = Recorder()
            other.events.append("other")
            server.dataReceived = other.dataReceived
            server.transport.rebind()
            client.transport.write(b"for the other")
            await other.until_bytes(13)
            self.assertEqual(server.events, ["made"])

        async def test_setting_the_protocol_hands_the_connection_over(self) -> None:
            server, client = await self.pair()
            other = Recorder()
            server.transport.protocol = other
            other.makeConnection(server.transport)
            client.transport.write(b"x")
            await other.until_bytes(1)
            client.transport.loseConnection()
            await other.until_lost()
            self.assertEqual(server.events, ["made"])
            server.events.append(("lost", "handed over"))

        async def test_exception_in_connection_made_drops_the_connection(self) -> None:
            server = Recorder()
            server.at["made"] = lambda: 1 / 0
            _, client = await self.pair(server)
            await client.until_lost()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertEqual(server.events, ["made", ("lost", "ZeroDivisionError")])

        async def test_exception_in_build_protocol_drops_the_connection(self) -> None:
            factory = Once()
            factory.buildProtocol = lambda addr: 1 / 0  # type: ignore[method-assign]
            port = await self.server_endpoint().listen(factory)
            self.addCleanup(port.stopListening)
            client = Recorder()
            await self.client_endpoint(port.getHost().port).connect(Once(client))
            await client.until_lost()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

        async def test_no_context_reaches_the_protocol(self) -> None:
            """Neither the context that listened or connected nor the one that resumed is seen by later reads."""
            identity: contextvars.ContextVar[str] = contextvars.ContextVar("identity", default="nobody")
            seen: list[str] = []
            identity.set("connecting")
            server, client = await self.pair()
            for side in (server, client):
                side.at["data"] = side.at["lost"] = lambda: seen.append(identity.get())
            await self.settle()
            client.transport.pauseProducing()
            identity.set("resuming")
            client.transport.resumeProducing()
            client.transport.write(b"x")
            await server.until_bytes(1)
            server.transport.write(b"x")
            await client.until_bytes(1)
            server.transport.loseConnection()
            await client.until_lost()
            await server.until_lost()
            self.assertEqual(seen, ["nobody"] * 4)

        async def test_no_frame_of_ours_between_the_loop_and_the_protocol(self) -> None:
            server, client = await self.pair()
            ours = os.path.dirname(edgegw.__file__)
            await self.settle()
            frames: list[str] = []
            callers: list[Any] = []

            def watch(frame: Any, event: str, arg: Any) -> None:
                if event == "call" and frame.f_code.co_filename.startswith(ours):
                    frames.append(frame.f_code.co_qualname)

            def answer() -> None:
                callers.append(sys._getframe(3 if len(server.received) == 1 else 2).f_globals["__name__"])
                server.transport.write(b"pong")

            server.at["data"] = answer
            client.at["data"] = lambda: client.transport.write(b"p") if len(client.received) < 400 else None
            client.transport.write(b"p")
            sys.setprofile(watch)
            try:
                await client.until_bytes(400)
            finally:
                sys.setprofile(None)
            self.assertEqual(len(server.received), 100)
            # What comes in passes through nothing of ours; what goes out costs one call, and one for the turn.
            self.assertEqual(set(frames), {"LoopConsumer._gather", "Turn.begin", "Turn.flush"})
            self.assertEqual(frames.count("LoopConsumer._gather"), 199)
            self.assertFalse([name for name in callers if name.startswith("edgegw")])

        async def test_both_ends_are_bound_without_detour(self) -> None:
            server, _ = await self.pair()
            wire = server.transport._wire
            self.assertEqual(server.transport.send, wire.write)
            self.assertEqual(server.transport.data_received, server.dataReceived)
            self.assertIs(wire.get_protocol(), server.transport)

        async def test_high_water_mark(self) -> None:
            server, _ = await self.pair()
            self.assertEqual(server.transport._wire.get_write_buffer_limits(), (16 * 1024, 64 * 1024))

        async def test_nothing_keeps_a_lost_connection_alive(self) -> None:
            server, _ = await self.pair()
            server.transport.loseConnection()
            await server.until_lost()
            self.assertIsNone(server.transport.protocol)
            self.assertNotEqual(server.transport.data_received, server.dataReceived)

        async def test_repr_tells_the_state(self) -> None:
            server, client = await self.pair()
            peer = f"127.0.0.1:{client.transport.getHost().port}"
            self.assertIn(f"<LoopTransport {peer} open unsent=0", repr(server.transport))
            server.transport.loseConnection()
            self.assertIn("closing", repr(server.transport))
            await server.until_lost()
            self.assertIn("lost", repr(server.transport))
            self.assertIn("new", repr(LoopTransport(loop_of(reactor), lambda peer: None)))

        async def test_other_errors_of_the_loop_are_logged(self) -> None:
            loop = loop_of(reactor)
            await self.settle()
            self.assertIs(loop.get_exception_handler(), report)
            done: asyncio.Future[None] = loop.create_future()
            loop.call_soon(lambda: 1 / 0)
            loop.call_soon(done.set_result, None)
            await self.settle()
            self.assertTrue(done.done())
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
