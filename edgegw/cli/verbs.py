"""What a verb of the command is: a name, arguments, and what it runs. One description makes the parser, the help and the docs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NoReturn

from edgegw.cli.output import FORMATS, Output

EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE = 0, 1, 2


class UsageProblem(Exception):
    """The command line is wrong. The text says how."""


class CommandFailed(Exception):
    """The verb could not do what it was asked. The text says why, and what to do."""


@dataclass(frozen=True)
class Call:
    """One run of a verb. options: the parsed arguments. verbs: all that there are, by name."""

    options: argparse.Namespace
    out: Output
    environ: Mapping[str, str]
    verbs: Mapping[str, Verb] = field(default_factory=dict)


@dataclass(frozen=True)
class Argument:
    """One argument. names: `-c`, `--config`; or one word in capitals, which is a positional. more: what argparse wants to know.
    destination: of a positional, if it is not its name in small letters.
    """

    names: tuple[str, ...]
    help: str
    more: Mapping[str, Any] = field(default_factory=dict)
    destination: str = ""

    @property
    def is_option(self) -> bool:
        """Whether it starts with a dash."""
        return self.names[0].startswith("-")

    @property
    def shown(self) -> str:
        """`-c, --config FILE`, `[CONFIG]`."""
        if not self.is_option:
            name = self.names[0]
            return f"[{name}]" if self.more.get("nargs") in ("?", "*") else name
        value = self.more.get("metavar") or "|".join(self.more.get("choices", ()))
        flags = ", ".join(self.names)
        return f"{flags} {value}" if value and self.more.get("action") != "store_true" else flags


@dataclass(frozen=True)
class Verb:
    """One verb. run: does it and returns the exit status. details: a paragraph or two. examples: command lines."""

    name: str
    summary: str
    run: Callable[[Call], int]
    arguments: tuple[Argument, ...] = ()
    details: str = ""
    examples: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """`edgegw check [CONFIG] [options]`."""
        words = [argument.shown for argument in self.arguments if not argument.is_option]
        options = ["[options]"] if any(argument.is_option for argument in self.arguments) else []
        return " ".join(["edgegw", self.name, *words, *options])

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments of a command line.

        Raises:
            UsageProblem: something is missing, unknown or of the wrong kind.
        """
        parser = _Parser(prog=f"edgegw {self.name}", add_help=False, allow_abbrev=False)
        for argument in self.arguments:
            more = dict(argument.more)
            if not argument.is_option:
                more["metavar"] = argument.names[0]
                destination = argument.destination or argument.names[0].lower()
                parser.add_argument(destination, help=argument.help, **more)
            else:
                parser.add_argument(*argument.names, help=argument.help, **more)
        options, unknown = parser.parse_known_args(words)
        if unknown:
            raise UsageProblem(self._about_unknown(unknown[0]))
        return options

    def _about_unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f'"{word}" is one argument too many'
        known = [name for argument in self.arguments if argument.is_option for name in argument.names]
        near = get_close_matches(word.partition("=")[0], known, 1)
        return f"unknown option {word}" + (f"; did you mean {near[0]}?" if near else "")

    def help(self) -> str:
        """What `edgegw VERB --help` prints."""
        lines = [f"Usage: {self.usage}", "", f"{self.summary[0].upper()}{self.summary[1:]}."]
        if self.details:
            lines += ["", *self.details.strip().splitlines()]
        for title, wanted in (("Arguments", False), ("Options", True)):
            rows = [(each.shown, each.help) for each in self.arguments if each.is_option is wanted]
            if rows:
                width = max(len(shown) for shown, _ in rows)
                lines += ["", f"{title}:", *(f"  {shown:<{width}}  {text}" for shown, text in rows)]
        if self.examples:
            lines += ["", "Examples:", *(f"  {example}" for example in self.examples)]
        return "\n".join(lines)


class _Parser(argparse.ArgumentParser):
    """Raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageProblem(message.replace("the following arguments are required", "this is missing"))


def number(text: str) -> int:
    """The number of a configuration, for argparse."""
    if not (text.isdecimal() and text.isascii() and 0 < int(text) < 10**9):
        raise argparse.ArgumentTypeError(f'it is a number from `edgegw history`, not "{text}"')
    return int(text)


CONFIG = Argument(
    ("-c", "--config"),
    "the configuration, a file or a folder (default: ./edgegw.yaml, then $EDGEGW_CONFIG)",
    {"metavar": "FILE"},
)
CONFIG_WORD = Argument(("CONFIG",), "the same as --config", {"nargs": "?"}, "config_word")
STATE = Argument(("--state",), "the state folder (default: what the configuration says)", {"metavar": "DIR"})
JSON = Argument(("--json",), "short for --format json", {"action": "store_true"})
FORMAT = Argument(("--format",), "how to print (default: text)", {"choices": FORMATS})
FORMS = (FORMAT, JSON)
