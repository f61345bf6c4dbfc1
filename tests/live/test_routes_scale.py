"""Many routes, and other people's resources behind one: 10,000 routes; klein, WSGI and static.File through `resource:`."""

import hashlib
import json
import random
import statistics
from urllib.parse import quote

from tests.live.case import LiveCase
from tests.live.control import control
from tests.live.load import Load
from tests.live.origin import pattern
from tests.live.servers import ROOT, Gateway, proxy
from tests.live.wire import Wire

COUNT = 10_000


def route(number: int) -> tuple[str, str, str]:
    """A route's match, a target that it alone takes, and the Host for it."""
    kind = number % 5
    host = f"h{number % 100}.example.com"
    if kind == 0:
        return f"/plain/{number}", f"/plain/{number}", "any"
    if kind == 1:
        return f"{host}/svc{number}/**", f"/svc{number}/a/b/c", host
    if kind == 2:
        return f"{host}/item{number}/{{id:int}}", f"/item{number}/42", host
    if kind == 3:
        return f"'*.h{number}.example.com/'", "/", f"a.h{number}.example.com"
    return f"POST /deep/{number % 7}/{{a}}/{{b}}/{number}/end", f"/deep/{number % 7}/x/y/{number}/end", "any"


def configuration(count: int, version: int = 0) -> str:
    """So many routes of every kind, each answering its number."""
    lines = [
        f"{{match: {_quoted(route(number)[0])}, respond: {{body: '{number}.{version}'}}}}" for number in range(count)
    ]
    return proxy(more="\n".join(lines), listen="caps: {requests: 1000000}")


def _quoted(match: str) -> str:
    return match if match.startswith("'") else f"'{match}'"


class TenThousandTests(LiveCase):
    """10,000 routes load, answer, and cost no more per request than 10."""

    # What has two configurations of ten thousand routes takes a while to be gone.
    stop_limit_s = 30.0

    def test_load_answer_reload(self) -> None:
        """Every kind is found; a reload of all of them loses nothing and is over soon."""
        gateway = Gateway(configuration(COUNT))
        self.serve(gateway)
        self.assertLess(gateway.cpu_s(), 30.0)
        wire = self.wire(gateway)
        chosen = random.Random(3).sample(range(COUNT), 300)
        for number in chosen:
            _, target, host = route(number)
            method = "POST" if number % 5 == 4 else "GET"
            answer = wire.ask(target, method, b"" if method == "POST" else None, host=host)
            self.assertEqual((answer.status, answer.body), (200, b"%d.0" % number), f"{method} {host}{target}")
        self.assertEqual(wire.ask("/nothing").status, 404)
        self.assertEqual(wire.ask(route(4)[1]).status, 405)
        with Load(gateway.port(), ["/plain/0", "/plain/9995"], threads=2) as load:
            gateway.write(configuration(COUNT, 1))
            verdict = control(gateway, "reload")
        self.assertTrue(verdict["ok"], str(verdict)[:2000])
        self.assertEqual((dict(load.failed), load.dropped, load.connections), ({}, 0, 2))
        self.assertEqual(wire.ask("/plain/0").body, b"0.1")

    def test_cost_is_flat(self) -> None:
        """CPU per request with 10,000 routes is that with 10, within what a shared machine can tell."""
        gateways = []
        for count in (10, COUNT):
            gateway = Gateway(configuration(count))
            gateways.append((self.serve(gateway), self.wire(gateway)))
        costs: list[list[float]] = [[], []]
        for _ in range(5):
            for cost, (gateway, wire) in zip(costs, gateways, strict=True):
                before = gateway.cpu_s()
                for _ in range(1500):
                    wire.ask("/plain/5")
                cost.append(gateway.cpu_s() - before)
        ratio = statistics.median(costs[1]) / statistics.median(costs[0])
        self.assertLess(ratio, 1.5, f"CPU seconds per 1,500 requests: {costs}")


SHOP = """
import hashlib, json
from klein import Klein
from twisted.internet.task import deferLater
from twisted.web.static import File
from twisted.web.wsgi import WSGIResource

app = Klein()

@app.route("/hello/<name>")
def hello(request, name):
    request.setHeader(b"X-Klein", b"yes")
    return f"hello {name}"

@app.route("/sum", methods=["POST"])
def sum_(request):
    return hashlib.sha256(request.content.read()).hexdigest()

@app.route("/later")
async def later(request):
    from twisted.internet import reactor
    await deferLater(reactor, 0.1, lambda: None)
    return "later"

@app.route("/broken")
def broken(request):
    raise ValueError("S3CR3T")

@app.route("/where", branch=True)
def where(request):
    return json.dumps([request.uri.decode(), request.getClientAddress().host, request.getHeader("host")])

web = app.resource

def wsgi_app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
    yield environ["REQUEST_METHOD"].encode() + b" "
    yield hashlib.sha256(body).hexdigest().encode()

def wsgi():
    from twisted.internet import reactor
    return WSGIResource(reactor, reactor.getThreadPool(), wsgi_app)

def files():
    return File("WWW")
"""
ROUTES = """
{match: /klein/**, resource: shop.web}
{match: /wsgi/**, resource: shop.wsgi}
{match: /static/**, resource: shop.files}
"""


class ResourceTests(LiveCase):
    """Anything that is a twisted.web IResource, asked by real curl."""

    def setUp(self) -> None:
        gateway = Gateway(
            proxy(more=ROUTES), files={"www/big.bin": b"".join(pattern(5_000_000)), "www/a b.txt": "text"}
        )
        (gateway.folder / "shop.py").write_text(SHOP.replace("WWW", str(gateway.folder / "www")))
        gateway.env["PYTHONPATH"] = f"{ROOT}:{gateway.folder}"
        self.gateway = self.serve(gateway)
        self.url = f"http://127.0.0.1:{gateway.port()}"

    def test_klein(self) -> None:
        """Routes of its own below ours, bodies both ways, Deferreds, 404s, and errors that show nothing."""
        done = self.curl("-i", f"{self.url}/klein/hello/{quote('wörld')}")
        self.assertTrue(done.stdout.startswith(b"HTTP/1.1 200"), done.stdout)
        self.assertIn(b"X-Klein: yes", done.stdout)
        self.assertTrue(done.stdout.endswith("hello wörld".encode()), done.stdout)
        body = b"".join(pattern(3_000_000))
        source = self.gateway.folder / "source"
        source.write_bytes(body)
        done = self.curl("--data-binary", f"@{source}", f"{self.url}/klein/sum")
        self.assertEqual(done.stdout, hashlib.sha256(body).hexdigest().encode())
        self.assertEqual(self.curl(f"{self.url}/klein/later").stdout, b"later")
        wire = self.wire(self.gateway)
        self.assertEqual(wire.ask("/klein/nothing").status, 404)
        broken = wire.ask("/klein/broken")
        self.assertEqual(broken.status, 500)
        self.assertNotIn(b"S3CR3T", broken.body)
        self.assertEqual(self.wire(self.gateway).ask("/klein/later").body, b"later")

    def test_wsgi(self) -> None:
        """A WSGI application in the reactor's thread pool."""
        done = self.curl("-i", "--data-binary", "abc", f"{self.url}/wsgi/x/y")
        self.assertIn(b"X-Path: /x/y", done.stdout)
        self.assertTrue(done.stdout.endswith(b"POST " + hashlib.sha256(b"abc").hexdigest().encode()), done.stdout)

    def test_static_file(self) -> None:
        """twisted.web.static.File: whole, in part, HEAD, and a reader that leaves in the middle."""
        done = self.curl(f"{self.url}/static/big.bin")
        self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(b"".join(pattern(5_000_000))).digest())
        self.assertEqual(self.curl("-r", "100-199", f"{self.url}/static/big.bin").stdout, next(pattern(100, 100)))
        self.assertEqual(self.curl(f"{self.url}/static/a%20b.txt").stdout, b"text")
        self.assertIn(b"Content-Length: 5000000", self.curl("-I", f"{self.url}/static/big.bin").stdout)
        leaving = self.wire(self.gateway, receive_buffer=4096)
        leaving.request("/static/big.bin")
        leaving.receive(100)
        leaving.reset()
        self.assertEqual(self.curl(f"{self.url}/static/a%20b.txt").stdout, b"text")
        self.assertNotIn("Traceback", self.gateway.log())

    def test_body_limit(self) -> None:
        """A spooled body is held to the route's limit."""
        wire = self.wire(self.gateway)
        wire.send(b"POST /klein/sum HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n")
        self.assertEqual(wire.read("POST").status, 413)

    def test_keep_alive_and_pipelining(self) -> None:
        """Three kinds of resource on one connection, in order."""
        wire = self.wire(self.gateway)
        for target in ("/klein/later", "/wsgi/x", "/static/a%20b.txt", "/klein/hello/x"):
            wire.request(target)
        bodies = [wire.read().body[:6] for _ in range(4)]
        self.assertEqual(bodies, [b"later", b"GET e3", b"text", b"hello "])

    def test_client_address(self) -> None:
        """The resource sees who asks."""
        with Wire(self.gateway.port()) as wire:
            found = json.loads(wire.ask("/klein/where?x=1").body)
        self.assertEqual(found[1:], ["127.0.0.1", "localhost"])
