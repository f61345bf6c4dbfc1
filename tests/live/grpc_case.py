"""`GrpcCase`: a real grpcio server, the gateway before it on clear text and on TLS, and grpcio clients."""

import time
from collections.abc import Iterator
from typing import Any

import grpc

from tests.live.grpc.probe_pb2 import Message, Order, Record
from tests.live.grpc.probe_pb2_grpc import ProbeStub
from tests.live.process import wait_until
from tests.live.protocols import NAME, Fronted, GrpcServer
from tests.live.servers import Gateway

MIB = 1 << 20
PIECE = 65_536
CALL_S = 20.0
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class GrpcCase(Fronted):
    """`self.origin`, `self.grpc` (the gateway), `self.stub` (a client of the gateway's)."""

    upstream = ""
    route = "body_limit: 200MiB"

    def setUp(self) -> None:
        super().setUp()
        self.origin = self.serve(GrpcServer())
        self.grpc = self.before(f"grpc://127.0.0.1:{self.origin.port()}", upstream=self.upstream, route=self.route)
        self.stub = self.client(self.grpc)

    def client(self, gateway: Gateway, **options: Any) -> ProbeStub:
        """A client on a channel of its own through the gateway, on the port that this class uses."""
        return ProbeStub(self.channel(gateway, **options))

    def direct(self) -> ProbeStub:
        """A client of the server itself: what it says of calls is true whatever the gateway does."""
        channel = grpc.insecure_channel(f"127.0.0.1:{self.origin.port()}", options=_alone())
        self.addCleanup(channel.close)
        return ProbeStub(channel)

    def channel(self, gateway: Gateway, **options: Any) -> grpc.Channel:
        """A channel to the gateway, closed at the end of the test."""
        address = f"127.0.0.1:{self.front(gateway)}"
        arguments = [*UNLIMITED, *_alone()]
        if self.secure:
            arguments.append(("grpc.ssl_target_name_override", NAME))
            credentials = grpc.ssl_channel_credentials(self.ca.read_bytes())
            channel = grpc.secure_channel(address, credentials, options=arguments, **options)
        else:
            channel = grpc.insecure_channel(address, options=arguments, **options)
        self.addCleanup(channel.close)
        return channel

    def seen(self, name: str) -> Record:
        """What the server knows of the calls with this id, asked directly."""
        record: Record = self.direct().Seen(Order(id=name), timeout=CALL_S)
        return record

    def await_seen(self, name: str, what: str, limit_s: float = 5.0) -> Record:
        """Wait until the server has `begun` or `ended` a call of this id."""
        asking = self.direct()

        def found() -> Record | None:
            record = asking.Seen(Order(id=name), timeout=CALL_S)
            return record if getattr(record, what) else None

        record: Record = wait_until(found, f"the server has {what} {name}", limit_s)
        return record

    def fails(self, call: Any, *arguments: Any, **options: Any) -> Any:
        """Make a call that must fail; returns the error, which is a grpc.Call too."""
        try:
            answer = call(*arguments, **{"timeout": CALL_S, **options})
            if isinstance(answer, Iterator):
                answer = list(answer)
        except grpc.RpcError as error:
            return error
        raise self.failureException(f"the call succeeded: {answer!r}")


def messages(size: int, piece: int = PIECE) -> Iterator[Message]:
    """Messages of zeros that hold so many bytes together."""
    body = bytes(piece)
    for _ in range(size // piece):
        yield Message(body=body)


def elapsed(begun: float) -> float:
    """Seconds since then."""
    return time.monotonic() - begun


def _alone() -> list[tuple[str, Any]]:
    # Channels of one process share connections unless told otherwise.
    return [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
