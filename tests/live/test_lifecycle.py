"""Start, stop and the limits of a process: drain, signals, descriptors, caps, slow peers, every loop."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.live.case import LiveCase
from tests.live.process import accepts, free_port, wait_until
from tests.live.servers import ROOT, Gateway, PythonOrigin, fetch, proxy
from tests.live.wire import Wire

TWISTD = str(Path(sys.executable).with_name("twistd"))
RESPOND = "{match: /**, respond: {status: 200, body: ok}}"


class DrainTests(LiveCase):
    """SIGTERM (R13)."""

    def test_two_hundred_in_flight(self) -> None:
        """Not ready at once, alive to the end, 200 of 200 complete with `Connection: close`, exit status 0."""
        origin = self.serve(PythonOrigin())
        text = proxy(origin.port()).replace("lame_duck: 0s", "lame_duck: 1s")
        gateway = self.serve(Gateway(text))
        wires = [self.wire(gateway) for _ in range(200)]
        idle = self.wire(gateway)
        self.assertEqual(idle.ask("/echo").status, 200)
        origin.reset()
        for wire in wires:
            wire.request("/slow?s=3")
        wait_until(lambda: len(origin.raw()) == 200, "200 requests reached the origin")
        gateway.signal(signal.SIGTERM)
        wait_until(lambda: gateway.observe("/readyz")[0] == 503, "/readyz says 503", 1.0)
        self.assertEqual(gateway.observe("/livez")[0], 200)
        # Load balancers need a while to notice: until then new connections are served.
        self.assertEqual(self.wire(gateway).ask("/echo").status, 200)
        wait_until(lambda: not accepts(gateway.port()), "nothing more is accepted", 3.0)
        answers = [wire.read() for wire in wires]
        self.assertEqual([answer.status for answer in answers], [200] * 200)
        self.assertEqual([answer.closes for answer in answers], [True] * 200)
        self.assertTrue(idle.at_end())
        self.assertEqual(gateway.wait_exit(10), 0)
        self.assertEqual(len([record for record in gateway.access_records() if record["complete"]]), 202)
        self.assertNotIn("Traceback", gateway.log())

    def test_ends_as_soon_as_it_can(self) -> None:
        """With nothing in flight, idle keep-alive connections hold nobody up."""
        origin = self.serve(PythonOrigin())
        gateway = self.serve(Gateway(proxy(origin.port())))
        idle = [self.wire(gateway) for _ in range(5)]
        for wire in idle[:3]:
            wire.ask("/echo")
        began = time.monotonic()
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait_exit(5), 0)
        self.assertLess(time.monotonic() - began, 2.0)
        self.assertTrue(all(wire.at_end() for wire in idle))

    def test_grace_ends(self) -> None:
        """What takes longer than the grace is cut, and the process ends."""
        origin = self.serve(PythonOrigin())
        gateway = self.serve(Gateway(proxy(origin.port()).replace("grace: 10s", "grace: 1s")))
        stuck, upload = self.wire(gateway), self.wire(gateway)
        stuck.request("/slow?s=30")
        upload.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc")
        wait_until(lambda: gateway.metric("edgegw_requests_in_flight", route="all") == 2, "both are in flight")
        began = time.monotonic()
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait_exit(10), 0)
        self.assertLess(time.monotonic() - began, 4.0)
        self.assertEqual(stuck.rest(), b"")

    def test_second_signal_ends_at_once(self) -> None:
        """Whoever signals twice means it."""
        origin = self.serve(PythonOrigin())
        text = proxy(origin.port()).replace("lame_duck: 0s, grace: 10s", "lame_duck: 30s, grace: 30s")
        gateway = self.serve(Gateway(text))
        wire = self.wire(gateway)
        wire.request("/slow?s=20")
        wait_until(lambda: gateway.metric("edgegw_requests_in_flight", route="all") == 1, "the request is in flight")
        gateway.signal(signal.SIGTERM)
        wait_until(lambda: gateway.observe("/readyz")[0] == 503, "the drain has begun")
        began = time.monotonic()
        gateway.signal(signal.SIGTERM)
        gateway.wait_exit(5)
        self.assertLess(time.monotonic() - began, 2.0)

    def test_interrupt(self) -> None:
        """Ctrl-C is SIGINT: the same drain, status 0."""
        gateway = self.serve(Gateway(proxy(more=RESPOND)))
        gateway.signal(signal.SIGINT)
        self.assertEqual(gateway.wait_exit(5), 0)

    def test_killed_and_started_again(self) -> None:
        """After kill -9 the same configuration starts at once: nothing stale is in the way, the control socket included."""
        gateway = self.serve(Gateway(proxy(more=RESPOND)))
        gateway.kill()
        gateway.start()
        self.assertEqual(fetch(gateway.port(), "/"), (200, b"ok"))


class LimitedGateway(Gateway):
    """A gateway that may have so many descriptors and no more."""

    descriptors_limit = 64

    def command(self) -> list[str]:
        return ["prlimit", f"--nofile={self.descriptors_limit}:{self.descriptors_limit}", *super().command()]


class TightGateway(LimitedGateway):
    descriptors_limit = 34


class CapTests(LiveCase):
    """What a listener may hold."""

    def flood(self, gateway: Gateway, count: int) -> list[Wire]:
        """So many connections, as far as the kernel takes them."""
        wires = []
        for _ in range(count):
            wires.append(self.wire(gateway))
        return wires

    def check_limited(self, gateway: Gateway, *, reason: str, probes: bool) -> None:
        """120 peers come: who was there is served, the loop rests, and those who waited are served when others leave."""
        served = self.wire(gateway)
        self.assertEqual(served.ask("/").status, 200)
        wires = self.flood(gateway, 120)
        began, cpu = time.monotonic(), gateway.cpu_s()
        while time.monotonic() - began < 2.0:
            self.assertEqual(served.ask("/").status, 200)
            if probes:
                self.assertEqual(gateway.observe("/livez")[0], 200, "the probe has a reserve")
            time.sleep(0.2)
        self.assertLess((gateway.cpu_s() - cpu) / (time.monotonic() - began), 0.2, "the loop is busy with nothing")
        for wire in wires[:115]:
            wire.close()
        for wire in wires[115:]:
            self.assertEqual(wire.ask("/").status, 200)
        self.assertEqual(self.wire(gateway).ask("/").status, 200)
        self.assertGreater(gateway.metric("edgegw_connections_rejected_total", reason=reason), 0)
        self.assertNotIn("Traceback", gateway.log())

    def test_connections_fill_up(self) -> None:
        """With 64 descriptors accepting pauses before they run out (R11); the probes' reserve is left alone."""
        self.check_limited(self.serve(LimitedGateway(proxy(more=RESPOND))), reason="connections", probes=True)

    def test_descriptors_run_out(self) -> None:
        """With so few descriptors that accept() itself fails (EMFILE): the same, but nothing is left for probes."""
        self.check_limited(self.serve(TightGateway(proxy(more=RESPOND))), reason="descriptors", probes=False)

    def test_soft_limit_is_raised(self) -> None:
        """The soft file limit is raised to the hard one at start."""
        gateway = self.serve(SoftGateway(proxy(more=RESPOND)))
        self.assertEqual(gateway.metric("edgegw_process_max_fds"), 2048)

    def test_own_cap(self) -> None:
        """`caps: {connections: N}`: the next one waits in the backlog until there is room."""
        gateway = self.serve(Gateway(proxy(more=RESPOND, listen="caps: {connections: 3}")))
        wires = self.flood(gateway, 3)
        for wire in wires:
            self.assertEqual(wire.ask("/").status, 200)
        fourth = self.wire(gateway, timeout_s=0.5)
        fourth.request("/")
        self.assertRaises(TimeoutError, fourth.read)
        wires[0].close()
        fourth.socket.settimeout(10)
        self.assertEqual(fourth.read().status, 200)

    def test_per_client(self) -> None:
        """`per_client`: one address holds so many and no more; closing one makes room; trusted proxies do not count."""
        gateway = self.serve(Gateway(proxy(more=RESPOND, listen="caps: {per_client: 5}")))
        wires = self.flood(gateway, 5)
        for wire in wires:
            self.assertEqual(wire.ask("/").status, 200)
        self.assertTrue(self.wire(gateway).at_end())
        wait_until(
            lambda: gateway.metric("edgegw_connections_rejected_total", reason="per_client") >= 1, "it was counted"
        )
        wires.pop().close()
        wait_until(lambda: _served(gateway), "there is room again")
        trusting = self.serve(
            Gateway(proxy(more=RESPOND, listen="caps: {per_client: 2}, trusted_proxies: [127.0.0.0/8]"))
        )
        self.assertEqual([wire.ask("/").status for wire in self.flood(trusting, 6)], [200] * 6)

    def test_requests_per_connection(self) -> None:
        """The last answer that a connection may carry says so."""
        gateway = self.serve(Gateway(proxy(more=RESPOND, listen="caps: {requests: 3}")))
        wire = self.wire(gateway)
        self.assertEqual([wire.ask("/").closes for _ in range(3)], [False, False, True])
        self.assertTrue(wire.at_end())


class SoftGateway(Gateway):
    def command(self) -> list[str]:
        return ["prlimit", "--nofile=512:2048", *super().command()]


def _served(gateway: Gateway) -> bool:
    try:
        with Wire(gateway.port()) as wire:
            return wire.ask("/").status == 200
    except (OSError, AssertionError):
        return False


class SlowPeerTests(LiveCase):
    """Peers that take their time (trust.md A5), with short deadlines."""

    CAPS = "caps: {head_deadline: 1s, idle: 1s, body_gap: 1s, body_rate: 1000, body_rate_after: 2s, write_gap: 1s}"

    def start(self) -> Gateway:
        origin = self.serve(PythonOrigin())
        return self.serve(Gateway(proxy(origin.port(), listen=self.CAPS)))

    def trickle(self, wire: Wire, piece: bytes, pause_s: float) -> None:
        """Send the piece again and again until the gateway has had enough; at most 15 s."""
        done = threading.Event()

        def run() -> None:
            while not done.wait(pause_s) and wire.try_send(piece):
                pass

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 5)
        self.addCleanup(done.set)

    def test_slowloris(self) -> None:
        """300 peers that send a header line now and then: 408 at the head deadline, whatever they send; others are served."""
        gateway = self.start()
        wires = [self.wire(gateway) for _ in range(300)]
        began = time.monotonic()
        for wire in wires:
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        self.assertEqual(self.wire(gateway).ask("/echo").status, 200)
        for wire in wires[:5]:
            self.trickle(wire, b"X: a\r\n", 0.2)
        answers = [wire.read() for wire in wires]
        self.assertLess(time.monotonic() - began, 4.0)
        self.assertEqual([(answer.status, answer.closes) for answer in answers], [(408, True)] * 300)
        wait_until(lambda: gateway.metric("edgegw_connections") == 0, "all of them are gone")
        self.assertEqual(gateway.metric("edgegw_rejections_total", reason="head_timeout"), 300)

    def test_idle(self) -> None:
        """A connection that asks nothing is closed without a word, before the first request and after one."""
        gateway = self.start()
        silent, served = self.wire(gateway), self.wire(gateway)
        self.assertEqual(served.ask("/echo").status, 200)
        began = time.monotonic()
        self.assertTrue(silent.at_end())
        self.assertTrue(served.at_end())
        self.assertLess(time.monotonic() - began, 3.0)

    def test_body_that_stops(self) -> None:
        """408 when a body stands still; the origin's connection does not wait for it."""
        gateway = self.start()
        wire = self.wire(gateway)
        wire.send(b"POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
        answer = wire.read("POST")
        self.assertEqual((answer.status, answer.closes), (408, True))
        self.assertEqual(gateway.await_records(1)[0]["flag"], "body_timeout")
        wait_until(lambda: gateway.metric("edgegw_upstream_connections") == 0, "the upstream connection is closed")

    def test_body_that_trickles(self) -> None:
        """R.U.D.Y.: bytes keep coming, but too few of them."""
        gateway = self.start()
        wire = self.wire(gateway, timeout_s=20)
        wire.send(b"POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        self.trickle(wire, b"x", 0.1)
        self.assertEqual(wire.read("POST").status, 408)
        self.assertEqual(gateway.await_records(1)[0]["flag"], "body_too_slow")

    def test_reader_that_stops(self) -> None:
        """A peer that takes nothing of its answer is cut off; so is the upstream's connection."""
        gateway = self.start()
        wire = self.wire(gateway, receive_buffer=4096)
        wire.request("/bytes/100000000")
        record = gateway.await_records(1)[0]
        self.assertEqual((record["flag"], record["complete"]), ("write_timeout", False))
        wait_until(lambda: gateway.metric("edgegw_upstream_connections") == 0, "the upstream connection is closed")
        wire.socket.settimeout(5)
        self.assertLess(len(wire.rest()), 100_000_000)

    def test_slow_but_moving(self) -> None:
        """A body that keeps moving is never cut, though it takes longer than every deadline."""
        gateway = self.start()
        wire = self.wire(gateway)
        wire.send(b"POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Length: 6000\r\n\r\n")
        for _ in range(12):
            time.sleep(0.25)
            wire.send(b"x" * 500)
        self.assertEqual(wire.read("POST").status, 200)
        drip = self.wire(gateway).ask("/drip?n=5&s=0.6")
        self.assertEqual(drip.body.count(b"drop"), 5)


class StartTests(LiveCase):
    """Starting, and refusing to."""

    def run_gateway(self, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run twistd to its end, which it should reach on its own."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "edgegw.yaml")
            path.write_text(text)
            return subprocess.run(
                [TWISTD, "-n", "--pidfile=", "edgegw", "--config", str(path), *arguments],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

    def assert_refused(self, done: subprocess.CompletedProcess[str], *said: str) -> None:
        output = done.stdout + done.stderr
        self.assertEqual(done.returncode, 1, output)
        for part in said:
            self.assertIn(part, output)
        self.assertNotIn("Traceback", output)

    def test_bad_configuration(self) -> None:
        """Every problem with file, line and column, no traceback, status 1."""
        text = "edgegw: 1\nlisten: [8080]\nroutes:\n  - {match: /a, to: nowhere, limt: 1}\n  - {match: '/{', respond: {}}\n"
        self.assert_refused(
            self.run_gateway(text),
            'edgegw.yaml:4:30: error: unknown key "limt"',
            'edgegw.yaml:4:21: error: upstream "nowhere" is not defined',
            "edgegw did not start.",
            "^^^^",
        )

    def test_no_configuration(self) -> None:
        """A file that is not there is named."""
        done = subprocess.run(
            [TWISTD, "-n", "--pidfile=", "edgegw", "--config", "/nowhere/x.yaml"],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False, cwd="/tmp",
        )  # fmt: skip
        self.assert_refused(done, "/nowhere/x.yaml")

    def test_port_in_use(self) -> None:
        """The listener is pointed at, and what to do about it is said."""
        origin = self.serve(PythonOrigin())
        text = f"edgegw: 1\nlisten:\n  - {{port: {origin.port()}, interface: 127.0.0.1}}\nroutes:\n  - {RESPOND}\n"
        self.assert_refused(self.run_gateway(text), "edgegw.yaml:3:5: error: cannot listen on", str(origin.port()))

    def test_observe_port_in_use(self) -> None:
        """The same for `observe.listen`."""
        origin = self.serve(PythonOrigin())
        text = f'edgegw: 1\nlisten: [{free_port()}]\nobserve: {{listen: "127.0.0.1:{origin.port()}"}}\nroutes:\n  - {RESPOND}\n'
        self.assert_refused(self.run_gateway(text), "edgegw.yaml:3:", str(origin.port()))

    def test_two_gateways_with_one_state(self) -> None:
        """A second gateway with the same state folder is refused; the first one lives on."""
        gateway = self.serve(Gateway(proxy(more=RESPOND)))
        text = f"edgegw: 1\nstate: {gateway.folder}/edgegw-state\nlisten: [{free_port()}]\nroutes:\n  - {RESPOND}\n"
        self.assert_refused(self.run_gateway(text), "state")
        self.assertEqual(fetch(gateway.port(), "/"), (200, b"ok"))

    def test_unknown_loop(self) -> None:
        """A wrong --loop names the right ones."""
        done = self.run_gateway(f"edgegw: 1\nlisten: [{free_port()}]\nroutes:\n  - {RESPOND}\n", "--loop", "quick")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("uvloop", done.stdout + done.stderr)


class LoopTests(LiveCase):
    """Every way to run it serves the same."""

    def check_serves(self, args: Sequence[str] = (), before: Sequence[str] = (), loop: str = "") -> Gateway:
        origin = self.serve(PythonOrigin())
        gateway = self.serve(Gateway(proxy(origin.port()), args=args, before=before))
        wire = self.wire(gateway)
        self.assertEqual(wire.ask("/echo").status, 200)
        self.assertEqual(wire.ask("/bytes/3000000").length, 3_000_000)
        self.assertEqual(wire.ask("/sha256", "PUT", b"x" * 300_000).status, 200)
        self.assertIn(loop, gateway.observe("/metrics")[1].split("edgegw_build_info{")[-1].split("\n")[0])
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait_exit(10), 0)
        self.assertNotIn("Traceback", gateway.log())
        return gateway

    def test_default(self) -> None:
        self.check_serves(loop="uvloop")

    def test_loop_asyncio(self) -> None:
        self.check_serves(["--loop", "asyncio"], loop="asyncio")

    def test_loop_epoll(self) -> None:
        self.check_serves(["--loop", "epoll"], loop="epoll")

    def test_stock_reactor(self) -> None:
        """A reactor that is named to twistd is respected."""
        self.check_serves(before=["--reactor", "epoll"], loop="epoll")

    def test_named_loop_reactor(self) -> None:
        """Ours under its own name."""
        self.check_serves(before=["--reactor", "uvloop"], loop="uvloop")

    def test_daemon(self) -> None:
        """Without -n: the process goes to the background, writes pid file and log, serves, and ends on SIGTERM."""
        gateway = Gateway(proxy(more=RESPOND))
        self.addCleanup(gateway.stop)
        folder = gateway.folder
        command = [
            TWISTD,
            f"--pidfile={folder}/pid",
            f"--logfile={folder}/log",
            "edgegw",
            "--config",
            str(gateway.config_path),
        ]
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        pid = wait_until(lambda: _pid(folder / "pid"), "the pid file is there")
        self.addCleanup(_kill, pid)
        wait_until(lambda: gateway.observe("/readyz")[0] == 200, "it serves")
        self.assertEqual(fetch(gateway.port(), "/"), (200, b"ok"))
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: gateway.metric("edgegw_config_reloads_total") >= 2, "SIGHUP reloads a daemon, too")
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the process ended")
        self.assertFalse((folder / "pid").exists())


def _pid(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _kill(pid: Any) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
