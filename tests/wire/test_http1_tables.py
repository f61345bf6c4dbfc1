"""Every row of the trust tables, fed whole, byte by byte and with bytes behind."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.testing.feeding import feed_three_ways
from edgegw.wire.events import End, Event, RequestHead, ResponseHead, Violation
from edgegw.wire.http1 import Http1Limits, RequestCodec, ResponseCodec
from edgegw.wire.reasons import REASONS
from tests.wire import tables


def request_codec() -> RequestCodec:
    return RequestCodec(Http1Limits())


def response_codec() -> ResponseCodec:
    codec = ResponseCodec()
    codec.expect("GET")
    return codec


class RowTests(SynchronousTestCase):
    """What a row says is what the codec does."""

    def check(self, row: tables.Row, events: list[Event], head: type) -> None:
        if row.status:
            last = events[-1]
            assert isinstance(last, Violation), f"{row.name}: accepted: {events}"
            self.assertEqual((last.status, last.reason), (row.status, row.reason), row.name)
            self.assertIn(row.reason, REASONS)
            self.assertFalse([event for event in events if isinstance(event, End)], row.name)
            return
        self.assertFalse([event for event in events if isinstance(event, Violation)], f"{row.name}: {events}")
        self.assertTrue([event for event in events if isinstance(event, head)], row.name)
        self.assertEqual(b"".join([event for event in events if isinstance(event, bytes)]), row.body, row.name)

    def test_requests(self) -> None:
        for row in tables.REQUESTS:
            with self.subTest(row.name):
                self.check(row, feed_three_ways(request_codec, row.data), RequestHead)

    def test_responses(self) -> None:
        for row in tables.UPSTREAM:
            with self.subTest(row.name):
                self.check(row, feed_three_ways(response_codec, row.data), ResponseHead)

    def test_dead_after_a_refusal(self) -> None:
        for row in tables.REQUESTS:
            if not row.status:
                continue
            codec = request_codec()
            codec.receive(row.data)
            self.assertEqual(codec.receive(tables.G + b"\r\n"), [], row.name)
            self.assertEqual(codec.receive_eof(), [], row.name)
            self.assertEqual(codec.head_bytes_pending, 0)

    def test_never_reusable_after_a_refusal(self) -> None:
        for row in tables.UPSTREAM:
            codec = response_codec()
            codec.receive(row.data)
            self.assertEqual(codec.reusable, not row.status, row.name)
