"""The end of the edge stage: the route's responder, or a refusal that is rendered like any answer."""

from types import SimpleNamespace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Response
from edgegw.routing.entries import Entry
from edgegw.routing.match import parse_match
from edgegw.routing.router import Route, Router
from edgegw.routing.tree import Tree
from edgegw.testing.exchanges import make_exchange


async def answer(exchange: Exchange) -> Response:
    return Response.of(200, exchange.route.name.encode())


def snapshot(*texts: str) -> SimpleNamespace:
    entries = []
    for text in texts:
        match = parse_match(text, Problems())
        assert match is not None
        entries.append(Entry(match, value=Route(text, answer, text)))
    return SimpleNamespace(tree=Tree(entries))


def with_preflight(*texts: str, answers: bool = True) -> SimpleNamespace:
    """Routes that answer preflights, and one for everything that does not."""
    asked: list[str] = []

    def preflight(exchange: Exchange) -> Response | None:
        asked.append(exchange.request.method)
        return Response(204) if answers else None

    entries = []
    for text in (*texts, "/**"):
        match = parse_match(text, Problems())
        assert match is not None
        route = Route(text, answer, text, preflight=preflight if text != "/**" else None)
        entries.append(Entry(match, value=route))
    return SimpleNamespace(tree=Tree(entries), asked=asked)


def ask(method: str, path: str, snapshot: SimpleNamespace) -> Exchange:
    return make_exchange(
        "OPTIONS", path, [(b"Access-Control-Request-Method", method.encode("latin-1"))], snapshot=snapshot
    )


class PreflightTests(SynchronousTestCase):
    """Who may call is for the route to say that the call would get to."""

    def send(self, exchange: Exchange) -> Response:
        return self.successResultOf(Deferred.fromCoroutine(Router()(exchange)))

    def test_by_the_method_asked_for(self) -> None:
        routes = with_preflight("POST /a")
        exchange = ask("POST", "/a", routes)
        self.assertEqual(self.send(exchange).status, 204)
        self.assertEqual(
            (exchange.route.name, exchange.request.method, routes.asked), ("POST /a", "OPTIONS", ["OPTIONS"])
        )

    def test_by_any_other_it_is_a_request_like_others(self) -> None:
        routes = with_preflight("POST /a")
        for method, path in (("PUT", "/a"), ("POST", "/b"), ("", "/a"), ("\xff\u0080", "/a")):
            with self.subTest(method=method, path=path):
                exchange = ask(method, path, routes)
                self.assertEqual(self.send(exchange).body.take_ready(), b"/**")
                self.assertEqual(exchange.request.method, "OPTIONS")

    def test_the_route_need_not_answer(self) -> None:
        exchange = ask("POST", "/a", with_preflight("POST /a", answers=False))
        self.assertEqual(self.send(exchange).body.take_ready(), b"/**")

    def test_not_a_preflight(self) -> None:
        routes = with_preflight("POST /a")
        self.send(make_exchange("OPTIONS", "/a", snapshot=routes))
        self.send(make_exchange("GET", "/a", [(b"Access-Control-Request-Method", b"POST")], snapshot=routes))
        self.assertEqual(routes.asked, [])


class Routing(SynchronousTestCase):
    def send(self, exchange: Exchange) -> Response:
        return self.successResultOf(Deferred.fromCoroutine(Router()(exchange)))

    def refused(self, exchange: Exchange) -> GatewayError:
        with self.assertRaises(GatewayError) as refused:
            Router()(exchange)
        return refused.exception

    def test_route_and_parameters(self) -> None:
        exchange = make_exchange("GET", "/users/7/x", snapshot=snapshot("/users/{id:int}/**", "/**"))
        self.assertEqual(self.send(exchange).body.take_ready(), b"/users/{id:int}/**")
        self.assertEqual(exchange.request.params, {"id": "7", "path": "x"})
        self.assertEqual(exchange.route.match, "/users/{id:int}/**")

    def test_no_route(self) -> None:
        exchange = make_exchange("GET", "/b", snapshot=snapshot("/a"))
        error = self.refused(exchange)
        self.assertEqual((error.status, error.reason), (404, "no_route"))
        self.assertIsNone(exchange.route)

    def test_method_not_allowed(self) -> None:
        error = self.refused(make_exchange("PUT", "/a", snapshot=snapshot("GET|POST /a")))
        self.assertEqual((error.status, error.reason), (405, "method_not_allowed"))
        self.assertEqual(error.headers, ((b"Allow", b"GET, HEAD, POST"),))

    def test_what_the_codec_refused(self) -> None:
        exchange = make_exchange("GET", "/a", snapshot=snapshot("/a"))
        exchange.refused = GatewayError(400, "both_te_cl")
        self.assertIs(self.refused(exchange), exchange.refused)

    def test_options_asterisk(self) -> None:
        exchange = make_exchange("OPTIONS", "/*", snapshot=snapshot("/**"))
        exchange.head.path = exchange.request.path = "*"
        self.assertEqual(self.send(exchange).status, 204)

    def test_redirect_of_the_path_policy(self) -> None:
        exchange = make_exchange("POST", "/a/b?x=1", snapshot=snapshot("/**"))
        exchange.head.redirect = "/a/b"
        response = self.send(exchange)
        self.assertEqual((response.status, response.headers.get(b"location")), (307, b"/a/b?x=1"))

    def test_the_snapshot_of_the_exchange_decides(self) -> None:
        """A reload in between changes nothing for this one."""
        old, new = snapshot("/old"), snapshot("/new")
        exchange = make_exchange("GET", "/old", snapshot=old)
        later = make_exchange("GET", "/old", snapshot=new)
        self.assertEqual(self.send(exchange).status, 200)
        self.assertEqual(self.refused(later).status, 404)
