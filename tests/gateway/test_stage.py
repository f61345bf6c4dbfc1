"""Nothing is taken before everything is ready, and what is not taken is closed. More of it is in test_service."""

from typing import Any
from unittest import mock

from edgegw.config.problems import ConfigError, Problems
from edgegw.config.source import loads
from edgegw.gateway.loading import Loaded, accept
from edgegw.gateway.stage import Stage
from tests.gateway.test_loading import BASE, LoadingCase


class StageTests(LoadingCase):
    def setUp(self) -> None:
        super().setUp()
        self.told = mock.Mock()
        self.told.assembly.build.return_value = mock.Mock(terms={}, clusters={}, feeds={})
        self.told.entrances.open_new.return_value = ["opened"]
        self.told.entrances.listeners = {}
        self.stage = Stage(self.told.assembly, self.told.entrances, self.told.observation, self.told.upkeep)
        self.problems = Problems()

    def loaded(self, text: str = BASE) -> Loaded:
        return accept(loads(text, environ={}), self.folder)

    def calls(self) -> list[str]:
        return [name for name, _, _ in self.told.mock_calls]

    def test_order(self) -> None:
        """Built, opened, and only then swapped."""
        ready = self.stage.prepare(self.loaded(), self.problems, None)
        self.assertEqual(self.calls(), ["assembly.build", "entrances.open_new", "observation.prepare"])
        self.stage.take(ready, None)
        self.assertEqual(self.calls()[3:], ["entrances.swap", "observation.swap", "upkeep.take"])

    def test_nothing_is_opened_for_what_cannot_be_built(self) -> None:
        self.told.assembly.build.side_effect = lambda *args: args[3].add(("routes",), "wrong")
        with self.assertRaises(ConfigError) as caught:
            self.stage.prepare(self.loaded("edgegw: 1\nlisten: [{unix: no/such/x.sock}]\n"), self.problems, None)
        self.assertEqual(self.calls(), ["assembly.build"])
        places = [problem.loc for problem in caught.exception.problems]
        self.assertEqual(places, [("routes",), ("listen", 0)], "where it could not listen is told at once")

    def test_one_that_is_wrong_is_never_ready(self) -> None:
        """However well the rest of it can be built; and whatever building the rest of it leads to."""
        document = loads(BASE + "sate: x\n", environ={}, defer=True)
        for effect in (None, [TypeError("of nothing that anybody wrote")]):
            self.told.assembly.build.side_effect = effect
            with self.assertRaises(ConfigError) as caught:
                self.stage.prepare(accept(document, self.folder, defer=True), Problems(), None)
            self.assertEqual([problem.loc for problem in caught.exception.problems], [("sate",)])
        self.assertNotIn("entrances.open_new", self.calls())
        self.told.assembly.build.side_effect = TypeError("a slip of ours")
        self.assertRaises(TypeError, self.stage.prepare, self.loaded(), Problems(), None)

    def test_what_was_opened_is_closed(self) -> None:
        """Whoever of them fails, and however."""

        def wrong(*args: Any) -> list[str]:
            args[2].add((), "wrong")
            return ["opened"]

        for effect, expected in ((wrong, ConfigError), (RuntimeError, RuntimeError)):
            self.told.reset_mock()
            self.told.observation.prepare.side_effect = effect
            self.assertRaises(expected, self.stage.prepare, self.loaded(), Problems(), None)
            self.told.entrances.discard.assert_called_once_with(["opened"])
            self.told.observation.discard.assert_called_once_with()
        self.told.reset_mock()
        self.told.observation.prepare.side_effect = None
        self.told.entrances.open_new.side_effect = wrong
        self.assertRaises(ConfigError, self.stage.prepare, self.loaded(), Problems(), None)
        self.told.observation.prepare.assert_called_once()
        self.told.entrances.discard.assert_called_once_with(["opened"])

    def test_a_rehearsal_opens_nothing(self) -> None:
        self.told.entrances.listeners = {"127.0.0.1:8080": object()}
        old = mock.Mock()
        old.settings.observe.listen = None
        self.stage.rehearse(self.loaded(), self.problems, old)
        self.assertEqual(self.calls(), ["assembly.build"])

    def test_restart_keys_are_compared_with_what_holds(self) -> None:
        self.stage.take(self.stage.prepare(self.loaded(), self.problems, None), None)  # type: ignore[arg-type]
        self.told.assembly.build.return_value.settings.state = "./edgegw-state"
        self.stage._held_state = "./edgegw-state"
        for text, warned in ((BASE, 0), (BASE + "state: x\n", 1), (BASE + f"state: {self.folder}/edgegw-state\n", 0)):
            problems = Problems()
            self.stage.build(self.loaded(text), problems, None)
            self.assertEqual(len(problems.warnings), warned, text)
