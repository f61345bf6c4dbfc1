"""The trust tables on the wire: every hostile input gets its stated answer, and its name in log and metric."""

import json
import random
from collections import Counter

from tests.live.case import LiveCase
from tests.live.http2_wire import Http2Wire
from tests.live.process import wait_until
from tests.live.servers import Gateway, Nginx, PythonOrigin, proxy
from tests.live.wire import Answer, Cut, Wire, words
from tests.wire import tables

# Accepted by the codec, and answered by something else than the origin.
ANSWERED = {"F6 largest": 413, "T8": 204}
# The bytes of these paths break the request line before anybody looks at a path.
NO_PATH = frozenset(" \x00\x7f")


class TableTests(LiveCase):
    """The rows of trust.md A3, sent over real sockets to a gateway that runs."""

    def setUp(self) -> None:
        self.origin = self.serve(PythonOrigin())
        # One of the rows is an HTTP/2 preface.
        self.front = self.serve(Gateway(proxy(self.origin.port(), listen="protocols: [http1]")))

    def exchange(self, data: bytes) -> tuple[Answer, Wire]:
        wire = self.wire(self.front)
        wire.try_send(data)
        return wire.read(data.split(b" ", 1)[0].decode("latin-1")), wire

    def test_every_row(self) -> None:
        """Status and close as the table says; `flag` and `edgegw_rejections_total` carry the row's reason."""
        rows = tables.REQUESTS
        for row in rows:
            answer, wire = self.exchange(row.data)
            expected = row.status or ANSWERED.get(row.name, 200)
            self.assertEqual(answer.status, expected, f"{row.name}: {row.data[:100]!r} {answer}")
            if row.status:
                self.assertTrue(answer.closes, row.name)
                self.assertTrue(wire.at_end(), f"{row.name}: the connection lives on")
                problem = json.loads(answer.body)
                self.assertEqual((problem["status"], problem["reason"]), (row.status, row.reason), row.name)
            elif expected == 200:
                self.assertEqual(json.loads(answer.body)["body"], row.body.decode("latin-1"), row.name)
            wire.close()
        records = self.front.await_records(len(rows))
        self.assertEqual(
            [
                (row.name, record["status"], record["flag"])
                for row, record in zip(rows, records, strict=True)
                if row.status
            ],
            [(row.name, row.status, row.reason) for row in rows if row.status],
        )
        for reason, count in Counter(row.reason for row in rows if row.status).items():
            self.assertEqual(self.front.metric("edgegw_rejections_total", reason=reason), count, reason)
        self.assertNotIn("Traceback", self.front.log())

    def test_every_path(self) -> None:
        """The origin gets the normal form; what has none is refused with the reason of the table."""
        for raw, normal, reason in tables.PATHS:
            answer, wire = self.exchange(b"GET " + raw.encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            if normal:
                self.assertEqual((answer.status, json.loads(answer.body)["target"]), (200, normal), raw)
            else:
                self.assertEqual(answer.status, 400, raw)
                if raw and not NO_PATH & set(raw):
                    self.assertEqual(json.loads(answer.body)["reason"], reason, raw)
            wire.close()
        rejected = sum(not normal for _, normal, _ in tables.PATHS)
        self.assertEqual(self.front.metric("edgegw_rejections_total"), rejected)

    def test_close_means_close(self) -> None:
        """F24, F28: after `Connection: close`, also in a list without spaces, nothing more is served."""
        for value in (b"close", b"close,foo", b"foo , CLOSE"):
            self.origin.reset()
            wire = self.wire(self.front)
            wire.send(
                b"GET /one HTTP/1.1\r\nHost: a\r\nConnection: "
                + value
                + b"\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n"
            )
            self.assertEqual(json.loads(wire.read().body)["target"], "/one")
            self.assertTrue(wire.at_end(), value)
            self.assertEqual([head.split(" ")[1] for head in self.origin.raw()], ["/one"])

    def test_many_pipelined(self) -> None:
        """F29: 200 requests in one write: answered in order, or the connection closes in order; never out of it."""
        wire = self.wire(self.front)
        wire.try_send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(200)))
        got: list[str] = []
        try:
            while len(got) < 200:
                got.append(json.loads(wire.read().body)["target"])
        except Cut:
            pass
        self.assertEqual(got, [f"/{number}" for number in range(len(got))])
        self.assertGreaterEqual(len(got), 16)

    def test_nothing_a_stranger_says_about_himself(self) -> None:
        """A3.5: forwarded fields of an untrusted peer are deleted, ours are added; hop-by-hop fields stay here."""
        headers = {
            "x_forwarded_for": "6.6.6.6", "x_forwarded_host": "evil", "x_forwarded_proto": "https", "forwarded": "for=6.6.6.6",
            "x_real_ip": "6.6.6.6", "x_client_cert_subject": "CN=root", "x_request_id": "forged", "proxy_connection": "keep-alive",
            "keep_alive": "timeout=5", "te": "gzip", "upgrade": "h2c", "proxy_authorization": "Basic eA==", "x_own": "mine",
            "connection": "x-own, upgrade, te", "x_kept": "kept", "trailer": "x-y",
        }  # fmt: skip
        answer = self.wire(self.front).ask("/echo", **headers)  # type: ignore[arg-type]
        sent = {name.lower(): value for name, value in json.loads(answer.body)["headers"]}
        self.assertEqual(sent["x-forwarded-for"], "127.0.0.1")
        self.assertEqual((sent["x-forwarded-host"], sent["x-forwarded-proto"]), ("localhost", "http"))
        self.assertEqual(sent["x-kept"], "kept")
        self.assertNotEqual(sent["x-request-id"], "forged")
        self.assertEqual(answer.header("x-request-id"), sent["x-request-id"])
        for name in ("forwarded", "x-real-ip", "x-client-cert-subject", "proxy-connection", "keep-alive", "upgrade",
                     "proxy-authorization", "x-own", "trailer"):  # fmt: skip
            self.assertNotIn(name, sent)
        self.assertNotIn("6.6.6.6", self.front.await_records(1)[0]["client"])

    def test_order_and_case_are_kept(self) -> None:
        """The header reaches the origin in the order and the spelling it had, duplicates included."""
        wire = self.wire(self.front)
        wire.send(b"GET /echo HTTP/1.1\r\nHost: a\r\nx-B: 1\r\nX-a: 2\r\nx-b: 3\r\nACCEPT: */*\r\n\r\n")
        names = [(name, value) for name, value in json.loads(wire.read().body)["headers"]]
        expected = [("Host", "a"), ("x-B", "1"), ("X-a", "2"), ("x-b", "3"), ("ACCEPT", "*/*")]
        self.assertEqual([pair for pair in names if pair in expected], expected)


class TrustedProxyTests(LiveCase):
    """Behind a proxy that is trusted."""

    def test_client_is_found_behind_trusted_hops(self) -> None:
        """From the right, the first hop that is not trusted; what it says itself is only history."""
        origin = self.serve(PythonOrigin())
        front = self.serve(Gateway(proxy(origin.port(), listen="trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]")))
        wire = self.wire(front)
        for said, client in (
            ("6.6.6.6", "6.6.6.6"),
            ("1.1.1.1, 6.6.6.6, 10.1.1.1", "6.6.6.6"),
            ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
            (", ,", "127.0.0.1"),
            ("1.1.1.1, rubbish, 10.1.1.1", "10.1.1.1"),
            ("::ffff:6.6.6.6", "6.6.6.6"),
        ):
            answer = wire.ask("/echo", x_forwarded_for=said)
            self.assertEqual(answer.status, 200)
            count = len(front.access_records()) + 1
            self.assertEqual(front.await_records(count)[-1]["client"], client, said)
            fields = {name.lower(): value for name, value in json.loads(answer.body)["headers"]}
            self.assertTrue(fields["x-forwarded-for"].endswith("127.0.0.1"), fields["x-forwarded-for"])


# Input that nginx refuses and edgegw takes, with the reason why taking it is right.
TAKEN_HERE_ONLY: dict[str, str] = {
    "F6 largest": "both refuse it, edgegw as too large for the route",
    "F25": "edgegw answers 417",
    "T8": "edgegw answers OPTIONS * itself",
}
UPGRADE = tables.G + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n"
EXTRA = (
    tables.Row("plain", tables.G + b"\r\n"),
    tables.Row("length", tables.P + b"Content-Length: 5\r\n\r\nhello", body=b"hello"),
    tables.Row("chunks", tables.CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", body=b"hello!"),
    tables.Row("zero length", tables.P + b"Content-Length: 0\r\n\r\n"),
    tables.Row("smuggled behind GET", tables.G + b"Content-Length: 29\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n\r\n"),
    tables.Row("smuggled in a chunk", tables.CHUNKED + b"1c\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n"),
    tables.Row("upgrade with body", tables.G + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"),
    tables.Row("upgrade with a request behind", UPGRADE + b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"),
    tables.Row("1.0 with length", b"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"),
    tables.Row("1.0 keep-alive", b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"),
)  # fmt: skip


class DifferentialTests(LiveCase):
    """The same bytes to edgegw and to nginx, both before an origin that tells what it received whole."""

    NGINX = """
        client_header_timeout 1s; client_body_timeout 1s; lingering_close off; large_client_header_buffers 4 16k;
        server {{
            listen 127.0.0.1:@{{web}};
            location / {{
                proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1; proxy_set_header Connection "";
                proxy_set_header Host $http_host; proxy_request_buffering off;
            }}
        }}
    """

    def through(self, port: int, origin: PythonOrigin, data: bytes) -> tuple[list[str], list[list[str]]]:
        """The heads and the whole requests that the origin received of these bytes."""
        origin.reset()
        with Wire(port, timeout_s=4.0) as wire:
            wire.try_send(data)
            try:
                wire.read(data.split(b" ", 1)[0].decode("latin-1"))
                if b"upgrade" in data.lower() or data.count(b"HTTP/1.") > 1:
                    wire.socket.settimeout(0.3)
                    wire.rest()
            except (OSError, Cut, ValueError, IndexError):
                pass
        return origin.raw(), origin.whole()

    def test_same_bytes(self) -> None:
        """edgegw never lets the origin receive another framing than nginx does; it may be stricter."""
        origins = [self.serve(PythonOrigin()) for _ in range(2)]
        edgegw = self.serve(Gateway(proxy(origins[0].port(), listen="caps: {head_deadline: 1s, body_gap: 1s}")))
        nginx = self.serve(Nginx(self.NGINX.format(port=origins[1].port())))
        both = stricter = 0
        for row in (*tables.REQUESTS, *EXTRA):
            heads, ours = self.through(edgegw.port(), origins[0], row.data)
            _, theirs = self.through(nginx.port(), origins[1], row.data)
            with self.subTest(row.name):
                intended = max(1, row.data.count(b" HTTP/1.1\r\nHost: a\r\n") if row.name.endswith("behind") else 1)
                self.assertLessEqual(len(heads), intended, f"{row.name}: {heads}")
                self.assertLessEqual(len(ours), intended)
                if not row.status and row.name not in ANSWERED and row.body:
                    self.assertEqual([body for _, _, body in ours], [row.body.decode("latin-1")])
                if row.status:
                    self.assertEqual(ours, [], f"{row.name}: refused, and the origin got it whole")
                if ours and theirs:
                    self.assertEqual(ours[0], theirs[0])
                    both += 1
                elif theirs:
                    stricter += 1
                elif ours:
                    self.assertIn(row.name, TAKEN_HERE_ONLY, f"nginx refuses {row.data[:200]!r}")
        self.assertGreater(both, 20)
        self.assertGreater(stricter, 10)


DOTS = words(r".. %2e%2e .%2e %2E. ..; ..%00 %252e%252e ..%09 ... . %c0%ae%c0%ae ..%20 %2e%2e;x ..%0d%0a")
SLASHES = words(r"/ // /./ %2f %2F \ %5c %5C /;/ /%2e/ %252f /%09/ /%2f/ %c0%af /.//")
GOALS = words(r"""
    blockedz %62lockedz blockedz/ blockedz?x=/content/ blockedz;x blockedz%20 blockedz# %2562lockedz blockedz/. x/../blockedz
    ./blockedz blockedz%2f blockedz%00 blockedz/content/.. b%6cockedz blocked%7a
""")
STARTS = [
    "",
    *words(
        "/content /content/a /content/a/b / /%63ontent //content /content;x /content/ /CONTENT /content%2f /./content"
    ),
]
HEADERS = ("", "X-Original-URL: /blockedz\r\n", "X-Rewrite-URL: /blockedz\r\n", "X-Forwarded-Prefix: /../blockedz\r\n",
           "X-HTTP-Method-Override: GET\r\n", "X-Forwarded-Path: /blockedz\r\n", "Connection: close, Host\r\n")  # fmt: skip
AUTHORITIES = words(
    "http://a HTTP://a http://a:80 http://a/content http://a@a http://b https://a //a http:/a http://a/.."
)
NOISE = "/.%;\\?#&= \t\x00\r2fFeE5cC@:*"


def aimed(choice: random.Random) -> str:
    """As many steps up as there are down, each in a spelling that many servers understand."""
    depth = choice.randint(1, 3)
    climb = [
        choice.choice(("/", "//", "/./", "%2f", "/%2e/")) + choice.choice(("..", "%2e%2e", ".%2E"))
        for _ in range(depth)
    ]
    return "/content" + "/a" * (depth - 1) + "".join(climb) + "/" + choice.choice(GOALS)


def mutated(choice: random.Random) -> str:
    """A target that would like to be /blockedz."""
    if choice.random() < 0.4:
        return aimed(choice)
    climbs = "".join(choice.choice(SLASHES) + choice.choice(DOTS) for _ in range(choice.randint(0, 3)))
    target = choice.choice(STARTS) + climbs + choice.choice(SLASHES) + choice.choice(GOALS)
    for _ in range(choice.choice((0, 0, 0, 1, 2))):
        at = choice.randrange(len(target) + 1)
        target = target[:at] + choice.choice(NOISE) + target[at + choice.randint(0, 1) :]
    return target


class TreasureTests(LiveCase):
    """A page that no route leads to is never reached, whatever the target looks like."""

    NGINX = """
        server {
            listen 127.0.0.1:@{web};
            location = /blockedz { return 200 "treasure"; }
            location /blockedz { return 200 "treasure"; }
            location / { return 200 "content"; }
        }
    """

    def test_treasure(self) -> None:
        """5,000 mutated targets, a third of them in absolute form; the origin alone would have given it away for hundreds."""
        nginx = self.serve(Nginx(self.NGINX))
        text = proxy(nginx.port()).replace("match: /**", "match: /content/**")
        front = self.serve(Gateway(text))
        choice = random.Random(20240229)
        seen: Counter[int] = Counter()
        direct = 0
        for number in range(5000):
            target = mutated(choice)
            if number % 3 == 0:
                target = choice.choice(AUTHORITIES) + target
            data = f"GET {target} HTTP/1.1\r\nHost: a\r\n{choice.choice(HEADERS)}Connection: close\r\n\r\n".encode(
                "latin-1"
            )
            with Wire(front.port()) as wire:
                wire.try_send(data)
                got = wire.rest()
            self.assertNotIn(b"treasure", got, data)
            self.assertRegex(got, rb"\AHTTP/1\.1 \d{3} ", data)
            seen[int(got[9:12])] += 1
            if number < 1000:
                with Wire(nginx.port()) as wire:
                    wire.try_send(data)
                    direct += b"treasure" in wire.rest()
        self.assertGreater(direct, 50, "the targets are no attack")
        self.assertGreater(seen[200], 50, f"nothing got through at all: {seen}")
        self.assertEqual(set(seen) - {200, 400, 404, 414, 301, 307}, set(), seen)
        wait_until(lambda: front.metric("edgegw_requests_total") >= 5000, "every request was counted")
        self.assertNotIn("Traceback", front.log())

    def test_treasure_over_http2(self) -> None:
        """The same targets as `:path`, a third of them with a method that hides a request line."""
        nginx = self.serve(Nginx(self.NGINX))
        text = proxy(nginx.port()).replace("match: /**", "match: /content/**")
        front = self.serve(Gateway(text))
        choice = random.Random(20240301)
        seen: Counter[int] = Counter()
        for _ in range(50):
            with Http2Wire(front.port()) as wire:
                for number in range(50):
                    target = mutated(choice)
                    method = f"GET {choice.choice(GOALS)} HTTP/1.1" if number % 3 == 0 else "GET"
                    stream = wire.next_stream()
                    fields = [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", target)]
                    wire.send(wire.head(stream, fields))
                    answer = wire.read(stream)
                    self.assertNotIn(b"treasure", answer.body, (method, target))
                    self.assertTrue(answer.status, (method, target))
                    seen[answer.status] += 1
        self.assertGreater(seen[200], 25, f"nothing got through at all: {seen}")
        self.assertEqual(set(seen) - {200, 400, 404, 414, 301, 307}, set(), seen)
        self.assertNotIn("Traceback", front.log())
