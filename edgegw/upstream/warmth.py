"""Slow start: an endpoint that comes (back) into use gets little at first and more as time goes by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgegw.upstream.endpoint import Endpoint

COLD = 0.1
"""What an endpoint begins with; Envoy's `min_weight_percent`."""

STEPS = 10
"""Steps to full warmth: each may make an algorithm build its table anew."""


class Warming:
    """The warmth of the endpoints of one upstream, as far as they are not warm.

    It acts by `Endpoint.weigh` alone, so that it goes with every algorithm. Those of the first roster are warm: nobody else is
    there to take the load meanwhile. Only the endpoints that are warming cost anything.

    Args:
        slow_start_s: from cold to warm, linear; 0 is off. seconds: monotonic clock.
    """

    def __init__(self, slow_start_s: float, seconds: Callable[[], float]) -> None:
        self._over_s = slow_start_s
        self._seconds = seconds
        self._free: dict[Endpoint, bool] = {}
        self._began_s: dict[Endpoint, float] = {}

    def take_over(self, members: Sequence[Endpoint]) -> None:
        """Begin with these, as another cluster had them: what was warming goes on from there."""
        self._free.clear()
        self._began_s.clear()
        self.roster(members)

    def roster(self, members: Sequence[Endpoint]) -> None:
        """These are the endpoints from now on."""
        known, over_s = self._free, self._over_s
        self._free = {endpoint: endpoint.standing.free for endpoint in members}
        self._began_s = {endpoint: began_s for endpoint, began_s in self._began_s.items() if endpoint in self._free}
        for endpoint, free in self._free.items():
            if endpoint in known or endpoint in self._began_s:
                continue
            if endpoint.warmth < 1.0 and free and over_s > 0:
                self._began_s[endpoint] = self._seconds() - endpoint.warmth * over_s
            elif endpoint.warmth < 1.0:
                endpoint.weigh(warmth=1.0)
            elif known and free:
                self._begin(endpoint)

    def standing_changed(self, endpoint: Endpoint) -> None:
        """It may be chosen, or may not any more."""
        before, free = self._free.get(endpoint), endpoint.standing.free
        if before is None or before is free:
            return
        self._free[endpoint] = free
        if free:
            self._begin(endpoint)
        elif self._began_s.pop(endpoint, None) is not None:
            # In panic it may be used all the same, and then by its weight.
            endpoint.weigh(warmth=1.0)

    def _begin(self, endpoint: Endpoint) -> None:
        if self._over_s > 0:
            self._began_s[endpoint] = self._seconds()
            endpoint.weigh(warmth=COLD)

    def tick(self) -> None:
        """Some time went by; to be called about once a second."""
        if not self._began_s:
            return
        now_s = self._seconds()
        for endpoint, began_s in list(self._began_s.items()):
            # The nudge is for clocks that are a rounding short of a step.
            step = int((now_s - began_s) / self._over_s * STEPS + 1e-6)
            if step >= STEPS:
                del self._began_s[endpoint]
            warmth = min(1.0, max(COLD, step / STEPS))
            if warmth != endpoint.warmth:
                endpoint.weigh(warmth=warmth)

    def __repr__(self) -> str:
        return f"<Warming {len(self._began_s)} of {len(self._free)}>"
