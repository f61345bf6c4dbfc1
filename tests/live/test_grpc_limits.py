"""Calls that end early or last long: message limits, silent streams, servers that go; grpcio on both sides."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc

from tests.live.grpc.probe_pb2 import Message, Order
from tests.live.grpc_case import CALL_S, GrpcCase

UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED


class LimitTests(GrpcCase):
    route = "body_limit: 1KiB, grpc: {max_message: 10KiB}"

    def test_many_small_messages(self) -> None:
        """Neither `body_limit` nor anything else limits how many there are."""
        summary = self.stub.Collect((Message(body=bytes(9_000)) for _ in range(500)), timeout=CALL_S)
        self.assertEqual(summary.size, 4_500_000)

    def test_too_large_in_the_middle_of_a_dialogue(self) -> None:
        """The answer has begun long ago; it ends with the status all the same, and the server hears of it."""
        turn = threading.Semaphore(1)

        def saying() -> Iterator[Message]:
            for size in (10, 20, 20_000):
                turn.acquire(timeout=CALL_S)
                yield Message(body=bytes(size))

        call = self.stub.Chat(saying(), timeout=CALL_S)
        sizes = []
        with self.assertRaises(grpc.RpcError) as caught:
            for message in call:
                sizes.append(len(message.body))
                turn.release()
        self.assertEqual((sizes, caught.exception.code()), ([10, 20], EXHAUSTED))
        self.assertEqual(caught.exception.details(), "grpc_message_too_large: Content Too Large")
        (record,) = self.grpc.await_records(1)
        self.assertEqual((record["status"], record["flag"]), (200, "grpc_message_too_large"))

    def test_a_response_too_large(self) -> None:
        error = self.fails(self.stub.Produce, Order(size=40_000, piece=20_000))
        self.assertEqual(error.code(), EXHAUSTED)
        self.assertEqual(error.details(), "grpc_response_too_large: Bad Gateway")


class SilenceTests(GrpcCase):
    def setUp(self) -> None:
        super().setUp()
        self.grpc = self.before(
            f"grpc://127.0.0.1:{self.origin.port()}",
            listen="caps: {body_gap: 1s, body_rate: 1000, body_rate_after: 1s}",
        )
        self.stub = self.client(self.grpc)

    def test_a_dialogue_with_long_breaks(self) -> None:
        """What limits slow uploads is not for streams of messages, which come when there is something to say."""
        more = threading.Event()

        def saying() -> Iterator[Message]:
            yield Message(number=1)
            more.wait(3.5)
            yield Message(number=2)

        self.assertEqual([message.number for message in self.stub.Chat(saying(), timeout=CALL_S)], [1, 2])

    def test_a_report_with_long_breaks(self) -> None:
        """The same while there is no answer yet."""
        more = threading.Event()

        def saying() -> Iterator[Message]:
            yield Message(body=b"a")
            more.wait(3.5)
            yield Message(body=b"b")

        self.assertEqual(self.stub.Collect(saying(), timeout=CALL_S).messages, 2)


class GoneTests(GrpcCase):
    def test_killed_in_the_middle_of_a_stream(self) -> None:
        """UNAVAILABLE behind the messages that came."""
        call = self.stub.Drip(Order(id="killed", seconds=0.05), timeout=CALL_S)
        for _ in range(3):
            next(call)
        self.origin.kill()
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in call:
                pass
        self.assertEqual(caught.exception.code(), UNAVAILABLE)
        self.assertIn("upstream_", caught.exception.details())

    def test_killed_in_the_middle_of_a_message(self) -> None:
        """Part of a message is never taken for one, whatever the code."""
        call = self.stub.Produce(Order(size=400_000_000, piece=4_000_000), timeout=CALL_S)
        next(call)
        self.origin.kill()
        with self.assertRaises(grpc.RpcError) as caught:
            for message in call:
                self.assertEqual(len(message.body), 4_000_000)
        self.assertNotEqual(caught.exception.code(), grpc.StatusCode.OK)
