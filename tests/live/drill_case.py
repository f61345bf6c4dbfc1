"""What the drills share: a gateway and what it says of its upstreams, nginx endpoints with names, a fault proxy before each."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

from tests.live.case import LiveCase
from tests.live.control import control
from tests.live.fault_proxy import FaultProxy
from tests.live.process import Server, wait_until
from tests.live.servers import Gateway, Nginx, proxy

NGINX = """
    server {
        listen 127.0.0.1:@{web} backlog=1024;
        location / { return 200 "%s"; }
    }
"""

OUTLIER = "outlier: {consecutive: 3, eject: 500ms}"
HEALTH = "health: {path: /, every: 200ms, timeout: 200ms, fall: 2, rise: 1}"


def nginx(name: str) -> Nginx:
    """An nginx whose answer is its name."""
    return Nginx(NGINX % name)


class DrillCase(LiveCase):
    """A test case for drills."""

    def gateway(self, *origins: int | str, **options: Any) -> Gateway:
        """A gateway before these endpoints; its upstream is `origin`."""
        return self.serve(Gateway(proxy(*origins, **options)))

    def faults(self, *targets: int) -> list[FaultProxy]:
        """A fault proxy before each of these ports."""
        return [self.serve(FaultProxy(target)) for target in targets]

    def upstream(self, gateway: Gateway, name: str = "origin") -> dict[str, Any]:
        """What `edgegw upstreams` says of it."""
        found: list[dict[str, Any]] = control(gateway, "upstreams")["upstreams"]
        return next(each for each in found if each["name"] == name)

    def states(self, gateway: Gateway) -> list[str]:
        """Of the endpoints, in their order."""
        return [each["state"] for each in self.upstream(gateway)["endpoints"]]

    def await_states(self, gateway: Gateway, *states: str) -> None:
        """Wait until the endpoints are in these states."""
        wait_until(lambda: self.states(gateway) == list(states), f"the endpoints are {states}")

    def await_breaker(self, gateway: Gateway, state: str, limit_s: float = 10.0) -> None:
        """Wait until the breaker is in this state."""
        wait_until(lambda: self.upstream(gateway)["breaker"]["state"] == state, f"the breaker is {state}", limit_s)

    def await_metric(self, gateway: Gateway, name: str, value: float, **labels: str) -> None:
        """Wait until the metric of the upstream is this: what a scrape shows is up to a second old."""
        wait_until(lambda: gateway.metric(name, upstream="origin", **labels) == value, f"{name} is {value}", 5)

    def retries(self, gateway: Gateway, count: int) -> int:
        """Attempts after the first of so many exchanges, by their records."""
        return sum(each["retries"] for each in gateway.await_records(count))

    def pause(self, server: Server) -> None:
        """SIGSTOP for all of its processes: its kernel accepts for it, and nothing is said."""
        assert server.process is not None
        os.killpg(server.process.pid, signal.SIGSTOP)
        self.addCleanup(self.wake, server)

    def wake(self, server: Server) -> None:
        """SIGCONT."""
        if server.process is not None and server.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def nothing_is_left(self, gateway: Gateway) -> Iterator[None]:
        """Check that after the block no exchange is in flight, no connection leased, nothing waits, and nothing was unforeseen."""
        yield

        def left() -> list[dict[str, Any]]:
            endpoints = self.upstream(gateway)["endpoints"]
            return [each for each in endpoints if each["in_flight"] or each["queued"] or each["connections"]["leased"]]

        wait_until(lambda: not left(), "every exchange ended, and every slot is free")
        self.assertNotIn("Traceback", gateway.log())
        self.assertNotIn("Unhandled", gateway.log())
