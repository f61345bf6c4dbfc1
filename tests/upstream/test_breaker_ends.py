"""Tests of edgegw.upstream.breaker: answers that began well, and how they end."""

from __future__ import annotations

from edgegw.upstream.verdict import ENOUGH
from tests.upstream.test_breaker import Case


class EndTests(Case):
    def begins(self) -> tuple[int, float]:
        """A good head. Its token, and when it came."""
        token = self.at.breaker.admit()
        self.at.breaker.settle(token, True, whole=False)
        return token, self.at.origin.clock.seconds()

    def ends(self, begun: tuple[int, float], ok: bool = False) -> None:
        self.at.breaker.ended(begun[0], ok, self.at.origin.clock.seconds() - begun[1])

    def test_in_a_row(self) -> None:
        """Good heads between them do not make it less."""
        bench = self.bench()
        for _ in range(5):
            self.assertEqual(bench.said, [])
            self.ends(self.begins())
        self.assertEqual(bench.said, [("refusing", "5 failures in a row")])

    def test_however_many_at_once(self) -> None:
        for at_once in (2, 3, 4, 20):
            bench = self.bench(ratio="off")
            while not bench.said:
                self.assertLess(bench.tenths, 10, at_once)
                bench.waits(0.1)
                for begun in [self.begins() for _ in range(at_once)]:
                    self.ends(begun)
            self.assertEqual(bench.said, [("refusing", "5 failures in a row")])

    def test_together_with_others(self) -> None:
        bench = self.bench()
        for _ in range(2):
            self.ends(self.begins())
            bench.tries(False)
        self.begins()
        bench.tries(False)
        self.assertEqual(bench.said, [("refusing", "5 failures in a row")])

    def test_one_that_comes_whole_ends_the_row(self) -> None:
        for later in (False, True):
            bench = self.bench(ratio="off")
            for _ in range(10):
                for _ in range(4):
                    bench.waits(0.1)
                    self.ends(self.begins())
                bench.waits(0.1)
                if later:
                    self.ends(self.begins(), True)
                else:
                    bench.tries(True)
            self.assertEqual(bench.said, [], later)

    def test_before_any_breaks_off_a_good_head_ends_the_row(self) -> None:
        """A stream that begins is as good as an answer: it may go on for hours."""
        bench = self.bench(ratio="off")
        for _ in range(5):
            bench.tries(*[False] * 4)
            self.begins()
        self.assertEqual(bench.said, [])

    def test_streams_that_go_together_are_no_row_while_others_come_whole(self) -> None:
        """One endpoint of many goes, and all that it was sending breaks off in one moment."""
        bench = self.bench(ratio="off")
        streams = [self.begins() for _ in range(50)]
        bench.waits(1)
        bench.tries(True)
        for begun in streams:
            self.ends(begun)
        self.assertEqual(bench.said, [])
        self.assertIn("50 of 51 failed", repr(bench.breaker))

    def test_streams_that_had_gone_well_for_long_are_no_row(self) -> None:
        """Where there is nothing but streams, none of which ever comes whole."""
        bench = self.bench(ratio="off")
        streams = [self.begins() for _ in range(50)]
        bench.waits(10.5)
        for begun in streams:
            self.ends(begun)
        self.assertEqual(bench.said, [])

    def test_a_few_among_many_streams_are_no_row(self) -> None:
        bench = self.bench(ratio="off")
        for _ in range(10):
            for _ in range(ENOUGH):
                self.begins()
            self.ends(self.begins())
        self.assertEqual(bench.said, [])

    def test_what_it_has_ended_already_is_in_the_row_again(self) -> None:
        """Its head came as the fifth, and was good."""
        bench = self.bench(ratio="off")
        bench.tries(*[False] * 4)
        self.ends(self.begins())
        self.assertEqual(bench.said, [("refusing", "5 failures in a row")])

    def test_the_share(self) -> None:
        """All of them failed, which the settled heads alone would not show."""
        bench = self.bench(ratio="90%", failures=0)
        for _ in range(20):
            self.ends(self.begins())
        self.assertEqual(bench.said, [("refusing", "20 of 20 failed within 10 s")])

    def test_long_after_its_head(self) -> None:
        bench = self.bench(failures=0)
        begun = self.begins()
        bench.waits(100)
        self.ends(begun)
        self.assertIn("1 of 1 failed", repr(bench.breaker))

    def test_of_a_probe(self) -> None:
        bench = self.bench()
        bench.breaks()
        bench.waits(10)
        self.ends(self.begins())
        self.assert_refuses()

    def test_of_a_probe_that_was_taken_at_its_word(self) -> None:
        """Its place was needed; that it broke off is not forgotten."""
        bench = self.bench()
        bench.breaks()
        bench.waits(10)
        probes = [self.begins() for _ in range(3)]
        self.assertEqual(bench.breaker.state, "admitting")
        for begun in probes:
            self.ends(begun)
        bench.tries(False, False)
        self.assertEqual(bench.said[-1], ("refusing", "5 failures in a row"))

    def test_of_an_earlier_state(self) -> None:
        """A download that began before says nothing about the probes, nor about what is admitted after them."""
        bench = self.bench(failures=1)
        old = self.begins()
        bench.breaks()
        self.ends(old)
        bench.waits(10)
        self.ends(old)
        self.assertEqual(bench.breaker.state, "probing")
        bench.tries(True, True, True)
        self.ends(old)
        self.ends(old, True)
        self.assertEqual(bench.breaker.state, "admitting")
