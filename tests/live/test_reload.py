"""Reload under load: whatever the new configuration is like, nothing that serves stops serving."""

import json
import os
import shutil
import signal
import socket
from collections.abc import Callable

from tests.live.case import LiveCase
from tests.live.control import control, edgegw
from tests.live.load import Load
from tests.live.process import accepts, free_port, wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway, PythonOrigin, fetch, proxy

ROUNDS = 50
VERSION = "{match: /version, respond: {status: 200, body: 'VERSION'}}"
ENDLESS = "caps: {requests: 1000000}"


class ReloadCase(LiveCase):
    """A gateway whose configuration says its version at /version."""

    def setUp(self) -> None:
        self.origin = self.serve(PythonOrigin())

    def text(self, version: int, **more: str) -> str:
        more = {"listen": ENDLESS, **more}
        return proxy(self.origin.port(), more=VERSION.replace("VERSION", str(version)), **more)

    def serves(self, gateway: Gateway, version: int) -> bool:
        return fetch(gateway.port(), "/version") == (200, str(version).encode())


class HundredReloadsTests(ReloadCase):
    """Must show: 100 reloads, half of them broken."""

    def breakers(self) -> list[tuple[str, Callable[[str], str], str, str]]:
        """Name, what spoils a good text, the mark that must be pointed at, a part of the message."""
        taken = socket.create_server(("127.0.0.1", free_port()))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        listen = f"listen:\n  - {{port: {port}, interface: 127.0.0.1}}\n"
        return [
            ("bad YAML", lambda text: text + "  - {match: /x, to: [origin\n", "", "error"),
            ("unknown key", lambda text: text.replace("name: all", "nam: all"), "nam: all", 'did you mean "name"'),
            ("undefined upstream", lambda text: text.replace("to: origin", "to: orgin"), "orgin", 'upstream "orgin" is not'),
            (
                "bad certificate path",
                lambda text: text.replace("listen:\n", "listen:\n  - {port: 1, tls: {cert: no.pem, key: no.key}}\n"),
                "no.pem",
                "no.pem",
            ),
            ("port in use", lambda text: text.replace("listen:\n", listen), f"{{port: {port}", "cannot listen on"),
        ]  # fmt: skip

    def test_hundred_reloads_under_load(self) -> None:
        """0 lost requests, 0 dropped connections, 50 new versions served, 50 broken ones told with line and column."""
        gateway = self.serve(Gateway(self.text(0)))
        breakers = self.breakers()
        idle = self.wire(gateway)
        self.assertEqual(idle.ask("/echo").status, 200)
        with Load(gateway.port(), ["/echo", "/echo?x=1"], threads=3) as load:
            for version in range(1, ROUNDS + 1):
                gateway.write(self.text(version))
                verdict = control(gateway, "reload")
                self.assertTrue(verdict["ok"], verdict)
                self.assertTrue(self.serves(gateway, version), version)
                name, spoil, mark, said = breakers[version % len(breakers)]
                self.refused(gateway, name, gateway.fill(spoil(self.text(version))), mark, said)
                self.assertTrue(self.serves(gateway, version), f"{name}: the old configuration serves on")
            self.assertEqual(idle.ask("/echo").status, 200)
        self.assertEqual((dict(load.failed), load.dropped), ({}, 0))
        self.assertEqual(load.connections, 3, "keep-alive connections were dropped")
        self.assertGreater(load.done, 500)
        self.assertGreaterEqual(gateway.metric("edgegw_config_reloads_total", outcome="rejected"), ROUNDS)
        self.assertEqual(gateway.metric("edgegw_config_last_reload_successful"), 0)
        self.assertNotIn("Traceback", gateway.log())

    def refused(self, gateway: Gateway, name: str, text: str, mark: str, said: str) -> None:
        gateway.write(text)
        verdict = control(gateway, "reload")
        self.assertFalse(verdict["ok"], name)
        problem = next(each for each in verdict["problems"] if each["severity"] == "error")
        shown = f"{name}: {problem}"
        self.assertIn(
            said, f"{problem['message']} {problem['hint']}" + (problem["severity"] if not mark else ""), shown
        )
        if mark:
            at = text.index(mark)
            line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
            self.assertEqual((problem["line"], problem["column"]), (line, column), shown)
        else:
            # Where an unclosed bracket is noticed is the parser's affair; that it is near the end is not.
            self.assertGreaterEqual(problem["line"], text.count("\n"), shown)
            self.assertGreaterEqual(problem["column"], 1, shown)
        where = f"edgegw.yaml:{problem['line']}:{problem['column']}: error:"
        wait_until(lambda: where in gateway.log(), f"the log says {where}")

    def test_memory_and_descriptors_stay(self) -> None:
        """300 reloads leave nothing behind."""
        gateway = self.serve(Gateway(self.text(0)))

        def turn(count: int) -> None:
            for version in range(count):
                gateway.write(self.text(version))
                control(gateway, "reload")
                fetch(gateway.port(), "/echo")

        turn(100)
        descriptors, memory = gateway.descriptors(), gateway.rss_kib()
        turn(200)
        self.assertLessEqual(gateway.descriptors(), descriptors + 3)
        self.assertLess(gateway.rss_kib() - memory, 4096)


class SourceTests(ReloadCase):
    """Everything that makes the gateway read its configuration again."""

    def test_atomic_rename_and_rewrite(self) -> None:
        """The file watch sees a new file under the old name, and a file that is written in place."""
        gateway = self.serve(Gateway(self.text(0)))
        gateway.write(self.text(1))
        wait_until(lambda: self.serves(gateway, 1), "the renamed file is served")
        gateway.config_path.write_text(gateway.fill(self.text(2)))
        wait_until(lambda: self.serves(gateway, 2), "the rewritten file is served")

    def test_half_written_file(self) -> None:
        """A file that grows while it is watched is read when it is whole; at no time is anything else served."""
        gateway = self.serve(Gateway(self.text(0)))
        text = gateway.fill(self.text(3))
        with open(gateway.config_path, "w") as config:
            for character in text[:-1]:
                config.write(character)
                config.flush()
            self.assertTrue(self.serves(gateway, 0) or self.serves(gateway, 3))
            config.write(text[-1])
        wait_until(lambda: self.serves(gateway, 3), "the whole file is served")

    def test_config_map(self) -> None:
        """What Kubernetes does: `..data` becomes another folder, the name in front of it stays."""
        gateway = self.serve(MountedGateway(self.text(0)))
        for version in range(1, 4):
            gateway.write(self.text(version))
            wait_until(lambda version=version: self.serves(gateway, version), f"version {version} is served")  # type: ignore[misc]

    def test_hangup(self) -> None:
        """SIGHUP reads again, and does not kill."""
        gateway = self.serve(Gateway(self.text(0)))
        gateway.signal(signal.SIGHUP)
        wait_until(lambda: "reload (signal)" in gateway.log(), "the log names the signal")
        self.assertTrue(self.serves(gateway, 0))

    def test_command(self) -> None:
        """`edgegw reload`: 0 and the new version, or 1 and every problem with its place, in words and as JSON."""
        gateway = self.serve(Gateway(self.text(0)))
        gateway.write(self.text(1))
        done = edgegw(gateway, "reload")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(self.serves(gateway, 1))
        bad = gateway.fill(self.text(2)).replace("name: all", "nam: all").replace("to: origin", "to: orgin")
        gateway.write(bad)
        done = edgegw(gateway, "reload")
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 1, said)
        self.assertRegex(said, r'edgegw\.yaml:\d+:\d+: error: unknown key "nam"')
        self.assertIn('upstream "orgin" is not defined; defined: origin', said)
        self.assertIn("The running configuration was not changed.", said)
        self.assertNotIn("Traceback", said)
        machine = json.loads(edgegw(gateway, "reload", "--json").stdout)
        self.assertGreaterEqual(len(machine["problems"]), 2)
        self.assertTrue(self.serves(gateway, 1))

    def test_rollback(self) -> None:
        """`edgegw rollback 1` serves the first configuration again, though the file says otherwise."""
        gateway = self.serve(Gateway(self.text(0)))
        gateway.write(self.text(1))
        wait_until(lambda: self.serves(gateway, 1), "version 1 is served")
        history = edgegw(gateway, "history")
        self.assertEqual(history.returncode, 0, history.stderr)
        done = edgegw(gateway, "rollback", "1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(self.serves(gateway, 0))

    def test_deleted_file(self) -> None:
        """Without a file the gateway serves on, and takes it when it is there again."""
        gateway = self.serve(Gateway(self.text(0)))
        gateway.config_path.unlink()
        self.assertFalse(control(gateway, "reload")["ok"])
        self.assertTrue(self.serves(gateway, 0))
        gateway.write(self.text(1))
        wait_until(lambda: self.serves(gateway, 1), "the new file is served")


class MountedGateway(Gateway):
    """A gateway whose configuration is mounted as a ConfigMap is."""

    version = 0

    @property
    def config_path(self) -> "os.PathLike[str]":  # type: ignore[override]
        return self.folder / "conf" / "edgegw.yaml"

    def write(self, text: str) -> None:
        self.version += 1
        conf = self.folder / "conf"
        data = conf / f"..2026_{self.version}"
        data.mkdir(parents=True)
        (data / "edgegw.yaml").write_text(self.fill(text))
        (conf / "..data_tmp").symlink_to(data.name)
        os.replace(conf / "..data_tmp", conf / "..data")
        if self.version == 1:
            (conf / "edgegw.yaml").symlink_to("..data/edgegw.yaml")
        else:
            shutil.rmtree(conf / f"..2026_{self.version - 1}")


class ListenerTests(ReloadCase):
    """Listeners and upstreams that change while they are in use."""

    def test_listener_comes_and_goes(self) -> None:
        """A new listener serves after the reload; a removed one finishes what it carries and is gone; the other lives on."""
        gateway = self.serve(Gateway(self.text(0)))
        kept = self.wire(gateway)
        self.assertEqual(kept.ask("/echo").status, 200)
        extra = "  - {port: @{extra}, interface: 127.0.0.1}\n"
        both = gateway.fill(self.text(1).replace("listen:\n", "listen:\n" + extra))
        self.assertFalse(accepts(gateway.port("extra")))
        gateway.write(both)
        wait_until(lambda: accepts(gateway.port("extra")), "the new listener accepts")
        busy, idle = self.wire(gateway, "extra"), self.wire(gateway, "extra")
        self.assertEqual(idle.ask("/version").body, b"1")
        busy.request("/slow?s=1.5")
        wait_until(
            lambda: gateway.metric("edgegw_requests_in_flight", route="all") == 1, "the slow request is in flight"
        )
        gateway.write(self.text(2))
        wait_until(lambda: not accepts(gateway.port("extra")), "the removed listener is closed")
        self.assertTrue(idle.at_end())
        answer = busy.read()
        self.assertEqual((answer.status, answer.closes), (200, True))
        self.assertTrue(busy.at_end())
        self.assertEqual(kept.ask("/version").body, b"2")

    def test_upstream_changes_under_a_request(self) -> None:
        """A request in flight ends where it began; the next goes where the new configuration says; nothing leaks."""
        gateway = self.serve(Gateway(self.text(0)))
        wire = self.wire(gateway)
        wire.request("/slow?s=1")
        wait_until(
            lambda: gateway.metric("edgegw_requests_in_flight", route="all") == 1, "the slow request is in flight"
        )
        other = self.serve(PythonOrigin(args=["--label", "other"]))
        gateway.write(self.text(1).replace(f":{self.origin.port()}", f":{other.port()}"))
        wait_until(lambda: self.serves(gateway, 1), "the new configuration serves")
        new = self.wire(gateway)
        self.assertEqual(json.loads(new.ask("/echo").body)["origin"], "other")
        self.assertEqual(json.loads(wire.read().body)["origin"], "")
        self.assertEqual(json.loads(wire.ask("/echo").body)["origin"], "other")
        old = f":{self.origin.port():04X} "
        wait_until(lambda: not established(gateway, old), "no connection to the old origin is left")

    def test_unchanged_upstream_keeps_its_connections(self) -> None:
        """An unrelated change does not touch the pool: the same upstream connection serves before and after."""
        calls: list[int] = []

        def script(call: Call) -> None:
            calls.append(call.connection)
            call.ok()

        origin = self.scripted(script)
        gateway = self.serve(Gateway(proxy(origin.port, more=VERSION.replace("VERSION", "0"))))
        wire = self.wire(gateway)
        self.assertEqual(wire.ask("/x").status, 200)
        gateway.write(proxy(origin.port, more=VERSION.replace("VERSION", "1")))
        wait_until(lambda: self.serves(gateway, 1), "the new configuration serves")
        self.assertEqual(wire.ask("/x").status, 200)
        self.assertEqual(calls, [1, 1])

    def test_settings_that_need_a_restart(self) -> None:
        """`state` is reported as waiting for a restart, never ignored."""
        gateway = self.serve(Gateway(self.text(0)))
        gateway.write(self.text(1, top="state: ./elsewhere"))
        verdict = control(gateway, "reload")
        self.assertTrue(verdict["ok"])
        self.assertIn("restart", " ".join(problem["message"] for problem in verdict["problems"]))


def established(gateway: Gateway, remote: str) -> bool:
    """Whether the gateway has a connection to a remote end written as in /proc/net/tcp."""
    assert gateway.process is not None
    with open(f"/proc/{gateway.process.pid}/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    inodes = {row[9] for row in rows if row[2].endswith(remote.strip()) and row[3] == "01"}
    folder = f"/proc/{gateway.process.pid}/fd"
    links = set()
    for name in os.listdir(folder):
        try:
            links.add(os.readlink(f"{folder}/{name}"))
        except OSError:
            continue
    return any(f"socket:[{inode}]" in links for inode in inodes)
