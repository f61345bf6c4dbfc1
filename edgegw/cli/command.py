"""main: finds the verb, runs it, turns what goes wrong into words and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TextIO

import edgegw
from edgegw.cli.output import FORMATS, Output
from edgegw.cli.table import GROUPS, VERBS
from edgegw.cli.verbs import EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE, Call, CommandFailed, UsageProblem, Verb
from edgegw.config.problems import ConfigError
from edgegw.config.report import Format

_INTERRUPTED = 130


def main(
    words: Sequence[str] | None = None,
    *,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run the `edgegw` command and return its exit status.

    Args:
        words: the command line behind `edgegw`; by default that of the process, as are the streams and the environment.
    """
    given = list(sys.argv[1:] if words is None else words)
    out, err = stdout or sys.stdout, stderr or sys.stderr
    try:
        status = _main(given, out, err, os.environ if environ is None else environ)
        out.flush()
        return status
    except BrokenPipeError:
        # Whoever read has enough. Python would complain about it once more while it ends.
        _silence(out)
        return EXIT_PROBLEMS
    except KeyboardInterrupt:
        return _INTERRUPTED


def _main(words: list[str], stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]) -> int:
    out = Output(stdout, stderr, _form(words), environ)
    if not words or words[0] in ("-h", "--help", "help"):
        return _help(words[1:], out)
    if words[0] in ("-V", "--version"):
        out.line(f"edgegw {edgegw.__version__}")
        return EXIT_OK
    verb = VERBS.get(words[0])
    if verb is None:
        out.failure(_unknown(words[0]), EXIT_USAGE)
        return EXIT_USAGE
    if any(word in ("-h", "--help") for word in words[1:]):
        out.line(verb.help())
        return EXIT_OK
    return _run(verb, words[1:], out, environ)


def _run(verb: Verb, words: list[str], out: Output, environ: Mapping[str, str]) -> int:
    try:
        return verb.run(Call(verb.parse(words), out, environ, VERBS))
    except UsageProblem as error:
        out.failure(str(error), EXIT_USAGE, f"Usage: {verb.usage}      more: edgegw {verb.name} --help")
        return EXIT_USAGE
    except CommandFailed as error:
        out.failure(str(error), EXIT_PROBLEMS)
    except ConfigError as error:
        out.problems(error.problems, error.sources, product=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        out.failure(f"{name}{(error.strerror or str(error)).lower()}", EXIT_PROBLEMS)
    return EXIT_PROBLEMS


def _form(words: Sequence[str]) -> Format:
    """The form is known before the command line is: what is wrong with that is told in it, too."""
    for index, word in enumerate(words):
        if word == "--json":
            return "json"
        name, mark, value = word.partition("=")
        if name == "--format":
            found = value if mark else words[index + 1] if index + 1 < len(words) else ""
            return next((form for form in FORMATS if form == found), "text")
    return "text"


def _help(words: Sequence[str], out: Output) -> int:
    if words and words[0] in VERBS:
        out.line(VERBS[words[0]].help())
        return EXIT_OK
    if words and not words[0].startswith("-"):
        out.failure(_unknown(words[0]), EXIT_USAGE)
        return EXIT_USAGE
    width = max(map(len, VERBS))
    out.line(f"edgegw {edgegw.__version__}: a gateway in front of your servers, configured by one file.")
    for title, names in GROUPS.items():
        out.line()
        out.line(out.paint(f"{title}:", "bold"))
        for name in names:
            out.line(f"  {name:<{width}}  {VERBS[name].summary}")
    out.line()
    out.line(
        "First steps:  edgegw init, then edgegw run      Without a file:  edgegw proxy :8080 http://localhost:3000"
    )
    out.line("More:         edgegw VERB --help                Every key:       edgegw explain")
    return EXIT_OK


def _unknown(word: str) -> str:
    if word.startswith("-"):
        return f"unknown option {word}; a verb comes first: edgegw --help lists them"
    near = get_close_matches(word, VERBS, 1)
    return f'unknown verb "{word}"; ' + (f'did you mean "{near[0]}"?' if near else "edgegw --help lists them")


def _silence(stream: TextIO) -> None:
    """Let what is still buffered go nowhere."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
