"""The table of metrics keeps the rules of Prometheus, and no label can be invented by a peer."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from edgegw.observe.table import LATENCY_S, METRICS, PAUSE_S, SIZE_BYTES

BOUNDED = {
    # Named by the configuration.
    "route", "listener", "upstream",
    # One of a fixed list: statuses and known methods, our own reasons and outcomes, pool states, generations of the collector.
    "method", "code", "reason", "outcome", "state", "generation", "metric", "kind", "importance",
    # Said once by the process about itself.
    "version", "python", "loop",
}  # fmt: skip
UNITS = {"seconds": ("histogram", "gauge", "counter"), "bytes": ("histogram", "gauge"), "": ("gauge", "counter")}


class NameTests(SynchronousTestCase):
    def test_prefix_and_suffix(self) -> None:
        for spec in METRICS:
            self.assertRegex(spec.name, r"\Aedgegw_[a-z0-9]+(?:_[a-z0-9]+)*\Z")
            self.assertEqual(spec.name.endswith("_total"), spec.kind == "counter", spec.name)
            self.assertNotRegex(spec.name, re.compile("_(count|sum|bucket|created|ms|milliseconds|kb)$"))

    def test_units(self) -> None:
        for spec in METRICS:
            self.assertIn(spec.kind, UNITS[spec.unit], spec.name)
            ending = spec.name.removesuffix("_total").rpartition("_")[2]
            self.assertEqual(spec.unit, ending if ending in UNITS else "", spec.name)

    def test_no_two_metrics_are_one_family_in_openmetrics(self) -> None:
        names = [spec.name.removesuffix("_total") for spec in METRICS]
        self.assertEqual(len(names), len(set(names)))

    def test_help_is_one_sentence_of_its_own(self) -> None:
        for spec in METRICS:
            self.assertRegex(spec.help, r"\A[A-Z0-9][^\n|]+\.\Z", spec.name)
        self.assertEqual(len({spec.help for spec in METRICS}), len(METRICS))


class LabelTests(SynchronousTestCase):
    def test_bounded(self) -> None:
        for spec in METRICS:
            self.assertEqual(set(spec.labels) - BOUNDED, set(), spec.name)
            self.assertEqual(len(set(spec.labels)), len(spec.labels), spec.name)
            self.assertNotIn("le", spec.labels)

    def test_limits(self) -> None:
        for spec in METRICS:
            self.assertGreaterEqual(spec.limit, 1)
            self.assertLessEqual(spec.limit, 10_000, spec.name)
        (requests,) = (spec for spec in METRICS if spec.name == "edgegw_requests_total")
        self.assertEqual((requests.labels[0], requests.limit), ("route", 10_000))


class BucketTests(SynchronousTestCase):
    def test_histograms_have_them_and_nothing_else(self) -> None:
        for spec in METRICS:
            self.assertEqual(bool(spec.buckets), spec.kind == "histogram", spec.name)
            wanted = {"seconds": (LATENCY_S, PAUSE_S), "bytes": (SIZE_BYTES,), "": ()}[spec.unit]
            if spec.buckets:
                self.assertIn(spec.buckets, wanted, spec.name)

    def test_bounds_ascend_and_end_before_infinity(self) -> None:
        for buckets in (LATENCY_S, SIZE_BYTES, PAUSE_S):
            self.assertEqual(list(buckets), sorted(set(buckets)))
            self.assertGreater(buckets[0], 0)
            self.assertLess(buckets[-1], float("inf"))
