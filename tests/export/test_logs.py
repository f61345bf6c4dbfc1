"""The application log never fails, never floods, and cannot be forged."""

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher
from twisted.python import log as legacy
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from edgegw.export.logs import BURST, WINDOW_S, ApplicationLog, Repetition, application_log, write_to
from edgegw.export.settings import LogSettings

NOON = 1_790_000_000.0625


class LogCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lines: list[bytes] = []
        self.log = Logger("edgegw.test", observer=lambda event: self.observer(event))
        self.use("json")

    def use(self, style: str, level: str = "info") -> None:
        settings = LogSettings.model_validate({"format": style, "level": level})
        self.observer = ApplicationLog(settings, self.lines.append, lambda: NOON, self.clock.seconds)

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


class ApplicationLogTests(LogCase):
    def test_is_an_observer(self) -> None:
        verifyObject(ILogObserver, self.observer)
        verifyObject(ILogObserver, application_log(LogSettings()))

    def test_json(self) -> None:
        self.log.info("listening on {port}", port=443, listener=object)
        (record,) = self.records()
        self.assertEqual(
            record,
            {
                "time": "2026-09-21T14:13:20.062Z", "level": "info", "logger": "edgegw.test", "message": "listening on 443",
                "port": 443, "listener": "<class 'object'>",
            },
        )  # fmt: skip

    def test_console(self) -> None:
        self.use("console")
        self.log.warn("disk {name}", name="a\nb\x1b[1m")
        self.assertEqual(self.lines, [b"14:13:20.062 warn     edgegw.test: disk a\n    b\\x1b[1m\n"])

    def test_exceptions_are_rendered_whole_in_both(self) -> None:
        try:
            raise ZeroDivisionError("by\nzero")
        except ZeroDivisionError:
            failure = Failure()
        self.log.failure("tick failed", failure)
        (record,) = self.records()
        self.assertEqual((record["level"], record["exception"]["type"]), ("critical", "ZeroDivisionError"))
        self.assertIn("test_logs.py", record["exception"]["traceback"])
        self.lines.clear()
        self.use("console")
        self.log.failure("tick failed", failure)
        head, *rest = self.lines[0].decode().splitlines()
        self.assertTrue(head.endswith("edgegw.test: tick failed"))
        self.assertTrue(all(line.startswith("    ") for line in rest) and len(rest) >= 3)

    def test_level(self) -> None:
        self.use("json", "warn")
        self.log.debug("a")
        self.log.info("b")
        self.log.warn("c")
        self.log.critical("d")
        self.assertEqual([record["message"] for record in self.records()], ["c", "d"])

    def test_settings_can_change_while_running(self) -> None:
        self.observer.configure(LogSettings(level="debug", format="console"))
        self.log.debug("a")
        self.assertIn(b"debug", self.lines[0])

    def test_chatter_of_the_framework_needs_debug(self) -> None:
        twisted = Logger("twisted.internet.protocol.Factory", observer=lambda event: self.observer(event))
        twisted.info("Starting factory")
        twisted.error("real trouble")
        self.assertEqual([record["message"] for record in self.records()], ["real trouble"])
        self.use("json", "debug")
        twisted.info("Starting factory")
        self.assertEqual(len(self.lines), 2)

    def test_events_of_the_old_log_module(self) -> None:
        publisher = legacy.LogPublisher(publishPublisher=LogPublisher(self.observer))
        publisher.msg("hello", "old")
        publisher.msg(failure=Failure(ZeroDivisionError("x")), why="because", isError=1)
        first, second = self.records()
        self.assertEqual(first["message"], "hello old")
        self.assertEqual((second["message"], second["exception"]["type"]), ("because", "ZeroDivisionError"))

    def test_an_event_that_cannot_be_written_is_said_so(self) -> None:
        class Broken:
            def __str__(self) -> str:
                raise ZeroDivisionError

            __repr__ = __str__

        self.log.info("x", thing=Broken())
        self.log.info("x {thing}", thing=Broken())
        self.assertEqual(len(self.lines), 2)
        self.assertIn(b"edgegw.test", self.lines[0])

    def test_what_json_does_not_know_is_shown_escaped(self) -> None:
        self.log.info("\ud800 {n}", n=1 << 70)
        self.assertIn("\\ud800", self.records()[0]["message"])

    def test_a_stream_that_is_gone_hurts_nobody(self) -> None:
        def gone(_line: bytes) -> None:
            raise BrokenPipeError

        ApplicationLog(LogSettings(), gone)({"log_level": LogLevel.error, "log_format": "x"})

    def test_long_messages_are_cut(self) -> None:
        self.log.info("{x}", x="y" * 100_000)
        self.assertLess(len(self.lines[0]), 10_000)

    def test_an_event_without_anything(self) -> None:
        self.observer({})
        self.assertEqual(self.records()[0]["logger"], "-")

    def test_writes_whole_lines_to_a_descriptor(self) -> None:
        path = self.mktemp()
        with open(path, "wb", buffering=0) as file:
            write_to(file.fileno())(b"a\n" * 1000)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"a\n" * 1000)


class RepetitionTests(LogCase):
    def test_repeated_failures_are_held_back_and_counted(self) -> None:
        for number in range(100):
            self.log.error("upstream {name} failed", name=f"u{number}")
        self.assertEqual(len(self.lines), BURST)
        self.clock.advance(WINDOW_S)
        self.log.error("upstream {name} failed", name="late")
        self.assertEqual(self.records()[-1]["held_back"], 100 - BURST)
        self.log.error("upstream {name} failed", name="later")
        self.assertNotIn("held_back", self.records()[-1])

    def test_other_events_are_not_held_back_with_them(self) -> None:
        for _ in range(100):
            self.log.error("a")
        self.log.error("b")
        for error in (ZeroDivisionError(), KeyError()):
            self.log.failure("c", Failure(error))
        for _ in range(20):
            self.log.info("progress")
        self.assertEqual(len(self.lines), BURST + 3 + 20)

    def test_old_events_are_told_apart_by_their_text(self) -> None:
        for number in range(30):
            self.observer(
                {"log_level": LogLevel.critical, "log_format": "{log_text}", "log_text": f"text {number % 3}"}
            )
        self.assertEqual(len(self.lines), 30)

    def test_what_it_remembers_is_bounded(self) -> None:
        repetition = Repetition(self.clock.seconds)
        for number in range(5000):
            repetition.admit((str(number),))
        self.assertLessEqual(len(repetition._windows), 1024)
