"""Mounted IResources: static.File, a klein app, a WSGIResource, and resources that do what they should not."""

import io
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web import server, static
from twisted.web.http_headers import InvalidHeaderName
from twisted.web.resource import Resource
from twisted.web.wsgi import WSGIResource

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.targets.resource import ResourceTarget, load
from edgegw.testing.exchanges import FakeConnection, Gathered, drain, make_exchange

LIMIT = 200_000


class Scripted(Resource):
    """A leaf that does what a function says."""

    isLeaf = True

    def __init__(self, script: Any) -> None:
        super().__init__()
        self.script = script

    def render(self, request: Any) -> Any:
        return self.script(request)


def mounted(method: str, url: str, rest: str | None = None, fields: Any = (), body: Body | bytes = b"") -> Exchange:
    exchange = make_exchange(method, url, fields, body)
    if rest is not None:
        exchange.request.params = {"path": rest}
    return exchange


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.request: Any = None

    def start(self, resource: Any, exchange: Exchange) -> Deferred[Response]:
        target = ResourceTarget(resource, self.clock, LIMIT)
        return Deferred.fromCoroutine(target(exchange))

    def get(self, resource: Any, exchange: Exchange | None = None) -> Response:
        waiting = self.start(resource, exchange or mounted("GET", "/app/x", "x"))
        self.clock.advance(0)
        return self.successResultOf(waiting)

    def content(self, response: Response) -> bytes:
        sink = drain(response.body)
        self.clock.advance(0)
        self.assertTrue(sink.ended, sink.error)
        return sink.data

    def kept(self, request: Any) -> Any:
        """A script that answers later."""
        self.request = request
        return server.NOT_DONE_YET


class Requests(Case):
    def test_what_the_resource_sees(self) -> None:
        seen: dict[str, Any] = {}

        def script(request: Any) -> bytes:
            seen.update(
                method=request.method, uri=request.uri, path=request.path, prepath=request.prepath, postpath=request.postpath,
                args=request.args, cookie=request.getCookie(b"c"), header=request.getHeader(b"x-a"), secure=request.isSecure(),
                host=request.getRequestHostname(), peer=request.getClientAddress().host, version=request.clientproto,
                connection=request.getHeader(b"connection"), content=request.content.read(), url=request.URLPath().path,
                length=request.getHeader(b"content-length"),
            )  # fmt: skip
            return b""

        fields = [
            (b"X-A", b"1"),
            (b"Cookie", b"c=d"),
            (b"Connection", b"close"),
            (b"Content-Type", b"application/x-www-form-urlencoded"),
        ]
        connection = FakeConnection(tls=object())
        exchange = make_exchange(
            "POST", "https://shop.example:8443/app/a%2520b/c?q=1&q=2", fields, b"f=3", connection=connection
        )
        exchange.request.params = {"path": "a%2520b/c"}
        exchange.client = "2001:db8::7"
        self.get(Scripted(script), exchange)
        self.assertEqual(
            seen,
            {
                "method": b"POST", "uri": b"/app/a%2520b/c?q=1&q=2", "path": b"/app/a%2520b/c", "prepath": [b"app"],
                "postpath": [b"a%20b", b"c"], "args": {b"q": [b"1", b"2"], b"f": [b"3"]}, "cookie": b"d", "header": b"1",
                "secure": True, "host": b"shop.example", "peer": "2001:db8::7", "version": b"HTTP/1.1", "connection": None,
                "content": b"f=3", "url": b"/app", "length": b"3",
            },
        )  # fmt: skip

    def test_where_it_is_mounted(self) -> None:
        seen: list[Any] = []

        def script(request: Any) -> bytes:
            seen.append((request.prepath, request.postpath))
            return b""

        for url, rest, prepath, postpath in (
            ("/app", "", [b"app"], []),
            ("/app/", "", [b"app"], [b""]),
            ("/a/b/c/d", "c/d", [b"a", b"b"], [b"c", b"d"]),
            ("/", "", [], [b""]),
            ("/x/y", None, [], [b"x", b"y"]),
        ):
            self.get(Scripted(script), mounted("GET", url, rest))
            self.assertEqual(seen.pop(), (prepath, postpath), url)
        rewritten = mounted("GET", "/app/x", "x")
        rewritten.request.path = "/other/x"
        self.get(Scripted(script), rewritten)
        self.assertEqual(seen.pop(), ([], [b"other", b"x"]))

    def test_body_is_spooled_up_to_the_limit(self) -> None:
        def echo(request: Any) -> bytes:
            data: bytes = request.content.read()
            return data

        for size in (0, 1, 65536, LIMIT):
            data = b"x" * size
            self.assertEqual(self.content(self.get(Scripted(echo), mounted("POST", "/app/x", "x", body=data))), data)
        error = self.failureResultOf(
            self.start(Scripted(echo), mounted("POST", "/", body=b"x" * (LIMIT + 1))), GatewayError
        ).value
        self.assertEqual((error.status, error.reason), (413, "body_too_large"))

    def test_body_of_unknown_length(self) -> None:
        seen: list[Any] = []
        body = Body()
        waiting = self.start(
            Scripted(lambda request: (seen.append(request.getHeader(b"content-length")), b"ok")[1]),
            mounted("POST", "/", body=body),
        )
        body.write(b"abc")
        self.assertNoResult(waiting)
        body.end()
        self.assertEqual(self.successResultOf(waiting).status, 200)
        self.assertEqual(seen, [b"3"])

    def test_body_that_is_torn(self) -> None:
        body = Body(10)
        waiting = self.start(Scripted(self.kept), mounted("POST", "/", body=body))
        body.abort(GatewayError(400, "body_torn"))
        self.assertEqual(self.failureResultOf(waiting, GatewayError).value.reason, "body_torn")
        self.assertIsNone(self.request)


class Answers(Case):
    def test_head_and_small_body_come_together(self) -> None:
        def script(request: Any) -> bytes:
            request.setResponseCode(201, b"Made")
            request.responseHeaders.addRawHeader(b"X-A", b"1")
            request.responseHeaders.addRawHeader(b"X-A", b"2")
            request.addCookie(b"c", b"d")
            return b"done"

        response = self.get(Scripted(script))
        self.assertEqual((response.status, response.reason, response.body.length), (201, b"Made", 4))
        self.assertEqual(response.headers.get_all(b"x-a"), [b"1", b"2"])
        self.assertEqual(response.headers.get(b"set-cookie"), b"c=d")
        self.assertNotIn(b"server", response.headers)
        self.assertEqual(self.content(response), b"done")

    def test_late_answer_of_one_turn_is_complete_when_its_head_comes(self) -> None:
        ready: list[bool] = []

        async def downstream() -> None:
            response = await ResourceTarget(Scripted(self.kept), self.clock, LIMIT)(mounted("GET", "/"))
            ready.append(response.body.complete)

        Deferred.fromCoroutine(downstream())
        self.request.write(b"done")
        self.request.finish()
        self.clock.advance(0)
        self.assertEqual(ready, [True])

    def test_streaming(self) -> None:
        waiting = self.start(Scripted(self.kept), mounted("GET", "/app/x", "x"))
        self.assertNoResult(waiting)
        self.request.write(b"one")
        self.clock.advance(0)
        response = self.successResultOf(waiting)
        self.assertIsNone(response.body.length)
        self.assertNotIn(b"transfer-encoding", response.headers)
        sink = drain(response.body)
        self.request.write(b"two")
        self.assertEqual(sink.chunks, [b"one", b"two"])
        self.request.finish()
        self.assertTrue(sink.ended)

    def test_head_alone_is_sent_when_asked(self) -> None:
        """Server-sent events: nothing for a while, but the head at once."""
        waiting = self.start(Scripted(self.kept), mounted("GET", "/"))
        self.request.write(b"")
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(waiting).status, 200)

    def test_head_method(self) -> None:
        class Page(Resource):
            def render_GET(self, request: Any) -> bytes:
                return b"12345"

        page = Page()
        page.isLeaf = True
        response = self.get(page, mounted("HEAD", "/"))
        self.assertEqual((response.status, response.headers.get(b"content-length")), (200, b"5"))
        self.assertEqual(self.content(response), b"")

    def test_method_not_allowed(self) -> None:
        class Page(Resource):
            isLeaf = True

            def render_GET(self, request: Any) -> bytes:
                return b"12345"

        response = self.get(Page(), mounted("POST", "/"))
        allow = sorted((response.headers.get(b"allow") or b"").split(b", "))
        self.assertEqual((response.status, allow), (405, [b"GET", b"HEAD"]))

    def test_push_producer_is_paused(self) -> None:
        calls: list[str] = []

        class Producer:
            def pauseProducing(self) -> None:
                calls.append("pause")

            def resumeProducing(self) -> None:
                calls.append("resume")

            def stopProducing(self) -> None:
                calls.append("stop")

        waiting = self.start(Scripted(self.kept), mounted("GET", "/"))
        self.request.registerProducer(Producer(), True)
        self.request.write(b"x" * 65536)
        self.clock.advance(0)
        body = self.successResultOf(waiting).body
        self.assertEqual(calls, ["pause"])
        body.attach(Gathered())
        self.assertEqual(calls, ["pause", "resume"])
        body.pause()
        body.resume()
        self.assertEqual(calls, ["pause", "resume", "pause", "resume"])
        body.cancel()
        self.assertEqual(calls[4:], ["stop"])

    def test_pull_producer_goes_at_the_readers_pace(self) -> None:
        class Producer:
            count = 0

            def resumeProducing(_) -> None:
                _.count += 1
                self.request.write(b"x" * 16384)
                if _.count == 20:
                    self.request.unregisterProducer()
                    self.request.finish()

            def stopProducing(_) -> None:
                raise AssertionError

        producer = Producer()
        waiting = self.start(Scripted(self.kept), mounted("GET", "/"))
        self.request.registerProducer(producer, False)
        self.clock.advance(0)
        body = self.successResultOf(waiting).body
        self.assertEqual(producer.count, 4)
        sink = drain(body)
        body.pause()
        self.clock.advance(0)
        self.assertLessEqual(producer.count, 5)
        body.resume()
        self.clock.advance(0)
        self.assertEqual((len(sink.data), sink.ended), (20 * 16384, True))

    def test_client_leaves(self) -> None:
        left: list[str] = []

        def script(request: Any) -> Any:
            request.notifyFinish().addErrback(lambda failure: left.append(failure.type.__name__))
            return self.kept(request)

        def by_cancel(exchange: Exchange, waiting: Deferred[Response]) -> None:
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)

        def by_end(exchange: Exchange, waiting: Deferred[Response]) -> None:
            exchange.end(Outcome(0, False, 0, 0, None))
            waiting.addErrback(lambda _: None)

        def by_body(exchange: Exchange, waiting: Deferred[Response]) -> None:
            self.request.write(b"x")
            self.clock.advance(0)
            self.successResultOf(waiting).body.cancel()

        for leave in (by_cancel, by_end, by_body):
            exchange = mounted("GET", "/")
            waiting = self.start(Scripted(script), exchange)
            leave(exchange, waiting)
            self.clock.advance(0)
            self.assertEqual(left, ["ConnectionLost"], leave.__name__)
            self.request.write(b"into the void")
            left.clear()

    def test_finished_is_told_once(self) -> None:
        done: list[Any] = []

        def script(request: Any) -> bytes:
            request.notifyFinish().addBoth(done.append)
            return b"x"

        exchange = mounted("GET", "/")
        self.content(self.get(Scripted(script), exchange))
        exchange.end(Outcome(200, True, 0, 1, None))
        self.clock.advance(0)
        self.assertEqual(done, [None])


class Faults(Case):
    def fault(self, script: Any, method: str = "GET") -> GatewayError:
        waiting = self.start(Scripted(script), mounted(method, "/"))
        self.clock.advance(0)
        return self.failureResultOf(waiting, GatewayError).value

    def test_before_the_head(self) -> None:
        def raising(request: Any) -> bytes:
            raise RuntimeError("secret detail")

        def status(code: int) -> Any:
            return lambda request: (request.setResponseCode(code), b"")[1]

        def field(name: bytes, value: bytes) -> Any:
            return lambda request: (request.responseHeaders.addRawHeader(name, value), b"")[1]

        for script, reason in (
            (raising, "resource_failed"),
            (status(99), "resource_bad_status"),
            (status(101), "resource_bad_status"),
            (field(b"X-A", b"a\x00b"), "resource_bad_header"),
            (field(b"X-A", b"a\x1bb"), "resource_bad_header"),
            (field(b"X A", b"b"), "resource_failed"),  # Twisted raises
            (lambda request: request.loseConnection() or server.NOT_DONE_YET, "resource_hung_up"),
        ):
            error = self.fault(script)
            self.assertEqual((error.status, error.reason), (500, reason))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.flushLoggedErrors(InvalidHeaderName)

    def test_line_breaks_make_no_field(self) -> None:
        """Response splitting (trust.md A5): Twisted makes spaces of them."""
        response = self.get(Scripted(lambda request: (request.setHeader(b"X-A", b"a\r\nSet-Cookie: b"), b"")[1]))
        self.assertNotIn(b"set-cookie", response.headers)
        self.assertEqual(response.headers.get(b"x-a"), b"a Set-Cookie: b")

    def test_length_that_does_not_fit(self) -> None:
        for said, written in ((b"5", b"123"), (b"2", b"123")):
            waiting = self.start(Scripted(self.kept), mounted("GET", "/"))
            self.request.setHeader(b"Content-Length", said)
            self.request.write(b"1")
            self.clock.advance(0)
            sink = drain(self.successResultOf(waiting).body)
            self.request.write(written[1:])
            if said == b"5":
                self.request.finish()
            self.assertFalse(sink.ended)
            self.assertEqual(sink.error.reason if sink.error else "", "resource_bad_length")

    def test_in_the_middle(self) -> None:
        waiting = self.start(Scripted(self.kept), mounted("GET", "/"))
        self.request.write(b"1")
        self.clock.advance(0)
        sink = drain(self.successResultOf(waiting).body)
        self.request.loseConnection()
        self.assertEqual((sink.ended, sink.error.reason if sink.error else ""), (False, "resource_hung_up"))

    def test_bad_form(self) -> None:
        fields = [(b"Content-Type", b"multipart/form-data")]
        waiting = self.start(Scripted(self.kept), mounted("POST", "/", fields=fields, body=b"x"))
        self.assertEqual(self.failureResultOf(waiting, GatewayError).value.status, 400)


class Mounted(TestCase):
    """The three that issue 2 names, with the real reactor."""

    def get(self, resource: Any, exchange: Exchange) -> Deferred[tuple[Response, Gathered]]:
        done: Deferred[tuple[Response, Gathered]] = Deferred()

        async def run() -> None:
            response = await ResourceTarget(resource, reactor, LIMIT)(exchange)

            class Sink(Gathered):
                def end(self, trailers: Any) -> None:
                    super().end(trailers)
                    done.callback((response, self))

                def abort(self, error: GatewayError) -> None:
                    done.errback(error)

            response.body.attach(Sink())

        Deferred.fromCoroutine(run()).addErrback(done.errback)
        return done

    async def test_static_file(self) -> None:
        root = Path(self.mktemp())
        (root / "docs").mkdir(parents=True)
        (root / "docs" / "big.txt").write_bytes(b"0123456789" * 50_000)
        (root.parent / "outside").write_text("no")
        resource = static.File(str(root))
        for path in ("docs/big.txt", "docs/big.txt"):
            response, sink = await self.get(resource, mounted("GET", "/app/" + path, path))
            self.assertEqual((response.status, len(sink.data)), (200, 500_000))
        fields = [(b"Range", b"bytes=10-19")]
        response, sink = await self.get(resource, mounted("GET", "/app/docs/big.txt", "docs/big.txt", fields))
        self.assertEqual(
            (response.status, sink.data, response.headers.get(b"content-range")),
            (206, b"0123456789", b"bytes 10-19/500000"),
        )
        for path in ("no", "%252e%252e/outside"):
            response, _ = await self.get(resource, mounted("GET", "/app/" + path, path))
            self.assertEqual(response.status, 404)
        response, _ = await self.get(resource, mounted("HEAD", "/app/docs/big.txt", "docs/big.txt"))
        self.assertEqual(response.headers.get(b"content-length"), b"500000")

    async def test_klein(self) -> None:
        app = Klein()

        @app.route("/hello/<name>", methods=["GET"])  # type: ignore[misc,unused-ignore]
        def hello(request: Any, name: str) -> str:
            return f"hello {name} of {request.getRequestHostname().decode()}"

        @app.route("/later", methods=["POST"])  # type: ignore[misc,unused-ignore]
        async def later(request: Any) -> bytes:
            await Deferred.fromCoroutine(self.pause())
            return b"got " + request.content.read()

        resource = app.resource()
        response, sink = await self.get(resource, mounted("GET", "/app/hello/ann", "hello/ann"))
        self.assertEqual((response.status, sink.data), (200, b"hello ann of example.com"))
        response, sink = await self.get(resource, mounted("POST", "/app/later", "later", body=b"data"))
        self.assertEqual((response.status, sink.data), (200, b"got data"))
        response, _ = await self.get(resource, mounted("POST", "/app/hello/ann", "hello/ann"))
        self.assertEqual(response.status, 405)
        response, _ = await self.get(resource, mounted("GET", "/app/none", "none"))
        self.assertEqual(response.status, 404)

    async def pause(self) -> None:
        waiting: Deferred[None] = Deferred()
        reactor.callLater(0, waiting.callback, None)  # type: ignore[attr-defined]
        await waiting

    async def test_wsgi(self) -> None:
        seen: dict[str, Any] = {}

        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            seen.update(environ, thread=threading.current_thread(), body=environ["wsgi.input"].read())
            start_response("200 OK", [("Content-Type", "text/plain"), ("X-A", "1")])
            return [b"part ", b"two"]

        pool = ThreadPool(1, 1, "wsgi")
        pool.start()
        self.addCleanup(pool.stop)
        resource = WSGIResource(reactor, pool, app)
        exchange = mounted(
            "POST", "https://shop.example/app/a/b?q=1", "a/b", [(b"Content-Type", b"text/plain")], b"x" * 100_000
        )
        response, sink = await self.get(resource, exchange)
        self.assertEqual((response.status, response.headers.get(b"x-a"), sink.data), (200, b"1", b"part two"))
        self.assertIsNot(seen["thread"], threading.main_thread())
        self.assertEqual(
            [
                seen[name]
                for name in (
                    "SCRIPT_NAME",
                    "PATH_INFO",
                    "QUERY_STRING",
                    "CONTENT_LENGTH",
                    "SERVER_NAME",
                    "wsgi.url_scheme",
                )
            ],
            ["/app", "/a/b", "q=1", "100000", "shop.example", "https"],
        )
        self.assertEqual(len(seen["body"]), 100_000)


class Loading(SynchronousTestCase):
    def setUp(self) -> None:
        module = ModuleType("edgegw_test_shop")
        module.root = Scripted(lambda request: b"root")  # type: ignore[attr-defined]
        module.make = lambda: module.root  # type: ignore[attr-defined]
        module.app = Klein()  # type: ignore[attr-defined]
        module.number = 7  # type: ignore[attr-defined]
        sys.modules["edgegw_test_shop"] = module
        self.addCleanup(sys.modules.pop, "edgegw_test_shop")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))

    def test_resources_and_what_makes_them(self) -> None:
        for name in ("edgegw_test_shop.root", "edgegw_test_shop.make", "edgegw_test_shop.app.resource"):
            problems = Problems()
            self.assertIsNotNone(ResourceTarget.compile(name, problems, Clock(), LIMIT), list(problems))
        self.assertIs(load("os.path.join").__name__, "join")

    def test_mistakes(self) -> None:
        (self.folder / "edgegw_test_broken.py").write_text("def f(:\n")
        (self.folder / "edgegw_test_raises.py").write_text("1 / 0\n")
        (self.folder / "edgegw_test_needs.py").write_text("import edgegw_test_not_there\n")
        for name, message in (
            ("root", "is not a dotted name"),
            ("shop web.root", "is not a dotted name"),
            ("edgegw_test_none.root", "there is no module"),
            ("edgegw_test_shop.rot", 'there is no "rot" in "edgegw_test_shop"'),
            ("edgegw_test_shop.root.x.y", 'there is no "x"'),
            ("edgegw_test_shop.number", "is a int, not a twisted.web IResource"),
            ("edgegw_test_broken.root", "cannot be imported: SyntaxError"),
            ("edgegw_test_raises.root", "cannot be imported: ZeroDivisionError"),
            ("edgegw_test_needs.root", "cannot be imported: ModuleNotFoundError"),
        ):
            with self.subTest(name=name):
                problems = Problems()
                self.assertIsNone(ResourceTarget.compile(name, problems.under("routes", 0, "resource"), Clock(), LIMIT))
                (problem,) = problems
                self.assertEqual(problem.loc, ("routes", 0, "resource"))
                self.assertIn(message, problem.message)


class Spooling(SynchronousTestCase):
    def test_content_is_closed(self) -> None:
        files: list[io.IOBase] = []
        clock = Clock()

        def script(request: Any) -> bytes:
            files.append(request.content)
            return b"x"

        target = ResourceTarget(Scripted(script), clock, LIMIT)
        waiting = Deferred.fromCoroutine(target(mounted("POST", "/", body=b"y" * 100_000)))
        clock.advance(0)
        self.successResultOf(waiting)
        self.assertTrue(files[0].closed)
