"""An entry's rank, the methods it serves, and which entries can never be told apart."""

from __future__ import annotations

from itertools import permutations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.exchange.predicates import WhenSettings, compile_when
from edgegw.routing.entries import Entry, conflicts, methods_served, rank, report_conflicts
from edgegw.routing.match import parse_match


def entry(text: str, value: object = None, priority: int = 0, when: dict[str, object] | None = None) -> Entry:
    problems = Problems()
    match = parse_match(text, problems)
    assert match is not None, list(problems)
    predicate = compile_when(WhenSettings.model_validate(when), problems) if when else None
    assert not problems, list(problems)
    return Entry(match, predicate, priority, value)


class RankTests(SynchronousTestCase):
    """Smaller is first: one row for each thing that counts, in the order in which it counts."""

    # (better, worse); whatever counts less speaks for the worse one.
    PAIRS = [
        (entry("/**", None, 1), entry("GET a.t/a", None, 0, {"header": {"A": "1"}})),
        (entry("a.t/**"), entry("GET *.t/a")),
        (entry("*.t/**"), entry("GET **.t/a")),
        (entry("**.t/**"), entry("GET /a")),
        (entry("**.a.t/**"), entry("GET **.t/a")),
        (entry("/a"), entry("GET /{x:int}")),
        (entry("/{x:int}"), entry("GET /{x}")),
        (entry("/{x}"), entry("GET /*")),
        (entry("/a"), entry("GET /a/**")),
        (entry("/a/*"), entry("GET /a/**")),
        (entry("GET /a"), entry("/a", None, 0, {"header": {"A": "1"}})),
        (entry("/a", None, 0, {"header": {"A": "1", "B": "1"}}), entry("/a", None, 0, {"header": {"A": "1"}})),
        (entry("/a", None, 0, {"header": {"A": "1"}}), entry("/a")),
    ]

    def test_what_counts_more_decides(self) -> None:
        for better, worse in self.PAIRS:
            # The worse one stands first in the file, which must not help it.
            self.assertLess(rank(better, 9), rank(worse, 0), (str(better.match), str(worse.match)))

    def test_the_file_has_the_last_word(self) -> None:
        self.assertLess(rank(entry("/a"), 0), rank(entry("/a"), 1))
        self.assertEqual(rank(entry("/{x}"), 3), rank(entry("/{y}"), 3))

    def test_head_prefers_who_names_it_to_who_means_get(self) -> None:
        by_name, by_get, by_any = (rank(entry(text), 0, head=True) for text in ("HEAD /a", "GET /a", "/a"))
        self.assertLess(by_name, by_get)
        self.assertLess(by_get, by_any)
        self.assertEqual(rank(entry("HEAD /a"), 0), rank(entry("GET /a"), 0))


class MethodTests(SynchronousTestCase):
    def test_methods_served(self) -> None:
        for text, plain, head in (
            ("/a", None, None),
            ("POST /a", {"POST"}, {"POST"}),
            ("GET|PUT /a", {"GET", "PUT"}, {"GET", "PUT", "HEAD"}),
            ("HEAD /a", {"HEAD"}, {"HEAD"}),
        ):
            match = entry(text).match
            self.assertEqual((methods_served(match, False), methods_served(match, True)), (plain, head), text)


class ConflictPairTests(SynchronousTestCase):
    """`conflicts`: pairs of entries, the earlier one first."""

    def test_the_earlier_one_is_the_first_that_took_the_method(self) -> None:
        one, two, three, four = (
            entry(text, number) for number, text in enumerate(("GET /a", "PUT /a", "GET|PUT /a", "PUT /a"))
        )
        pairs = [(earlier.value, later.value) for earlier, later in conflicts([one, two, three, four])]
        self.assertEqual(pairs, [(0, 2), (1, 3)])
        self.assertEqual([later.value for _, later in conflicts([two, three, one])], [2, 0])

    def test_none(self) -> None:
        self.assertEqual(list(conflicts([])), [])
        self.assertEqual(list(conflicts([entry("/a"), entry("/b"), entry("GET /a"), entry("/a", None, 1)])), [])


class ReportTests(SynchronousTestCase):
    """What an operator is told."""

    # two matches, whether they can never be told apart
    PAIRS = [
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/a", "/A", False),
        ("/{x}", "/{y}", True),
        ("/{x:int}", "/{y:int}", True),
        ("/{x:int}", "/{x:[0-9]+}", False),
        ("/{x}", "/*", False),
        ("/a/**", "/a", False),
        ("A.example/a", "a.example:80/a", True),
        ("*.example/a", "{t}.example/a", True),
        ("*.example/a", "**.example/a", False),
        ("GET /a", "GET /a", True),
        ("GET /a", "/a", False),
        ("GET /a", "POST /a", False),
        ("GET|POST /a", "POST|PUT /a", True),
        ("GET /a", "HEAD /a", False),
        ("/%61", "/a", True),
    ]

    def reported(self, *entries: Entry) -> list[str]:
        problems = Problems()
        report_conflicts(entries, problems, lambda loc: f"shop.yaml:{loc[-1:]}")
        return [f"{problem.loc} {problem.message}" for problem in problems]

    def test_pairs_both_ways(self) -> None:
        for one, two, same in self.PAIRS:
            for pair in permutations((one, two)):
                with self.subTest(pair=pair):
                    self.assertEqual(bool(self.reported(*map(entry, pair))), same)

    def test_names_both_places(self) -> None:
        pair = [Entry(entry("GET|PUT /a").match, loc=("routes", 3)), Entry(entry("GET /a").match, loc=("routes", 7))]
        (text,) = self.reported(*pair)
        self.assertEqual(
            text, '(\'routes\', 7) route "GET /a" can never be told apart from "GET|PUT /a" at shop.yaml:(3,) for GET'
        )

    def test_predicates_and_priority_tell_apart(self) -> None:
        one = {"header": {"X-A": "1"}, "query": {"q": {"regex": "a+"}}}
        same = {"query": {"q": {"regex": "a+"}}, "header": {"x-a": "1"}}
        self.assertTrue(self.reported(entry("/a", 1, 0, one), entry("/a", 2, 0, same)))
        self.assertFalse(self.reported(entry("/a", 1, 0, one), entry("/a", 2, 1, same)))
        self.assertFalse(self.reported(entry("/a", 1, 0, one), entry("/a", 2)))
        self.assertFalse(self.reported(entry("/a", 1, 0, one), entry("/a", 2, 0, {"header": {"X-A": "2"}})))

    def test_one_problem_for_each_later_one(self) -> None:
        self.assertEqual(len(self.reported(*[entry("/a")] * 4)), 3)
