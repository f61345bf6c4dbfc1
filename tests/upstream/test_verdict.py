"""Tests of edgegw.upstream.verdict."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.body import Body
from edgegw.exchange.model import Response
from edgegw.upstream.verdict import ENOUGH, Row, status_of
from edgegw.wire.headers import Field, Headers


def trailers(code: bytes) -> tuple[Field, ...]:
    return ((b"x-a", b"X-A", b"1"), (b"grpc-status", b"grpc-status", code))


def answer(status: int = 200, kind: bytes = b"application/grpc+proto", *fields: tuple[bytes, bytes]) -> Response:
    return Response(status, Headers.of([(b"Content-Type", kind), *fields]), Body(None))


class StatusTests(SynchronousTestCase):
    def test_of_trailers(self) -> None:
        """As Envoy has it."""
        for code, status in (
            (0, 200), (1, 499), (2, 500), (4, 504), (5, 404), (8, 429), (12, 501), (13, 500), (14, 503), (15, 500), (99, 500),
        ):  # fmt: skip
            self.assertEqual(status_of(answer(), trailers(b"%d" % code)), status, code)
        self.assertEqual(status_of(answer(), trailers(b"nonsense")), 500)

    def test_of_the_head(self) -> None:
        said = answer(200, b"application/grpc", (b"grpc-status", b"14"))
        self.assertEqual(status_of(said, ()), 503)
        self.assertEqual(status_of(said, trailers(b"0")), 200, "the end says more")

    def test_what_says_nothing_is_judged_by_its_head(self) -> None:
        self.assertEqual(status_of(answer(), ()), 200)
        self.assertEqual(status_of(answer(503), trailers(b"0")), 503)
        self.assertEqual(status_of(answer(204), trailers(b"14")), 204)

    def test_others_may_say_it_too(self) -> None:
        for kind in (b"application/json", b"application/grpc-web"):
            self.assertEqual(status_of(answer(200, kind, (b"grpc-status", b"14")), trailers(b"14")), 200)
        self.assertEqual(status_of(Response(200), trailers(b"14")), 200)


class RowTests(SynchronousTestCase):
    def after(self, *events: str) -> int:
        """The length after failures (F), good heads (h), whole answers (w), and bad ends of what had a good head (T)."""
        row = Row()
        for each in "".join(events):
            if each in "FT":
                row.bad(torn=each == "T")
            elif row.length:
                row.good(whole=each == "w")
        self.assertEqual(repr(row).removesuffix(" torn>").removesuffix(">"), f"<Row of {row.length}")
        return row.length

    def test_what_ends_it(self) -> None:
        for events, length in (
            ("", 0), ("FF", 2), ("FFw", 0), ("FFwF", 1), ("FFhF", 1), ("FFhhF", 1),
            # Those that began well and ended badly ended nothing.
            ("FFhT", 3), ("FFhhTT", 4), ("FFhThF", 4), ("hThT", 2), ("hhTThhTT", 4), ("ThFhFhF", 4),
            # Unless one came whole.
            ("FFhwT", 1), ("hThTw", 0), ("hThTwhF", 1), ("hTwFhF", 1),
        ):  # fmt: skip
            self.assertEqual(self.after(events), length, events)

    def test_very_many_good_heads_end_it(self) -> None:
        self.assertEqual(self.after("hT", "h" * (ENOUGH - 1), "F"), 2)
        self.assertEqual(self.after("hT", "h" * ENOUGH, "F"), 1)
        self.assertEqual(self.after("h" * 50, "T" * 50), 50)

    def test_repr(self) -> None:
        row = Row()
        row.bad(torn=True)
        self.assertEqual(repr(row), "<Row of 1 torn>")
