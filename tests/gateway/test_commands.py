"""The commands of the control socket, carried out on a gateway that serves nobody."""

import asyncio
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from edgegw.gateway.commands import COMMANDS, MOST_FOLLOWERS, CommandError
from tests.gateway.fakes import SHOP, FakeGateway

OTHER = SHOP.replace("status: 200", "status: 404")


class CommandsTests(TestCase):
    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="edgegw-commands-"))
        self.addCleanup(shutil.rmtree, folder)
        self.gateway = FakeGateway(folder)

    async def ask(self, command: str, /, **arguments: Any) -> dict[str, Any]:
        return await COMMANDS[command](self.gateway, arguments)

    async def refused(self, command: str, /, **arguments: Any) -> CommandError:
        try:
            found = await self.ask(command, **arguments)
        except CommandError as error:
            return error
        raise AssertionError(f"{command} {arguments} was not refused: {found}")

    def write(self, text: str) -> None:
        self.gateway.config_path.write_text(text)

    async def test_reload_is_told_to_the_gateway(self) -> None:
        self.write(OTHER)
        verdict = await self.ask("reload")
        self.assertEqual((verdict["ok"], verdict["number"], self.gateway.asked), (True, 2, [("control", False)]))
        self.assertEqual([each["new"] for each in verdict["changes"]], [404])

    async def test_dry_run_changes_nothing(self) -> None:
        self.write(OTHER)
        verdict = await self.ask("reload", dry_run=True)
        self.assertEqual((verdict["ok"], verdict["number"], len(verdict["changes"])), (True, 1, 1))
        self.assertEqual(len(self.gateway.history.entries()), 1)

    async def test_problems_come_with_places_and_texts(self) -> None:
        self.write(SHOP.replace("listen:", "lisen:"))
        verdict = await self.ask("reload")
        self.assertFalse(verdict["ok"])
        places = [(each["line"], each["column"]) for each in verdict["problems"]]
        self.assertIn((2, 1), places)
        self.assertEqual(list(verdict["sources"].values()), [SHOP.replace("listen:", "lisen:")])

    async def test_texts_without_a_problem_stay_here(self) -> None:
        verdict = await self.ask("reload")
        self.assertEqual((verdict["ok"], verdict["sources"]), (True, {}))

    async def test_rollback_serves_what_was(self) -> None:
        self.write(OTHER)
        await self.ask("reload")
        verdict = await self.ask("rollback", number=1)
        self.assertEqual((verdict["ok"], verdict["number"]), (True, 3))
        self.assertEqual(self.gateway.asked[-1], ("rollback 1", False))
        self.assertEqual(self.gateway.snapshot.settings.routes[1].respond.status, 200)  # type: ignore[union-attr]
        self.assertEqual(self.gateway.history.entries()[-1].source, "rollback 1")
        self.assertEqual(self.gateway.config_path.read_text(), OTHER)

    async def test_rollback_to_what_is_not_there(self) -> None:
        error = await self.refused("rollback", number=9)
        self.assertEqual((error.reason, self.gateway.asked), ("no_such_number", []))

    async def test_rollback_to_what_cannot_be_read_any_more(self) -> None:
        path = self.gateway.history.folder / "000001.json"
        path.write_text(path.read_text().replace("edgegw: 1", "edgegw: ["))
        verdict = await self.ask("rollback", number=1)
        self.assertEqual((verdict["ok"], len(verdict["problems"]), self.gateway.asked), (False, 1, []))

    async def test_wrong_arguments(self) -> None:
        for name, arguments in (
            ("reload", {"dry_run": "yes"}),
            ("rollback", {}),
            ("rollback", {"number": "1"}),
            ("rollback", {"number": True}),
            ("rollback", {"number": 0}),
            ("texts", {"number": 1.0}),
            ("diff", {"old": "yesterday"}),
            ("diff", {"new": None}),
            ("diff", {"old": True}),
            ("match", {}),
            ("match", {"request": 7}),
            ("match", {"request": "/", "headers": {"a": "b"}}),
            ("match", {"request": "/", "headers": [["a"]]}),
            ("match", {"request": "/", "headers": [["a", "b\r\nc: d"]]}),
            ("match", {"request": "ftp://x/"}),
        ):
            with self.subTest(command=name, arguments=arguments):
                self.assertEqual((await self.refused(name, **arguments)).reason, "bad_argument")

    async def test_diff_of_running_and_file(self) -> None:
        self.assertEqual((await self.ask("diff"))["changes"], [])
        self.write(OTHER)
        self.assertEqual([each["new"] for each in (await self.ask("diff"))["changes"]], [404])
        self.assertEqual(self.gateway.asked, [])

    async def test_diff_of_numbers(self) -> None:
        self.write(OTHER)
        await self.ask("reload")
        self.assertEqual([each["new"] for each in (await self.ask("diff", old=2, new=1))["changes"]], [200])
        self.assertEqual((await self.ask("diff", old=2, new="running"))["changes"], [])

    async def test_diff_of_what_is_wrong(self) -> None:
        self.write("edgegw: 1\n")
        error = await self.refused("diff")
        self.assertEqual(error.reason, "invalid_config")
        self.assertIn('missing key "listen"', str(error))

    async def test_history_and_texts(self) -> None:
        found = await self.ask("history")
        self.assertEqual((found["running"], [each["number"] for each in found["entries"]]), (1, [1]))
        texts = await self.ask("texts", number=1)
        self.assertEqual(texts, {"files": {str(self.gateway.config_path): SHOP}})
        self.assertEqual((await self.refused("texts", number=2)).reason, "no_such_number")

    async def test_looking(self) -> None:
        self.assertEqual([each["name"] for each in (await self.ask("routes"))["routes"]][:2], ["users", "GET /hello"])
        found = await self.ask("match", request="/x", headers=[["X-Beta", "1"]])
        self.assertEqual(found["route"]["match"], "/**")
        (users,) = (await self.ask("upstreams"))["upstreams"]
        self.assertEqual([each["weight"] for each in users["endpoints"]], [1, 3])

    async def test_an_operators_word(self) -> None:
        one = "http://127.0.0.1:9000"
        self.assertEqual((await self.ask("upstream", name="users", action="drain", endpoint=one))["state"], "drained")
        self.assertEqual((await self.ask("upstream", name="users", action="ready", endpoint=one))["state"], "ready")
        said = await self.ask("upstream", name="users", action="weight", endpoint="127.0.0.1:9000", weight=5)
        self.assertEqual(said["weight"], 5)
        breaker = self.gateway.snapshot.clusters["users"].breaker
        assert breaker is not None
        for _ in range(breaker.settings.failures):
            breaker.settle(breaker.admit(), False)
        self.assertEqual(breaker.state, "refusing")
        self.assertEqual((await self.ask("upstream", name="users", action="reset"))["breaker"], "admitting")
        for wrong, reason in (
            ({"name": "usres", "action": "drain", "endpoint": one}, "unknown"),
            ({"name": "users", "action": "drain", "endpoint": "x"}, "unknown"),
            ({"name": "users", "action": "stop", "endpoint": one}, "bad_argument"),
            ({"name": "users", "action": "weight", "endpoint": one, "weight": 1001}, "bad_argument"),
            ({"name": "users", "action": "weight", "endpoint": one}, "bad_argument"),
            ({"name": "users", "action": "weight", "endpoint": one, "weight": 1.5}, "bad_argument"),
        ):
            self.assertEqual((await self.refused("upstream", **wrong)).reason, reason, wrong)

    async def test_events_are_waited_for(self) -> None:
        events = self.gateway.event_log.events
        events.add("endpoint_added", "users", "http://a")
        found = await self.ask("events")
        self.assertEqual(([each["endpoint"] for each in found["events"]], found["last"]), (["http://a"], 1))
        self.assertEqual((await self.ask("events", since=1))["events"], [])
        waiting = Deferred.fromCoroutine(self.ask("events", since=1, wait_s=5.0))
        self.assertNoResult(waiting)
        events.add("endpoint_removed", "users", "http://a")
        self.assertEqual([each["number"] for each in self.successResultOf(waiting)["events"]], [2])
        waiting = Deferred.fromCoroutine(self.ask("events", since=2, wait_s=5.0))
        self.gateway.clock.advance(5)
        self.assertEqual(self.successResultOf(waiting), {"events": [], "last": 2})
        self.assertEqual((await self.refused("events", wait_s=31.0)).reason, "bad_argument")

    async def test_those_who_follow_leave_room_for_others(self) -> None:
        events = self.gateway.event_log.events
        for last in range(2):
            said = {"since": last, "wait_s": 5.0}
            waiting = [Deferred.fromCoroutine(self.ask("events", **said)) for _ in range(MOST_FOLLOWERS)]
            self.assertEqual((await self.refused("events", **said)).reason, "busy")
            self.assertEqual((await self.ask("events", since=last))["events"], [])
            events.add("endpoint_added", "users", "http://a")
            for each in waiting:
                self.successResultOf(each)

    async def test_stop_answers_at_once(self) -> None:
        self.assertEqual(await self.ask("stop"), {"stopping": True, "lame_duck_s": 0.0, "grace_s": 1.0})
        self.assertTrue(self.gateway.stopped)
        self.assertFalse((await self.ask("ping"))["ready"])

    def test_the_table_is_the_docstring(self) -> None:
        from edgegw.gateway import commands

        named = re.findall(r"^ *([a-z]+)  ", commands.__doc__ or "", re.MULTILINE)
        self.assertEqual(named, list(COMMANDS))
        self.assertTrue(all(asyncio.iscoroutinefunction(command) for command in COMMANDS.values()))
