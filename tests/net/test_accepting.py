"""Listening: one suite, on the loop's transports and on stock ones."""

import errno
import os
import resource
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import MemoryReactor
from zope.interface.verify import verifyObject

from edgegw.net import accepting
from edgegw.net.accepting import ACCEPTS_PER_TURN, RETRY_S, NativePort, StockPort, listen
from edgegw.net.loop import is_native
from edgegw.net.sockets import TcpPlace, UnixPlace, bind
from tests.net.recorder import NativePairs, Once, Recorder, StockPairs

LOCAL = TcpPlace("127.0.0.1", 0)


async def turns(count: int) -> None:
    """Let the loop turn `count` times."""
    for _ in range(count):
        await deferLater(reactor, 0)


class Behaviour:
    """The suite. `setUp` of the two halves decides what `listen` takes."""

    def listen(self, where: Any, *recorders: Recorder, **options: Any) -> Any:
        """A port that hands out `recorders` in turn, and refuses after that."""
        self.factory = Once(*recorders)
        self.recorders = recorders
        port = listen(reactor, where, self.factory, **options)
        self.addCleanup(port.stop)
        self.addCleanup(self.abort_all)
        return port

    def abort_all(self) -> Any:
        return self.tear_down(*[recorder for recorder in self.recorders if recorder.events])

    def dial(self, port: Any, family: int = socket.AF_INET, host: str = "127.0.0.1") -> socket.socket:
        """A plain socket, connected as far as the kernel is concerned; nobody need have accepted it."""
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.settimeout(5)
        sock.connect((host, port.getHost().port))
        return sock

    async def test_accepts_and_says_where_from(self) -> None:
        server = Recorder()
        port = self.listen(LOCAL, server)
        verifyObject(IListeningPort, port)
        client = self.dial(port)
        client.send(b"hello")
        await server.until_bytes(5)
        self.assertEqual(self.factory.peers, [IPv4Address("TCP", *client.getsockname())])
        self.assertEqual(port.getHost(), IPv4Address("TCP", *client.getpeername()))

    async def test_dual_stack_shows_real_addresses(self) -> None:
        servers = [Recorder(), Recorder()]
        admitted: list[Any] = []
        port = self.listen(TcpPlace("", 0), *servers, admit=lambda peer: not admitted.append(peer))
        four = self.dial(port)
        await servers[0].until_event("made")
        six = self.dial(port, socket.AF_INET6, "::1")
        await servers[1].until_event("made")
        expected = [IPv4Address("TCP", *four.getsockname()), IPv6Address("TCP", *six.getsockname())]
        self.assertEqual(admitted, expected)
        self.assertEqual(self.factory.peers, expected)

    async def test_unix_socket(self) -> None:
        server, path = Recorder(), self.mktemp()
        port = self.listen(UnixPlace(path), server)
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(path)
        client.send(b"hello")
        await server.until_bytes(5)
        server.transport.write(b"answer")
        await turns(3)
        self.assertEqual(client.recv(100), b"answer")
        self.assertIsInstance(server.transport.getPeer(), UNIXAddress)
        self.assertEqual(port.getHost(), UNIXAddress(path))
        await port.stop()
        self.assertFalse(os.path.exists(path))

    async def test_unix_path_that_somebody_took_over_is_left(self) -> None:
        path = self.mktemp()
        port = self.listen(UnixPlace(path))
        os.unlink(path)
        other = bind(UnixPlace(path))
        self.addCleanup(other.close)
        await port.stop()
        self.assertTrue(os.path.exists(path))

    async def test_adopted_socket_and_descriptor(self) -> None:
        for adopted in (lambda sock: sock, lambda sock: sock.detach()):
            server = Recorder()
            port = self.listen(adopted(bind(LOCAL)), server)
            self.dial(port)
            await server.until_event("made")
            await self.abort_all()

    async def test_handing_the_socket_over_loses_nobody(self) -> None:
        """A client in the backlog of a port that stops is accepted by the port that took a duplicate of the socket."""
        old = self.listen(LOCAL)
        old.pause_accepting()
        client = self.dial(old)
        inherited = os.dup(old.fileno())
        await old.stop()
        self.assertEqual(old.fileno(), -1)
        server = Recorder()
        self.listen(inherited, server)
        client.send(b"x")
        await server.until_bytes(1)

    async def test_admit_refuses_before_a_protocol_is_made(self) -> None:
        server, answers = Recorder(), [False, True]
        port = self.listen(LOCAL, server, admit=lambda peer: answers.pop(0))
        refused = self.dial(port)
        self.dial(port)
        await server.until_event("made")
        self.assertEqual(len(self.factory.peers), 1)
        self.assertEqual(refused.recv(1), b"")

    async def test_admit_that_raises_refuses(self) -> None:
        port = self.listen(LOCAL, Recorder(), admit=lambda peer: 1 / 0)
        refused = self.dial(port)
        await turns(5)
        self.assertEqual(refused.recv(1), b"")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.factory.peers, [])

    async def test_paused_accepts_nobody_until_resumed(self) -> None:
        server = Recorder()
        port = self.listen(LOCAL, server)
        port.pause_accepting()
        port.pause_accepting()
        client = self.dial(port)
        client.send(b"patient")
        await turns(20)
        self.assertEqual(self.factory.peers, [])
        self.assertIn("paused", repr(port))
        port.resume_accepting()
        port.resume_accepting()
        await server.until_bytes(7)
        self.assertIn("accepting", repr(port))

    async def test_pausing_inside_admit_stops_the_turn(self) -> None:
        servers = [Recorder(), Recorder()]

        def admit(peer: object) -> bool:
            port.pause_accepting()
            return True

        port = self.listen(LOCAL, *servers, admit=admit)
        port.pause_accepting()
        for _ in range(2):
            self.dial(port)
        port.resume_accepting()
        await servers[0].until_event("made")
        await turns(20)
        self.assertEqual(len(self.factory.peers), 1)
        port.resume_accepting()
        await servers[1].until_event("made")

    async def test_a_turn_accepts_only_so_many(self) -> None:
        counts: list[int] = []
        port = self.listen(LOCAL, admit=lambda peer: bool(counts.append(len(counts))))
        port.pause_accepting()
        for _ in range(ACCEPTS_PER_TURN + 1):
            self.dial(port)
        port._watching = True
        port._accept_some()
        port._watching = False
        self.assertEqual(len(counts), ACCEPTS_PER_TURN)

    async def test_stop_refuses_newcomers_and_keeps_the_accepted(self) -> None:
        server = Recorder()
        port = self.listen(LOCAL, server)
        client = self.dial(port)
        await server.until_event("made")
        where = port.getHost()
        await port.stop()
        await port.stopListening()
        self.assertEqual(port.fileno(), -1)
        self.assertEqual(port.getHost(), where)
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", where.port), 5)
        client.send(b"still here")
        await server.until_bytes(10)
        self.assertEqual(self.factory.numPorts, 0)
        port.resume_accepting()

    async def test_no_descriptors_left_rests_without_cpu_and_recovers(self) -> None:
        server, clock, told = Recorder(), Clock(), []
        exhausted: Deferred[None] = Deferred()

        def on_exhausted(number: int) -> None:
            told.append(number)
            exhausted.callback(None)

        port = self.listen(LOCAL, server, on_exhausted=on_exhausted, clock=clock)
        client = socket.socket()
        self.addCleanup(client.close)
        await turns(1)  # A loop that starts to run opens descriptors of its own.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            client.connect(("127.0.0.1", port.getHost().port))
            await exhausted
            await turns(50)
            self.assertEqual(told, [errno.EMFILE], "accept was tried again at once")
            self.assertIn("resting", repr(port))
            # The operator's pause and the rest do not undo each other.
            port.pause_accepting()
            port.resume_accepting()
            await turns(5)
            self.assertEqual(told, [errno.EMFILE])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual([call.time for call in clock.getDelayedCalls()], [RETRY_S])
        clock.advance(RETRY_S)
        client.send(b"at last")
        await server.until_bytes(7)

    async def test_stop_while_resting_leaves_no_timer(self) -> None:
        clock = Clock()
        port = self.listen(LOCAL, clock=clock)
        port._rest(OSError(errno.ENFILE, "table full"))
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        await port.stop()
        self.assertEqual(clock.getDelayedCalls(), [])

    async def test_errors_of_accept(self) -> None:
        """A peer that left first is passed over; what cannot be explained rests like exhaustion."""
        clock, told = Clock(), []
        port = self.listen(LOCAL, clock=clock, on_exhausted=told.append)
        real = port._socket
        self.addCleanup(real.close)
        errors = [
            OSError(errno.ECONNABORTED, ""),
            OSError(errno.EPERM, ""),
            BlockingIOError(),
            OSError(errno.EINVAL, ""),
        ]

        class Failing:
            fileno = real.fileno
            close = real.close

            def accept(self) -> None:
                raise errors.pop(0)

        port._socket = Failing()
        port._accept_some()
        self.assertEqual(len(errors), 1)
        self.assertEqual(clock.getDelayedCalls(), [])
        port._accept_some()
        self.assertEqual(told, [errno.EINVAL])
        self.assertIn("resting", repr(port))

    def test_a_taken_place_is_refused(self) -> None:
        port = self.listen(LOCAL)
        self.assertRaises(CannotListenError, listen, reactor, TcpPlace("127.0.0.1", port.getHost().port), Once())


class StockAcceptingTests(Behaviour, StockPairs):
    """On stock transports."""

    def setUp(self) -> None:
        self.patch(accepting, "is_native", lambda reactor: False)

    def test_is_stock(self) -> None:
        self.assertIsInstance(self.listen(LOCAL), StockPort)

    async def test_the_reactor_giving_the_socket_up_stops_the_port(self) -> None:
        port = self.listen(LOCAL)
        port.connectionLost(None)
        self.assertEqual(port.fileno(), -1)

    def test_any_reactor_with_descriptors_will_do(self) -> None:
        memory = MemoryReactor()
        port = listen(memory, LOCAL, Once())
        self.addCleanup(port.stop)
        self.assertEqual(memory.getReaders(), [port])
        port.pause_accepting()
        self.assertEqual(memory.getReaders(), [])


if is_native(reactor):

    class NativeAcceptingTests(Behaviour, NativePairs):
        """On the loop's transports."""

        def test_is_native(self) -> None:
            self.assertIsInstance(self.listen(LOCAL), NativePort)
