"""gRPC with real clients and a real server through the gateway, on clear text and over TLS: grpcio, Node's grpc-js, grpcurl."""

import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from tests.live import install
from tests.live.grpc.probe_pb2 import Message, Order
from tests.live.grpc_case import CALL_S, MIB, GrpcCase, elapsed, messages
from tests.live.origin import pattern_sha256
from tests.live.process import free_port
from tests.live.protocols import NAME, GrpcServer

GROWTH_KIB = 8 * 1024
SERVICE = "edgegw.live.v1.Probe"


class KindTests(GrpcCase):
    """The four kinds of call, and everything that travels beside the messages."""

    def test_four_kinds(self) -> None:
        """Unary, client streaming, server streaming, and both at once, message by message."""
        self.assertEqual(
            self.stub.Unary(Message(text="gr\u00fc\u00dfe", number=7), timeout=CALL_S).text, "gr\u00fc\u00dfe"
        )
        summary = self.stub.Collect(messages(MIB, 10_000), timeout=CALL_S)
        self.assertEqual((summary.messages, summary.size), (104, 1_040_000))
        self.assertEqual(summary.sha256, hashlib.sha256(bytes(1_040_000)).hexdigest())
        pieces = list(self.stub.Produce(Order(size=MIB, piece=10_000), timeout=CALL_S))
        self.assertEqual(len(pieces), 105)
        self.assertEqual(hashlib.sha256(b"".join(piece.body for piece in pieces)).hexdigest(), pattern_sha256(MIB))
        # Each message is only sent when the answer to the one before has come: nothing may wait for more.
        turn = threading.Semaphore(1)

        def saying() -> Iterator[Message]:
            for number in range(50):
                turn.acquire(timeout=CALL_S)
                yield Message(number=number)

        said = []
        for message in self.stub.Chat(saying(), timeout=CALL_S):
            said.append(message.number)
            turn.release()
        self.assertEqual(said, list(range(50)))
        records = self.grpc.await_records(4)
        self.assertEqual([record["status"] for record in records], [200] * 4)

    def test_metadata(self) -> None:
        """Both ways, repeated, binary, in the initial and in the trailing metadata, untouched."""
        raw = bytes(range(256))
        sent = [("x-echo", "one"), ("x-echo", "two, three"), ("x-echo-bin", raw), ("x-echo-long", "v" * 4000)]
        answer, call = self.stub.Unary.with_call(Message(), metadata=sent, timeout=CALL_S)
        self.assertEqual(answer, Message())
        self.assertEqual([pair for pair in call.initial_metadata() if pair[0].startswith("x-echo")], sent)
        expected = [
            ("x-echo-end", "one"),
            ("x-echo-end", "two, three"),
            ("x-echo-end-bin", raw),
            ("x-echo-long-end", "v" * 4000),
        ]
        self.assertEqual([pair for pair in call.trailing_metadata() if pair[0].startswith("x-echo")], expected)

    def test_compressed(self) -> None:
        """gzip both ways: the flags and the bytes of messages are none of the gateway's business."""
        stub = self.client(self.grpc, compression=grpc.Compression.Gzip)
        body = b"compress me " * 20_000
        answer, call = stub.Unary.with_call(Message(body=body), metadata=[("x-compress", "gzip")], timeout=CALL_S)
        self.assertEqual(answer.body, body)
        self.assertEqual(call.code(), grpc.StatusCode.OK)
        pieces = list(stub.Produce(Order(size=MIB), metadata=[("x-compress", "gzip")], timeout=CALL_S))
        self.assertEqual(hashlib.sha256(b"".join(piece.body for piece in pieces)).hexdigest(), pattern_sha256(MIB))
        largest = max(record["bytes_out"] for record in self.grpc.await_records(2))
        self.assertLess(largest, MIB // 2, "the answer was not compressed on its way")

    def test_errors(self) -> None:
        """A status with details and binary trailing metadata, one with a message that has to be escaped, an unknown method."""
        error = self.fails(self.stub.Fail, Order(id="rich", code=3))
        self.assertEqual((error.code(), error.details()), (grpc.StatusCode.INVALID_ARGUMENT, "rich \u00e9"))
        status = rpc_status.from_call(error)
        assert status is not None
        found = error_details_pb2.BadRequest()
        self.assertTrue(status.details[0].Unpack(found))
        self.assertEqual(found.field_violations[0].description, "asked for")
        error = self.fails(self.stub.Fail, Order(id="plain", code=9))
        self.assertEqual((error.code(), error.details()), (grpc.StatusCode.FAILED_PRECONDITION, "plain 100 % \u00e9\n"))
        self.assertIn(("x-raw-bin", bytes(range(256))), list(error.trailing_metadata()))
        unknown = self.channel(self.grpc).unary_unary(f"/{SERVICE}/Nothing")
        self.assertEqual(self.fails(unknown, b"").code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_health_and_reflection(self) -> None:
        """The standard services, their streams included, by their own clients."""
        channel = self.channel(self.grpc)
        health = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        self.assertEqual(health.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=CALL_S).status, serving)
        down = health_pb2.HealthCheckRequest(service="edgegw.live.Down")
        self.assertEqual(health.Check(down, timeout=CALL_S).status, health_pb2.HealthCheckResponse.NOT_SERVING)
        watching = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=CALL_S)
        self.assertEqual(next(watching).status, serving)
        watching.cancel()
        error = self.fails(health.Check, health_pb2.HealthCheckRequest(service="no such"))
        self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
        database = ProtoReflectionDescriptorDatabase(channel)
        self.assertIn(SERVICE, database.get_services())
        self.assertIn("Produce", str(database.FindFileContainingSymbol(SERVICE)))

    def test_many_at_once(self) -> None:
        """300 calls at once over one connection, three times the streams that it may carry at a time."""
        calls = [self.stub.Unary.future(Message(number=number), timeout=CALL_S) for number in range(300)]
        self.assertEqual([call.result().number for call in calls], list(range(300)))


class TlsKindTests(KindTests):
    """The same over TLS."""

    secure = True


class EndTests(GrpcCase):
    """Deadlines and cancellation: who ends a call, and who learns of it."""

    def test_deadline(self) -> None:
        """The client's deadline is the server's, less what has passed; both see it pass."""
        begun = time.monotonic()
        error = self.fails(self.stub.Hang, Order(id="late", seconds=30), timeout=1.0)
        self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertLess(elapsed(begun), 2.0)
        record = self.await_seen("late", "ended", 2.0)
        self.assertTrue(record.cancelled)
        self.assertGreater(record.deadline, 0.3)
        self.assertLess(record.deadline, 1.0)

    def test_deadline_kept_by_the_gateway(self) -> None:
        """A client that forgets its own deadline is told DEADLINE_EXCEEDED in time, and the call upstream is ended."""
        wire = self.http2(self.grpc)
        wire.ask(f"/{SERVICE}/Unary", "POST", GRPC, body=frame(b""))
        begun = time.monotonic()
        order = frame(Order(id="forgotten", seconds=30).SerializeToString())
        answer = wire.ask(f"/{SERVICE}/Hang", "POST", [*GRPC, ("grpc-timeout", "500m")], body=order)
        took = elapsed(begun)
        self.assertEqual((answer.status, answer.header("grpc-status")), (200, "4"))
        self.assertEqual(answer.header("content-type"), "application/grpc")
        self.assertTrue(0.4 < took < 1.5, took)
        record = self.await_seen("forgotten", "ended", 2.0)
        self.assertTrue(record.cancelled)
        self.assertLess(record.deadline, 0.5)

    def test_no_deadline(self) -> None:
        """A call without a deadline gets none; a stream of messages that come now and then goes on beyond the head's limit."""
        call = self.stub.Drip(Order(id="endless", seconds=0.3))
        for number in range(1, 6):
            self.assertEqual(next(call).number, number)
        call.cancel()
        self.assertEqual(self.await_seen("endless", "ended").deadline, -1)

    def test_cancelled_unary(self) -> None:
        """A client that gives up: the server learns it within a second."""
        call = self.stub.Hang.future(Order(id="gone", seconds=30), timeout=CALL_S)
        self.await_seen("gone", "begun")
        begun = time.monotonic()
        call.cancel()
        record = self.await_seen("gone", "ended", 2.0)
        self.assertLess(elapsed(begun), 1.0)
        self.assertTrue(record.cancelled)

    def test_cancelled_stream(self) -> None:
        """The same in the middle of a stream."""
        call = self.stub.Drip(Order(id="drip", seconds=0.05, size=1000), timeout=CALL_S)
        for _ in range(5):
            next(call)
        begun = time.monotonic()
        call.cancel()
        self.await_seen("drip", "ended", 2.0)
        self.assertLess(elapsed(begun), 1.0)

    def test_client_dies(self) -> None:
        """A connection that is torn ends every call on it."""
        wire = self.http2(self.grpc)
        for number in range(5):
            order = Order(id=f"torn{number}", seconds=30).SerializeToString()
            wire.request(f"/{SERVICE}/Hang", "POST", GRPC, body=frame(order))
        for number in range(5):
            self.await_seen(f"torn{number}", "begun")
        begun = time.monotonic()
        wire.reset()
        for number in range(5):
            self.assertTrue(self.await_seen(f"torn{number}", "ended", 2.0).cancelled)
        self.assertLess(elapsed(begun), 1.0)

    def test_server_dies(self) -> None:
        """A server that is killed under its calls: UNAVAILABLE, at once; and the next one is UNAVAILABLE too, not a hang."""
        calls = [self.stub.Hang.future(Order(id=f"k{n}", seconds=30), timeout=CALL_S) for n in range(3)]
        for number in range(3):
            self.await_seen(f"k{number}", "begun")
        begun = time.monotonic()
        self.origin.kill()
        self.assertEqual({call.exception().code() for call in calls}, {grpc.StatusCode.UNAVAILABLE})
        self.assertEqual(self.fails(self.stub.Unary, Message()).code(), grpc.StatusCode.UNAVAILABLE)
        self.assertLess(elapsed(begun), 5.0)


class TlsEndTests(EndTests):
    """The same over TLS."""

    secure = True


class StreamTests(GrpcCase):
    """64 MiB each way in messages of 64 KiB: whole, and the gateway holds next to nothing."""

    SIZE = 64 * MIB

    def setUp(self) -> None:
        super().setUp()
        # The first calls allocate what every later one uses again.
        self.stub.Collect(messages(2 * MIB), timeout=CALL_S)
        list(self.stub.Produce(Order(size=2 * MIB), timeout=CALL_S))

    def test_up(self) -> None:
        """Client streaming."""
        with self.peak_growth_below(self.grpc, GROWTH_KIB):
            summary = self.stub.Collect(messages(self.SIZE), timeout=60)
        self.assertEqual((summary.size, summary.sha256), (self.SIZE, hashlib.sha256(bytes(self.SIZE)).hexdigest()))

    def test_down(self) -> None:
        """Server streaming."""
        digest = hashlib.sha256()
        with self.peak_growth_below(self.grpc, GROWTH_KIB):
            for message in self.stub.Produce(Order(size=self.SIZE), timeout=60):
                digest.update(message.body)
        self.assertEqual(digest.hexdigest(), pattern_sha256(self.SIZE))

    def test_both(self) -> None:
        """Both directions at once."""
        size = 0
        with self.peak_growth_below(self.grpc, GROWTH_KIB):
            for message in self.stub.Chat(messages(self.SIZE), timeout=60):
                size += len(message.body)
        self.assertEqual(size, self.SIZE)

    def test_slow_reader(self) -> None:
        """A client that stops reading stops the server; the gateway's memory is not the buffer between them."""
        call = self.stub.Produce(Order(size=self.SIZE), timeout=60)
        with self.peak_growth_below(self.grpc, GROWTH_KIB):
            next(call)
            threading.Event().wait(2.0)
            rest = sum(len(message.body) for message in call)
        self.assertEqual(rest, self.SIZE - 65_536)


class TlsStreamTests(StreamTests):
    """The same over TLS."""

    secure = True


class GatewayErrorTests(GrpcCase):
    """What the gateway itself refuses comes as a grpc-status with HTTP 200, which every client understands."""

    def test_refused(self) -> None:
        """Nobody listens: UNAVAILABLE. No route: UNIMPLEMENTED. Too large a message: RESOURCE_EXHAUSTED."""
        gateway = self.gateway(
            {
                "down": f'{{endpoints: ["grpc://127.0.0.1:{free_port()}"]}}',
                "up": f'{{endpoints: ["grpc://127.0.0.1:{self.origin.port()}"]}}',
            },
            [
                f"{{match: /{SERVICE}/Unary, to: up, grpc: {{max_message: 64KiB}}}}",
                f"{{match: /{SERVICE}/Fail, to: down}}",
            ],
        )
        stub = self.client(gateway)
        self.assertEqual(self.fails(stub.Fail, Order()).code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.fails(stub.Hang, Order()).code(), grpc.StatusCode.UNIMPLEMENTED)
        self.assertEqual(stub.Unary(Message(body=bytes(60_000)), timeout=CALL_S).body, bytes(60_000))
        error = self.fails(stub.Unary, Message(body=bytes(70_000)))
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(stub.Unary(Message(text="still"), timeout=CALL_S).text, "still")
        self.assertEqual([record["status"] for record in gateway.await_records(5)], [200] * 5)

    def test_balanced_by_call(self) -> None:
        """Calls of one client connection go to both endpoints, not to the one where the first went."""
        other = self.serve(GrpcServer(args=["--label", "two"]))
        gateway = self.before(f"grpc://127.0.0.1:{self.origin.port()}", f"grpc://127.0.0.1:{other.port()}")
        stub = self.client(gateway)
        labels = [
            dict(stub.Unary.with_call(Message(), timeout=CALL_S)[1].initial_metadata())["x-origin"] for _ in range(20)
        ]
        self.assertEqual({label: labels.count(label) for label in set(labels)}, {"": 10, "two": 10})

    def test_grpcs_upstream(self) -> None:
        """TLS to the server as well, by ALPN."""
        origin = self.serve(GrpcServer(cert=self.pair.cert, key=self.pair.key))
        gateway = self.before(f"grpcs://localhost:{origin.port()}", upstream=f"tls: {{ca: {self.ca}}}")
        self.assertEqual(self.client(gateway).Unary(Message(text="x"), timeout=CALL_S).text, "x")

    def test_drain(self) -> None:
        """A call in flight when the gateway is told to end is finished; the client gets no error for it."""
        call = self.stub.Hang.future(Order(id="drain", seconds=1.5), timeout=CALL_S)
        self.await_seen("drain", "begun")
        self.grpc.signal(15)
        self.assertEqual(call.result().text, "drain")
        self.assertEqual(self.grpc.wait_exit(10), 0)


class OtherClientTests(GrpcCase):
    """Clients that share no code with grpcio."""

    def test_node(self) -> None:
        """All four kinds, metadata, an error, a deadline and a cancellation from Node."""
        extra = [str(self.ca), NAME] if self.secure else []
        script = Path(__file__).with_name("grpc_client.mjs")
        command = ["node", str(script), str(install.node_modules()), f"127.0.0.1:{self.front(self.grpc)}", *extra]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        unary = {
            "text": "gr\u00fc\u00dfe",
            "number": 7,
            "initial": [["seen"], [[0, 255, 10]]],
            "code": 0,
            "trailing": ["seen"],
        }
        body = b"".join(bytes([number]) * 1000 for number in range(100))
        collected = {"messages": 100, "size": 100_000, "sha256": hashlib.sha256(body).hexdigest()}
        self.assertEqual((said["unary"], said["collect"]), (unary, collected))
        self.assertEqual(said["produce"], {"messages": 100, "sha256": pattern_sha256(1_000_000)})
        self.assertEqual(said["chat"], {"said": list(range(1, 11))})
        self.assertEqual(said["fail"], {"code": 9, "details": "plain 100 % \u00e9\n"})
        self.assertEqual((said["late"], said["cancel"]), ({"code": 4}, {"code": 1}))
        for name in ("node-late", "node-cancel"):
            self.assertTrue(self.await_seen(name, "ended", 2.0).cancelled)

    def test_grpcurl(self) -> None:
        """grpcurl (Go) finds the service by reflection and calls it."""
        safety = ["-cacert", str(self.ca), "-authority", NAME] if self.secure else ["-plaintext"]

        def grpcurl(*words: str) -> str:
            command = [str(install.grpcurl()), *safety, *words]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        address = f"127.0.0.1:{self.front(self.grpc)}"
        self.assertIn(SERVICE, grpcurl(address, "list").splitlines())
        answer = grpcurl("-d", '{"text": "x", "number": 5}', address, f"{SERVICE}/Unary")
        self.assertEqual(json.loads(answer), {"text": "x", "number": "5"})


class TlsOtherClientTests(OtherClientTests):
    """The same over TLS."""

    secure = True


GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


def frame(message: bytes) -> bytes:
    """One uncompressed message as gRPC frames it."""
    return b"\0" + len(message).to_bytes(4, "big") + message
