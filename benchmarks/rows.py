"""The rows of the budget (design/data-path.md). To measure another path, add a row; a new kind of load is a new probe."""

from dataclasses import dataclass

from benchmarks.idle import IdleConnections
from benchmarks.load import Probe, WrkLoad
from benchmarks.origin import BIG_PATH
from benchmarks.peers.debian import Haproxy, Nginx
from benchmarks.peers.interfaces import Peer, Setup
from benchmarks.peers.python import Aiohttp, Edgegw, NaiveTwisted
from benchmarks.peers.wheels import Caddy, Envoy, Traefik


@dataclass(frozen=True)
class Entrant:
    """A peer in a row. `label` tells two entrants of one peer apart."""

    label: str
    peer: Peer
    setup: Setup
    probe: Probe


@dataclass(frozen=True)
class Budget:
    """How much `of` may use: times what `against` uses, or, with `against` None, in the row's own unit."""

    path: str
    of: str
    against: str | None
    goal: float
    first_landing: float


@dataclass(frozen=True)
class Row:
    """One comparison: its entrants are measured in turn, round by round, with the same load."""

    name: str
    title: str
    entrants: tuple[Entrant, ...]
    baseline: str
    budgets: tuple[Budget, ...]
    unit: str = "CPU µs/request"
    rounds: int | None = None
    """None: as many as the pace says."""


PEERS: tuple[Peer, ...] = (Nginx(), Haproxy(), Envoy(), Caddy(), Traefik(), Edgegw(), Aiohttp(), NaiveTwisted())
_SERVERS = PEERS[:6]
_MANY_ROUTES = 10_000
_IDLE = 9_000


def _all(peers: tuple[Peer, ...], setup: Setup, probe: Probe) -> tuple[Entrant, ...]:
    return tuple(Entrant(peer.name, peer, setup, probe) for peer in peers)


def _with_routes(count: int) -> Entrant:
    load = WrkLoad(path="/service{}/items/42", paths=count)
    return Entrant(f"edgegw, {count} routes", Edgegw(), Setup(routes=count), load)


ROWS: tuple[Row, ...] = (
    Row(
        name="get",
        title="Plain proxied GET, 125-byte JSON, 64 keep-alive connections",
        entrants=_all(PEERS, Setup(), WrkLoad()),
        baseline="nginx",
        budgets=(
            Budget("plain GET against nginx", "edgegw", "nginx", goal=3, first_landing=5),
            Budget("plain GET against Envoy", "edgegw", "envoy", goal=1 / 1.5, first_landing=1),
            Budget("plain GET against Caddy", "edgegw", "caddy", goal=1 / 2, first_landing=1),
            Budget("plain GET against Traefik", "edgegw", "traefik", goal=1 / 2, first_landing=1),
            Budget("plain GET against naive Twisted", "edgegw", "twisted", goal=1 / 6, first_landing=1 / 5),
        ),
    ),
    Row(
        name="tls",
        title="The same over TLS, keep-alive",
        entrants=_all(_SERVERS, Setup(tls=True), WrkLoad()),
        baseline="nginx",
        budgets=(Budget("GET over TLS against nginx", "edgegw", "nginx", goal=3, first_landing=5),),
    ),
    Row(
        name="body",
        title="10 MiB download, 8 connections",
        entrants=_all(_SERVERS, Setup(), WrkLoad(path=BIG_PATH, connections=8)),
        baseline="nginx",
        budgets=(Budget("10 MiB body against nginx", "edgegw", "nginx", goal=1, first_landing=1.3),),
    ),
    Row(
        name="routes",
        title="10,000 routes against 10, every route asked in turn",
        entrants=(_with_routes(10), _with_routes(_MANY_ROUTES)),
        baseline="edgegw, 10 routes",
        budgets=(
            Budget(
                "10,000 routes against 10", "edgegw, 10000 routes", "edgegw, 10 routes", goal=1.1, first_landing=1.1
            ),
        ),
    ),
    Row(
        name="idle",
        title="9,000 idle HTTP/1.1 connections, each answered once before",
        entrants=_all((Nginx(), Edgegw()), Setup(connections=_IDLE + 1000), IdleConnections(_IDLE)),
        baseline="nginx",
        budgets=(Budget("9,000 idle connections", "edgegw", None, goal=12, first_landing=20),),
        unit="RSS KiB/connection",
        rounds=1,
    ),
)
