"""Drills of health that flaps, of coming back slowly, and of panic (trust.md A7: R6)."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.live.control import control
from tests.live.drill_case import DrillCase
from tests.live.process import wait_until
from tests.live.scripted import Call, ScriptedOrigin
from tests.live.servers import Gateway, fetch

EVERY_S = 0.1
PROBES = "health: {path: /healthz, every: 100ms, timeout: 500ms, fall: 3, rise: 2}"
WELL, ILL = (200,), (500,)
FLAPPING = (200, 500)


class Mood:
    """An origin that says of its health what it is told to, in turn, and answers everything else with its name."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.probes: list[float] = []
        self.be(WELL)

    def be(self, mood: tuple[int, ...]) -> None:
        """Answer probes by these statuses, one after the other, from now on."""
        self._next: Iterator[int] = itertools.cycle(mood)

    def __call__(self, call: Call) -> None:
        if call.target != b"/healthz":
            return call.ok(self.name)
        self.probes.append(time.monotonic())
        return call.send(b"HTTP/1.1 %d So\r\nContent-Length: 0\r\n\r\n" % next(self._next))


class Case(DrillCase):
    def start(self, upstream: str, count: int = 3) -> Gateway:
        """So many endpoints, all of them well, that are probed."""
        self.moods = [Mood(name) for name in ("one", "two", "three")[:count]]
        self.origins: list[ScriptedOrigin] = [self.scripted(mood) for mood in self.moods]
        gateway = self.gateway(*(each.port for each in self.origins), upstream=f"breaker: false, {upstream}")
        self.await_probes(2)
        self.await_states(gateway, *["ready"] * count)
        return gateway

    def await_probes(self, count: int) -> None:
        """So many more probes of each."""
        before = [len(mood.probes) for mood in self.moods]
        wait_until(
            lambda: all(len(mood.probes) >= was + count for mood, was in zip(self.moods, before, strict=True)),
            f"{count} more probes of each",
        )

    def spread(self, gateway: Gateway, count: int) -> Counter[str]:
        """Who answered so many requests."""
        answers = [fetch(gateway.port(), "/") for _ in range(count)]
        self.assertEqual({status for status, _ in answers}, {200})
        return Counter(body.decode() for _, body in answers)

    def events(self, gateway: Gateway) -> list[tuple[str, str]]:
        """(kind, state) of everything that happened so far."""
        found: list[dict[str, Any]] = control(gateway, "events")["events"]
        return [(each["kind"], each["state"]) for each in found]


class FlappingTests(Case):
    """Probes that pass and fail by turns."""

    def test_fall_and_rise_hold_it(self) -> None:
        """What flaps stays what it is, well or ill: not one change in fifteen probes of either, and no more probes than usual."""
        gateway = self.start(PROBES, 2)
        known = len(self.events(gateway))
        self.moods[0].be(FLAPPING)
        began = time.monotonic()
        self.await_probes(15)
        self.assertEqual(self.states(gateway), ["ready", "ready"])
        self.assertEqual(self.events(gateway)[known:], [])
        self.moods[0].be(ILL)
        self.await_states(gateway, "failing", "ready")
        self.moods[0].be(FLAPPING)
        self.await_probes(15)
        self.assertEqual(self.states(gateway), ["failing", "ready"])
        self.assertEqual(self.spread(gateway, 10), {"two": 10})
        took = time.monotonic() - began
        self.moods[0].be(WELL)
        self.await_states(gateway, "ready", "ready")
        changes = [state for kind, state in self.events(gateway)[known:] if kind.startswith("endpoint")]
        self.assertEqual(changes, ["failing", "ready"])
        for mood in self.moods:
            made = sum(began <= at < began + took for at in mood.probes)
            self.assertLessEqual(made, took / EVERY_S + 2, "more probes than one an interval")

    def test_it_comes_back_slowly(self) -> None:
        """Slow start: a small part of its share at first, all of it in the end."""
        gateway = self.start(f"balance: {{slow_start: 3s}}, {PROBES}", 2)
        self.assertEqual(self.spread(gateway, 20), {"one": 10, "two": 10})
        self.moods[0].be(ILL)
        self.await_states(gateway, "failing", "ready")
        back = time.monotonic()
        self.moods[0].be(WELL)
        self.await_states(gateway, "ready", "ready")
        first = self.spread(gateway, 40)
        warmth = self.upstream(gateway)["endpoints"][0]["warmth"]
        self.assertLess(warmth, 1.0, "too slow to say anything of its return")
        self.assertGreater(first["one"], 0)
        self.assertLess(first["one"], 40 * warmth / (1 + warmth) + 2, "more than its share at the end")
        wait_until(lambda: self.upstream(gateway)["endpoints"][0]["warmth"] == 1.0, "it is warm")
        self.assertGreaterEqual(time.monotonic() - back, 3.0)
        self.assertEqual(self.spread(gateway, 20), {"one": 10, "two": 10})


class PanicTests(Case):
    """More than half of the endpoints say that they are ill."""

    def test_all_are_used(self) -> None:
        """One of three is left out; two of three are not believed, and neither are all; then the one again."""
        gateway = self.start(PROBES)
        self.moods[0].be(ILL)
        self.await_states(gateway, "failing", "ready", "ready")
        self.assertEqual(set(self.spread(gateway, 12)), {"two", "three"})
        self.assertFalse(self.upstream(gateway)["panic"])
        self.moods[1].be(ILL)
        self.await_states(gateway, "failing", "failing", "ready")
        self.assertEqual(self.spread(gateway, 12), {"one": 4, "two": 4, "three": 4})
        self.assertTrue(self.upstream(gateway)["panic"])
        self.await_metric(gateway, "edgegw_upstream_panic", 1)
        self.moods[2].be(ILL)
        self.await_states(gateway, "failing", "failing", "failing")
        self.assertEqual(self.spread(gateway, 12), {"one": 4, "two": 4, "three": 4})
        self.moods[1].be(WELL)
        self.moods[2].be(WELL)
        self.await_states(gateway, "failing", "ready", "ready")
        self.assertEqual(set(self.spread(gateway, 12)), {"two", "three"})
        changes = [state for kind, state in self.events(gateway) if kind == "panic_changed"]
        self.assertEqual(changes, ["panic", "calm"])

    def test_never(self) -> None:
        """`panic: 0%`: probes are always believed, and 503 is the answer when all failed."""
        gateway = self.start(f"balance: {{panic: 0%}}, {PROBES}")
        self.moods[0].be(ILL)
        self.moods[1].be(ILL)
        self.await_states(gateway, "failing", "failing", "ready")
        self.assertEqual(self.spread(gateway, 12), {"three": 12})
        self.moods[2].be(ILL)
        self.await_states(gateway, "failing", "failing", "failing")
        answer = self.wire(gateway).ask("/")
        self.assertEqual((answer.status, gateway.await_records(13)[-1]["flag"]), (503, "no_endpoint"))
        self.assertTrue(answer.header("retry-after"))
