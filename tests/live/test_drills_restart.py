"""Drill of endpoints that are restarted while clients ask: no GET is lost."""

from __future__ import annotations

import signal

from tests.live.drill_case import HEALTH, OUTLIER, DrillCase, nginx
from tests.live.load import Load
from tests.live.process import wait_until
from tests.live.servers import Gateway


class TenTimesTests(DrillCase):
    """10,000 GETs while one of three endpoints is killed and restarted ten times."""

    ROUNDS = 10
    LEAST = 10_000

    def run_drill(self, upstream: str) -> Gateway:
        """Kill and restart again and again: 0 failed."""
        names = ("one", "two", "three")
        origins = [self.serve(nginx(name)) for name in names]
        gateway = self.gateway(*(origin.port() for origin in origins), upstream=upstream)
        with self.nothing_is_left(gateway):
            with Load(gateway.port(), ["/"]) as load:
                for number in range(self.ROUNDS):
                    self.goes_on(load, self.LEAST // self.ROUNDS - 200)
                    origins[number % 3].signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
                    origins[number % 3].kill()
                    self.goes_on(load, 200)
                    origins[number % 3].start()
                self.goes_on(load, 200)
            self.assertEqual((dict(load.failed), load.dropped), ({}, 0))
            self.assertGreater(load.done, self.LEAST)
        self.assertGreater(self.retries(gateway, load.done), 0)
        return gateway

    def goes_on(self, load: Load, count: int) -> None:
        """So many more are answered."""
        at = load.done
        wait_until(lambda: load.done >= at + count or load.failed, "the load goes on", 30)

    def test_by_default(self) -> None:
        """Who refused connections may be ejected for half a minute: one of three at most."""
        gateway = self.run_drill("")
        self.assertGreaterEqual(self.states(gateway).count("ready"), 2)

    def test_with_health_and_outliers(self) -> None:
        """All three serve in the end."""
        gateway = self.run_drill(f"{HEALTH}, {OUTLIER}")
        self.await_states(gateway, "ready", "ready", "ready")
