"""gRPC-Web through the gateway to a real grpcio server: both forms, both downstream protocols, streams, errors, CORS; and Envoy's
answers to the same bytes.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.install import wheel_program
from tests.live.grpc.probe_pb2 import Message, Order
from tests.live.process import Server, free_port
from tests.live.protocols import Fronted, GrpcServer
from tests.live.servers import Gateway
from tests.live.transcoding.envoy import _bootstrap, _filter

SERVICE = "edgegw.live.v1.Probe"
BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text"
ORIGIN = "https://app.example.com"


def frame(message: bytes) -> bytes:
    """A message behind its prefix."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(flags, content) of every frame."""
    while body:
        size = int.from_bytes(body[1:5], "big")
        yield body[0], body[5 : 5 + size]
        body = body[5 + size :]


def untext(text: bytes) -> bytes:
    """Base64 in pieces, each perhaps padded."""
    return b"".join(base64.b64decode(text[at : at + 4], validate=True) for at in range(0, len(text), 4))


class Answer:
    """A gRPC-Web answer, taken apart."""

    def __init__(self, status: int, headers: dict[str, str], raw: bytes) -> None:
        self.status = status
        self.headers = headers
        self.raw = raw
        body = untext(raw) if "-text" in headers.get("content-type", "") else raw
        found = list(frames(body))
        self.messages = [content for flags, content in found if flags == 0]
        self.trailers: dict[str, str] = {}
        for flags, content in found:
            if flags == 0x80:
                lines = content.decode().split("\r\n")
                self.trailers |= dict(line.split(":", 1) for line in lines if line)

    @property
    def code(self) -> str:
        """grpc-status, wherever it stands."""
        return self.headers.get("grpc-status", self.trailers.get("grpc-status", ""))


class EnvoyWeb(Server):
    """Envoy with its gRPC-Web filter."""

    config = "envoy.json"

    def __init__(self, upstream: int) -> None:
        filters = [
            _filter("envoy.filters.http.grpc_web", "grpc_web.v3.GrpcWeb"),
            _filter("envoy.filters.http.router", "router.v3.Router"),
        ]
        super().__init__(json.dumps(_bootstrap(upstream, filters)).replace('"@{web}"', "@{web}"))

    def command(self) -> list[str]:
        program = str(wheel_program("envoy"))
        return [program, "-c", str(self.config_path), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]


class WebCase(Fronted):
    """`self.web` is the gateway."""

    def setUp(self) -> None:
        super().setUp()
        self.origin = self.serve(GrpcServer())
        route = f"grpc: {{max_message: 1MiB, web: {{origins: ['{ORIGIN}']}}}}"
        self.web = self.before(f"grpc://127.0.0.1:{self.origin.port()}", route=route)

    def post(self, method: str, message: Any, kind: str = BINARY, port: int | None = None, **headers: str) -> Answer:
        """One call over HTTP/1.1."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.web.port("web"), timeout=20)
        self.addCleanup(connection.close)
        body = frame(message.SerializeToString()) if hasattr(message, "SerializeToString") else message
        fields = {"content-type": kind, "accept": kind, "x-grpc-web": "1"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", f"/{SERVICE}/{method}", base64.b64encode(body) if "-text" in kind else body, fields)
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


class CallTests(WebCase):
    def test_unary(self) -> None:
        """Message, trailers, metadata both ways, in both forms."""
        for kind, answered in ((BINARY, BINARY), (TEXT, TEXT + "+proto")):
            with self.subTest(kind=kind):
                answer = self.post("Unary", Message(text="gr\u00fc\u00dfe"), kind, x_echo_a="1", x_echo_b_bin="AP8K")
                self.assertEqual((answer.status, answer.headers["content-type"]), (200, answered))
                (message,) = answer.messages
                self.assertEqual(Message.FromString(message).text, "gr\u00fc\u00dfe")
                self.assertEqual((answer.code, answer.trailers["grpc-status"]), ("0", "0"))
                self.assertEqual(answer.headers["x-echo-a"], "1")
                self.assertEqual(answer.trailers["x-echo-b-end-bin"].rstrip("="), "AP8K")

    def test_over_http2(self) -> None:
        """The same over HTTP/2: the trailers are in the body there, too."""
        wire = self.http2(self.web)
        body = frame(Message(number=7).SerializeToString())
        found = wire.ask(f"/{SERVICE}/Unary", "POST", [("content-type", BINARY)], body=body)
        answer = Answer(found.status, dict(found.headers), found.body)
        self.assertEqual((Message.FromString(answer.messages[0]).number, answer.trailers["grpc-status"]), (7, "0"))
        self.assertEqual(found.trailers, [])

    def test_server_streaming(self) -> None:
        """Each message is there when it was sent, not when the stream ends."""
        for kind in (BINARY, TEXT):
            with self.subTest(kind=kind):
                connection = http.client.HTTPConnection("127.0.0.1", self.web.port("web"), timeout=20)
                body = frame(Order(id=f"drip{kind}", seconds=0.2, size=10).SerializeToString())
                sent = base64.b64encode(body) if kind == TEXT else body
                connection.request("POST", f"/{SERVICE}/Drip", sent, {"content-type": kind, "accept": kind})
                response = connection.getresponse()
                times, seen = [], b""
                while len(times) < 4:
                    seen += response.read1(65536)
                    whole = untext(seen) if kind == TEXT else seen
                    times += [time.monotonic()] * (len(list(frames(whole))) - len(times))
                self.assertGreater(times[3] - times[0], 0.4)
                connection.close()

    def test_many_messages(self) -> None:
        for kind in (BINARY, TEXT):
            answer = self.post("Produce", Order(size=1_000_000, piece=7_777), kind)
            size = sum(len(Message.FromString(message).body) for message in answer.messages)
            self.assertEqual((size, len(answer.messages), answer.code), (1_000_000, 129, "0"))

    def test_errors(self) -> None:
        """From the server in head or trailers, from the gateway in the head; HTTP 200 all of them."""
        for kind in (BINARY, TEXT):
            answer = self.post("Fail", Order(code=9), kind)
            self.assertEqual((answer.status, answer.code), (200, "9"))
            answer = self.post("Nothing", Order(), kind)
            self.assertEqual((answer.status, answer.code), (200, "12"))
            answer = self.post("Unary", Message(body=bytes(2_000_000)), kind)
            self.assertEqual((answer.status, answer.code), (200, "8"))
            self.assertEqual(answer.headers["grpc-message"], "grpc_message_too_large: Content Too Large")
            answer = self.post("Produce", Order(size=3_000_000, piece=2_000_000), kind)
            self.assertEqual((answer.status, answer.code), (200, "8"))

    def test_text_that_is_none(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port("web"), timeout=20)
        self.addCleanup(connection.close)
        connection.request("POST", f"/{SERVICE}/Unary", b"no base64!", {"content-type": TEXT})
        response = connection.getresponse()
        self.assertEqual((response.status, response.getheader("grpc-status")), (200, "13"))

    def test_deadline(self) -> None:
        begun = time.monotonic()
        answer = self.post("Hang", Order(id="web", seconds=30), grpc_timeout="500m")
        self.assertEqual((answer.status, answer.code), (200, "4"))
        self.assertLess(time.monotonic() - begun, 2.0)

    def test_deadline_inside_a_stream(self) -> None:
        """The stream ends in order: a trailer frame with the status."""
        for kind in (BINARY, TEXT):
            answer = self.post("Drip", Order(id="web2", seconds=0.1), kind, grpc_timeout="650m")
            self.assertEqual((answer.status, answer.trailers.get("grpc-status")), (200, "4"))
            self.assertGreater(len(answer.messages), 2)

    def test_an_upstream_that_is_not_there(self) -> None:
        gateway: Gateway = self.before(f"grpc://127.0.0.1:{free_port()}")
        answer = self.post("Unary", Message(), port=gateway.port("web"))
        self.assertEqual((answer.status, answer.code, answer.raw), (200, "14", b""))


class CorsTests(WebCase):
    def test_a_page(self) -> None:
        preflight = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-grpc-web,authorization",
            "Origin": ORIGIN,
        }
        response, body = self.get(self.web, f"/{SERVICE}/Unary", method="OPTIONS", **preflight)
        self.assertEqual((response.status, body), (204, b""))
        self.assertEqual(response.getheader("access-control-allow-origin"), ORIGIN)
        self.assertEqual(response.getheader("access-control-allow-headers"), "content-type, x-grpc-web, authorization")
        for method, code in (("Unary", "0"), ("Nothing", "12")):
            answer = self.post(method, Message(), Origin=ORIGIN)
            self.assertEqual((answer.code, answer.headers["access-control-allow-origin"]), (code, ORIGIN))
            self.assertIn("grpc-status", answer.headers["access-control-expose-headers"])

    def test_a_stranger(self) -> None:
        answer = self.post("Unary", Message(), Origin="https://evil.example")
        self.assertNotIn("access-control-allow-origin", answer.headers)


class EnvoyTests(WebCase):
    """The same bytes to Envoy's filter and to us: the same answers, byte by byte."""

    def test_the_same_answers(self) -> None:
        envoy = self.serve(EnvoyWeb(self.origin.port()))
        for method, message in (
            ("Unary", Message(text="hello", number=7)),
            ("Unary", Message()),
            ("Produce", Order(size=10_000, piece=999)),
            ("Fail", Order(code=9)),
            ("Nothing", Order()),
        ):
            for kind in ("application/grpc-web", BINARY, TEXT, TEXT + "+proto"):
                with self.subTest(method=method, kind=kind):
                    ours = self.post(method, message, kind, x_echo_a="1")
                    theirs = self.post(method, message, kind, port=envoy.port("web"), x_echo_a="1")
                    self.assertEqual(
                        (ours.status, ours.headers["content-type"]), (theirs.status, theirs.headers["content-type"])
                    )
                    self.assertEqual((ours.messages, ours.trailers), (theirs.messages, theirs.trailers))
                    if method != "Produce":
                        self.assertEqual(ours.raw, theirs.raw)
                    for name in ("grpc-status", "grpc-message", "x-echo-a"):
                        self.assertEqual(ours.headers.get(name), theirs.headers.get(name))
