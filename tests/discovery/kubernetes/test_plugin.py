"""Tests of edgegw.discovery.kubernetes.plugin, with real little scripts."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.errors import CredentialsError
from edgegw.discovery.kubernetes import plugin as plugin_module
from edgegw.discovery.kubernetes.exec_plan import ExecPlan, Shown, read_exec
from edgegw.discovery.kubernetes.plugin import Plugin, Run, check
from tests.discovery.api.case import SocketCase, reactor
from tests.discovery.kubernetes.commands import V1, runs, saying, script


class Folder:
    """A folder with a script."""

    folder: Path
    mktemp: Any

    def make(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def plan(self, body: str, **more: Any) -> ExecPlan:
        command = script(self.folder, body)
        return read_exec({"exec": {"apiVersion": V1, "command": command, **more}}, {"server": "https://a"}, self.folder)


class RunTests(Folder, SynchronousTestCase):
    """One run."""

    def setUp(self) -> None:
        self.make()

    def refused(self, words: str, body: str, limit_s: float = 20.0, **more: Any) -> str:
        with self.assertRaises(CredentialsError) as caught:
            Run(self.plan(body, **more), limit_s).output()
        self.assertIn(words, str(caught.exception))
        return str(caught.exception)

    def test_what_it_is_given(self) -> None:
        """Arguments and variables, its own beside the gateway's; nobody to ask."""
        body = 'echo "$1|$2|$OWN|$HOME|$KUBERNETES_EXEC_INFO"; cat'
        env = [{"name": "OWN", "value": "x"}]
        with mock.patch.dict(os.environ, {"HOME": "/here", "OWN": "y"}):
            said = Run(self.plan(body, args=["a b", "*"], env=env, provideClusterInfo=True)).output().decode()
        *words, info = said.strip().split("|")
        self.assertEqual(words, ["a b", "*", "x", "/here"])
        self.assertEqual(json.loads(info)["spec"], {"interactive": False, "cluster": {"server": "https://a"}})

    def test_failure(self) -> None:
        """The last line of its stderr, in bounds; never what it printed."""
        words = self.refused(
            'exec plugin "tell" failed with exit code 3: log in first',
            "echo a >&2; echo s3cret; echo log in first >&2; exit 3",
        )
        self.assertNotIn("s3cret", words)
        self.refused("failed with exit code 1", "exit 1")
        self.refused("was ended by signal 15", "kill $$")
        words = self.refused(
            "exit code 1: xxx", "i=0; while [ $i -lt 20000 ]; do printf xxxxxxxxxx >&2; i=$((i+1)); done; exit 1"
        )
        self.assertLess(len(words), 400)

    def test_it_takes_too_long(self) -> None:
        """It is killed with all it started, also when it has closed its outputs."""
        pid = self.folder / "child"
        plan = self.plan(f"sleep 60 & echo $! > {pid}; echo wait >&2; wait")
        begun = iter([0.0])

        def seconds() -> float:
            """Its time is over when it has said so."""
            return next(begun, 100.0 if pid.exists() and pid.read_text() else 1.0)

        with self.assertRaises(CredentialsError) as caught:
            Run(plan, 30.0, seconds).output()
        self.assertRegex(str(caught.exception), "did not end within 30 s(: wait)?$")
        with contextlib.suppress(ProcessLookupError):
            child = os.pidfd_open(int(pid.read_text()))
            self.addCleanup(os.close, child)
            self.assertEqual(select.select([child], [], [], 10.0)[0], [child], "what it started is there still")
        self.refused("did not end within 0.2 s", "exec >&- 2>&-; sleep 60", 0.2)

    def test_it_leaves_somebody_behind(self) -> None:
        """It ended, and what it started holds its outputs: that is killed, too."""
        leader, left = self.folder / "leader", self.folder / "left"
        plan = self.plan(f"echo $$ > {leader}; sleep 60 & echo $! > {left}; echo x")
        begun = iter([0.0])

        def seconds() -> float:
            """Its time is over when it has ended."""
            stat = Path(f"/proc/{leader.read_text().strip()}/stat") if leader.exists() and left.exists() else None
            return next(begun, 100.0 if stat is not None and ") Z " in stat.read_text() else 29.95)

        with self.assertRaises(CredentialsError) as caught:
            Run(plan, 30.0, seconds).output()
        self.assertIn("did not end", str(caught.exception))
        with contextlib.suppress(ProcessLookupError):
            child = os.pidfd_open(int(left.read_text()))
            self.addCleanup(os.close, child)
            self.assertEqual(select.select([child], [], [], 10.0)[0], [child], "what it started is there still")

    def test_it_cannot_be_killed(self) -> None:
        """The process of another user keeps no thread for ever."""
        pid = self.folder / "pid"
        with mock.patch.object(plugin_module, "_signal"), mock.patch.object(plugin_module, "_ENDS_S", 0.05):
            self.refused("did not end within 0.3 s", f"echo $$ > {pid}; exec sleep 20", 0.3)
        os.kill(int(pid.read_text()), signal.SIGKILL)

    def test_it_prints_too_much(self) -> None:
        self.refused(
            "printed more than 1048576 bytes", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done"
        )

    def test_no_command(self) -> None:
        plan = self.plan("true", installHint="see https://x")
        check(plan)
        check(read_exec({"exec": {"apiVersion": V1, "command": "sh"}}, {}, self.folder))
        os.chmod(plan.command, 0o600)
        with self.assertRaises(CredentialsError) as caught:
            check(plan)
        self.assertIn('"tell" is not there, or not executable: see https://x', str(caught.exception))
        with self.assertRaises(CredentialsError) as caught:
            Run(plan).output()
        self.assertIn("cannot be run: Permission denied", str(caught.exception))
        nowhere = read_exec(
            {"exec": {"apiVersion": V1, "command": "sh", "env": [{"name": "PATH", "value": "/"}]}}, {}, self.folder
        )
        self.assertRaises(CredentialsError, check, nowhere)

    def test_stopped_before(self) -> None:
        run = Run(self.plan("true"))
        run.stop()
        self.assertRaises(CredentialsError, run.output)
        self.assertEqual(runs(self.folder), 0)


class PluginTests(Folder, SynchronousTestCase):
    """When it is run, on a clock."""

    def setUp(self) -> None:
        self.make()
        self.now = 1_000_000.0

    def plugin(self, body: str) -> Plugin:
        return Plugin(self.plan(body), Clock(), lambda: self.now)

    def again(self, body: str) -> None:
        script(self.folder, body)

    def until(self, after_s: float) -> str:
        return datetime.fromtimestamp(self.now + after_s, UTC).isoformat()

    def shown(self, plugin: Plugin) -> Shown:
        return self.successResultOf(Deferred.fromCoroutine(plugin.shown()))

    def wrong(self, plugin: Plugin) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(plugin.shown()), CredentialsError).value)

    def test_once_without_an_end(self) -> None:
        plugin = self.plugin(saying(token="s3cret"))
        shown = self.shown(plugin)
        self.now += 1e9
        self.assertIs(self.shown(plugin), shown)
        self.assertEqual((shown.token, runs(self.folder)), ("s3cret", 1))
        self.assertNotIn("s3cret", repr(plugin))

    def test_before_its_end(self) -> None:
        """A minute before; of a short life, when half of it is over."""
        for life_s, good_s in ((3600.0, 3539.0), (60.0, 29.0)):
            (self.folder / "runs").unlink(missing_ok=True)
            plugin = self.plugin(saying(token="one", expirationTimestamp=self.until(life_s)))
            self.shown(plugin)
            self.now += good_s
            self.shown(plugin)
            self.assertEqual(runs(self.folder), 1)
            self.now += 2
            self.again(saying(token="two"))
            self.assertEqual((self.shown(plugin).token, runs(self.folder)), ("two", 2))

    def test_refused(self) -> None:
        """It is run again; not because of something that is not shown any more."""
        plugin = self.plugin(saying(token="one"))
        one = self.shown(plugin)
        self.again(saying(token="two"))
        plugin.forget(one)
        self.assertEqual(self.shown(plugin).token, "two")
        plugin.forget(one)
        self.assertEqual((self.shown(plugin).token, runs(self.folder)), ("two", 2))

    def test_it_fails(self) -> None:
        """What it told before stays in use as long as it counts."""
        plugin = self.plugin("exit 1")
        self.assertIn("failed with exit code 1", self.wrong(plugin))
        self.again(saying(token="one", expirationTimestamp=self.until(100)))
        self.shown(plugin)
        self.again("exit 1")
        self.now += 70
        self.assertEqual((self.shown(plugin).token, self.shown(plugin).token), ("one", "one"))
        self.now += 40
        self.assertIn("failed with exit code 1", self.wrong(plugin))
        self.again(saying(token="two"))
        self.assertEqual(self.shown(plugin).token, "two")

    def test_it_breaks(self) -> None:
        with mock.patch.object(plugin_module, "read_credential", side_effect=ZeroDivisionError):
            self.assertIn("cannot be run: ZeroDivisionError", self.wrong(self.plugin(saying(token="t"))))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ThreadTests(Folder, SocketCase):
    """Beside the loop."""

    def setUp(self) -> None:
        super().setUp()
        self.make()

    async def test_one_run_for_all_who_wait(self) -> None:
        plugin = Plugin(self.plan("sleep 0.2; " + saying(token="one")), reactor, reactor.seconds)
        waiting = [Deferred.fromCoroutine(plugin.shown()) for _ in range(3)]
        waiting[0].addErrback(lambda failure: failure.trap(CancelledError) and None)
        waiting[0].cancel()
        self.assertFalse(any(each.called for each in waiting[1:]))
        self.assertEqual([(await each).token for each in waiting[1:]], ["one", "one"])
        self.assertEqual(runs(self.folder), 1)

    async def test_nobody_waits_any_more(self) -> None:
        """It is ended, at once."""
        plugin = Plugin(self.plan(f"echo $$ > {self.folder}/pid; exec sleep 60"), reactor, reactor.seconds)
        waiting = Deferred.fromCoroutine(plugin.shown())
        path = self.folder / "pid"
        await self.until(lambda: path.exists() and path.read_text(), "it runs")
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        pid = path.read_text().strip()
        await self.until(lambda: not Path(f"/proc/{pid}").exists(), "it is gone")
        script(self.folder, saying(token="two"))
        self.assertEqual((await plugin.shown()).token, "two")
