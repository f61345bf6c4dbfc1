"""Probes by a connection: that it can be had, and what is said on it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from edgegw.runtime.wheel import Wheel
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.health.interfaces import ProbeFailed
from edgegw.upstream.health.settings import TcpProbeSettings, as_bytes

LARGEST = 65536
"""Bytes among which the expected ones must be."""
LINGER_S = 2.0
"""How long the end of the connection may take before it is cut."""


class TcpProbe:
    """Connects, with TLS if the endpoint's URL says so, says its words and waits for theirs."""

    def __init__(self, settings: TcpProbeSettings, wheel: Wheel) -> None:
        self._send = as_bytes(settings.send)
        self._expect = as_bytes(settings.expect)
        self._wheel = wheel

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> str:
        """`Probe`."""
        talk: Talk = await endpoint.probe_raw(lambda: Talk(self._send, self._expect, self._wheel))
        try:
            await talk.heard()
        except BaseException:
            talk.cut()
            raise
        talk.leave()
        return "answered" if self._expect else "connected"


class Talk(Protocol):
    """One connection of such a probe.

    Args:
        send, expect: may both be empty.
    """

    transport: Any

    def __init__(self, send: bytes, expect: bytes, wheel: Wheel) -> None:
        self._send = send
        self._expect = expect
        self._linger = wheel.deadline(self.cut)
        self._data = bytearray()
        self._lost = False
        self._outcome: ProbeFailed | bool = False
        self._waiting: Deferred[None] | None = None

    def heard(self) -> Deferred[None]:
        """Fires when what is expected came; at once when nothing is.

        Raises (through the Deferred):
            ProbeFailed: it did not.
        """
        waiting: Deferred[None] = Deferred(self._unwanted)
        self._waiting = waiting
        self._settle()
        return waiting

    def _unwanted(self, _: Deferred[None]) -> None:
        self._waiting = None

    def leave(self) -> None:
        """End the connection in an orderly way, soon."""
        if not self._lost:
            self._linger.set(LINGER_S)
            self.transport.loseConnection()

    def cut(self) -> None:
        """End it now."""
        if not self._lost:
            self.transport.abortConnection()

    def connectionMade(self) -> None:
        """Twisted: connected, and TLS established."""
        if self._send:
            self.transport.write(self._send)
        if not self._expect:
            self._decide(True)

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        if self._outcome:
            return
        # What was looked at before is not looked at again, but for its end.
        start = max(len(self._data) - len(self._expect) + 1, 0)
        self._data += data
        if self._data.find(self._expect, start, LARGEST) >= 0:
            self._decide(True)
        elif len(self._data) >= LARGEST:
            self._decide(ProbeFailed("what is expected is not in the first 64 KiB"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone."""
        self._lost = True
        self._linger.drop()
        if not self._outcome:
            self._decide(ProbeFailed("another answer" if self._data else "closed without an answer"))

    def _decide(self, outcome: ProbeFailed | bool) -> None:
        self._outcome = outcome
        self._data.clear()
        self._settle()

    def _settle(self) -> None:
        if self._waiting is None or not self._outcome:
            return
        waiting, self._waiting = self._waiting, None
        if isinstance(self._outcome, ProbeFailed):
            waiting.errback(self._outcome)
        else:
            waiting.callback(None)
