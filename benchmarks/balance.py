"""What choosing an endpoint costs: the probe, and the process that chooses (`python -m benchmarks.balance SETTINGS COUNT MOST`)."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from time import process_time
from typing import Any, cast

from benchmarks.load import Target, bench_line
from benchmarks.measure import Sample
from benchmarks.process import PeerFailed, pinned
from edgegw.exchange.model import Exchange
from edgegw.gateway.builtins import BALANCERS
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import Origin, environment
from edgegw.upstream.address import EndpointSettings
from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.pool import PoolSettings

_KEYS = 1000
_BATCH = 1000
_CPU_S = 0.2


@dataclass(frozen=True)
class Choices:
    """Choices one after the other, each counted in flight, and an older one counted out, so that half of the endpoints are busy.

    settings: of `balance`. endpoints: how many. heaviest (MOST): their weights are 1 to this in turn.
    """

    settings: str
    endpoints: int = 1000
    heaviest: int = 5
    path: str = "/"

    def __call__(self, target: Target) -> Sample:
        """`value` is CPU microseconds per choice."""
        argv = [sys.executable, "-m", "benchmarks.balance", self.settings, str(self.endpoints), str(self.heaviest)]
        command = pinned(argv, target.cores.proxy)
        done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise PeerFailed(" ".join(done.stderr.split())[-400:])
        said = bench_line(done.stdout)
        return Sample(value=said["us"], requests=said["choices"], rps=1e6 / said["us"])


class _Nowhere:
    def expected_room(self, url: object) -> int:
        return 1


def measured(settings: BalanceSettings, count: int, heaviest: int = 5, cpu_s: float = _CPU_S) -> dict[str, Any]:
    """`us`: of a choice, counting included; `choices`: how many there were."""
    origin = Origin()
    members = [
        Endpoint(
            EndpointSettings(url=f"http://10.0.{number // 250}.{number % 250}:80", weight=1 + number % heaviest),
            PoolSettings(),
            cast(Any, _Nowhere()),
            origin.wheel,
        )
        for number in range(count)
    ]
    balancer = BALANCERS[settings.by](members, settings, environment(origin))
    balancer.allow(members)
    for number, endpoint in enumerate(members):
        endpoint.ewma_s = 0.01 + number % 7 / 1000
    exchanges = cycle([make_exchange(headers=[(b"X-Key", b"%d" % number)]) for number in range(_KEYS)])
    running = [_chosen(balancer, exchanges) for _ in range(max(1, count // 2))]
    # A table is built in turns of the loop.
    origin.clock.advance(0)
    made, spent_s = 0, 0.0
    while spent_s < cpu_s:
        began = process_time()
        for number in range(_BATCH):
            at = number % len(running)
            running[at].in_flight -= 1
            running[at] = _chosen(balancer, exchanges)
        spent_s += process_time() - began
        made += _BATCH
    return {"us": spent_s * 1e6 / made, "choices": made}


def _chosen(balancer: Balancer, exchanges: Iterator[Exchange]) -> Endpoint:
    endpoint = balancer.choose(next(exchanges), ())
    assert endpoint is not None
    endpoint.in_flight += 1
    return endpoint


if __name__ == "__main__":
    said = BalanceSettings.model_validate_json(sys.argv[1])
    print("BENCH " + json.dumps(measured(said, *map(int, sys.argv[2:4]))))
