"""A body that is noted while it passes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.targets.tee import Tee
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import Gathered, drain
from edgegw.wire.headers import Field

TRAILER: Field = (b"x-sum", b"X-Sum", b"1")


class TeeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.source = Source()
        self.inner = Body(None, self.source)
        self.noted: list[tuple[bytes | None, tuple[Field, ...]]] = []
        self.tee = Tee(self.inner, 10, lambda content, trailers: self.noted.append((content, trailers)))

    def read(self) -> Gathered:
        return drain(self.tee.body)

    def test_both_get_all(self) -> None:
        self.inner.write(b"ab")
        sink = self.read()
        self.inner.write(b"cd")
        self.assertEqual((sink.data, self.noted), (b"abcd", []), "it passes at once")
        self.inner.end((TRAILER,))
        self.assertEqual((sink.data, sink.trailers, sink.ended), (b"abcd", (TRAILER,), True))
        self.assertEqual(self.noted, [(b"abcd", (TRAILER,))])

    def test_one_that_was_complete(self) -> None:
        tee = Tee(Body.of(b"abc"), 10, lambda content, trailers: self.noted.append((content, trailers)))
        self.assertEqual((drain(tee.body).data, self.noted), (b"abc", [(b"abc", ())]))
        self.assertEqual(tee.body.length, 3)

    def test_too_much_is_not_noted_and_passes_without_a_detour(self) -> None:
        sink = self.read()
        self.inner.write(b"12345678")
        self.inner.write(b"90")
        self.assertEqual(self.noted, [])
        self.inner.write(b"1")
        self.assertEqual(self.noted, [(None, ())])
        self.inner.write(b"2")
        self.assertIs(self.inner._sink, self.tee.body)
        self.inner.end()
        self.assertEqual((sink.data, sink.ended, len(self.noted)), (b"123456789012", True, 1))

    def test_nothing_is_read_before_the_reader_reads(self) -> None:
        self.assertEqual(self.source.told, [])
        self.read()
        self.assertEqual(self.source.told, ["start"])

    def test_the_reader_sets_the_pace(self) -> None:
        self.read()
        self.tee.body.pause()
        self.tee.body.resume()
        self.assertEqual(self.source.told[1:], ["pause", "resume"])

    def test_the_reader_wants_no_more(self) -> None:
        self.read()
        self.inner.write(b"ab")
        self.tee.body.cancel()
        self.assertEqual((self.source.told[1:], self.noted), (["cancel"], [(None, ())]))

    def test_it_breaks_off(self) -> None:
        sink, error = self.read(), GatewayError(408, "body_timeout")
        self.inner.write(b"ab")
        self.inner.abort(error)
        self.assertEqual((sink.data, sink.error, self.noted), (b"ab", error, [(None, ())]))

    def test_nobody_waits_any_more(self) -> None:
        sink = self.read()
        self.inner.write(b"ab")
        self.tee.leave()
        self.inner.write(b"cd")
        self.inner.end()
        self.assertEqual((sink.data, sink.ended, self.noted), (b"abcd", True, [(None, ())]))

    def test_what_it_held_is_free_at_the_end(self) -> None:
        """Neither body holds the other, so that nobody waits for the garbage collector."""
        self.read()
        self.inner.end()
        self.assertIsNone(self.tee.body.source)
