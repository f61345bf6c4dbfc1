"""The control socket: its protocol against everything that may come in, and its file against everything that may be there."""

import json
import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from edgegw.gateway import commands
from edgegw.gateway.commands import CommandError
from edgegw.gateway.control import (
    DEADLINE_S,
    MAX_CONNECTIONS,
    MAX_LINE,
    ControlFactory,
    ControlService,
    ControlUnavailable,
    claim,
    is_answered,
)


class Transport(StringTransport):
    """Remembers whether the connection was cut."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


async def _echo(gateway: Any, arguments: Any) -> dict[str, Any]:
    return {"arguments": dict(arguments), "gateway": gateway}


async def _refuse(gateway: Any, arguments: Any) -> dict[str, Any]:
    raise CommandError("not_now", "later")


async def _break(gateway: Any, arguments: Any) -> dict[str, Any]:
    raise RuntimeError("a defect")


async def _unfit(gateway: Any, arguments: Any) -> dict[str, Any]:
    return {"result": object()}


class ProtocolTests(SynchronousTestCase):
    """One connection, in memory."""

    def setUp(self) -> None:
        self.pending: list[Deferred[None]] = []
        table = {"echo": _echo, "refuse": _refuse, "break": _break, "unfit": _unfit, "slow": self.slow}
        self.patch(commands, "COMMANDS", table)
        self.patch(__import__("edgegw.gateway.control", fromlist=["x"]), "COMMANDS", table)
        self.clock = Clock()
        self.factory = ControlFactory("the gateway", self.clock)  # type: ignore[arg-type]
        self.connection, self.transport = self.connect()

    async def slow(self, gateway: Any, arguments: Any) -> dict[str, Any]:
        promise: Deferred[None] = Deferred()
        self.pending.append(promise)
        await promise
        return {"n": arguments.get("n")}

    def connect(self) -> tuple[Any, Transport]:
        connection, transport = self.factory.buildProtocol(None), Transport()
        connection.makeConnection(transport)
        return connection, transport

    def answers(self, transport: Transport | None = None) -> list[Any]:
        transport = transport or self.transport
        lines = transport.value().splitlines()
        transport.clear()
        return [json.loads(line) for line in lines]

    def send(self, *requests: object) -> list[Any]:
        data = b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in requests)
        self.connection.dataReceived(data)
        return self.answers()

    def test_a_command_is_answered(self) -> None:
        (answer,) = self.send({"command": "echo", "arguments": {"a": 1}, "id": [7]})
        self.assertEqual(answer, {"id": [7], "ok": True, "result": {"arguments": {"a": 1}, "gateway": "the gateway"}})

    def test_arguments_and_id_may_be_left_out(self) -> None:
        (answer,) = self.send({"command": "echo"})
        self.assertEqual((answer["id"], answer["result"]["arguments"]), (None, {}))

    def test_byte_by_byte(self) -> None:
        for byte in b'{"command": "echo", "id": 1}\r\n':
            self.connection.dataReceived(bytes([byte]))
        self.assertEqual([answer["id"] for answer in self.answers()], [1])

    def test_many_in_one_read_are_answered_in_order(self) -> None:
        found = self.send(*({"command": "echo", "id": n} for n in range(50)))
        self.assertEqual([answer["id"] for answer in found], list(range(50)))

    def test_a_command_that_takes_its_time_holds_the_next_ones_back(self) -> None:
        self.assertEqual(self.send({"command": "slow", "id": 1}, {"command": "echo", "id": 2}), [])
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(DEADLINE_S * 100)
        self.assertFalse(self.transport.aborted)
        self.pending.pop().callback(None)
        self.assertEqual([answer["id"] for answer in self.answers()], [1, 2])
        self.assertEqual(self.transport.producerState, "producing")

    def test_refusals_and_defects(self) -> None:
        refused, broken, unfit, fine = self.send(
            {"command": "refuse", "id": 1}, {"command": "break"}, {"command": "unfit"}, {"command": "echo"}
        )
        self.assertEqual(refused, {"id": 1, "ok": False, "error": "not_now", "message": "later"})
        self.assertEqual(broken["error"], "internal_error")
        self.assertIn("RuntimeError: a defect", broken["message"])
        self.assertEqual(unfit["error"], "internal_error")
        self.assertTrue(fine["ok"])
        self.assertEqual([type(each.value) for each in self.flushLoggedErrors()], [RuntimeError, TypeError])

    def test_unknown_command_names_the_known_ones(self) -> None:
        (answer,) = self.send({"command": "rm -rf"})
        self.assertEqual(answer["error"], "unknown_command")
        self.assertIn("echo, refuse", answer["message"])

    def test_garbage_is_answered_and_the_connection_lives(self) -> None:
        garbage = [
            b"GET / HTTP/1.1", b"\x16\x03\x01\x00", b"\xff\xfe", b"{", b"[]", b"null", b"{}", b'"x"', b"1e999",
            b'{"command": 7}', b'{"command": "echo", "arguments": [1]}', b'{"command": "echo", "arguments": "x"}',
            b"[" * 60_000,
        ]  # fmt: skip
        found = self.send(*garbage)
        self.assertEqual([answer["error"] for answer in found], ["bad_request"] * len(garbage))
        self.assertEqual(len(self.send({"command": "echo"})), 1)

    def test_lone_surrogates_and_controls_come_back_escaped(self) -> None:
        (answer,) = self.send(b'{"command": "echo", "id": "\\ud800\\u0000\\u001b[2J"}')
        self.assertEqual(answer["id"], "\ud800\x00\x1b[2J")

    def test_empty_lines_are_passed_over(self) -> None:
        self.assertEqual(self.send(b"", b"  ", b"\r"), [])

    def test_a_line_that_is_too_long_ends_the_connection(self) -> None:
        self.connection.dataReceived(b"x" * (MAX_LINE + 1))
        self.assertEqual([answer["error"] for answer in self.answers()], ["line_too_long"])
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.send({"command": "echo"}), [])

    def test_a_line_of_exactly_the_limit_is_fine(self) -> None:
        line = b'{"command": "echo", "id": "' + b"x" * (MAX_LINE - 29) + b'"}'
        self.assertEqual(len(line), MAX_LINE)
        self.assertTrue(self.send(line)[0]["ok"])

    def test_who_says_nothing_is_cut(self) -> None:
        self.clock.advance(DEADLINE_S - 1)
        self.connection.dataReceived(b'{"comm')
        self.clock.advance(2)
        self.assertTrue(self.transport.aborted)

    def test_each_answer_gives_new_time(self) -> None:
        for _ in range(3):
            self.clock.advance(DEADLINE_S - 1)
            self.send({"command": "echo"})
        self.assertFalse(self.transport.aborted)

    def test_connections_are_bounded_and_places_come_free(self) -> None:
        others = [self.connect() for _ in range(MAX_CONNECTIONS - 1)]
        _, refused = self.connect()
        self.assertEqual([answer["error"] for answer in self.answers(refused)], ["busy"])
        self.assertTrue(refused.disconnecting)
        others[0][0].connectionLost(Failure(ConnectionDone()))
        _, taken = self.connect()
        self.assertFalse(taken.disconnecting)

    def test_who_does_not_take_the_refusal_is_cut(self) -> None:
        for _ in range(MAX_CONNECTIONS - 1):
            self.connect()
        _, refused = self.connect()
        self.clock.advance(DEADLINE_S)
        self.assertTrue(refused.aborted)

    def test_who_leaves_while_a_command_runs(self) -> None:
        self.send({"command": "slow"})
        self.connection.connectionLost(Failure(ConnectionDone()))
        self.pending.pop().callback(None)
        self.assertEqual(self.answers(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_left_behind(self) -> None:
        self.send({"command": "echo"})
        self.connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(dict(self.factory.connections), {})

    def test_repr(self) -> None:
        self.assertEqual(repr(self.connection), "<ControlConnection waiting>")
        self.send({"command": "slow"})
        self.assertEqual(repr(self.connection), "<ControlConnection busy>")


class SocketTests(TestCase):
    """The file in the state folder, and real connections to it."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.path = self.state / "control.sock"

    def started(self) -> ControlService:
        service = ControlService(_Still(), self.path, reactor)  # type: ignore[arg-type]
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        return service

    async def asked(self, connection: socket.socket, request: bytes) -> bytes:
        """Send and read one line, the reactor turning meanwhile."""
        connection.setblocking(False)
        connection.send(request)
        return await self.read(connection)

    async def read(self, connection: socket.socket) -> bytes:
        connection.setblocking(False)
        received = b""
        for _ in range(2000):
            await deferLater(reactor, 0)
            try:
                chunk = connection.recv(65536)
            except BlockingIOError:
                continue
            received += chunk
            if not chunk or received.endswith(b"\n"):
                return received
        raise AssertionError(f"no answer, only {received!r}")

    def dialled(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        self.addCleanup(connection.close)
        connection.connect(str(self.path))
        return connection

    def left_behind(self) -> None:
        """What a process that was killed leaves."""
        self.state.mkdir(exist_ok=True)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(self.path))
            sock.listen(1)

    async def test_answers(self) -> None:
        self.started()
        answer = json.loads(await self.asked(self.dialled(), b'{"command": "ping"}\n'))
        self.assertEqual(answer["result"], {"pid": os.getpid(), "version": "0", "ready": True})

    async def test_only_its_user_may_connect(self) -> None:
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.started()
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)
        self.assertEqual(os.umask(0), 0)

    async def test_a_dead_socket_is_replaced(self) -> None:
        self.left_behind()
        self.assertFalse(is_answered(self.path))
        self.started()
        self.assertIn(b'"ok": true', await self.asked(self.dialled(), b'{"command": "ping"}\n'))

    async def test_a_living_one_is_an_error_and_lives_on(self) -> None:
        self.started()
        wrong = self.assertRaises(ControlUnavailable, ControlService, _Still(), self.path, reactor)
        self.assertIn("another gateway runs with this state folder", str(wrong))
        self.assertIn(str(self.path), str(wrong))
        self.assertIn(b'"ok": true', await self.asked(self.dialled(), b'{"command": "ping"}\n'))

    async def test_something_else_of_that_name_stays(self) -> None:
        self.state.mkdir()
        self.path.write_text("precious")
        wrong = self.assertRaises(ControlUnavailable, claim, self.path)
        self.assertIn("something else of that name", str(wrong))
        self.assertEqual(self.path.read_text(), "precious")

    async def test_a_folder_that_others_may_write_to_is_told(self) -> None:
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.state.mkdir()
        self.state.chmod(0o700)
        claim(self.path)
        self.assertEqual(events, [])
        self.state.chmod(0o770)
        claim(self.path)
        self.assertEqual([event["folder"] for event in events], [str(self.state)])

    async def test_a_folder_that_cannot_be_made(self) -> None:
        self.state.write_text("a file")
        self.assertIn("cannot open", str(self.assertRaises(ControlUnavailable, claim, self.path)))

    async def test_a_path_that_is_too_long(self) -> None:
        wrong = self.assertRaises(ControlUnavailable, claim, Path("/tmp") / ("x" * 120) / "control.sock")
        self.assertIn("has 138 bytes, and 107 are possible", str(wrong))

    async def test_the_file_goes_with_the_service(self) -> None:
        service = self.started()
        connection = self.dialled()
        await self.asked(connection, b'{"command": "ping"}\n')
        await service.stopService()
        self.assertFalse(self.path.exists())
        self.assertEqual(await self.read(connection), b"")

    async def test_a_successor_keeps_its_file(self) -> None:
        service = self.started()
        self.path.unlink()
        self.left_behind()
        await service.stopService()
        self.assertTrue(self.path.exists())

    async def test_more_connections_than_there_are_places(self) -> None:
        self.started()
        connections = [self.dialled() for _ in range(MAX_CONNECTIONS)]
        for connection in connections:
            self.assertIn(b'"ok": true', await self.asked(connection, b'{"command": "ping"}\n'))
        self.assertIn(b'"busy"', await self.read(self.dialled()))
        connections.pop().close()
        for _ in range(20):
            await deferLater(reactor, 0)
        self.assertIn(b'"ok": true', await self.asked(self.dialled(), b'{"command": "ping"}\n'))

    async def test_repr(self) -> None:
        self.assertEqual(repr(self.started()), f"<ControlService {self.path} open, 0 connections>")


class _Still:
    """A gateway that only says that it is there."""

    def status(self) -> dict[str, Any]:
        return {"version": "0", "ready": True}
