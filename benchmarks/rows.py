"""The rows of the budget (design/data-path.md). To measure another path, add a row; a new kind of load is a new probe."""

from dataclasses import dataclass, replace

from benchmarks.balance import Choices
from benchmarks.http2 import Http2Load, grpc_load
from benchmarks.idle import IdleConnections
from benchmarks.load import Probe, WrkLoad
from benchmarks.origin import BIG_PATH
from benchmarks.peers.debian import Haproxy, Nginx
from benchmarks.peers.interfaces import Peer, Setup
from benchmarks.peers.python import Aiohttp, Edgegw, NaiveTwisted
from benchmarks.peers.wheels import Caddy, Envoy, Traefik
from benchmarks.websocket import WebSocketLoad
from edgegw.gateway.builtins import BALANCERS


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
_FEWER = 4_000
_IN_HEAPS = ("weighted_round_robin", "least_connections")
_HELD = Setup(connections=2 * _FEWER + 1000, websocket="tunnel")


def _all(peers: tuple[Peer, ...], setup: Setup, probe: Probe) -> tuple[Entrant, ...]:
    return tuple(Entrant(peer.name, peer, setup, probe) for peer in peers)


def _modes(setup: Setup, probe: Probe) -> tuple[Entrant, ...]:
    """edgegw both ways: as it is by default, and with bytes spliced as the others do."""
    return tuple(
        Entrant(f"edgegw {mode}", Edgegw(), replace(setup, websocket=mode), probe) for mode in ("relay", "tunnel")
    )


def _choices(label: str, settings: str, endpoints: int = 1000, heaviest: int = 5) -> Entrant:
    return Entrant(label, Edgegw(), Setup(alone=True), Choices(settings, endpoints, heaviest))


def _hashing(table: str) -> str:
    return f'{{"by": "consistent_hash", "table": "{table}", "key": "header:X-Key"}}'


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
        name="h2",
        title="HTTP/2 over TLS before, HTTP/1.1 behind: 125-byte JSON, 8 connections with 8 streams each",
        entrants=_all((*_SERVERS[:4], Edgegw()), Setup(tls=True, http2=True), Http2Load()),
        baseline="caddy",
        budgets=(Budget("HTTP/2 before, HTTP/1.1 behind, against Caddy", "edgegw", "caddy", goal=1, first_landing=3),),
    ),
    Row(
        name="grpc",
        title="gRPC unary, HTTP/2 in clear text on both sides: 125-byte messages, 8 connections with 8 streams each",
        entrants=_all((*_SERVERS[1:4], Edgegw()), Setup(http2=True, grpc=True), grpc_load()),
        baseline="caddy",
        budgets=(Budget("gRPC unary against Caddy h2c", "edgegw", "caddy", goal=2, first_landing=4),),
    ),
    Row(
        name="websocket",
        title="WebSocket echo of 125-byte messages, 64 connections",
        entrants=(
            *_all((Nginx(), Haproxy(), Caddy()), Setup(websocket="tunnel"), WebSocketLoad()),
            *_modes(Setup(), WebSocketLoad()),
        ),
        baseline="nginx",
        budgets=(
            Budget("WebSocket echo, relayed, against nginx", "edgegw relay", "nginx", goal=3, first_landing=5),
            Budget("WebSocket echo, tunnelled, against nginx", "edgegw tunnel", "nginx", goal=3, first_landing=5),
        ),
        unit="CPU µs/message",
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
    Row(
        name="idle-h2",
        title="4,000 idle HTTP/2 connections, each answered once before",
        entrants=_all((Nginx(), Edgegw()), Setup(connections=_IDLE, http2=True), IdleConnections(_FEWER, kind="http2")),
        baseline="nginx",
        budgets=(),
        unit="RSS KiB/connection",
        rounds=1,
    ),
    Row(
        name="idle-websocket",
        title="4,000 idle WebSockets, each with its upstream connection",
        entrants=(
            Entrant("nginx", Nginx(), _HELD, IdleConnections(_FEWER, kind="websocket", path="/count")),
            *_modes(_HELD, IdleConnections(_FEWER, kind="websocket", path="/count")),
        ),
        baseline="nginx",
        budgets=(
            Budget("4,000 idle WebSockets, tunnelled", "edgegw tunnel", None, goal=20, first_landing=30),
            Budget("4,000 idle WebSockets, relayed", "edgegw relay", None, goal=40, first_landing=60),
        ),
        unit="RSS KiB/connection",
        rounds=1,
    ),
    Row(
        name="balance",
        title="Choosing one of 1,000 endpoints, half of them busy, and counting what is in flight",
        entrants=(
            # Of equal weights, as they mostly are: then round robin needs no heap.
            _choices("round_robin", '{"by": "round_robin"}', heaviest=1),
            *(_choices(by, f'{{"by": "{by}"}}') for by in BALANCERS if by not in ("round_robin", "consistent_hash")),
            *(_choices(f"{by}, 10 endpoints", f'{{"by": "{by}"}}', 10) for by in _IN_HEAPS),
            *(_choices(f"consistent_hash, {table}", _hashing(table)) for table in ("maglev", "ring")),
        ),
        baseline="round_robin",
        budgets=tuple(
            Budget(f"{by}: 1,000 endpoints against 10", by, f"{by}, 10 endpoints", goal=2, first_landing=3)
            for by in _IN_HEAPS
        ),
        unit="CPU µs/choice",
        rounds=2,
    ),
)
