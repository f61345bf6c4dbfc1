"""The events print what a log reader needs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.events import END, UNTIL_CLOSE, End, RequestHead, ResponseHead, Violation
from edgegw.wire.headers import Headers


class EventTests(SynchronousTestCase):
    """Defaults and repr."""

    def test_request_head(self) -> None:
        head = RequestHead("GET", "/a", "/a", None, b"h", "h", None, "1.1", Headers(), 0, True)
        self.assertEqual(repr(head), "<RequestHead GET h /a HTTP/1.1>")
        self.assertEqual((head.expect_continue, head.upgrade, head.redirect), (False, (), None))

    def test_response_head(self) -> None:
        head = ResponseHead(200, b"OK", "1.1", Headers(), UNTIL_CLOSE, False)
        self.assertEqual(repr(head), "<ResponseHead 200 HTTP/1.1 length=-1>")

    def test_end(self) -> None:
        self.assertEqual(END.trailers, ())
        self.assertEqual(repr(End(((b"a", b"A", b"1"),))), "<End trailers=1>")

    def test_violation(self) -> None:
        self.assertEqual(repr(Violation(400, "bad_host", "why")), "<Violation 400 bad_host: why>")
