"""Why a relay ends, which codes its two sides get, and what is reported of it.

| what happened | the side it happened on gets | the other side gets |
|---|---|---|
| a Close | the other side's answer; its own code back if none comes | the same code and reason, or none if it had none |
| frames that break RFC 6455 | 1002 | downstream 1011, upstream 1001 |
| text that is not UTF-8, data that do not inflate | 1007 | downstream 1011, upstream 1001 |
| a message or frame above its limit | 1009 | downstream 1011, upstream 1001 |
| messages above `rate` (downstream) | 1008 | upstream 1001 |
| lost without a Close, or no pong | nothing | downstream 1011, upstream 1001 |
| nothing for `idle` | 1001 | 1001 |
| drain | 1001 | 1001 |

1011 rather than 1014, which many peers take for a protocol error. 1005, 1006 and 1015 are never sent (RFC 6455 7.4.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
INVALID_PAYLOAD = 1007
POLICY = 1008
TOO_BIG = 1009
INTERNAL = 1011

CLOSE_S = 5.0
"""How long the closing handshake may take before both sides are closed anyway."""
CUT_S = 2.0
"""How long a side may take to close after that, before it is cut."""


class Cause(Enum):
    """What ended a connection."""

    CLOSED = "closed"
    FAILED = "failed"
    LOST = "lost"
    SILENT = "silent"
    RATE = "rate"
    IDLE = "idle"
    DRAINED = "drained"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class RelayOutcome:
    """How a connection ended.

    cause: what began it, and `by`: where: `downstream`, `upstream`, or `gateway`. code: of the Close that was received or sent
    there, None where there was none. seconds: from the first side to the last. messages_in, bytes_in: what came from downstream and
    was passed on, payload only (in a tunnel: bytes of any kind, and no messages); messages_out, bytes_out: the same from upstream.
    """

    cause: Cause
    by: str
    code: int | None
    seconds: float
    messages_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int
