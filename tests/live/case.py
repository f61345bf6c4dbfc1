"""`LiveCase`: a test case for real servers; what it starts is stopped at the end, and shown if the test failed."""

import functools
import http.client
from collections.abc import Callable
from typing import TypeVar

from twisted.trial.unittest import SynchronousTestCase

from tests.live.process import Server
from tests.live.servers import Gateway

Started = TypeVar("Started", bound=Server)


class LiveCase(SynchronousTestCase):
    """Synchronous on purpose: the servers are other processes, and blocking sockets say exactly what came when."""

    timeout = 300

    failed = False

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)  # type: ignore[no-untyped-call]
        setattr(self, methodName, self._noting(getattr(self, methodName)))

    def _noting(self, method: Callable[[], None]) -> Callable[[], None]:
        """The test method, leaving a note when it fails: clean-ups are not told."""

        @functools.wraps(method)
        def noting() -> None:
            try:
                method()
            except BaseException:
                self.failed = True
                raise

        return noting

    def serve(self, server: Started) -> Started:
        """Start the server for the length of this test."""
        self.addCleanup(self._stop, server)
        return server.start()

    def _stop(self, server: Server) -> None:
        if self.failed:
            print(f"\n--- {self.id()}: {server!r}\n{server.tail()}")
        server.stop()

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
