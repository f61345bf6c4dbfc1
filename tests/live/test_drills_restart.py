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
    EACH = 1000

    def run_drill(self, upstream: str) -> Gateway:
        """Kill and restart in the course of each thousand: 0 failed."""
        names = ("one", "two", "three")
        origins = [self.serve(nginx(name)) for name in names]
        gateway = self.gateway(*(origin.port() for origin in origins), upstream=upstream)
        with self.nothing_is_left(gateway), Load(gateway.port(), ["/"], most=(self.ROUNDS + 1) * self.EACH) as load:
            for number in range(self.ROUNDS):
                wait_until(lambda at=number: load.done >= at * self.EACH or load.failed, "the load goes on", 30)  # type: ignore[misc]
                origins[number % 3].signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
                origins[number % 3].kill()
                at = load.done
                wait_until(lambda at=at: load.done > at + 200 or not load.running, "it goes on without", 30)  # type: ignore[misc]
                origins[number % 3].start()
            self.assertTrue(load.running, "the load ended before the tenth restart")
            load.join()
        self.assertEqual((load.done, dict(load.failed), load.dropped), ((self.ROUNDS + 1) * self.EACH, {}, 0))
        self.assertGreater(self.retries(gateway, load.done), 0)
        return gateway

    def test_by_default(self) -> None:
        """Who refused connections may be ejected for half a minute: one of three at most."""
        gateway = self.run_drill("")
        self.assertGreaterEqual(self.states(gateway).count("ready"), 2)

    def test_with_health_and_outliers(self) -> None:
        """All three serve in the end."""
        gateway = self.run_drill(f"{HEALTH}, {OUTLIER}")
        self.await_states(gateway, "ready", "ready", "ready")
