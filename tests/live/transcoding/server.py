"""A grpcio server of `acme.Orders`: most methods answer with what they were asked.

python -m tests.live.transcoding.server --port 50051
"""

import argparse
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.rpc import code_pb2, error_details_pb2, status_pb2

DESCRIPTORS = Path(__file__).resolve().parent.parent.parent / "middleware" / "transcode" / "orders.pb"
POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
    POOL.Add(_file)


_released = threading.Event()


def message(name: str) -> Any:
    """The class of a message."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def same(asked: Any, context: grpc.ServicerContext) -> Any:
    if asked.DESCRIPTOR.full_name == "acme.Order" and asked.text == "release":
        _released.set()
    context.send_initial_metadata((("x-first", "one"),))
    context.set_trailing_metadata((("x-last", "two"),))
    return asked


def numbered(asked: Any, _: grpc.ServicerContext) -> Iterator[Any]:
    """With the text `hold` only one, until somebody asks for the order `release`."""
    for number in range(asked.small):
        if number and asked.text == "hold":
            _released.wait(20)
        asked.big = number
        yield asked


def http_body(asked: Any, _: grpc.ServicerContext) -> Any:
    return message("google.api.HttpBody")(content_type="text/x-own; charset=utf-8", data=asked.text.encode())


def pieces(asked: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    for _ in range(asked.small):
        yield http_body(asked, context)


def _status(asked: Any) -> status_pb2.Status:
    status = status_pb2.Status(code=asked.code, message=asked.message)
    known, foreign = any_pb2.Any(), any_pb2.Any()
    known.Pack(message("acme.Order")(text="why", small=7))
    status.details.append(known)
    if asked.code == code_pb2.INTERNAL:
        foreign.Pack(error_details_pb2.RetryInfo())
        status.details.append(foreign)
    return status


def fail(asked: Any, context: grpc.ServicerContext) -> Any:
    if asked.details:
        context.set_trailing_metadata((("grpc-status-details-bin", _status(asked).SerializeToString()),))
    context.set_code(next(code for code in grpc.StatusCode if code.value[0] == asked.code))
    context.set_details(asked.message)
    return message("acme.Order")()


def fail_later(asked: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    for number in range(asked.after):
        yield message("acme.Order")(small=number)
    fail(asked, context)


def collected(asked: Iterator[Any], _: grpc.ServicerContext) -> Any:
    return message("acme.Order")(small=sum(1 for _ in itertools.islice(asked, 100)))


SPECIAL: dict[str, Callable[..., Any]] = {
    "Delete": lambda asked, context: message("google.protobuf.Empty")(),
    "Watch": numbered,
    "WatchTags": numbered,
    "Download": http_body,
    "Pieces": pieces,
    "Fail": fail,
    "FailLater": fail_later,
    "Collect": collected,
}


def handlers(service: str) -> grpc.GenericRpcHandler:
    """Every method of the service."""
    found = {}
    for method in POOL.FindServiceByName(service).methods:
        kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        reads = message(method.input_type.full_name).FromString
        found[method.name] = make(SPECIAL.get(method.name, same), reads, lambda answer: answer.SerializeToString())
    return grpc.method_handlers_generic_handler(service, found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((handlers("acme.Orders"), handlers("acme.Parts")))
    server.add_insecure_port(f"127.0.0.1:{parser.parse_args().port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
