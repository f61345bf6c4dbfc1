"""What the tests of discovery by NATS have in common: a server, nats-py as the peer, origins, a gateway."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from tests.live.case import LiveCase
from tests.live.control import control
from tests.live.discovered import Named
from tests.live.load import Load
from tests.live.nats_server import NatsServer, Peer
from tests.live.process import wait_until
from tests.live.servers import Gateway
from tests.live.wire import Answer

PREFIX = "gateway.services"


def front(connection: str, query: str = "", more: str = "") -> str:
    """A gateway whose upstream is found by NATS."""
    return f"""
        edgegw: 1
        shutdown: {{lame_duck: 0s, grace: 10s}}
        observe: {{listen: "127.0.0.1:@{{observe}}", access_log: "@{{dir}}/access.log"}}
        listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
        discovery: {{test: {{nats: {{{connection}}}}}}}
        upstreams:
          u: {{discovery: {{from: test, {query}, allow: [127.0.0.0/8], stale_after: 3s, {more}}}}}
        routes: [{{match: /**, to: u}}]
    """


class NatsCase(LiveCase):
    """A gateway, a server, a peer, and origins."""

    before: tuple[str, ...] = ()

    def origin(self, name: str) -> Named:
        origin = Named(name)
        self.addCleanup(origin.stop)
        return origin

    def begin(self, query: str, more: str = "", connection: str = "ping: 1s", config: str = "", **peer: Any) -> None:
        self.nats = self.serve(NatsServer(config))
        self.peer = self.join(**peer)
        self.gateway = self.serve(Gateway(front(self.to(connection), query, more), before=self.before))

    def to(self, connection: str) -> str:
        return f'servers: ["{self.nats.url}"], {connection}'

    def join(self, **options: Any) -> Peer:
        peer = Peer(self.nats.url, **options)
        self.addCleanup(peer.stop)
        return peer

    def upstream(self) -> dict[str, Any]:
        found: dict[str, Any] = control(self.gateway, "upstreams")["upstreams"][0]
        return found

    def state(self) -> str:
        found: str = self.upstream()["discovery"]["state"]
        return found

    def endpoints(self) -> set[str]:
        return {each["name"].rpartition(":")[2] for each in self.upstream()["endpoints"]}

    def answers(self, count: int = 10) -> set[str]:
        return {self.get(self.gateway, "/")[1].decode() for _ in range(count)}

    def events(self, kind: str) -> list[str]:
        return [each["reason"] for each in control(self.gateway, "events")["events"] if each["kind"] == kind]

    def await_answers(self, *names: str, limit_s: float = 10.0) -> None:
        wait_until(lambda: self.answers() == set(names), f"{names} serve", limit_s)

    def instance(self, origin: Named, **more: Any) -> bytes:
        return json.dumps(
            {"id": origin.name, "service": "users", "address": origin.host, "port": origin.port, **more}
        ).encode()

    def register(self, origin: Named, **more: Any) -> None:
        self.peer.publish(f"{PREFIX}.register", self.instance(origin, **more))

    @contextlib.contextmanager
    def nothing_lost(self) -> Iterator[Load]:
        """Load while the block runs; every request is answered."""

        def good(answer: Answer) -> bool:
            return answer.status == 200 and answer.body in (b"one", b"two", b"three")

        with Load(self.gateway.port(), check=good) as load:
            yield load
            wait_until(lambda: load.done > 100 or load.failed, "there was some load")
        self.assertEqual(dict(load.failed), {})
