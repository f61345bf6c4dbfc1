"""Cells count, and families stay bounded."""

from twisted.trial.unittest import SynchronousTestCase

from edgegw.observe.cells import OTHER, UNROUTED, Counter, Family, Gauge, Histogram, MetricSpec


class CellTests(SynchronousTestCase):
    def test_counter(self) -> None:
        cell = Counter()
        cell.inc()
        cell.inc(2.5)
        self.assertEqual(cell.value, 3.5)

    def test_gauge(self) -> None:
        cell = Gauge()
        cell.inc(5)
        cell.dec()
        self.assertEqual(cell.value, 4)
        cell.set(-1)
        self.assertEqual(cell.value, -1)

    def test_gauge_that_follows_is_asked_each_time(self) -> None:
        values = iter([1, 7])
        cell = Gauge()
        cell.follow(lambda: next(values))
        self.assertEqual((cell.value, cell.value), (1, 7))

    def test_histogram_bounds_are_inclusive_as_prometheus_wants_them(self) -> None:
        cell = Histogram(MetricSpec("x", "histogram", (), "", buckets=(1.0, 2.0)))
        for value in (0.5, 1.0, 1.5, 2.0, 99.0):
            cell.observe(value)
        self.assertEqual((cell.counts, cell.count, cell.sum), ([2, 2, 1], 5, 104.0))


class FamilyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folded: list[str] = []

    def family(self, limit: int = 2, labels: tuple[str, ...] = ("route", "code")) -> Family[Counter]:
        return Family(MetricSpec("edgegw_x_total", "counter", labels, "", limit=limit), Counter, self.folded.append)

    def test_the_same_labels_are_the_same_cell(self) -> None:
        family = self.family()
        self.assertIs(family.child(route="a", code="200"), family.child(code="200", route="a"))
        self.assertIs(family.child(route="a", code="200"), family.at(("a", "200")))

    def test_labels_must_be_the_metric_s_own(self) -> None:
        family = self.family()
        self.assertRaises(KeyError, family.child, route="a")
        self.assertRaises(ValueError, family.child, route="a", code="200", path="/x")

    def test_a_full_family_folds_the_first_label_and_says_so(self) -> None:
        family = self.family()
        kept = [family.at(("a", "200")), family.at(("b", "200"))]
        folded = family.at(("c", "500"))
        self.assertIs(folded, family.at(("d", "500")))
        self.assertEqual([key for key, _ in family], [("a", "200"), ("b", "200"), (OTHER, "500")])
        self.assertEqual(self.folded, ["edgegw_x_total"] * 2)
        self.assertIs(family.at(("a", "200")), kept[0])

    def test_it_stays_bounded_even_if_every_label_is_hostile(self) -> None:
        family = self.family(limit=10)
        for number in range(10_000):
            family.at((f"r{number}", f"c{number}")).inc()
        self.assertLessEqual(len(family), 21)
        self.assertEqual(sum(cell.value for _, cell in family), 10_000)

    def test_retain_forgets_what_no_configuration_names(self) -> None:
        family = self.family(limit=10)
        for route in ("a", "b", UNROUTED, OTHER):
            family.at((route, "200"))
        family.retain("route", {"b"})
        self.assertEqual([key[0] for key, _ in family], ["b", UNROUTED, OTHER])
        family.retain("upstream", set())
        self.assertEqual(len(family), 3)

    def test_without_labels_there_is_one_cell_from_the_start(self) -> None:
        family = self.family(labels=())
        self.assertIs(family.only, family.child())
        self.assertEqual(len(family), 1)
