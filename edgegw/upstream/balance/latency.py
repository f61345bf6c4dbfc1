"""How long an endpoint takes to answer: a peak that fades, kept on the endpoint itself."""

from __future__ import annotations

from collections.abc import Callable
from math import exp

from edgegw.errors import GatewayError
from edgegw.upstream.endpoint import Endpoint

DECAY_S = 10.0
"""In which a peak fades to 1/e (Finagle's default)."""

FAILED_S = 1.0
"""What a failure counts as at least: who refuses quickly is not fast. Twice what was known, up to FAILED_AT_MOST_S."""

FAILED_AT_MOST_S = 30.0

_LEAST_S = 1e-6
_SICK = (502, 503, 504)


class Latency:
    """Peak-sensitive moving average (Finagle's peak EWMA): it rises at once to what is worse, and follows slowly what is better.

    An `Observer`. `Endpoint.ewma_s` is 0 as long as nothing is known.

    Args:
        seconds: the loop's clock. decay_s: in which a peak fades to 1/e.
    """

    def __init__(self, seconds: Callable[[], float], decay_s: float = DECAY_S) -> None:
        self._seconds = seconds
        self._decay_s = decay_s

    def answered(self, endpoint: Endpoint, status: int, took_s: float, whole: bool = True) -> None:
        """A sample; a status that says that it cannot serve is a failure."""
        if status in _SICK:
            self._failed(endpoint, took_s)
        else:
            self._sample(endpoint, took_s)

    def ended(self, endpoint: Endpoint, began: int, status: int, lasted_s: float) -> None:
        """A call that began well may end otherwise."""
        if status in _SICK and began not in _SICK:
            self._failed(endpoint, 0.0)

    def failed(self, endpoint: Endpoint, error: GatewayError, lasted_s: float = 0.0, began: int = 200) -> None:
        """It gave no answer, or not all of it."""
        if began not in _SICK:
            self._failed(endpoint, 0.0)

    def now_s(self, endpoint: Endpoint) -> float:
        """What is to be expected of it. It fades while the endpoint is not used, so that it is asked again some time."""
        return max(_LEAST_S, endpoint.ewma_s * exp((endpoint.stamp_s - self._seconds()) / self._decay_s))

    def _failed(self, endpoint: Endpoint, took_s: float) -> None:
        penalty_s = min(max(FAILED_S, 2.0 * self.now_s(endpoint)), FAILED_AT_MOST_S)
        self._sample(endpoint, max(took_s, penalty_s))

    def _sample(self, endpoint: Endpoint, took_s: float) -> None:
        now = self._seconds()
        took_s = max(took_s, _LEAST_S)
        kept = exp((endpoint.stamp_s - now) / self._decay_s)
        if took_s >= endpoint.ewma_s * kept:
            endpoint.ewma_s = took_s
        else:
            endpoint.ewma_s = endpoint.ewma_s * kept + took_s * (1.0 - kept)
        endpoint.stamp_s = now

    def __repr__(self) -> str:
        return f"<Latency decay={self._decay_s:g}s>"
