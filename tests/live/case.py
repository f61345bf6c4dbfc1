"""`LiveCase`: a test case for real servers; what it starts is stopped at the end, and shown if the test failed."""

import contextlib
import functools
import http.client
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from tests.live.process import Server
from tests.live.scripted import Call, ScriptedOrigin
from tests.live.servers import Gateway
from tests.live.wire import Wire

Started = TypeVar("Started", bound=Server)


def _noting(method: Callable[..., None]) -> Callable[..., None]:
    """The test method, leaving a note when it fails: clean-ups are not told."""

    @functools.wraps(method)
    def noting(self: "LiveCase") -> None:
        try:
            method(self)
        except BaseException:
            self.failed = True
            raise

    return noting


class LiveCase(SynchronousTestCase):
    """Synchronous on purpose: the servers are other processes, and blocking sockets say exactly what came when."""

    timeout = 300

    failed = False
    # Below the grace of 10 s that tests give, far above what a busy machine takes.
    stop_limit_s = 8.0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, method in list(vars(cls).items()):
            if name.startswith("test"):
                setattr(cls, name, _noting(method))

    def serve(self, server: Started) -> Started:
        """Start the server for the length of this test."""
        self.addCleanup(self._stop, server)
        return server.start()

    def _stop(self, server: Server) -> None:
        if self.failed:
            print(f"\n--- {self.id()}: {server!r}\n{server.tail()}")
        running = server.process is not None and server.process.poll() is None
        began = time.monotonic()
        server.stop(max(10.0, self.stop_limit_s))
        took = time.monotonic() - began
        # Grace is for what is in flight; a gateway that needs more than a moment in peace has forgotten something.
        if running and not self.failed and isinstance(server, Gateway):
            self.assertLess(took, self.stop_limit_s, f"{server!r} took {took:.1f} s to stop")

    def within(self, limit: float, measure: Callable[[], float]) -> None:
        """Check that one of three measurements is below the limit: a busy machine spoils one, what is slow all of them."""
        found: list[float] = []
        while not found or found[-1] >= limit:
            self.assertLess(len(found), 3, f"not below {limit:g}: {found}")
            found.append(measure())

    def get(
        self, gateway: Gateway, target: str, *, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request on a connection of its own to the port `web`; returns the response and its body.

        headers: `x_name="value"` becomes `x-name: value`.
        """
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port("web"), timeout=30)
        self.addCleanup(connection.close)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body=body, headers=fields)
        response = connection.getresponse()
        return response, response.read()

    def wire(self, server: Server, port: str = "web", **options: Any) -> Wire:
        """A raw connection to a port of the server, closed at the end of the test."""
        wire = Wire(server.port(port), **options)
        self.addCleanup(wire.close)
        return wire

    def scripted(self, script: Callable[[Call], None]) -> ScriptedOrigin:
        """An in-process origin that answers as the script says, stopped at the end of the test."""
        origin = ScriptedOrigin(script)
        self.addCleanup(origin.stop)
        return origin

    def curl(self, *arguments: str, limit_s: float = 60.0) -> subprocess.CompletedProcess[bytes]:
        """Run the real curl, without a progress meter and without anybody's configuration file."""
        return subprocess.run(["curl", "-q", "-sS", *arguments], capture_output=True, timeout=limit_s, check=False)

    @contextlib.contextmanager
    def peak_growth_below(self, server: Server, limit_kib: int) -> Iterator[None]:
        """Check that the server's resident memory never exceeded what it was before the block by more than so much."""
        before = server.rss_kib()
        server.reset_peak()
        yield
        growth = server.peak_kib() - before
        self.assertLess(growth, limit_kib, f"resident memory grew by {growth} KiB from {before} KiB")
