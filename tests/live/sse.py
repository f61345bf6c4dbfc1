"""`WebOrigin`, the origin of event streams and pages, and `events`, a reader that notes when each event came."""

import json
import sys
import time

from tests.live.servers import PythonOrigin, fetch
from tests.live.wire import Wire


class WebOrigin(PythonOrigin):
    """`tests.live.web_origin`."""

    def command(self) -> list[str]:
        return [sys.executable, "-u", "-m", "tests.live.web_origin", "--port", str(self.port())]

    def left(self) -> list[float]:
        """How long ago each event stream saw its client leave, seconds."""
        found: list[float] = json.loads(fetch(self.port(), "/_left")[1])
        return found


def read_events(wire: Wire, count: int) -> list[float]:
    """Read so many events of a chunked stream whose head was read; how late each came after it was sent, seconds."""
    late, pending = [], b""
    while len(late) < count:
        size = int(wire.line().split(";")[0], 16)
        assert size, "the stream ended"
        pending += b"".join(wire._exactly(size))
        wire.line()
        while b"\n\n" in pending:
            event, _, pending = pending.partition(b"\n\n")
            sent = float(event.split(b"data: ")[1].split()[1])
            late.append(time.time() - sent)
    return late
