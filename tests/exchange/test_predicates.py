"""`when:` against requests, and what people are told when they write it wrong."""

from types import SimpleNamespace

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.exchange.model import Exchange
from edgegw.exchange.predicates import MiddlewareWhenSettings, Predicate, WhenSettings, compile_when
from edgegw.testing.exchanges import FakeConnection, make_exchange

Fields = list[tuple[bytes, bytes]]


def when(raw: dict[str, object], model: type[WhenSettings] = WhenSettings) -> Predicate:
    problems = Problems()
    predicate = compile_when(model.model_validate(raw), problems)
    assert predicate is not None and not problems, list(problems)
    return predicate


def exchange(url: str = "/", fields: Fields | None = None, client: str = "192.0.2.1", tls: object = None) -> Exchange:
    made = make_exchange("GET", url, fields or [], connection=FakeConnection(tls))
    made.client = client
    return made


PREFLIGHT = make_exchange(
    "OPTIONS",
    headers=[(b"Access-Control-Request-Method", b"POST"), (b"Access-Control-Request-Headers", b"x-grpc-web")],
)
A = b"X-A"
# when, exchange, whether it holds
HOLDS: list[tuple[dict[str, object], Exchange, bool]] = [
    ({"header": {"X-A": "1"}}, exchange(fields=[(b"x-a", b"1")]), True),
    ({"header": {"X-A": "1"}}, exchange(fields=[(A, b"11")]), False),
    ({"header": {"X-A": "1"}}, exchange(), False),
    ({"header": {"X-A": "b"}}, exchange(fields=[(A, b"B")]), False),
    ({"header": {"X-A": "2"}}, exchange(fields=[(A, b"1"), (A, b"2")]), True),
    ({"header": {"X-A": "\u00e9"}}, exchange(fields=[(A, "\u00e9".encode())]), True),
    ({"header": {"X-A": {"exact": "1"}}}, exchange(fields=[(A, b"1")]), True),
    ({"header": {"X-A": {"prefix": "Bearer "}}}, exchange(fields=[(A, b"Bearer x")]), True),
    ({"header": {"X-A": {"prefix": "Bearer "}}}, exchange(fields=[(A, b"Basic Bearer ")]), False),
    ({"header": {"X-A": {"regex": "[0-9]+"}}}, exchange(fields=[(A, b"123")]), True),
    ({"header": {"X-A": {"regex": "[0-9]+"}}}, exchange(fields=[(A, b"123x")]), False),
    ({"header": {"X-A": {"regex": "[0-9]+"}}}, exchange(fields=[(A, b"\xff")]), False),
    ({"header": {"X-A": {"present": True}}}, exchange(fields=[(A, b"")]), True),
    ({"header": {"X-A": {"present": True}}}, exchange(), False),
    ({"header": {"X-A": {"present": False}}}, exchange(), True),
    ({"header": {"X-A": {"present": False}}}, exchange(fields=[(A, b"")]), False),
    ({"query": {"v": "1"}}, exchange("/?v=1"), True),
    ({"query": {"v": "1"}}, exchange("/?w=1&v=2&v=1"), True),
    ({"query": {"v": "1"}}, exchange("/?v=12"), False),
    ({"query": {"v": "1"}}, exchange("/"), False),
    ({"query": {"v": "a b&c"}}, exchange("/?%76=a+b%26c"), True),
    ({"query": {"v": {"present": True}}}, exchange("/?v"), True),
    ({"query": {"v": {"present": True}}}, exchange("/?V=1"), False),
    ({"query": {"v": {"regex": "[0-9]+"}}}, exchange("/?v=42"), True),
    ({"cookie": {"a": "1"}}, exchange(fields=[(b"Cookie", b"b=2; a=1")]), True),
    ({"cookie": {"a": "1"}}, exchange(fields=[(b"Cookie", b"b=2"), (b"Cookie", b'a="1"')]), True),
    ({"cookie": {"a": "1"}}, exchange(fields=[(b"Cookie", b"ba=1; A=1; a=11")]), False),
    ({"cookie": {"a": {"present": True}}}, exchange(fields=[(b"Cookie", b"a=")]), True),
    ({"client_ip": ["10.0.0.0/8"]}, exchange(client="10.255.0.1"), True),
    ({"client_ip": ["10.0.0.0/8"]}, exchange(client="11.0.0.0"), False),
    ({"client_ip": ["10.0.0.7"]}, exchange(client="10.0.0.7"), True),
    ({"client_ip": ["10.0.0.0/8"]}, exchange(client="::ffff:10.0.0.1"), True),
    ({"client_ip": ["2001:db8::/32", "192.0.2.0/24"]}, exchange(client="2001:db8:1::9"), True),
    ({"client_ip": ["0.0.0.0/0"]}, exchange(client="::1"), False),
    ({"client_ip": ["0.0.0.0/0", "::/0"]}, exchange(client=""), False),
    ({"protocol": "http1"}, exchange(), True),
    ({"protocol": "grpc"}, exchange(fields=[(b"Content-Type", b"application/grpc+proto; x=1")]), True),
    ({"protocol": "grpc"}, exchange(fields=[(b"Content-Type", b"application/grpc-web")]), False),
    ({"protocol": "grpc"}, exchange(), False),
    ({"protocol": "grpc_web"}, exchange(fields=[(b"Content-Type", b"application/grpc-web-text+proto")]), True),
    ({"protocol": "grpc_web"}, exchange(fields=[(b"Content-Type", b"application/grpc")]), False),
    ({"protocol": "grpc_web"}, exchange(), False),
    ({"protocol": "grpc_web"}, PREFLIGHT, True),
    ({"protocol": "grpc"}, PREFLIGHT, False),
    ({"protocol": "websocket"}, exchange(fields=[(b"Upgrade", b"WebSocket")]), True),
    ({"protocol": "websocket"}, exchange(fields=[(b"Upgrade", b"h2c")]), False),
    ({"sni": "API.example.com"}, exchange(tls=SimpleNamespace(server_name="api.example.com")), True),
    ({"sni": "api.example.com"}, exchange(tls=SimpleNamespace(server_name="x.example.com")), False),
    ({"sni": "*.example.com"}, exchange(tls=SimpleNamespace(server_name="x.example.com")), True),
    ({"sni": "*.example.com"}, exchange(tls=SimpleNamespace(server_name="x.y.example.com")), False),
    ({"sni": "api.example.com"}, exchange(tls=SimpleNamespace(server_name=None)), False),
    ({"sni": "api.example.com"}, exchange(), False),
    ({"header": {"X-A": "1"}, "query": {"v": "1"}}, exchange("/?v=1", [(A, b"1")]), True),
    ({"header": {"X-A": "1"}, "query": {"v": "1"}}, exchange("/?v=1"), False),
]

FOR_MIDDLEWARE: list[tuple[dict[str, object], str, str, bool]] = [
    ({"method": ["POST", "PUT"]}, "POST", "/", True),
    ({"method": ["POST"]}, "GET", "/", False),
    ({"path": "/admin"}, "GET", "/admin", True),
    ({"path": "/admin"}, "GET", "/admin;x=1", True),
    ({"path": "/admin"}, "GET", "/admin/", False),
    ({"path": "/admin/**"}, "GET", "/admin", True),
    ({"path": "/admin/**"}, "GET", "/admin/x", True),
    ({"path": "/admin/**"}, "GET", "/administrator", False),
    ({"path": {"prefix": "/admin"}}, "GET", "/administrator", False),
    ({"path": {"prefix": "/admin/"}}, "GET", "/admin;y/x;z", True),
    ({"path": {"regex": "/[a-z]+"}}, "GET", "/admin", True),
    ({"path": {"regex": "/[a-z]+"}}, "GET", "/admin/x", False),
]


class Holding(SynchronousTestCase):
    def test_table(self) -> None:
        for raw, made, wanted in HOLDS:
            with self.subTest(when=raw, exchange=made):
                predicate = when(raw)
                self.assertIs(predicate(made), wanted, raw)
                self.assertIs(predicate.failing(made) is None, wanted)

    def test_for_middleware(self) -> None:
        for raw, method, url, wanted in FOR_MIDDLEWARE:
            with self.subTest(when=raw, url=url):
                self.assertIs(when(raw, MiddlewareWhenSettings)(make_exchange(method, url)), wanted, raw)

    def test_middleware_sees_the_path_that_came(self) -> None:
        made = make_exchange("GET", "/admin")
        made.request.path = "/rewritten"
        self.assertTrue(when({"path": "/admin"}, MiddlewareWhenSettings)(made))

    def test_failing_names_the_test(self) -> None:
        predicate = when({"header": {"X-A": "1"}, "query": {"v": {"regex": "a+"}}})
        self.assertEqual(predicate.failing(exchange("/", [(A, b"1")])), "query v regex a+")

    def test_count_and_key(self) -> None:
        one = when({"header": {"X-A": "1", "X-B": "2"}, "client_ip": ["10.0.0.0/8", "::1"], "protocol": "grpc"})
        two = when({"protocol": "grpc", "client_ip": ["::1", "10.0.0.0/8"], "header": {"x-b": "2", "x-a": "1"}})
        self.assertEqual((one.count, one.key), (4, two.key))
        self.assertNotEqual(one.key, when({"protocol": "grpc"}).key)
        self.assertNotEqual(when({"query": {"A": "1"}}).key, when({"query": {"a": "1"}}).key)

    def test_nothing_asked(self) -> None:
        for settings in (None, WhenSettings()):
            self.assertIsNone(compile_when(settings, Problems()))


class Mistakes(SynchronousTestCase):
    def test_reported_below_when(self) -> None:
        for raw, loc, message in (
            ({"header": {"X-A": {"regex": "["}}}, ("header", "X-A", "regex"), "does not compile"),
            ({"query": {"v": {"regex": "(?=a)"}}}, ("query", "v", "regex"), "does not compile"),
            ({"query": {"v": {"regex": "((a{99}){9}){9}"}}}, ("query", "v", "regex"), "regex"),
            ({"query": {"v": {"regex": "a" * 1025}}}, ("query", "v", "regex"), "longer than 1024"),
            ({"header": {"X A": "1"}}, ("header", "X A"), "cannot be the name of a header"),
            ({"cookie": {"a;b": "1"}}, ("cookie", "a;b"), "cannot be the name of a cookie"),
            ({"sni": "https://a"}, ("sni",), "not a server name"),
            ({"method": ["GET", "post"]}, ("method", 1), "not a method"),
            ({"path": "admin"}, ("path",), "is not a path"),
            ({"path": "/a/*/b"}, ("path",), "is not a path"),
            ({"path": {"present": True}}, ("path", "present"), "every request has a path"),
        ):
            with self.subTest(raw=raw):
                problems = Problems()
                compile_when(MiddlewareWhenSettings.model_validate(raw), problems.under("routes", 2, "when"))
                (problem,) = problems
                self.assertEqual(problem.loc, ("routes", 2, "when", *loc))
                self.assertIn(message, problem.message)

    def test_refused_by_the_model(self) -> None:
        for raw in (
            {"header": {"A": {}}},
            {"header": {"A": {"regex": "a", "prefix": "b"}}},
            {"header": {"A": 1}},
            {"header": {"A": {"like": "b"}}},
            {"client_ip": ["10.0.0.1/8"]},
            {"protocol": "http2"},
            {"method": ["GET"]},
            {"headers": {}},
        ):
            with self.subTest(raw=raw), self.assertRaises(ValidationError):
                WhenSettings.model_validate(raw)

    def test_time_is_linear(self) -> None:
        """A backtracking engine needs 2^30 steps here."""
        predicate = when({"header": {"X-A": {"regex": "(a+)+"}}})
        self.assertFalse(predicate(exchange(fields=[(A, b"a" * 4000 + b"b")])))
