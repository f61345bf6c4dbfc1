"""A real Chromium over TLS: a page with 100 images, a WebSocket, an EventSource, gRPC-Web in every form."""

import base64
import json
from pathlib import Path
from typing import Any

from tests.live.grpc.probe_pb2 import Message, Order
from tests.live.process import Server, wait_until
from tests.live.protocols import NAME, Fronted, GrpcServer, WebSocketEcho
from tests.live.servers import Gateway, PythonOrigin, fetch, installed
from tests.live.sse import WebOrigin

API, FOREIGN = "api.example.com", "foreign.example.com"
PAGE = Path(__file__).with_name("page.html")
MESSAGE = Message(text="gr\u00fc\u00dfe", number=7)
SERVICE = "edgegw.live.v1.Probe"


class Chromium(Server):
    """A browser without a window that shows one page until it is stopped. Every name leads to this machine."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def command(self) -> list[str]:
        options = (
            "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-sync"
            " disable-component-update disable-dev-shm-usage ignore-certificate-errors remote-debugging-port=0"
        )
        flags = [f"--{option}" for option in options.split()]
        # The mock resolver only knows what is mapped, so nothing else is asked for.
        mapped = [
            "--no-proxy-server",
            "--host-resolver-rules=MAP *.example.com 127.0.0.1",
            f"--user-data-dir={self.folder}/profile",
        ]
        return [installed("chromium"), *flags, *mapped, self.url]

    def is_ready(self) -> bool:
        return True


def framed(message: Any) -> str:
    """A message as gRPC frames it, in base64."""
    body = message.SerializeToString()
    return base64.b64encode(b"\0" + len(body).to_bytes(4, "big") + body).decode()


class PageTests(Fronted):
    """One page that does everything, looked at from all sides."""

    secure = True

    def visit(self) -> tuple[dict[str, Any], Gateway, PythonOrigin]:
        """Show the page; its report, the gateway and the origin."""
        grpc, echo = self.serve(GrpcServer()), self.serve(WebSocketEcho())
        source = self.scratch / "page.html"
        origin = self.serve(WebOrigin(args=["--page", str(source)]))
        gateway = self.gateway(
            {
                "site": f'{{endpoints: ["http://127.0.0.1:{origin.port()}"]}}',
                "echo": f'{{endpoints: ["http://127.0.0.1:{echo.port()}"]}}',
                "grpc": f'{{endpoints: ["grpc://127.0.0.1:{grpc.port()}"]}}',
            },
            [
                f"{{name: ws, match: {NAME}/ws, to: echo}}",
                f"{{name: own, match: {NAME}/{SERVICE}/*, to: grpc}}",
                f"{{name: api, match: {API}/{SERVICE}/*, to: grpc, grpc: {{web: {{origins: ['*']}}}}}}",
                f"{{name: foreign, match: {FOREIGN}/{SERVICE}/*, to: grpc,"
                " grpc: {web: {origins: ['https://another.example.com']}}}",
                "{name: site, match: /**, to: site}",
            ],
        )
        port = gateway.port("tls")
        # The page names the gateway's port, which is known only now.
        setup = {
            "unary": framed(MESSAGE),
            "produce": framed(Order(size=300_000, piece=10_000)),
            "fail": framed(Order(id="plain", code=9)),
            "cross": f"https://{API}:{port}",
            "foreign": f"https://{FOREIGN}:{port}",
        }
        source.write_text(PAGE.read_text().replace("@{setup}", json.dumps(setup)))
        self.serve(Chromium(f"https://{NAME}:{port}/page"))
        said = wait_until(lambda: json.loads(fetch(origin.port(), "/_reports")[1]), "the page's report", 60)
        report: dict[str, Any] = json.loads(said[0])
        return report, gateway, origin

    def test_page(self) -> None:
        """All of it works; the page and its images on one HTTP/2 connection."""
        report, gateway, origin = self.visit()
        self.assertEqual(report["images"], {"loaded": 100, "protocols": ["h2"], "opened": 0})
        websocket = {
            "found": ["gr\u00fc\u00dfe", 100_000],
            "code": 3001,
            "reason": "enough",
            "wasClean": True,
            "protocol": "echo.v1",
        }
        self.assertEqual(report["websocket"], websocket)
        self.check_events(report["events"], origin)
        self.check_grpc_web(report)
        records = gateway.await_records(108)
        images = [record for record in records if record["path"].startswith("/image/")]
        self.assertEqual(len(images), 100)
        self.assertEqual({(record["protocol"], record["status"]) for record in images}, {("HTTP/2", 200)})
        self.assertNotIn("Traceback", gateway.log())

    def check_events(self, events: dict[str, Any], origin: PythonOrigin) -> None:
        """Each event came when it was sent, and closing the source reached the origin within a second."""
        self.assertEqual(events["numbers"], [1, 2, 3, 4, 5, 6])
        self.assertTrue(all(80 < apart < 600 for apart in events["apart"]), events)
        wait_until(lambda: json.loads(fetch(origin.port(), "/_left")[1]), "the origin saw the client leave", 3.0)

    def check_grpc_web(self, report: dict[str, Any]) -> None:
        """Binary and text, unary and streamed, a status, another origin that may call and one that may not."""
        body = MESSAGE.SerializeToString()
        unary = {"status": 200, "messages": 1, "size": len(body), "first": base64.b64encode(body).decode(), "code": "0"}
        self.assertEqual(report["unary"], {**unary, "type": "application/grpc-web+proto"})
        self.assertEqual(report["text"], {**unary, "type": "application/grpc-web-text+proto"})
        self.assertEqual(report["cross"], report["unary"])
        for name in ("stream", "textStream"):
            found = report[name]
            self.assertEqual((found["status"], found["messages"], found["code"]), (200, 30, "0"), name)
            self.assertEqual(found["size"], 30 * len(Message(body=bytes(10_000)).SerializeToString()))
        self.assertEqual((report["fails"]["status"], report["fails"]["code"]), (200, "9"))
        self.assertIn("error", str(report["foreign"]))
