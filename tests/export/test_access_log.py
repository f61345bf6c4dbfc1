"""The access log is bounded, counts what it drops, and ends in time."""

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.export.access_log import AccessLog, encoder_of, open_access_log
from edgegw.export.settings import AccessLogSettings
from edgegw.export.writer import Writer
from edgegw.observe.cells import Counter
from edgegw.observe.records import ConsoleRecords, JsonRecords


class AccessLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dropped = Counter()
        self.path = Path(self.mktemp())
        self.writer = Writer(str(self.path))
        self.addCleanup(self.writer.join, 5)
        self.addCleanup(self.writer.stop)

    def log(self, **caps: int) -> AccessLog:
        return AccessLog(self.writer, self.clock, self.dropped, **caps)

    def end(self, log: AccessLog) -> None:
        stopped = log.stop(2.0)
        self.writer.join(5)
        self.clock.advance(0.01)
        self.successResultOf(stopped)

    def test_records_leave_with_the_next_flush_only(self) -> None:
        log = self.log()
        log.startService()
        log.write(b"a\n")
        log.write(b"b\n")
        self.assertEqual(self.writer.handed_lines, 0)
        self.clock.advance(0.1)
        self.assertEqual(self.writer.handed_lines, 2)
        self.end(log)
        self.assertEqual(self.path.read_bytes(), b"a\nb\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_left_is_written_at_the_stop_and_nothing_later(self) -> None:
        log = self.log()
        log.startService()
        log.write(b"a\n")
        self.end(log)
        log.write(b"late\n")
        self.assertEqual(self.path.read_bytes(), b"a\n")
        self.assertEqual(self.dropped.value, 1)

    def test_more_records_than_may_wait_are_dropped_and_counted(self) -> None:
        log = self.log(max_records=3)
        for _ in range(5):
            log.write(b"a\n")
        self.assertEqual(self.dropped.value, 2)
        self.end(log)
        self.assertEqual(self.path.read_bytes(), b"a\n" * 3)

    def test_more_bytes_than_may_wait_are_dropped_and_counted(self) -> None:
        log = self.log(max_bytes=10)
        log.write(b"12345678\n")
        log.write(b"12\n")
        self.assertEqual(self.dropped.value, 1)
        self.end(log)

    def stall(self) -> int:
        """Make the writer's thread stand still within a write; the descriptor that would read."""
        read, write = os.pipe()
        os.dup2(write, self.writer._fd)
        os.close(write)
        self.writer.write([b"x" * (1 << 20)], 1 << 20)
        return read

    def test_a_writer_that_stands_still_fills_the_queue_and_then_drops(self) -> None:
        read = self.stall()
        log = self.log(max_records=4, max_bytes=2 << 20)
        log.startService()
        for _ in range(10):
            log.write(b"a\n")
            self.clock.advance(0.1)
        # One batch stands still within the write; three more may wait.
        self.assertEqual(self.writer.waiting_lines, 4)
        self.assertEqual(self.dropped.value, 7)
        os.close(read)
        self.end(log)

    def test_stop_does_not_wait_beyond_its_deadline(self) -> None:
        read = self.stall()
        log = self.log()
        log.write(b"a\n")
        stopped = log.stop(2.0)
        self.clock.pump([0.1] * 19)
        self.assertNoResult(stopped)
        self.clock.pump([0.1] * 2)
        self.successResultOf(stopped)
        self.assertEqual(self.dropped.value, 2)
        os.close(read)

    def test_what_the_disk_refused_is_counted_and_said(self) -> None:
        events: list[dict[str, object]] = []
        self.patch(AccessLog.flush.__globals__["_log"], "observer", events.append)
        full = Writer("/dev/full")
        log = AccessLog(full, self.clock, self.dropped)
        log.write(b"a\n")
        log.flush()
        full.stop()
        full.join(5)
        log.flush()
        self.assertEqual(self.dropped.value, 1)
        self.assertIn("No space left", str(events[0]["error"]))
        self.assertEqual(events[0]["path"], "/dev/full")

    def test_rotation_puts_earlier_records_into_the_old_file(self) -> None:
        log = self.log()
        log.write(b"old\n")
        old = self.path.rename(self.path.with_suffix(".1"))
        log.reopen()
        log.write(b"new\n")
        self.end(log)
        self.assertEqual((old.read_bytes(), self.path.read_bytes()), (b"old\n", b"new\n"))

    def test_settings_choose_the_writer_and_the_format(self) -> None:
        self.assertIsNone(open_access_log(AccessLogSettings(path="off"), self.clock, self.dropped))
        log = open_access_log(AccessLogSettings(path=str(self.path)), self.clock, self.dropped)
        assert log is not None
        log._writer.stop()
        self.assertRaises(
            OSError, open_access_log, AccessLogSettings(path="/no/such/folder/x.log"), self.clock, self.dropped
        )
        self.assertIsInstance(encoder_of(AccessLogSettings()), JsonRecords)
        self.assertIsInstance(encoder_of(AccessLogSettings(format="console")), ConsoleRecords)
