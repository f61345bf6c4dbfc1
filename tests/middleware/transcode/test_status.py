"""Tests of edgegw.middleware.transcode.status."""

from __future__ import annotations

from base64 import b64encode

from google.rpc import status_pb2
from twisted.trial.unittest import SynchronousTestCase

from edgegw.middleware.transcode.status import code_of, rich_status
from edgegw.wire.headers import Headers


class StatusTests(SynchronousTestCase):
    def test_code(self) -> None:
        for value, code in ((b"0", 0), (b"5", 5), (b"42", 42), (b"", 2), (b"-1", 2), (b"x", 2), (b"1" * 50, 2)):
            with self.subTest(value=value):
                self.assertEqual(code_of(Headers.of([(b"grpc-status", value)])), code)
        self.assertEqual(code_of(Headers()), 2)

    def test_code_and_message(self) -> None:
        ending = Headers.of([(b"grpc-status", b"5"), (b"grpc-message", b"no%20such %C3%B6")])
        self.assertEqual(rich_status(ending), status_pb2.Status(code=5, message="no such \u00f6"))

    def test_details(self) -> None:
        status = status_pb2.Status(code=5, message="rich")
        encoded = b64encode(status.SerializeToString())
        for value in (encoded, encoded.rstrip(b"="), encoded + b", eA=="):
            with self.subTest(value=value):
                ending = Headers.of([(b"grpc-status", b"5"), (b"grpc-status-details-bin", value)])
                self.assertEqual(rich_status(ending), status)

    def test_details_that_are_none(self) -> None:
        for value in (b"***", b"/w==", b""):
            with self.subTest(value=value):
                ending = Headers.of(
                    [(b"grpc-status", b"5"), (b"grpc-message", b"poor"), (b"grpc-status-details-bin", value)]
                )
                self.assertEqual(rich_status(ending), status_pb2.Status(code=5, message="poor"))
