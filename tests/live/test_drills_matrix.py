"""Drills of one endpoint of three that is stopped, slowed or killed, with health checks and outlier detection on and off."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from tests.live.drill_case import HEALTH, OUTLIER, DrillCase, nginx
from tests.live.load import Load
from tests.live.process import wait_until
from tests.live.servers import Nginx


class MatrixTests(DrillCase):
    """No GET fails in any of them; what is learnt shows in how many are tried again."""

    RETRY = "retry: {per_try: 200ms, on: [connect, reset, refused_stream, timeout], budget: %s}, balance: round_robin"
    KINDS: ClassVar[dict[str, tuple[str, str]]] = {
        "neither": ("outlier: false", "100%"),
        "outlier": (OUTLIER.replace("500ms", "30s"), "20%"),
        "health": (f"outlier: false, {HEALTH}", "20%"),
        "both": (f"{OUTLIER}, {HEALTH}", "20%"),
    }

    def setUp(self) -> None:
        self.origins = [self.serve(nginx(name)) for name in ("one", "two", "three")]
        self.fault = self.faults(self.origins[0].port())[0]

    def drill(self, kind: str, harm: Callable[[Nginx], None], heal: Callable[[Nginx], None]) -> None:
        upstream, budget = self.KINDS[kind]
        origins = self.origins
        gateway = self.gateway(
            self.fault.port(),
            *(each.port() for each in origins[1:]),
            upstream=f"{upstream}, breaker: false, {self.RETRY % budget}",
        )
        with self.nothing_is_left(gateway):
            with Load(gateway.port(), ["/"], threads=4) as load:
                # So much traffic that a fifth of it is a budget for what fails until the endpoint is out.
                wait_until(lambda: load.done >= 200, "it serves")
                harm(origins[0])
                if kind != "neither":
                    out = {"ejected", "failing"}
                    wait_until(lambda: self.states(gateway)[0] in out, "it is out")
                at = load.done
                wait_until(lambda: load.done > at + (30 if kind == "neither" else 500), "it goes on without", 20)
                heal(origins[0])
                if kind in ("health", "both"):
                    self.await_states(gateway, "ready", "ready", "ready")
            self.assertEqual((dict(load.failed), load.dropped), ({}, 0))
        retries = self.retries(gateway, load.done)
        self.assertGreater(retries, 0)
        if kind != "neither":
            # With nobody who learns it would be a third of everything.
            self.assertLess(retries, load.done * 0.2)

    def start_again(self, origin: Nginx) -> None:
        origin.start()

    def test_stopped(self) -> None:
        for kind in self.KINDS:
            self.drill(kind, self.pause, self.wake)

    def test_slowed(self) -> None:
        for kind in self.KINDS:
            self.drill(kind, lambda _: self.fault.set(delay_s=0.5), lambda _: self.fault.set())

    def test_killed(self) -> None:
        for kind in self.KINDS:
            self.drill(kind, lambda origin: origin.kill(), self.start_again)
