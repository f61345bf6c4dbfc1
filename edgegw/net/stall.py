"""How much of what was written the peer has not taken yet: the measure of progress of a slow reader."""

from __future__ import annotations

import fcntl
import struct
import sys
from typing import Any

from twisted.protocols.tls import TLSMemoryBIOProtocol

_SIOCOUTQ = 0x5411 if sys.platform == "linux" else None

TAKEN = (0, 0)
"""The answer of `unsent` when the peer has everything."""


def unsent(transport: Any) -> tuple[int, int]:
    """Bytes waiting in the process and in the kernel's send queue; two equal readings mean that nothing moved.

    The kernel reports a socket writable only when a third of its buffer is free, which takes a slow but honest reader minutes; its
    queue length tells the truth. Elsewhere than on Linux only the first number is known.
    """
    while isinstance(transport, TLSMemoryBIOProtocol):
        transport = transport.transport
    waiting = getattr(transport, "unsent_bytes", None)
    queued = waiting() if waiting is not None else _stock_unsent(transport)
    if _SIOCOUTQ is None:
        return queued, 0
    try:
        return queued, int(struct.unpack("i", fcntl.ioctl(transport.getHandle().fileno(), _SIOCOUTQ, b"\0\0\0\0"))[0])
    except (OSError, ValueError, AttributeError):
        # No socket: not connected any more, or a transport that never had one.
        return queued, 0


def _stock_unsent(transport: Any) -> int:
    """The same of a `twisted.internet.abstract.FileDescriptor`, which keeps what it joined beside what came since."""
    joined = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return int(joined + getattr(transport, "_tempDataLen", 0))
