"""Drills of one endpoint of three that is stopped, slowed or killed, with health checks and outlier detection on and off."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from tests.live.drill_case import HEALTH, OUTLIER, DrillCase, nginx
from tests.live.load import Load
from tests.live.process import wait_until


class MatrixTests(DrillCase):
    """No GET fails in any of them; what is learnt shows in how many are tried again."""

    RETRY = "retry: {per_try: 400ms, on: [connect, reset, refused_stream, timeout], budget: %s}, balance: round_robin"
    KINDS: ClassVar[dict[str, tuple[str, str]]] = {
        "neither": ("outlier: false", "100%"),
        "outlier": (OUTLIER.replace("500ms", "30s"), "20%"),
        "health": (f"outlier: false, {HEALTH}", "20%"),
        "both": (f"{OUTLIER}, {HEALTH}", "20%"),
    }

    def drill(self, kind: str, harm: Callable[[], None], heal: Callable[[], None]) -> None:
        """harm, heal: what happens to the first endpoint of three."""
        upstream, budget = self.KINDS[kind]
        gateway = self.gateway(*self.ports, upstream=f"{upstream}, breaker: false, {self.RETRY % budget}")
        with self.nothing_is_left(gateway):
            with Load(gateway.port(), ["/"], threads=4) as load:
                # So much traffic that a fifth of it is a budget for what fails until the endpoint is out.
                wait_until(lambda: load.done >= 200, "it serves")
                harm()
                if kind != "neither":
                    out = {"ejected", "failing"}
                    wait_until(lambda: self.states(gateway)[0] in out, "it is out")
                at = load.done
                wait_until(lambda: load.done > at + (30 if kind == "neither" else 500), "it goes on without", 20)
                heal()
                if kind in ("health", "both"):
                    self.await_states(gateway, "ready", "ready", "ready")
            self.assertEqual((dict(load.failed), load.dropped), ({}, 0))
        retries = self.retries(gateway, load.done)
        self.assertGreater(retries, 0)
        if kind != "neither":
            # With nobody who learns it would be a third of everything.
            self.assertLess(retries, load.done * 0.2)

    def setUp(self) -> None:
        self.origins = [self.serve(nginx(name)) for name in ("one", "two", "three")]
        self.ports = [origin.port() for origin in self.origins]

    def test_stopped(self) -> None:
        """Its kernel goes on accepting for it."""
        for kind in self.KINDS:
            self.drill(kind, lambda: self.pause(self.origins[0]), lambda: self.wake(self.origins[0]))

    def test_slowed(self) -> None:
        """Every answer comes later than an attempt may take."""
        fault = self.faults(self.ports[0])[0]
        self.ports[0] = fault.port()
        for kind in ("neither", "outlier", "health"):
            self.drill(kind, lambda: fault.set(delay_s=1.0), fault.set)

    def test_killed(self) -> None:
        """It refuses connections, until it is restarted."""
        for kind in ("neither", "both"):
            self.drill(kind, self.origins[0].kill, self.start_again)

    def start_again(self) -> None:
        self.origins[0].start()
