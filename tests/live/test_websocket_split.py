"""WebSockets through a split route, over real sockets: drawn, brought back by cookies of both kinds, sent on by `when`."""

from websockets.sync.client import ClientConnection, connect

from tests.live.case import LiveCase
from tests.live.servers import Gateway, proxy
from tests.live.test_websocket import Echo

SPLIT = """
upstreams:
  blue: {endpoints: ["http://127.0.0.1:%d", "http://127.0.0.1:%d"], balance: {by: round_robin, sticky: node}}
  green: {endpoints: ["http://127.0.0.1:%d"]}
"""
ROUTE = (
    "{match: /**, to: [{upstream: green, when: {header: {X-Canary: '1'}}}, {upstream: blue, weight: 1}, "
    "{upstream: green, weight: 1}], split: {sticky: side}}"
)


class SplitTests(LiveCase):
    def setUp(self) -> None:
        self.echoes = [Echo(), Echo(), Echo()]
        for echo in self.echoes:
            self.addCleanup(echo.stop)
        top = (SPLIT % tuple(echo.port for echo in self.echoes)).strip()
        self.gateway = self.serve(Gateway(proxy(top=top, more=ROUTE)))

    def client(self, cookie: str = "", **headers: str) -> tuple[ClientConnection, int]:
        """A WebSocket that works, and which server has it."""
        before = [len(echo.seen) for echo in self.echoes]
        if cookie:
            headers["Cookie"] = cookie
        url = f"ws://127.0.0.1:{self.gateway.port('web')}/echo"
        client = connect(url, additional_headers=headers, open_timeout=10, ping_interval=None)
        self.addCleanup(client.close)
        client.send("here")
        self.assertEqual(client.recv(timeout=10), "here")
        after = [len(echo.seen) for echo in self.echoes]
        (at,) = (at for at in range(3) if after[at] > before[at])
        return client, at

    def cookies(self, client: ClientConnection) -> str:
        assert client.response is not None
        return "; ".join(each.partition(";")[0] for each in client.response.headers.get_all("Set-Cookie"))

    def test_a_client_comes_back_to_its_side_and_its_endpoint(self) -> None:
        met = set()
        for _ in range(20):
            client, at = self.client()
            met.add(at)
            cookies = self.cookies(client)
            self.assertEqual("node=" in cookies, at < 2, "only blue has a cookie of its own")
            for _ in range(3):
                again, there = self.client(cookies)
                self.assertEqual((there, self.cookies(again)), (at, ""))
        self.assertEqual(len(met), 3, "all of them are drawn in twenty attempts")

    def test_a_forged_cookie_is_drawn_anew(self) -> None:
        client, _ = self.client("side=" + "A" * 12 + "." + "B" * 20)
        self.assertIn("side=", self.cookies(client))

    def test_a_canary(self) -> None:
        for _ in range(5):
            client, at = self.client(**{"X-Canary": "1"})
            self.assertEqual((at, self.cookies(client)), (2, ""))
