"""The writer keeps order, survives errors, and counts what it could not write."""

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from edgegw.export.writer import Writer, open_for_append


class WriterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def writer(self, path: str = "") -> Writer:
        writer = Writer(path or str(self.path))
        self.addCleanup(writer.join, 5)
        self.addCleanup(writer.stop)
        return writer

    def finish(self, writer: Writer) -> None:
        writer.stop()
        self.assertTrue(writer.join(5), "the writer did not end")

    def test_writes_batches_in_order(self) -> None:
        writer = self.writer()
        writer.write([b"a\n", b"b\n"], 4)
        writer.write([b"c\n"], 2)
        self.finish(writer)
        self.assertEqual(self.path.read_bytes(), b"a\nb\nc\n")
        self.assertEqual((writer.waiting_lines, writer.waiting_bytes, writer.lost), (0, 0, 0))

    def test_appends_and_keeps_the_file_from_others(self) -> None:
        self.path.write_bytes(b"before\n")
        writer = self.writer()
        writer.write([b"a\n"], 2)
        self.finish(writer)
        self.assertEqual(self.path.read_bytes(), b"before\na\n")
        fresh = Path(self.mktemp())
        os.close(open_for_append(str(fresh)))
        self.assertEqual(fresh.stat().st_mode & 0o027, 0)

    def test_reopen_after_rotation_splits_where_it_was_asked_for(self) -> None:
        writer = self.writer()
        writer.write([b"old\n"], 4)
        rotated = self.path.with_suffix(".1")
        self.path.rename(rotated)
        writer.reopen()
        writer.write([b"new\n"], 4)
        self.finish(writer)
        self.assertEqual((rotated.read_bytes(), self.path.read_bytes()), (b"old\n", b"new\n"))

    def test_a_reopen_that_fails_keeps_the_old_file(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        path = folder / "access.log"
        writer = self.writer(str(path))
        moved = folder.rename(self.mktemp())
        writer.reopen()
        writer.write([b"a\n"], 2)
        self.finish(writer)
        self.assertEqual((moved / "access.log").read_bytes(), b"a\n")
        ((reason, error),) = writer.complaints
        self.assertEqual((reason, error.errno), ("reopen", errno.ENOENT))

    def test_a_full_disk_drops_and_counts_and_complains_once(self) -> None:
        writer = self.writer("/dev/full")
        writer.write([b"a\n", b"b\n"], 4)
        writer.write([b"c\n"], 2)
        self.finish(writer)
        self.assertEqual((writer.lost, writer.waiting_lines), (3, 0))
        ((reason, error),) = writer.complaints
        self.assertEqual((reason, error.errno), ("write", errno.ENOSPC))

    def test_a_line_that_broke_off_is_not_continued_by_the_next(self) -> None:
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        os.set_blocking(write, False)
        size = 1 << 20
        writer = self.writer()
        # A pipe that takes what fits and then says EAGAIN stands for a disk that fills up within a line.
        os.dup2(write, writer._fd)
        os.close(write)
        writer.write([b"x" * size + b"\n"], size + 1)
        self.drain_when_lost(writer)
        taken = os.read(read, size)
        writer.write([b"next\n"], 5)
        self.finish(writer)
        self.assertEqual(set(taken), {ord("x")})
        self.assertLess(len(taken), size)
        self.assertEqual(os.read(read, size), b"\nnext\n")
        self.assertEqual(writer.lost, 1)

    def drain_when_lost(self, writer: Writer) -> None:
        """Until the writer has given up the first batch."""
        for _ in range(10_000):
            if writer.lost:
                return
            writer.join(0.001)
        self.fail("nothing was lost")

    def test_a_stuck_reader_blocks_nobody_but_the_thread(self) -> None:
        read, write = os.pipe()
        writer = self.writer()
        os.dup2(write, writer._fd)
        os.close(write)
        for _ in range(4):
            writer.write([b"x" * 65536], 65536)
        self.assertFalse(writer.join(0.05))
        self.assertGreater(writer.waiting_bytes, 0)
        os.close(read)
        self.finish(writer)
        self.assertEqual(writer.complaints[0][1].errno, errno.EPIPE)

    def test_no_thread_before_there_is_work_so_that_a_daemon_may_fork(self) -> None:
        writer = self.writer()
        self.assertFalse(writer.alive)
        writer.write([b"a\n"], 2)
        self.assertTrue(writer.alive or self.path.read_bytes())

    def test_standard_streams_survive_and_are_not_reopened(self) -> None:
        writer = self.writer("stdout")
        writer.reopen()
        self.finish(writer)
        os.fstat(1)
        self.assertEqual(list(writer.complaints), [])

    def test_a_path_that_cannot_be_opened_is_an_error_at_once(self) -> None:
        self.assertRaises(FileNotFoundError, Writer, self.mktemp() + "/no/such/folder")
        fifo = self.mktemp()
        os.mkfifo(fifo)
        with self.assertRaises(OSError) as caught:
            Writer(fifo)
        self.assertEqual(caught.exception.errno, errno.ENXIO)
