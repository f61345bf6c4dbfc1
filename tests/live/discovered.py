"""What discovery is tried with: a DNS server whose records change, origins that say who they are, and what is asked about them."""

import contextlib
import http.server
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.live.case import LiveCase
from tests.live.control import control
from tests.live.load import Load
from tests.live.process import Server, free_port, wait_until
from tests.live.servers import ROOT, Gateway

TAKES_S = 0.005
"""What an origin takes for an answer, so that the load is modest and there is always something in flight."""


class DnsServer(Server):
    """`tests.live.dns_server`; `records(...)` changes what it says, from the next question on."""

    config = "zone.json"

    def __init__(self, **names: Any) -> None:
        super().__init__(json.dumps(names))
        self.port("dns")
        self.env["PYTHONPATH"] = str(ROOT)

    def command(self) -> list[str]:
        command = [sys.executable, "-u", "-m", "tests.live.dns_server", "--port", str(self.port("dns"))]
        return [*command, "--zone", str(self.config_path)]

    def records(self, **names: Any) -> None:
        """Say these from now on; nothing else is there."""
        self.write(json.dumps(names))


class _Listening(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Whoever asks may end its connection at any time."""


class Named:
    """An origin in this process that answers every request with its name; at any loopback address."""

    def __init__(self, name: str, host: str = "127.0.0.1", port: int = 0) -> None:
        said = name.encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                time.sleep(TAKES_S)
                self.send_response(200)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        self.name = name
        self.host = host
        self.port = port or free_port()
        self.url = f"http://{host}:{self.port}"
        self._server = _Listening((host, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class DiscoveryCase(LiveCase):
    """A gateway whose upstreams are found, and the origins that are. Where no upstream is named, the first one is meant."""

    gateway: Gateway

    def setUp(self) -> None:
        super().setUp()
        self.origins: dict[str, Named] = {}

    def origin(self, name: str, host: str = "127.0.0.1", port: int = 0) -> Named:
        """An origin that answers with this name."""
        origin = self.origins[name] = Named(name, host, port)
        self.addCleanup(origin.stop)
        return origin

    def answers(self, count: int, upstream: str = "") -> Counter[str]:
        """Who answered so many requests to a path of the upstream's name; statuses where nobody did."""
        answers = (self.get(self.gateway, f"/{upstream}") for _ in range(count))
        return Counter(body.decode() if response.status == 200 else str(response.status) for response, body in answers)

    def view(self, upstream: str = "") -> dict[str, Any]:
        """What `edgegw upstreams` says of it."""
        found: list[dict[str, Any]] = control(self.gateway, "upstreams")["upstreams"]
        return next(each for each in found if upstream in ("", each["name"]))

    def source(self, upstream: str = "") -> dict[str, Any]:
        """What is said of its discovery."""
        found: dict[str, Any] = self.view(upstream)["discovery"]
        return found

    def state(self) -> str:
        """Of its discovery: starting, from_disk, fresh, stale."""
        found: str = self.source()["state"]
        return found

    def endpoints(self, upstream: str = "") -> dict[str, dict[str, Any]]:
        """By URL."""
        return {each["name"]: each for each in self.view(upstream)["endpoints"]}

    def events(self, kind: str) -> list[str]:
        """The reasons of all events of a kind."""
        return [each["reason"] for each in control(self.gateway, "events")["events"] if each["kind"] == kind]

    def serves(self, *names: str, upstream: str = "", limit_s: float = 20.0) -> None:
        """Wait until these origins, and no others, may be chosen, and until each of them has answered; 503 if there is none.

        Answers alone say nothing of who may be chosen: clients beside us can take every turn of somebody else.
        """
        wanted = {self.origins[name].url for name in names}

        def chosen() -> bool:
            return wanted == {url for url, each in self.endpoints(upstream).items() if each["why"].startswith("chosen")}

        wait_until(chosen, f"{names} may be chosen, and no others", limit_s)
        heard: set[str] = set()

        def all_are_heard() -> bool:
            heard.update(self.answers(1, upstream))
            self.assertLessEqual(heard, set(names or ["503"]))
            return len(heard) == max(len(names), 1)

        wait_until(all_are_heard, f"each of {names} answers", limit_s)

    @contextlib.contextmanager
    def nothing_lost(self) -> Iterator[Load]:
        """Load while the block runs; every request is answered by one of the origins."""
        with Load(
            self.gateway.port(),
            ["/"],
            check=lambda answer: answer.status == 200 and answer.body.decode() in self.origins,
        ) as load:
            yield load
            wait_until(lambda: load.done > 100 or load.failed, "there was some load")
        self.assertEqual(dict(load.failed), {})

    def await_state(self, state: str, limit_s: float = 20.0) -> None:
        """Wait until the source is in it."""
        wait_until(lambda: self.state() == state, f"the source is {state}", limit_s)

    def await_failing(self, reason: str, limit_s: float = 20.0) -> None:
        """Wait until the source does not answer, with this among the reasons that are told."""
        wait_until(
            lambda: (said := self.source())["failing"] and reason in said["last_error"],
            f"it is told: {reason}",
            limit_s,
        )

    def age_s(self) -> float:
        """As a scrape shows it, which is up to a second old."""
        return self.gateway.metric("edgegw_discovery_age_seconds", upstream=self.view()["name"])

    def is_stale(self) -> None:
        """After three seconds; visibly."""
        self.await_state("stale", 30)
        wait_until(lambda: self.age_s() > 3, "its age is visible")

    def is_fresh(self) -> None:
        """Again, and visibly."""
        self.await_state("fresh", 40)
        wait_until(lambda: self.age_s() < 3, "its age is that of the last answer")
