"""Tests of edgegw.exchange.drive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.drive import Drive


class DriveCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.results: list[Any] = []

    def drive(self, coroutine: Coroutine[Any, Any, Any]) -> Drive[Any]:
        drive = Drive(coroutine, lambda result: self.results.append(("done", result)), self.failed)
        drive.start()
        return drive

    def failed(self, error: BaseException) -> None:
        self.results.append(("failed", type(error), str(error)))


class RunTests(DriveCase):
    def test_at_once(self) -> None:
        async def run() -> int:
            return 1

        self.drive(run())
        self.assertEqual(self.results, [("done", 1)])

    def test_waits(self) -> None:
        first, second = Deferred(), Deferred()

        async def run() -> list[int]:
            return [await first, await second, await succeed(3)]

        self.drive(run())
        second.callback(2)
        self.assertEqual(self.results, [])
        first.callback(1)
        self.assertEqual(self.results, [("done", [1, 2, 3])])

    def test_thousands_of_results_that_are_there_do_not_nest(self) -> None:
        async def run() -> int:
            return sum([await succeed(1) for _ in range(5000)])

        self.drive(run())
        self.assertEqual(self.results, [("done", 5000)])

    def test_failure_is_raised_where_it_is_awaited(self) -> None:
        async def run() -> str:
            try:
                await fail(ValueError("no"))
            except ValueError as error:
                return f"caught {error}"
            return "not caught"

        self.drive(run())
        self.assertEqual(self.results, [("done", "caught no")])

    def test_exceptions_of_any_kind_are_told(self) -> None:
        for kind in (ValueError, SystemExit, asyncio.CancelledError):
            with self.subTest(kind=kind):
                gate: Deferred[None] = Deferred()

                async def run(kind: type[BaseException] = kind, gate: Awaitable[None] = gate) -> None:
                    await gate
                    raise kind("no")

                self.results.clear()
                self.drive(run())
                gate.callback(None)
                self.assertEqual(self.results, [("failed", kind, "no")])

    def test_what_is_no_deferred_is_refused(self) -> None:
        class Odd:
            def __await__(self) -> Any:
                yield 5

        async def run() -> None:
            await Odd()

        self.drive(run())
        self.assertEqual(self.results[0][:2], ("failed", TypeError))
        self.assertIn("edgegw.runtime.bridge", self.results[0][2])


class CancelTests(DriveCase):
    def waiting(
        self, gate: Deferred[Any], after: Callable[[], Awaitable[Any]] | None = None
    ) -> Coroutine[Any, Any, Any]:
        async def run() -> Any:
            try:
                return await gate
            except BaseException as error:
                self.results.append(("saw", type(error)))
                if after is not None:
                    return await after()
                raise

        return run()

    def test_cancels_what_is_awaited_and_tells_nobody(self) -> None:
        self.drive(self.waiting(Deferred())).cancel()
        self.assertEqual(self.results, [("saw", CancelledError)])

    def test_while_it_runs_reaches_the_next_wait(self) -> None:
        drives: list[Drive[Any]] = []
        gate: Deferred[None] = Deferred()

        async def run() -> None:
            drives[0].cancel()
            await self.waiting(gate)

        drives.append(Drive(run(), self.results.append, self.failed))
        drives[0].start()
        self.assertEqual(self.results, [("saw", CancelledError)])

    def test_cleaning_up_may_wait(self) -> None:
        cleanup: Deferred[str] = Deferred()
        late: list[str] = []

        async def after() -> str:
            return await cleanup

        self.drive(self.waiting(Deferred(), after)).cancel(late.append)
        self.assertEqual(late, [])
        cleanup.callback("late answer")
        self.assertEqual((late, self.results), (["late answer"], [("saw", CancelledError)]))

    def test_cleaning_up_may_wait_though_it_was_told_while_it_ran(self) -> None:
        drives: list[Drive[Any]] = []
        cleanup: Deferred[None] = Deferred()

        async def after() -> None:
            await cleanup
            self.results.append("clean")

        async def run() -> None:
            drives[0].cancel()
            await self.waiting(Deferred(), after)

        drives.append(Drive(run(), self.results.append, self.failed))
        drives[0].start()
        cleanup.callback(None)
        self.assertEqual(self.results, [("saw", CancelledError), "clean"])

    def test_a_coroutine_that_will_not_stop_does_not_spin(self) -> None:
        async def again() -> Any:
            return await self.waiting(Deferred())

        self.drive(self.waiting(Deferred(), again)).cancel()
        self.assertEqual(self.results, [("saw", CancelledError)])

    def test_finished_already(self) -> None:
        drive = self.drive(self.waiting(succeed(1)))
        drive.cancel()
        drive.interrupt(ValueError("no"))
        self.assertEqual(self.results, [("done", 1)])


class InterruptTests(DriveCase):
    def test_raises_the_error_where_it_waits_and_goes_on(self) -> None:
        cancelled: list[object] = []

        async def run() -> str:
            try:
                await Deferred(cancelled.append)
            except ValueError as error:
                return f"caught {error}"
            return "not caught"

        self.drive(run()).interrupt(ValueError("no"))
        self.assertEqual(self.results, [("done", "caught no")])
        self.assertEqual(len(cancelled), 1)

    def test_while_it_runs(self) -> None:
        drives: list[Drive[Any]] = []

        async def run() -> None:
            drives[0].interrupt(ValueError("no"))
            await Deferred()

        drives.append(Drive(run(), self.results.append, self.failed))
        drives[0].start()
        self.assertEqual(self.results, [("failed", ValueError, "no")])

    def test_in_place_of_what_the_canceller_makes_of_it(self) -> None:
        gate: Deferred[str] = Deferred(lambda deferred: deferred.callback("never mind"))

        async def run() -> str:
            return await gate

        self.drive(run()).interrupt(ValueError("no"))
        self.assertEqual(self.results, [("failed", ValueError, "no")])
