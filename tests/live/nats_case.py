"""What the tests of discovery by NATS have in common: a server, nats-py as the peer, origins, a gateway."""

import json
from typing import Any

from tests.live.discovered import DiscoveryCase, Named
from tests.live.nats_server import NatsServer, Peer
from tests.live.servers import Gateway

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


class NatsCase(DiscoveryCase):
    """A gateway, a server, a peer, and origins."""

    before: tuple[str, ...] = ()

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

    def instance(self, origin: Named, **more: Any) -> bytes:
        return json.dumps(
            {"id": origin.name, "service": "users", "address": origin.host, "port": origin.port, **more}
        ).encode()

    def register(self, origin: Named, **more: Any) -> None:
        self.peer.publish(f"{PREFIX}.register", self.instance(origin, **more))
