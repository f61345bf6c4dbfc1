"""How much nonsense a peer may send before it is told to calm down (reference/trust.md A4 H1 to H7).

Two token buckets a connection. Resets: streams that the peer opens and drops, or makes us drop (CVE-2023-44487, CVE-2025-8671).
Noise: frames that cost work and carry nothing. What comes with real traffic is not noise: WINDOW_UPDATE in proportion to what was
sent, and a PING for each frame of data sent, as gRPC measures its round trips with.
"""

from __future__ import annotations

from edgegw.wire.http2_frames import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ConnectionFault,
)
from edgegw.wire.http2_limits import ErrorCode, Http2Limits

_FREE_UPDATES = 5
_UPDATES_A_STREAM = 2
_UPDATES_A_FRAME = 10
_MINUTE_S = 60.0


class Glitches:
    """The two buckets of one connection. total: glitches so far, for metrics. now_s: to be set before anything is counted."""

    __slots__ = ("_limits", "_noise", "_noise_at_s", "_pings", "_resets", "_resets_at_s", "_updates", "now_s", "total")

    def __init__(self, limits: Http2Limits) -> None:
        self._limits = limits
        self.total = 0
        self.now_s = 0.0
        self._resets = float(limits.reset_burst)
        self._noise = float(limits.noise)
        self._resets_at_s = self._noise_at_s = 0.0
        self._updates = self._pings = 0

    def reset(self) -> None:
        """A stream was reset by the peer, or because of it.

        Raises:
            ConnectionFault: once too often.
        """
        limits = self._limits
        level = self._resets + (self.now_s - self._resets_at_s) * limits.reset_rate
        self._resets_at_s = self.now_s
        self._resets = min(float(limits.reset_burst), level) - 1
        self.total += 1
        if self._resets < 0:
            raise _flood(RST_STREAM)

    def noise(self, kind: int) -> None:
        """A frame of this type that carried nothing.

        Raises:
            ConnectionFault: once too often.
        """
        most = float(self._limits.noise)
        level = self._noise + (self.now_s - self._noise_at_s) * most / _MINUTE_S
        self._noise_at_s = self.now_s
        self._noise = min(most, level) - 1
        self.total += 1
        if self._noise < 0:
            raise _flood(kind)

    def window_update(self, streams: int, frames: int) -> None:
        """A WINDOW_UPDATE; streams: opened so far, frames: of data sent so far.

        Raises:
            ConnectionFault: once too often.
        """
        self._updates += 1
        if self._updates > _FREE_UPDATES + _UPDATES_A_STREAM * streams + _UPDATES_A_FRAME * frames:
            self.noise(WINDOW_UPDATE)

    def ping(self, frames: int) -> None:
        """A PING; frames: of data sent so far.

        Raises:
            ConnectionFault: once too often.
        """
        self._pings += 1
        if self._pings > frames:
            self.noise(PING)


def _flood(kind: int) -> ConnectionFault:
    reason = {
        DATA: "h2_empty_data_flood",
        HEADERS: "h2_closed_stream_flood",
        PRIORITY: "h2_priority_flood",
        RST_STREAM: "h2_reset_flood",
        SETTINGS: "h2_settings_flood",
        PING: "h2_ping_flood",
        WINDOW_UPDATE: "h2_window_update_flood",
        CONTINUATION: "h2_continuation_flood",
    }.get(kind, "h2_unknown_frame_flood")
    return ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, reason, "more of them than the connection's budget")
