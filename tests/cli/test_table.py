"""The table of verbs: all there are, each in one group of the help."""

import pkgutil
from importlib import import_module

import edgegw.cli
from edgegw.cli.table import GROUPS, VERBS
from edgegw.cli.verbs import Verb
from tests.cli.case import CliCase


class TableTests(CliCase):
    def test_no_verb_is_forgotten(self) -> None:
        """What a module of the command defines is in the table."""
        names = [each.name for each in pkgutil.iter_modules(edgegw.cli.__path__) if each.name != "__main__"]
        modules = [import_module(f"edgegw.cli.{name}") for name in names]
        defined = {each.name: each for module in modules for each in vars(module).values() if isinstance(each, Verb)}
        self.assertEqual(defined, dict(VERBS))

    def test_each_is_in_one_group(self) -> None:
        grouped = [name for names in GROUPS.values() for name in names]
        self.assertEqual(grouped, list(VERBS))
        self.assertEqual(len(grouped), len(set(grouped)))

    def test_the_help_has_them_in_this_order(self) -> None:
        lines = self.run_edgegw("--help").out.splitlines()
        shown = [
            line[:-1] if line.endswith(":") else line.split()[0]
            for line in lines
            if line[:2] == "  " or line[-1:] == ":"
        ]
        self.assertEqual(shown, [word for title, names in GROUPS.items() for word in (title, *names)])

    def test_a_verb_is_called_by_its_name(self) -> None:
        self.assertEqual({name: verb.name for name, verb in VERBS.items()}, {name: name for name in VERBS})

    def test_every_summary_and_example_is_of_the_verb(self) -> None:
        for name, verb in VERBS.items():
            with self.subTest(verb=name):
                self.assertTrue(verb.summary[0].islower() and not verb.summary.endswith("."), verb.summary)
                self.assertTrue(all(line.startswith("edgegw ") for line in verb.examples), verb.examples)

    def test_every_verb_has_help_and_takes_no_nonsense(self) -> None:
        for name in VERBS:
            with self.subTest(verb=name):
                self.assertEqual(self.run_edgegw(f"{name} --help").status, 0)
                self.assertEqual(self.run_edgegw(f"{name} --frobnicate x y z").status, 2)
