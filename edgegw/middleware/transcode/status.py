"""How a call ended: its code, and the google.rpc.Status."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from edgegw.wire.grpc import decode_message, read_code
from edgegw.wire.headers import Headers

STATUS = b"grpc-status"
MESSAGE = b"grpc-message"
DETAILS = b"grpc-status-details-bin"
TYPE = "google.rpc.Status"


def code_of(ending: Headers) -> int:
    """The code that a call ended with; one that is missing or no number is UNKNOWN."""
    return read_code(ending.get(STATUS) or b"")


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
