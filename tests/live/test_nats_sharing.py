"""Three upstreams of one NATS connection, as a real nats-server counts them."""

import json
from typing import Any

from tests.live.control import control
from tests.live.nats_case import PREFIX, NatsCase
from tests.live.nats_server import NatsServer
from tests.live.process import wait_until
from tests.live.servers import Gateway

FRONT = """
    edgegw: 1
    shutdown: {lame_duck: 0s, grace: 10s}
    listen: [{port: @{web}, interface: 127.0.0.1}]
    discovery: {test: {nats: {servers: ["URL"], ping: PING}}}
    upstreams:
      users: {discovery: {from: test, service: USERS, allow: [127.0.0.0/8], stale_after: 3s}}
      orders: {discovery: {from: test, service: orders, allow: [127.0.0.0/8], stale_after: 3s}}
      cart: {discovery: {from: test, bucket: services, allow: [127.0.0.0/8], stale_after: 3s}}
    routes: [{match: /users, to: users}, {match: /orders, to: orders}, {match: /cart, to: cart}, {match: /**, to: users}]
"""


class SharingTests(NatsCase):
    """One connection for announcements and buckets."""

    def connections(self) -> list[dict[str, Any]]:
        """Of gateways; nats-py has another name."""
        found = json.loads(self.nats.monitor("/connz?subs=1"))["connections"]
        return [each for each in found if each.get("name") == "edgegw"]

    def configuration(self, users: str = "users", ping: str = "1s") -> str:
        return FRONT.replace("URL", self.nats.url).replace("USERS", users).replace("PING", ping)

    def test_one_connection(self) -> None:
        """Also over a reload that changes what is watched; another one when the connection is changed; none after the end."""
        for name in ("one", "two", "three"):
            self.origin(name)
        self.nats = self.serve(NatsServer())
        self.peer = self.join()

        async def fill() -> None:
            bucket = await self.peer.client.jetstream().create_key_value(bucket="services")
            await bucket.put("cart.three", self.instance(self.origins["three"]))

        self.peer.run(fill())
        self.gateway = self.serve(Gateway(self.configuration(), before=self.before))
        self.serves("three", upstream="cart")
        self.register(self.origins["one"])
        self.register(self.origins["two"], service="orders")
        self.serves("one", upstream="users")
        self.serves("two", upstream="orders")
        (before,) = self.connections()
        # What both of the announced ones listen to comes once.
        self.assertEqual(before["subscriptions_list"].count(f"{PREFIX}.register"), 1)

        with self.nothing_lost():
            self.gateway.write(self.configuration("orders"))
            self.assertTrue(control(self.gateway, "reload")["ok"])
            self.register(self.origins["two"], service="orders")
            self.serves("two", upstream="users")
        (after,) = self.connections()
        self.assertEqual(after["cid"], before["cid"])

        self.gateway.write(self.configuration(ping="2s"))
        self.assertTrue(control(self.gateway, "reload")["ok"])

        def replaced() -> bool:
            cids = [each["cid"] for each in self.connections()]
            return len(cids) == 1 and cids != [after["cid"]]

        wait_until(replaced, "another one has taken its place")
        self.gateway.stop()
        wait_until(lambda: not self.connections(), "it is closed at the end")


class EpollSharingTests(SharingTests):
    """The same on the stock reactor."""

    before = ("--reactor", "epoll")
