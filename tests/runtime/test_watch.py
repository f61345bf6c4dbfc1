"""Tests of edgegw.runtime.watch."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from edgegw.runtime import watch as watch_module
from edgegw.runtime.watch import InotifyFolders, Watch


class _Folder(TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.told: list[list[str]] = []

    def names(self) -> list[list[str]]:
        return [[os.path.basename(path) for path in paths] for paths in self.told]


class PolledTests(_Folder):
    """A bare clock: no inotify, so what is told comes from the poll alone."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.file = self.folder / "edgegw.yaml"
        self.file.write_text("one")

    def watch(self, *paths: Path, on_change: Callable[[list[str]], object] | None = None) -> Watch:
        made = Watch(self.clock, paths or [self.file], on_change or self.told.append)
        made.start()
        self.addCleanup(made.stop)
        return made

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def test_says_nothing_while_nothing_changes(self) -> None:
        self.watch()
        self.pass_time(10)
        self.assertEqual(self.told, [])

    def test_edit_in_place(self) -> None:
        self.watch()
        self.file.write_text("three")
        self.pass_time(3)
        self.assertEqual(self.told, [[str(self.file)]])
        self.pass_time(10)
        self.assertEqual(len(self.told), 1)

    def test_atomic_rename(self) -> None:
        self.watch()
        new = self.folder / ".edgegw.yaml.tmp"
        new.write_text("two")
        os.replace(new, self.file)
        self.pass_time(3)
        self.assertEqual(self.names(), [["edgegw.yaml"]])

    def test_touch_is_no_change(self) -> None:
        self.watch()
        os.utime(self.file, (1, 1))
        self.pass_time(6)
        self.assertEqual(self.told, [])

    def test_config_map_swap(self) -> None:
        # As kubelet does it: file -> ..data/file, ..data -> ..one, then ..data is swapped by rename.
        for name in ("..one", "..two"):
            (self.folder / name).mkdir()
            (self.folder / name / "tls.crt").write_text(name)
        (self.folder / "..data").symlink_to("..one")
        (self.folder / "tls.crt").symlink_to("..data/tls.crt")
        self.watch(self.folder / "tls.crt")
        (self.folder / "..data_tmp").symlink_to("..two")
        os.replace(self.folder / "..data_tmp", self.folder / "..data")
        self.pass_time(3)
        self.assertEqual(self.names(), [["tls.crt"]])

    def test_waits_while_somebody_still_writes(self) -> None:
        self.watch()
        for size in range(1, 9):
            self.file.write_text("x" * size * 10)
            self.pass_time(0.3)
        self.assertEqual(self.told, [])
        self.pass_time(3)
        self.assertEqual(len(self.told), 1)

    def test_a_file_that_never_rests_is_told_in_the_end(self) -> None:
        self.watch()
        for size in range(1, 30):
            self.file.write_text("x" * size * 10)
            self.pass_time(0.3)
        self.assertGreaterEqual(len(self.told), 1)

    def test_appears_disappears_and_comes_back(self) -> None:
        later = self.folder / "deep" / "later.pem"
        self.watch(later)
        later.parent.mkdir()
        later.write_text("x")
        self.pass_time(3)
        shutil.rmtree(later.parent)
        self.pass_time(3)
        later.parent.mkdir()
        later.write_text("x")
        self.pass_time(3)
        self.assertEqual(self.names(), [["later.pem"]] * 3)

    def test_a_folder_stands_for_its_files(self) -> None:
        self.watch(self.folder)
        (self.folder / "b.yaml").write_text("b")
        self.pass_time(3)
        (self.folder / ".b.yaml.swp").write_text("an editor's own")
        self.pass_time(3)
        self.assertEqual(self.told, [[str(self.folder)]])

    def test_a_failing_callback_ends_nothing(self) -> None:
        calls = []

        def broken(paths: list[str]) -> None:
            calls.append(paths)
            raise RuntimeError("no")

        self.watch(on_change=broken)
        for text in ("two!", "three"):
            self.file.write_text(text)
            self.pass_time(3)
        self.assertEqual(len(calls), 2)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_a_failing_tick_ends_nothing(self) -> None:
        self.watch()
        with_fault = watch_module._signature
        self.patch(watch_module, "_signature", lambda path: 1 / 0)
        self.pass_time(4.5)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.patch(watch_module, "_signature", with_fault)
        self.file.write_text("after the fault")
        self.pass_time(3)
        self.assertEqual(len(self.told), 1)

    def test_repaths_keeps_what_it_knows_of_paths_that_stay(self) -> None:
        other = self.folder / "other.pem"
        other.write_text("o")
        watch = self.watch()
        self.file.write_text("changed while the paths are exchanged")
        watch.repaths([self.file, other])
        self.pass_time(3)
        self.assertEqual(self.names(), [["edgegw.yaml"]])
        watch.repaths([other])
        self.file.write_text("nobody cares")
        other.write_text("somebody does")
        self.pass_time(3)
        self.assertEqual(self.names(), [["edgegw.yaml"], ["other.pem"]])

    def test_stop_leaves_no_timer(self) -> None:
        watch = self.watch()
        self.file.write_text("changed")
        self.pass_time(2.1)
        watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.pass_time(5)
        self.assertEqual(self.told, [])


class InotifyTests(_Folder):
    """The real reactor and the kernel; the poll is too slow to help."""

    def setUp(self) -> None:
        super().setUp()
        self.next: Deferred[None] = Deferred()
        self.file = self.folder / "a.pem"
        self.file.write_text("one")

    def watch(self, *paths: Path, poll_s: float = 60.0) -> Watch:
        def on_change(changed: list[str]) -> None:
            self.told.append(changed)
            done, self.next = self.next, Deferred()
            done.callback(None)

        made = Watch(reactor, paths or [self.file], on_change, debounce_s=0.02, poll_s=poll_s)
        made.start()
        self.addCleanup(made.stop)
        return made

    def change(self) -> Deferred[None]:
        return self.next.addTimeout(5, reactor)

    async def test_rename_is_told_without_a_poll(self) -> None:
        self.watch()
        (self.folder / "tmp").write_text("two")
        os.replace(self.folder / "tmp", self.file)
        await self.change()
        self.assertEqual(self.names(), [["a.pem"]])

    async def test_same_size_in_place_and_neighbours(self) -> None:
        self.watch()
        (self.folder / "access.log").write_text("a neighbour")
        self.file.write_text("two")
        await self.change()
        self.assertEqual(self.names(), [["a.pem"]])

    async def test_config_map_swap(self) -> None:
        for name in ("..one", "..two"):
            (self.folder / name).mkdir()
            (self.folder / name / "tls.crt").write_text(name)
        (self.folder / "..data").symlink_to("..one")
        (self.folder / "tls.crt").symlink_to("..data/tls.crt")
        self.watch(self.folder / "tls.crt")
        for target in ("..two", "..one"):
            (self.folder / "..data_tmp").symlink_to(target)
            os.replace(self.folder / "..data_tmp", self.folder / "..data")
            await self.change()
        self.assertEqual(self.names(), [["tls.crt"]] * 2)

    async def test_link_to_another_folder(self) -> None:
        # As certbot keeps them: live/x.pem -> ../archive/x1.pem.
        archive, live = self.folder / "archive", self.folder / "live"
        archive.mkdir()
        live.mkdir()
        (archive / "x1.pem").write_text("one")
        (live / "x.pem").symlink_to("../archive/x1.pem")
        self.watch(live / "x.pem")
        (archive / "x1.pem").write_text("changed in the archive")
        await self.change()
        (archive / "x2.pem").write_text("two")
        (live / "tmp").symlink_to("../archive/x2.pem")
        os.replace(live / "tmp", live / "x.pem")
        await self.change()
        self.assertEqual(self.names(), [["x.pem"]] * 2)

    async def test_a_folder_stands_for_its_files(self) -> None:
        watched = self.folder / "conf.d"
        watched.mkdir()
        self.watch(watched)
        (watched / "a.yaml").write_text("a")
        await self.change()
        self.assertEqual(self.names(), [["conf.d"]])

    async def test_link_in_the_middle_of_a_path(self) -> None:
        (self.folder / "v1").mkdir()
        (self.folder / "v1" / "a.pem").write_text("one")
        (self.folder / "current").symlink_to("v1")
        self.watch(self.folder / "current" / "a.pem")
        (self.folder / "v1" / "a.pem").write_text("changed where the link leads")
        await self.change()
        self.assertEqual(self.names(), [["a.pem"]])

    async def test_folder_deleted_and_made_again(self) -> None:
        # Twisted's INotify closes itself when a watched folder goes away: the others must not go blind.
        gone = self.folder / "gone" / "b.pem"
        gone.parent.mkdir()
        gone.write_text("b")
        watch = self.watch(self.file, gone, poll_s=0.05)
        shutil.rmtree(gone.parent)
        await self.change()
        gone.parent.mkdir()
        gone.write_text("b again")
        await self.change()
        assert isinstance(watch._folders, InotifyFolders) and watch._folders._notifier is not None
        self.assertTrue(watch._folders._notifier.connected)
        self.file.write_text("and the other one")
        await self.change()
        self.assertEqual(self.names(), [["b.pem"], ["b.pem"], ["a.pem"]])

    async def test_stop_closes_the_descriptor(self) -> None:
        before = os.listdir("/proc/self/fd")
        watch = self.watch()
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before) + 1)
        watch.stop()
        watch.stop()
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))
