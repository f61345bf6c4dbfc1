"""An upstream peer that answers exactly the bytes a script says: garbage, cut messages, resets.

def script(call: Call) -> None:
    call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
    call.reset()

origin = ScriptedOrigin(script)          # .port, .calls: one a request, in order
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable


class Call:
    """One request that reached the origin. head: its bytes up to the empty line. connection: the number of its connection."""

    def __init__(self, peer: socket.socket, head: bytes, rest: bytes, connection: int) -> None:
        self.peer = peer
        self.head = head
        self.rest = rest
        self.connection = connection
        self.method, self.target = head.split(b" ", 2)[:2]
        self.closed = False

    def send(self, data: bytes) -> None:
        """Send exactly these bytes; a peer that left is none of the script's business."""
        with contextlib.suppress(OSError):
            self.peer.sendall(data)

    def ok(self, body: bytes = b"ok") -> None:
        """An ordinary answer that keeps the connection."""
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def close(self) -> None:
        """End the connection in order."""
        self.closed = True
        with contextlib.suppress(OSError):
            self.peer.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with a RST."""
        self.closed = True
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer.close()

    def body(self, size: int) -> bytes:
        """So many bytes of the request's body."""
        while len(self.rest) < size:
            more = self.peer.recv(65536)
            if not more:
                break
            self.rest += more
        found, self.rest = self.rest[:size], self.rest[size:]
        return found


class ScriptedOrigin:
    """Listens on a loopback port and calls the script for each request, one thread a connection. `stop` ends it."""

    def __init__(self, script: Callable[[Call], None]) -> None:
        self.script = script
        self.calls: list[Call] = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                self._peers.append(peer)
                self.connections += 1
                threading.Thread(target=self._serve, args=(peer, self.connections), daemon=True).start()

    def _serve(self, peer: socket.socket, number: int) -> None:
        pending = b""
        with contextlib.suppress(OSError), peer:
            while True:
                while b"\r\n\r\n" not in pending:
                    more = peer.recv(65536)
                    if not more:
                        return
                    pending += more
                head, _, pending = pending.partition(b"\r\n\r\n")
                call = Call(peer, head + b"\r\n", pending, number)
                self.calls.append(call)
                self.script(call)
                if call.closed:
                    return
                pending = call.rest

    def stop(self) -> None:
        """Close everything."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
