"""How a call ended: as an HTTP status (google/rpc/code.proto), and as a google.rpc.Status."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from edgegw.wire.grpc import Code, decode_message
from edgegw.wire.headers import Headers

HTTP_STATUS: Mapping[int, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}

STATUS = b"grpc-status"
MESSAGE = b"grpc-message"
DETAILS = b"grpc-status-details-bin"
TYPE = "google.rpc.Status"


def code_of(ending: Headers) -> int:
    """The code that a call ended with; one that is missing or no number is UNKNOWN."""
    value = ending.get(STATUS, b"")
    return int(value) if value is not None and value.isdigit() and len(value) <= 9 else int(Code.UNKNOWN)


def http_status(code: int) -> int:
    """The HTTP status of a code; 500 for one that there is not."""
    return HTTP_STATUS.get(code, 500)


def rich_status(ending: Headers) -> Any:
    """The google.rpc.Status of a call: what the server gave as one, else its code and message."""
    given = ending.get(DETAILS)
    if given:
        bare = given.partition(b",")[0].strip().rstrip(b"=")
        try:
            return status_pb2.Status.FromString(b64decode(bare + b"=" * (-len(bare) % 4), validate=True))
        except (Base64Error, DecodeError):
            # It says less without it, but what it says is true.
            pass
    return status_pb2.Status(code=code_of(ending), message=decode_message(ending.get(MESSAGE) or b""))
