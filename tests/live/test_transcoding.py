"""gRPC-JSON transcoding and gRPC-Web in front of a real grpcio server: the same calls to Envoy and to us, the same answers."""

import base64
import functools
import http.client
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import google.api
import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from tests.live.case import LiveCase
from tests.live.process import Server, wait_until
from tests.live.servers import ROOT, Gateway, PythonOrigin
from tests.live.transcoding.calls import DIFFERENT, SAME, WITH_OPTIONS, Call
from tests.live.transcoding.envoy import Envoy
from tests.live.transcoding.server import DESCRIPTORS, message

OPTIONS: dict[str, Any] = {
    "always_print_primitive_fields": True,
    "preserve_proto_field_names": True,
    "always_print_enums_as_ints": True,
    "stream_newline_delimited": True,
}
MORE_OPTIONS: dict[str, Any] = {
    "convert_grpc_status": True,
    "ignore_unknown_query_parameters": True,
    "query_param_unescape_plus": True,
}


class GrpcServer(PythonOrigin):
    """`tests.live.transcoding.server`."""

    def command(self) -> list[str]:
        return [sys.executable, "-u", "-m", "tests.live.transcoding.server", "--port", str(self.port())]


def gateway(upstream: int, services: str = "[acme.Orders]", **options: Any) -> Gateway:
    """The gateway in front of a gRPC server on this port."""
    said = "".join(f", {name}: {str(value).lower()}" for name, value in options.items())
    return Gateway(f"""
        edgegw: 1
        shutdown: {{lame_duck: 0s, grace: 10s}}
        listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
        upstreams: {{orders: {{endpoints: ["grpc://127.0.0.1:{upstream}"]}}}}
        routes:
          - match: /**
            to: orders
            security_headers: false
            grpc: {{transcode: {{descriptors: {DESCRIPTORS}, services: {services}{said}}}}}
    """)


class Answer:
    """What is compared of an answer."""

    def __init__(self, server: Server, call: Call) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port(), timeout=20)
        connection.request(call.method, call.target, body=call.body, headers=call.headers)
        response = connection.getresponse()
        self.status = response.status
        self.body = response.read()
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        connection.close()

    @property
    def document(self) -> Any:
        """The body; JSON by what it says."""
        if self.headers.get("content-type") != "application/json":
            return self.body
        try:
            return json.loads(self.body)
        except ValueError:
            return [json.loads(line) for line in self.body.splitlines()]

    @property
    def whole(self) -> dict[str, Any]:
        names = ("content-type", "grpc-status", "grpc-message", "x-first")
        if self.status == 400 and "grpc-status" not in self.headers:
            # Refused before there was a call: who refuses says it in its own words.
            return {"status": 400}
        return {"status": self.status, "body": self.document, **{name: self.headers.get(name) for name in names}}


class TranscodingTests(LiveCase):
    """Envoy 1.40's grpc_json_transcoder beside us, with the same descriptors."""

    maxDiff = None

    def pair(self, **options: Any) -> tuple[Envoy, Gateway]:
        server = self.serve(GrpcServer())
        theirs: dict[str, Any] = {name: value for name, value in options.items() if name not in OPTIONS}
        theirs["print_options"] = {name: value for name, value in options.items() if name in OPTIONS}
        if "ignore_unknown_query_parameters" in theirs:
            theirs["request_validation_options"] = {}
        envoy = self.serve(Envoy(server.port(), str(DESCRIPTORS), theirs))
        return envoy, self.serve(gateway(server.port(), **options))

    def compare(self, calls: list[Call], envoy: Envoy, ours: Gateway) -> None:
        pairs = [(call, Answer(ours, call).whole, Answer(envoy, call).whole) for call in calls]
        self.assertEqual([pair for pair in pairs if pair[1] != pair[2]], [])
        # Most of them are answers, not refusals.
        self.assertGreater(sum(pair[1]["status"] == 200 for pair in pairs), len(pairs) / 2)

    def test_the_same_answers(self) -> None:
        envoy, ours = self.pair()
        self.compare(SAME, envoy, ours)

    def test_the_same_answers_with_every_option(self) -> None:
        envoy, ours = self.pair(**OPTIONS, **MORE_OPTIONS)
        self.compare(WITH_OPTIONS, envoy, ours)

    def test_other_answers_on_purpose(self) -> None:
        """Each with its reason beside it; when Envoy changes its mind, this fails."""
        envoy, ours = self.pair()
        for call, our_answer, their_answer in DIFFERENT:
            with self.subTest(call=call):
                for server, expected in ((ours, our_answer), (envoy, their_answer)):
                    answer = Answer(server, call)
                    got = answer.document if isinstance(expected[1], dict | list) else None
                    self.assertEqual((answer.status, got), expected, (call, answer.body[:200]))

    def test_trailers_over_http2(self) -> None:
        """What a stream's end has to say when its head is gone."""
        envoy, ours = self.pair()
        for target in ("/v1/orders:watch?small=2", "/v1/fail/3/later?message=late&after=2", "/v1/pieces/a?small=2"):
            ends = [self.h2_trailers(server, target) for server in (ours, envoy)]
            with self.subTest(target=target):
                self.assertEqual(ends[0], ends[1])
                self.assertIn(b"grpc-status", ends[0])

    def h2_trailers(self, server: Server, target: str) -> bytes:
        """Whatever curl shows behind the body."""
        url = f"http://127.0.0.1:{server.port()}{target}"
        shown = self.curl("-i", "--http2-prior-knowledge", url).stdout
        body = self.curl("--http2-prior-knowledge", url).stdout
        self.assertIn(body, shown)
        return shown.rpartition(body)[2].strip()

    def test_parts_of_answers(self) -> None:
        """`response_body` of any field, which Envoy refuses to load."""
        server = self.serve(GrpcServer())
        ours = self.serve(gateway(server.port(), "[acme.Orders, acme.Parts]"))
        for target, document, expected in (
            ("/v1/answer/tags", {"tags": ["a"]}, ["a"]),
            ("/v1/answer/tags", {}, []),
            ("/v1/answer/child", {"child": {"text": "a"}}, {"text": "a"}),
            ("/v1/answer/small", {"small": 3}, 3),
            ("/v1/answer/counts", {"counts": {"a": 1}}, {"a": 1}),
        ):
            with self.subTest(target=target, document=document):
                self.assertEqual(Answer(ours, Call("POST", target, json.dumps(document))).document, expected)
        self.assertEqual(Answer(ours, Call("GET", "/v1/watch/tags?small=2&tags=a")).document, [["a"], ["a"]])

    def test_elements_come_one_by_one(self) -> None:
        """The first one is here while the server still waits to send the next."""
        server = self.serve(GrpcServer())
        ours = self.serve(gateway(server.port()))
        connection = http.client.HTTPConnection("127.0.0.1", ours.port(), timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", "/v1/orders:watch?small=3&text=hold")
        response = connection.getresponse()
        first = response.read1(1000)
        self.assertEqual(first, b'[{"text":"hold","small":3}')
        Answer(ours, Call("GET", "/v1/orders/release"))
        self.assertEqual([each.get("big") for each in json.loads(first + response.read())], [None, "1", "2"])

    def test_grpc_on_the_same_route(self) -> None:
        """What is gRPC already is not touched."""
        server = self.serve(GrpcServer())
        ours = self.serve(gateway(server.port()))
        with grpc.insecure_channel(f"127.0.0.1:{ours.port()}") as channel:
            order = message("acme.Order")
            call = channel.unary_unary("/acme.Orders/Get", lambda asked: asked.SerializeToString(), order.FromString)
            self.assertEqual(call(order(text="x", small=3), timeout=10), order(text="x", small=3))

    def test_descriptors_are_those_of_the_proto(self) -> None:
        """orders.pb is what protoc makes of orders.proto, by the command that it begins with."""
        made = Path(self.mktemp())
        folder, roots = DESCRIPTORS.parent, str(Path(google.api.__path__[0]).parent.parent)
        protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(folder), "-I", roots, "--include_imports"]
        subprocess.run([*protoc, "--descriptor_set_out", str(made), "orders.proto"], check=True, timeout=60)
        self.assertEqual(self.own_file(made), self.own_file(DESCRIPTORS))

    def own_file(self, path: Path) -> FileDescriptorProto:
        (own,) = (file for file in FileDescriptorSet.FromString(path.read_bytes()).file if file.name == "orders.proto")
        return own

    def test_descriptors_that_change(self) -> None:
        """They are watched; what is wrong with them is told with its place, and the old ones stay."""
        server = self.serve(GrpcServer())
        ours = gateway(server.port())
        copy = ours.folder / "api.pb"
        copy.write_bytes(DESCRIPTORS.read_bytes())
        ours.write(ours.config_path.read_text().replace(str(DESCRIPTORS), "api.pb"))
        self.serve(ours)
        self.assertEqual(Answer(ours, Call("GET", "/v1/orders/x")).status, 200)
        copy.write_bytes(b"nonsense")
        check = [sys.executable, "-m", "edgegw.cli", "check", str(ours.config_path)]
        done = subprocess.run(check, capture_output=True, text=True, timeout=60, cwd=ROOT)
        self.assertEqual(done.returncode, 1, done.stderr)
        said = done.stdout + done.stderr
        self.assertRegex(said, r"edgegw\.yaml:\d+:\d+: error: .*api\.pb is not a FileDescriptorSet")
        wait_until(lambda: "api.pb is not a FileDescriptorSet" in ours.log(), "the change was seen")
        self.assertEqual(Answer(ours, Call("GET", "/v1/orders/x")).status, 200)
        copy.write_bytes(DESCRIPTORS.read_bytes().replace(b"/v1/orders/latest", b"/v2/orders/latest"))
        wait_until(lambda: Answer(ours, Call("GET", "/v2/orders/latest")).status == 200, "the new rules are in use")


def frame(encoded: bytes, flags: int = 0) -> bytes:
    return bytes([flags]) + len(encoded).to_bytes(4, "big") + encoded


def web_call(method: str, asked: Any, text: bool = False, more: bytes = b"") -> Call:
    """A gRPC-Web call of `acme.Orders`."""
    kind = "application/grpc-web-text+proto" if text else "application/grpc-web+proto"
    body = frame(asked.SerializeToString()) + more
    return Call(
        "POST",
        f"/acme.Orders/{method}",
        base64.b64encode(body) if text else body,
        {"content-type": kind, "accept": kind, "x-grpc-web": "1"},
    )


class GrpcWebTests(LiveCase):
    """Envoy 1.40's grpc_web filter beside us."""

    def answers(self, call: Call) -> list[dict[str, Any]]:
        return [self.read(Answer(server, call), call) for server in self.servers]

    def read(self, answer: Answer, call: Call) -> dict[str, Any]:
        body = answer.body
        if "text" in call.headers["content-type"]:
            # Padded pieces, one behind the other.
            body = b"".join(base64.b64decode(body[at : at + 4], validate=True) for at in range(0, len(body), 4))
        frames = []
        while body:
            size = 5 + int.from_bytes(body[1:5], "big")
            content = body[5:size]
            frames.append((body[0], sorted(content.split(b"\r\n")) if body[0] == 0x80 else content))
            body = body[size:]
        names = ("content-type", "grpc-status", "grpc-message", "x-first")
        return {"status": answer.status, "frames": frames, **{name: answer.headers.get(name) for name in names}}

    def test_the_same_answers(self) -> None:
        server = self.serve(GrpcServer())
        self.servers = (self.serve(gateway(server.port())), self.serve(Envoy(server.port(), str(DESCRIPTORS))))
        order, failure = message("acme.Order"), message("acme.Failure")
        binary = functools.partial(web_call, text=False)
        textual = functools.partial(web_call, text=True)
        for make, (name, asked) in itertools.product(
            (binary, textual),
            (
                ("Get", order(text="x", small=3)),
                ("Get", order()),
                ("Get", order(text="x" * 100_000)),
                ("Watch", order(small=3)),
                ("Watch", order(small=0)),
                ("Fail", failure(code=5, message="no such \u00f6")),
                ("Fail", failure(code=13, message="rich", details=True)),
                ("FailLater", failure(code=3, message="late", after=2)),
                ("FailLater", failure(code=3, message="late")),
                ("NoSuch", order()),
            ),
        ):
            call = make(name, asked)
            with self.subTest(method=name, kind=call.headers["content-type"], asked=str(asked)[:60]):
                ours, theirs = self.answers(call)
                self.assertEqual(ours, theirs, call)
