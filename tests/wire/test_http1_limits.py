"""What is accepted unless told otherwise: the defaults are promises (reference/trust.md A3)."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.connection import HOP_BY_HOP
from edgegw.wire.http1_fields import Refused
from edgegw.wire.http1_limits import METHODS, RESPONSE_LIMITS, TRAILERS_FORBIDDEN, Http1Limits
from edgegw.wire.http1_request import parse_request_line


class MethodTests(SynchronousTestCase):
    """Methods of a listener."""

    def test_none_that_reflects_or_tunnels(self) -> None:
        self.assertEqual(METHODS & {"TRACE", "TRACK", "CONNECT"}, set())
        self.assertLessEqual({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, METHODS)
        self.assertEqual(Http1Limits().methods, METHODS)


class TrailerTests(SynchronousTestCase):
    """Fields that no trailer section may carry."""

    def test_lower_case(self) -> None:
        self.assertEqual({name for name in TRAILERS_FORBIDDEN if name != name.lower()}, set())

    def test_what_frames_routes_or_authenticates_is_among_them(self) -> None:
        self.assertEqual(HOP_BY_HOP - TRAILERS_FORBIDDEN, set())
        wanted = {
            b"host", b"content-length", b"content-type", b"content-encoding", b"authorization", b"cookie", b"set-cookie",
            b"cache-control", b"forwarded", b"location", b"range", b"expect",
        }  # fmt: skip
        self.assertEqual(wanted - TRAILERS_FORBIDDEN, set())

    def test_a_request_passes_none_and_a_response_all_others(self) -> None:
        self.assertEqual(Http1Limits().trailers_allowed, frozenset())
        self.assertIsNone(RESPONSE_LIMITS.trailers_allowed)


class LimitTests(SynchronousTestCase):
    """The caps of one side."""

    def test_the_longest_start_line_fits_every_accepted_method_and_target(self) -> None:
        limits = Http1Limits(target=100)
        for method in METHODS:
            line = f"{method} /{'a' * 99} HTTP/1.1".encode()
            self.assertLessEqual(len(line), limits.start_line)
            self.assertEqual(parse_request_line(line, limits)[0], method)
        with self.assertRaises(Refused) as caught:
            parse_request_line(b"GET /" + b"a" * 100 + b" HTTP/1.1", limits)
        self.assertEqual(caught.exception.reason, "target_too_long")

    def test_each_default_can_be_reached_within_the_head(self) -> None:
        for limits in (Http1Limits(), RESPONSE_LIMITS):
            self.assertLess(limits.start_line, limits.head)
            self.assertLess(limits.field, limits.head)

    def test_an_upstream_may_send_more_than_a_downstream_peer_and_never_less(self) -> None:
        for field in fields(Http1Limits):
            ours = getattr(RESPONSE_LIMITS, field.name)
            if isinstance(ours, int):
                self.assertGreaterEqual(ours, getattr(Http1Limits(), field.name), field.name)
        self.assertEqual((RESPONSE_LIMITS.head, RESPONSE_LIMITS.fields), (32768, 200))

    def test_shared_and_so_frozen(self) -> None:
        with self.assertRaises(FrozenInstanceError):
            RESPONSE_LIMITS.head = 1  # type: ignore[misc]
