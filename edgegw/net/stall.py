"""How much of what was written the peer has not taken yet: the measure of progress of a slow reader."""

from __future__ import annotations

import fcntl
import struct
import sys
from typing import Any

_SIOCOUTQ = 0x5411 if sys.platform == "linux" else None


def unsent(transport: Any) -> tuple[int, int]:
    """Bytes waiting in the process and in the kernel's send queue; two equal readings mean that nothing moved.

    The kernel reports a socket writable only when a third of its buffer is free, which takes a slow but honest reader minutes; its
    queue length tells the truth. Elsewhere than on Linux only the first number is known.
    """
    while (inner := getattr(transport, "wrapped_transport", None) or _inner(transport)) is not None:
        transport = inner
    waiting = getattr(transport, "unsent_bytes", None)
    queued = waiting() if callable(waiting) else len(getattr(transport, "dataBuffer", b""))
    handle = getattr(transport, "getHandle", None)
    sock = handle() if handle is not None else None
    if sock is None or _SIOCOUTQ is None:
        return queued, 0
    try:
        return queued, int(struct.unpack("i", fcntl.ioctl(sock.fileno(), _SIOCOUTQ, b"\0\0\0\0"))[0])
    except (OSError, ValueError):
        return queued, 0


def _inner(transport: Any) -> Any:
    """What a TLS transport writes to."""
    return vars(transport).get("transport") if hasattr(transport, "factory") else None
