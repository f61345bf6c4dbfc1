"""Drill of clients that vanish (trust.md A7: R20): their cable is pulled, so nothing of them comes any more, not even an end."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import unittest

from tests.live.drill_case import DrillCase
from tests.live.process import Server, wait_until
from tests.live.servers import Gateway, PythonOrigin, proxy

CLIENTS = r"""
import socket, struct, sys, time
host, port = sys.argv[1], int(sys.argv[2])

def connect(buffer=0):
    peer = socket.socket()
    if buffer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    peer.connect((host, port))
    kept.append(peer)
    return peer

def ask(path, **options):
    peer = connect(**options)
    peer.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    return peer

kept = []
for _ in range(5):
    ask(b"/echo").recv(65536)                               # idle between requests
    connect()                                               # said nothing yet
    connect().sendall(b"GET /echo HT")                      # half a head
    connect().sendall(b"POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    ask(b"/bytes/50000000", buffer=4096).recv(1000)         # takes its answer slowly
    ask(b"/slow?s=1.5")                                     # waits for its answer
    connect().sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
print("connected", flush=True)
time.sleep(600)
"""
PER_ROUND, ROUNDS = 7, 5


class Cable(Server):
    """A network namespace behind a pair of virtual Ethernet ends, with clients in it. Needs root."""

    config = "clients.py"

    def __init__(self, port: int) -> None:
        super().__init__(CLIENTS)
        number = os.getpid() % 250 + 1
        self.ours, self.theirs = f"10.213.{number}.1", f"10.213.{number}.2"
        self.name, self.end, self.far = f"edgegw-{os.getpid()}", f"eg{os.getpid()}a", f"eg{os.getpid()}b"
        self.target = port

    def plug(self) -> None:
        """Raises SkipTest where that is not allowed."""
        try:
            self.ip("netns", "add", self.name)
            self.ip("link", "add", self.end, "type", "veth", "peer", "name", self.far, "netns", self.name)
        except (OSError, subprocess.CalledProcessError) as error:
            self.unplug()
            raise unittest.SkipTest(f"no network namespace here: {error}") from error
        self.ip("addr", "add", f"{self.ours}/30", "dev", self.end)
        self.ip("link", "set", self.end, "up")
        self.ip("-n", self.name, "addr", "add", f"{self.theirs}/30", "dev", self.far)
        self.ip("-n", self.name, "link", "set", self.far, "up")

    def pull(self) -> None:
        """From here on nothing passes, either way; then the clients die, and nobody hears it."""
        self.ip("-n", self.name, "link", "set", self.far, "down")
        self.kill()

    def unplug(self) -> None:
        """Take it away altogether."""
        for words in (("link", "del", self.end), ("netns", "del", self.name)):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                self.ip(*words)

    def ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)

    def command(self) -> list[str]:
        script = [sys.executable, "-u", str(self.config_path), self.ours, str(self.target)]
        return ["ip", "netns", "exec", self.name, *script]

    def is_ready(self) -> bool:
        return "connected" in self.log()


class HalfOpenTests(DrillCase):
    def test_descriptors_return(self) -> None:
        """Each kind of client that can vanish: after its deadline the gateway has as few descriptors as before."""
        origin = self.serve(PythonOrigin())
        caps = "caps: {head_deadline: 3s, idle: 3s, body_gap: 3s, write_gap: 3s}"
        text = proxy(origin.port(), listen=caps, upstream="pool: {idle_timeout: 500ms}").replace(
            "interface: 127.0.0.1, ", ""
        )
        gateway = self.serve(Gateway(text))
        self.assertEqual(self.wire(gateway).ask("/echo").status, 200)
        wait_until(lambda: gateway.metric("edgegw_connections") == 0, "nobody is connected")
        wait_until(lambda: gateway.metric("edgegw_upstream_connections") == 0, "the pool is empty")
        before = gateway.descriptors()
        cable = Cable(gateway.port())
        self.addCleanup(cable.unplug)
        cable.plug()
        self.serve(cable)
        wait_until(lambda: self.connections(gateway, cable) == PER_ROUND * ROUNDS, "all are connected")
        cable.pull()
        self.assertEqual(self.connections(gateway, cable), PER_ROUND * ROUNDS, "nobody can have noticed yet")
        # 3 s each, and as much again until it is found out that nobody takes an answer.
        wait_until(lambda: gateway.descriptors() <= before + 1, "the descriptors returned", 20)
        wait_until(lambda: gateway.metric("edgegw_connections") == 0, "nobody is connected")
        wait_until(lambda: gateway.metric("edgegw_requests_in_flight") == 0, "every exchange ended")
        self.assertEqual(self.wire(gateway).ask("/echo").status, 200)
        self.assertNotIn("Traceback", gateway.log())

    def connections(self, gateway: Gateway, cable: Cable) -> int:
        """How many the gateway's process has from there."""
        found = subprocess.run(
            ["ss", "-Htn", "dst", cable.theirs, "sport", "=", str(gateway.port())],
            capture_output=True,
            text=True,
            timeout=10,
        )
        return len(found.stdout.splitlines())

    def test_the_kernel_asks_whether_they_live(self) -> None:
        """Streams that are silent by agreement have no deadline: TCP keepalive after 60 s finds those that vanished."""
        gateway = self.gateway(self.serve(PythonOrigin()).port())
        wire = self.wire(gateway)
        self.assertEqual(wire.ask("/echo").status, 200)
        ours = wire.socket.getsockname()[1]
        said = subprocess.run(
            ["ss", "-Htno", "sport", "=", str(gateway.port()), "and", "dport", "=", str(ours)],
            capture_output=True, text=True, timeout=10,
        ).stdout  # fmt: skip
        timer = re.search(r"timer:\(keepalive,([\d.]+)(min|sec)", said)
        self.assertTrue(timer, said)
        assert timer is not None
        self.assertLessEqual(float(timer[1]) * (60 if timer[2] == "min" else 1), 61)
