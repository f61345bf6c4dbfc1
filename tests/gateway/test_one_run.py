"""Every problem in one run: whatever is wrong with the configurations that we show, building the rest of it never goes wrong."""

import json
import random
import re
import shutil
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from edgegw.config.keys import keys_of
from edgegw.config.problems import ConfigError, Loc, Problem
from edgegw.config.source import Document, at, loads
from edgegw.config.validation import examine
from edgegw.gateway.loading import accept, rehearse
from edgegw.gateway.settings import GatewaySettings
from tests.certs import Authority

ROOT = Path(__file__).parent.parent.parent
KEYS = keys_of(GatewaySettings)
SEED = 20261121
ROUNDS = 80

NO_KIND: tuple[object, ...] = (1.5, True, [5], [[]])
"""Of which most keys take none."""
ANYTHING = (*NO_KIND, None, {"zz": 1}, 0, -1, 1e9, "x", "5s", "50%", [], {}, ["x"], [{}], "(", "${NOPE}", "http://x")

_POSITION = re.compile(r"\bconfiguration:\d+:\d+")


def shown() -> Iterator[dict[str, Any]]:
    """The data of the demo, and of what the documentation shows; a part is made a whole."""
    texts = [(ROOT / "examples/demo/edgegw.yaml").read_text()]
    for path in sorted((ROOT / "docs").glob("*/*.md")):
        texts += re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)
    for text in texts:
        try:
            data = loads(text, environ={}, defer=True).data
        except ConfigError:
            continue
        if set(data) <= set(GatewaySettings.model_fields):
            yield {"edgegw": 1, "listen": [8080], **data}


def places(data: object, loc: Loc = ()) -> Iterator[Loc]:
    """Of everything in it."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*loc, key)
        yield from places(value, (*loc, key))


def change(data: dict[str, Any], chance: random.Random) -> None:
    """One key or value is something else, or is gone, or there is one more."""
    loc = chance.choice(list(places(data)) or [("new",)])
    around: Any = at(data, loc[:-1])
    key, value = loc[-1], json.loads(json.dumps(chance.choice(ANYTHING)))
    way = chance.randrange(4)
    if way == 0 and isinstance(key, str):
        around[chance.choice((key + "s", key[1:], f"zz{key}"))] = around.pop(key, value)
    elif way == 1 and len(loc) > 1:
        del around[key]
    elif way == 2 and isinstance(around, dict):
        around["zz"] = value
    else:
        around[key] = value


class OneRunTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-one-"))
        self.addCleanup(shutil.rmtree, self.folder)
        Authority().issue("a.example.com").write(self.folder, "a")
        self.chance = random.Random(SEED)
        # No way out: what goes wrong in building what is left goes wrong here.
        for name, value in (("FOREIGN", ()), ("can_bind", lambda place: None)):
            patch = mock.patch(f"edgegw.gateway.loading.{name}", value)
            patch.start()
            self.addCleanup(patch.stop)

    def document(self, data: object) -> Document:
        return loads(json.dumps(data, indent=1), environ={}, base=self.folder, defer=True)

    def found(self, data: object) -> tuple[Problem, ...]:
        try:
            return rehearse(accept(self.document(data), self.folder, defer=True))
        except ConfigError as error:
            return error.problems

    def of_schema(self, data: object) -> tuple[Problem, ...]:
        try:
            return examine(GatewaySettings, self.document(data)).problems
        except ConfigError as error:
            return error.problems

    def told(self, problems: tuple[Problem, ...]) -> set[str]:
        return {_POSITION.sub("there", problem.message) for problem in problems}

    def test_whatever_is_wrong(self) -> None:
        """Nothing is raised, and each problem has its place."""
        examples = list(shown())
        self.assertGreater(len(examples), 20)
        wrong = 0
        for number in range(ROUNDS):
            data = json.loads(json.dumps(self.chance.choice(examples)))
            for _ in range(self.chance.randrange(1, 6)):
                change(data, self.chance)
            with self.subTest(number=number, data=data):
                problems = self.found(data)
                wrong += bool(problems)
                for problem in problems:
                    assert problem.position is not None, problem
                    self.assertTrue(problem.position.line >= 1 and problem.position.column >= 1, problem)
        self.assertGreater(wrong, ROUNDS // 2)

    def test_nothing_follows_from_what_is_wrong(self) -> None:
        """One value is of no kind that its key takes: nothing else is told than that, and what was told without it."""
        examples = [(data, self.told(self.found(data))) for data in shown() if not self.of_schema(data)]
        self.assertGreater(len(examples), 20)
        wrong = 0
        for number in range(ROUNDS):
            whole, before = self.chance.choice(examples)
            data = json.loads(json.dumps(whole))
            loc = self.chance.choice([loc for loc in places(data) if KEYS.place(loc).kinds[-1] == "field"])
            around: Any = at(data, loc[:-1])
            around[loc[-1]] = self.chance.choice(NO_KIND)
            schema = self.of_schema(data)
            if schema:
                wrong += 1
                with self.subTest(number=number, loc=loc, value=around[loc[-1]]):
                    self.assertEqual(self.told(self.found(data)) - before, self.told(schema) - before)
        self.assertGreater(wrong, ROUNDS // 3)
