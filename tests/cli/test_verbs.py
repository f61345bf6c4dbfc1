"""Verbs and arguments: parsing, usage, help."""

import argparse

from twisted.trial.unittest import SynchronousTestCase

from edgegw.cli.verbs import CONFIG, CONFIG_WORD, EXIT_OK, FORMS, Argument, Call, UsageProblem, Verb, number


def run(call: Call) -> int:
    return EXIT_OK


BARE = Verb("stop", "end it", run)
PEEL = Verb(
    "peel",
    "take the skin off",
    run,
    (
        Argument(("FRUIT",), "which one"),
        CONFIG_WORD,
        CONFIG,
        Argument(("--thin",), "waste nothing", {"action": "store_true"}),
        *FORMS,
    ),
    "With a knife.\nMind your fingers.",
    ("edgegw peel apple",),
)


OPTIONS = [argument for argument in PEEL.arguments if argument.is_option]


class ArgumentTests(SynchronousTestCase):
    def test_shown(self) -> None:
        for argument, shown in (
            (Argument(("FRUIT",), ""), "FRUIT"),
            (Argument(("FRUIT",), "", {"nargs": "?"}), "[FRUIT]"),
            (Argument(("FRUIT",), "", {"nargs": "*"}), "[FRUIT]"),
            (Argument(("-c", "--config"), "", {"metavar": "FILE"}), "-c, --config FILE"),
            (Argument(("--form",), "", {"choices": ("a", "b")}), "--form a|b"),
            (Argument(("--thin",), "", {"action": "store_true"}), "--thin"),
        ):
            self.assertEqual(argument.shown, shown)

    def test_is_option(self) -> None:
        self.assertEqual((CONFIG.is_option, CONFIG_WORD.is_option), (True, False))


class ParseTests(SynchronousTestCase):
    def refused(self, *words: str, verb: Verb = PEEL) -> str:
        return str(self.assertRaises(UsageProblem, verb.parse, words))

    def test_values(self) -> None:
        found = PEEL.parse(["apple", "-c", "a.yaml", "--thin", "--format", "github"])
        self.assertEqual((found.fruit, found.config, found.config_word), ("apple", "a.yaml", None))
        self.assertEqual((found.thin, found.format, found.json), (True, "github", False))

    def test_a_positional_may_have_another_destination(self) -> None:
        found = PEEL.parse(["apple", "b.yaml", "--config=b.yaml"])
        self.assertEqual((found.config_word, found.config), ("b.yaml", "b.yaml"))

    def test_what_is_missing(self) -> None:
        self.assertEqual(self.refused(), "this is missing: FRUIT")

    def test_one_too_many(self) -> None:
        self.assertEqual(self.refused("apple", "a.yaml", "pear"), '"pear" is one argument too many')
        self.assertEqual(self.refused("now", verb=BARE), '"now" is one argument too many')

    def test_unknown_options_and_the_nearest_known_one(self) -> None:
        self.assertEqual(self.refused("apple", "--thinn"), "unknown option --thinn; did you mean --thin?")
        self.assertEqual(self.refused("apple", "--confg=x"), "unknown option --confg=x; did you mean --config?")
        self.assertIn("did you mean --config?", self.refused("apple", "--confg=/etc/edgegw/shop.yaml"))
        self.assertEqual(self.refused("apple", "--zzz"), "unknown option --zzz")

    def test_options_are_not_abbreviated(self) -> None:
        """A later option would change what the abbreviation means."""
        self.assertIn("did you mean --thin?", self.refused("apple", "--thi"))

    def test_not_one_of_the_choices(self) -> None:
        self.assertIn("invalid choice: 'xml'", self.refused("apple", "--format", "xml"))


class HelpTests(SynchronousTestCase):
    def test_usage(self) -> None:
        self.assertEqual(PEEL.usage, "edgegw peel FRUIT [CONFIG] [options]")
        self.assertEqual(BARE.usage, "edgegw stop")

    def test_short(self) -> None:
        self.assertEqual(BARE.help(), "Usage: edgegw stop\n\nEnd it.")

    def test_whole(self) -> None:
        head, summary, details, arguments, options, examples = PEEL.help().split("\n\n")
        self.assertEqual((head, summary), (f"Usage: {PEEL.usage}", "Take the skin off."))
        self.assertEqual(details, PEEL.details)
        self.assertEqual(arguments, "Arguments:\n  FRUIT     which one\n  [CONFIG]  the same as --config")
        columns = {line.index(argument.help) for line, argument in zip(options.splitlines()[1:], OPTIONS, strict=True)}
        self.assertEqual((options.splitlines()[0], len(columns)), ("Options:", 1))
        self.assertEqual(examples, "Examples:\n  edgegw peel apple")


class NumberTests(SynchronousTestCase):
    def test_numbers(self) -> None:
        self.assertEqual([number(text) for text in ("1", "007", "999999999")], [1, 7, 999999999])

    def test_others(self) -> None:
        for text in ("", "0", "-1", "1.5", "+3", "three", "1000000000", "٣", "²"):
            error = self.assertRaises(argparse.ArgumentTypeError, number, text)
            self.assertIn(f'not "{text}"', str(error))
