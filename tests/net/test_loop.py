"""Choosing the loop. A reactor can be installed once in a process, so most of this runs in processes of its own."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net import loop

ROOT = Path(__file__).resolve().parents[2]
PREAMBLE = "import sys; sys.modules.update(dict.fromkeys({hidden!r}))\nfrom edgegw.net import loop\n"
INSTALLED = "\nfrom twisted.internet import reactor\n"


class Elsewhere(SynchronousTestCase):
    """Runs programs in another folder, which find edgegw by PYTHONPATH only."""

    def run_in_folder(self, *command: str) -> str:
        folder = self.mktemp()
        os.makedirs(folder, exist_ok=True)
        for name, text in self.files.items():
            Path(folder, name).write_text(text)
        done = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def python(self, program: str, *, hidden: tuple[str, ...] = ()) -> str:
        return self.run_in_folder("-c", PREAMBLE.format(hidden=hidden) + program)

    files: dict[str, str] = {}


class InstallTests(Elsewhere):
    def test_nothing_imports_the_reactor(self) -> None:
        said = self.python(
            "import edgegw.net.uvreactor, edgegw.net.endpoints, edgegw.net.transport\n"
            "from twisted.plugin import getPlugins\n"
            "from twisted.internet.interfaces import IStreamServerEndpointStringParser as Parser\n"
            "assert 'uv' in [parser.prefix for parser in getPlugins(Parser)]\n"
            "print([name for name in sys.modules if name == 'twisted.internet.reactor'], loop.is_installed())"
        )
        self.assertEqual(said, "[] False\n")

    def test_each_choice(self) -> None:
        for choice, runs, native in (
            ("auto", "uvloop", True),
            ("uvloop", "uvloop", True),
            ("asyncio", "asyncio", True),
            ("epoll", "epoll", False),
        ):
            said = self.python(
                f"import time; print(loop.install({choice!r}))" + INSTALLED + "print(loop.is_native(reactor))\n"
                "print(loop.name_of(reactor), abs(reactor.seconds() - time.monotonic()) < 5, loop.is_installed())\n"
                "reactor.callLater(0.01, reactor.stop); reactor.run(); print('ran')"
            )
            self.assertEqual(said.split(), [runs, str(native), runs, "True", "True", "ran"], choice)

    def test_delayed_calls_run_on_the_same_monotonic_clock(self) -> None:
        for choice in ("uvloop", "asyncio", "epoll"):
            said = self.python(
                f"import time; loop.install({choice!r})" + INSTALLED + "call = reactor.callLater(1000, print)\n"
                "print(0 < call.getTime() - time.monotonic() <= 1000)"
            )
            self.assertEqual(said, "True\n", choice)

    def test_asyncio_finds_the_loop(self) -> None:
        said = self.python(
            "import asyncio; loop.install('uvloop')" + INSTALLED + "found = []\n"
            "async def look(): found.append(asyncio.get_running_loop()); reactor.stop()\n"
            "work = look()\n"
            "reactor.callWhenRunning(lambda: asyncio.get_event_loop_policy().get_event_loop().create_task(work))\n"
            "reactor.run(); print(found == [loop.loop_of(reactor)])"
        )
        self.assertEqual(said, "True\n")

    def test_without_uvloop_auto_takes_asyncio(self) -> None:
        self.assertEqual(self.python("print(loop.install('auto'))", hidden=("uvloop",)), "asyncio\n")

    def test_a_loop_that_is_missing_is_named(self) -> None:
        program = "\ntry: loop.install({!r})\nexcept loop.LoopUnavailable as error: print(error, loop.is_installed())"
        said = self.python(program.format("uvloop"), hidden=("uvloop",))
        self.assertEqual(
            said, "the loop `uvloop` was asked for, but the package is missing: pip install uvloop False\n"
        )
        said = self.python(program.format("epoll"), hidden=("twisted.internet.epollreactor",))
        self.assertEqual(said, "the loop `epoll` was asked for, but only Linux has epoll False\n")

    def test_a_reactor_that_is_there_is_respected(self) -> None:
        said = self.python(
            "from twisted.internet import selectreactor; selectreactor.install()\n"
            "print(loop.install('uvloop'))" + INSTALLED + "print(type(reactor).__name__, loop.is_native(reactor))"
        )
        self.assertEqual(said, "SelectReactor\nSelectReactor False\n")

    def test_twisteds_own_asyncio_reactor_is_native(self) -> None:
        said = self.python(
            "from twisted.internet import asyncioreactor; asyncioreactor.install()\n"
            "print(loop.install('epoll'))"
            + INSTALLED
            + "print(loop.is_native(reactor), loop.loop_of(reactor).time() > 0)"
        )
        self.assertEqual(said, "asyncio\nTrue True\n")

    def test_unknown_choice(self) -> None:
        error = self.assertRaises(ValueError, loop.install, "kqueue")
        self.assertIn("auto, uvloop, asyncio, epoll", str(error))


class PluginTests(Elsewhere):
    """The reactor plugin, found from another folder."""

    files = {
        "test_it.py": "from twisted.internet import reactor\nfrom twisted.trial.unittest import TestCase\n"
        "from edgegw.net.loop import name_of\n"
        "class T(TestCase):\n    def test_it(self):\n        self.assertEqual(name_of(reactor), 'uvloop')\n",
        "app.py": "from twisted.application.service import Application\n"
        "from twisted.internet import reactor\nfrom edgegw.net.loop import name_of\n"
        "application = Application('x')\n"
        "reactor.callWhenRunning(lambda: (print('runs on', name_of(reactor)), reactor.stop()))\n",
    }

    def test_trial(self) -> None:
        self.assertIn(
            "PASSED (successes=1)", self.run_in_folder("-m", "twisted.trial", "--reactor", "uvloop", "test_it")
        )

    def test_twistd(self) -> None:
        twistd = ("-c", "from twisted.scripts.twistd import run; run()")
        self.assertIn("uvloop", self.run_in_folder(*twistd, "--help-reactors"))
        said = self.run_in_folder(*twistd, "-n", "--pidfile=", "-r", "uvloop", "-y", "app.py")
        self.assertIn("runs on uvloop", said)


class QuestionTests(SynchronousTestCase):
    def test_a_reactor_without_a_loop(self) -> None:
        self.assertFalse(loop.is_native(Clock()))
        self.assertEqual(loop.name_of(Clock()), "Clock")
        error = self.assertRaises(loop.LoopUnavailable, loop.loop_of, Clock())
        self.assertEqual(str(error), "Clock does not run on an asyncio loop")

    def test_seconds_is_monotonic(self) -> None:
        self.assertIs(loop.LoopReactor.seconds, time.monotonic)
        self.assertTrue(issubclass(loop.LoopReactor, AsyncioSelectorReactor))


class ReportTests(SynchronousTestCase):
    def test_errors_reach_the_log_with_their_traceback(self) -> None:
        try:
            raise KeyError("lost")
        except KeyError as error:
            loop.report(None, {"message": "callback failed", "exception": error})  # type: ignore[arg-type]
        (failure,) = self.flushLoggedErrors(KeyError)
        self.assertIn("test_errors_reach_the_log", failure.getTraceback())

    def test_what_a_protocol_raised_goes_to_its_transport(self) -> None:
        class Transport:
            told: list[BaseException] = []
            broken_by = told.append

        error = ValueError()
        loop.report(None, {"exception": error, "protocol": Transport()})  # type: ignore[arg-type]
        self.assertEqual(Transport.told, [error])


class FileLimitTests(SynchronousTestCase):
    def test_soft_is_raised_to_hard(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        self.assertEqual(loop.raise_file_limit(), hard)
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE)[0], hard)
        self.assertEqual(loop.raise_file_limit(), hard)

    def test_a_system_that_refuses_keeps_what_it_had(self) -> None:
        def refuse(*args: object) -> None:
            raise ValueError("not here")

        self.patch(resource, "getrlimit", lambda which: (100, 200))
        self.patch(resource, "setrlimit", refuse)
        self.assertEqual(loop.raise_file_limit(), 100)
