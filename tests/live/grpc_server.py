"""A real grpcio server: the service of `tests/live/grpc/probe.proto`, with health and reflection.

python -m tests.live.grpc_server --port 9000 [--cert CERT --key KEY] [--label one]
"""

import argparse
import hashlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from tests.live.grpc.probe_pb2 import DESCRIPTOR, Message, Order, Record, Summary
from tests.live.grpc.probe_pb2_grpc import ProbeServicer, add_ProbeServicer_to_server
from tests.live.origin import pattern

SERVICE = DESCRIPTOR.services_by_name["Probe"].full_name
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
# A server that pings is no part of these tests, and clients may ping as often as they like.
PATIENT = [("grpc.http2.min_ping_interval_without_data_ms", 1), ("grpc.keepalive_permit_without_calls", 1)]
PIECE = 65_536
LARGEST_WAIT_S = 60.0


class Probe(ProbeServicer):
    """See probe.proto."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._seen: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def Unary(self, request: Message, context: grpc.ServicerContext) -> Message:
        sent = context.invocation_metadata()
        context.send_initial_metadata([*_echoed(sent), ("x-origin", self._label)])
        context.set_trailing_metadata(_at_end(_echoed(sent)))
        if dict(sent).get("x-compress") == "gzip":
            context.set_compression(grpc.Compression.Gzip)
        if "x-abort" in dict(sent):
            context.abort(_status_code(int(dict(sent)["x-abort"])), "asked for, behind a good head")
        return request

    def Collect(self, request_iterator: Iterator[Message], context: grpc.ServicerContext) -> Summary:
        digest, messages, size = hashlib.sha256(), 0, 0
        for message in request_iterator:
            digest.update(message.body)
            messages += 1
            size += len(message.body)
        context.set_trailing_metadata([("x-messages", str(messages))])
        return Summary(messages=messages, size=size, sha256=digest.hexdigest())

    def Produce(self, request: Order, context: grpc.ServicerContext) -> Iterator[Message]:
        piece, pending = request.piece or PIECE, bytearray()
        if dict(context.invocation_metadata()).get("x-compress") == "gzip":
            context.set_compression(grpc.Compression.Gzip)
        for block in pattern(request.size):
            pending += block
            while len(pending) >= piece:
                yield Message(body=bytes(pending[:piece]))
                del pending[:piece]
        if pending:
            yield Message(body=bytes(pending))

    def Chat(self, request_iterator: Iterator[Message], context: grpc.ServicerContext) -> Iterator[Message]:
        context.send_initial_metadata([("x-origin", self._label)])
        yield from request_iterator

    def Hang(self, request: Order, context: grpc.ServicerContext) -> Message:
        over = self._watch(request.id, context)
        over.wait(min(request.seconds, LARGEST_WAIT_S))
        self._finish(request.id)
        return Message(text=request.id)

    def Drip(self, request: Order, context: grpc.ServicerContext) -> Iterator[Message]:
        over = self._watch(request.id, context)
        number = 0
        while context.is_active() and number < 10_000:
            number += 1
            yield Message(number=number, body=bytes(request.size))
            if over.wait(request.seconds):
                break
        self._finish(request.id)

    def Fail(self, request: Order, context: grpc.ServicerContext) -> Message:
        if request.id == "plain":
            context.set_trailing_metadata([("x-why", "asked"), ("x-raw-bin", bytes(range(256)))])
            context.abort(_status_code(request.code), "plain 100 % \u00e9\n")
        detail = any_pb2.Any()
        detail.Pack(
            error_details_pb2.BadRequest(
                field_violations=[error_details_pb2.BadRequest.FieldViolation(field="code", description="asked for")]
            )
        )
        rich = status_pb2.Status(code=request.code, message="rich \u00e9", details=[detail])
        context.abort_with_status(rpc_status.to_status(rich))
        raise AssertionError("abort_with_status returned")

    def Seen(self, request: Order, context: grpc.ServicerContext) -> Record:
        with self._lock:
            found = dict(self._seen.get(request.id, {}))
        if not found:
            return Record()
        end = found.pop("end", None)
        return Record(**found, since=time.monotonic() - end if end else -1.0)

    def _watch(self, name: str, context: grpc.ServicerContext) -> threading.Event:
        """Note a call of that id; the event is set when it ends, by whatever cause."""
        over = threading.Event()
        left = context.time_remaining()
        with self._lock:
            found = self._seen.setdefault(name, {"begun": 0, "ended": 0, "cancelled": False})
            found["begun"] += 1
            found["deadline"] = -1.0 if left is None or left > 1e6 else left

        def ended() -> None:
            with self._lock:
                found["ended"] += 1
                found["end"] = time.monotonic()
                found["cancelled"] = not found.get("finished", False)
            over.set()

        if not context.add_callback(ended):
            ended()
        return over

    def _finish(self, name: str) -> None:
        with self._lock:
            if not self._seen[name]["ended"]:
                self._seen[name]["finished"] = True


def _echoed(sent: Any) -> list[tuple[str, str | bytes]]:
    return [(key, value) for key, value in sent if key.startswith("x-echo")]


def _at_end(pairs: list[tuple[str, str | bytes]]) -> list[tuple[str, str | bytes]]:
    return [(f"{key.removesuffix('-bin')}-end{'-bin' if key.endswith('-bin') else ''}", value) for key, value in pairs]


def _status_code(number: int) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == number)


def make_server(label: str = "", workers: int = 64) -> grpc.Server:
    """The server, with every service added and no port yet."""
    assert code_pb2.Code.Value("OK") == 0
    server = grpc.server(futures.ThreadPoolExecutor(workers), options=[*UNLIMITED, *PATIENT])
    add_ProbeServicer_to_server(Probe(label), server)
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    for name in ("", SERVICE):
        healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    healthy.set("edgegw.live.Down", health_pb2.HealthCheckResponse.NOT_SERVING)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    return server


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--label", default="")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    options = parser.parse_args()
    server = make_server(options.label)
    address = f"127.0.0.1:{options.port}"
    if options.cert:
        pair = (open(options.key, "rb").read(), open(options.cert, "rb").read())  # noqa: SIM115
        server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    else:
        server.add_insecure_port(address)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.start()
    print(f"grpc on {address}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
