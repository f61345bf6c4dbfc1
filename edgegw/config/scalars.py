"""What a scalar means: the core types of YAML 1.2, and `${ENV}` and `file:PATH` in text.

Unlike YAML 1.1, `yes`, `no`, `on` and `off` are text, `017` is seventeen, `0o17` is fifteen and `12:30:45` is text.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgegw.config.problems import quoted

Scalar = str | int | float | bool | None

MAX_DIGITS = 400
MAX_SECRET = 1024 * 1024
"""Bytes that a file named by `file:` may have."""

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NUMBER_STARTS = frozenset("0123456789+-.")


def core_type(text: str) -> Scalar:
    """An unquoted scalar by the YAML 1.2 core schema (yaml.org/spec/1.2.2, 10.3.2). Raises ValueError for a number too long."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if len(text) > MAX_DIGITS and (_INT.fullmatch(text) or _HEX.fullmatch(text) or _OCTAL.fullmatch(text)):
        raise ValueError(f"a number may have {MAX_DIGITS} digits at most; put it in quotes if it is text")
    if _INT.fullmatch(text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 16)
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


_REFERENCE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<sep>:-(?P<default>[^}]*))?\})?")
_FILE = "file:"
_LITERAL_FILE = "$$file:"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A text after substitution. `secret` when any of it came from outside the file; `faults` are (message, hint) pairs."""

    text: str
    secret: bool = False
    faults: tuple[tuple[str, str | None], ...] = ()


def read_secret(path: Path) -> str:
    """The content of a regular UTF-8 file of at most 1 MiB, without white space around it. Raises OSError, ValueError."""
    # Non-blocking, so that a FIFO cannot hold up the load before it is seen that it is none.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("is not a regular file")
        content = stream.read(MAX_SECRET + 1)
    if len(content) > MAX_SECRET:
        raise ValueError("is larger than 1 MiB")
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if not text:
        raise ValueError("is empty")
    return text


@dataclass(slots=True)
class Substitution:
    """Resolves `${ENV}`, `${ENV:-default}` (used when the variable is unset or empty), `$${` (a literal `${`) and `file:PATH`.

    `file:` counts only at the start of a text, after variables were put in; a relative path counts from `base`, the folder of the
    configuration. `$$file:` is a literal `file:`. The files read are collected in `paths`, for the watcher.
    """

    environ: Mapping[str, str]
    base: Path
    read: Callable[[Path], str] = read_secret
    paths: list[Path] = field(default_factory=list)

    def concerns(self, text: str) -> bool:
        """Whether there is anything to resolve in `text`."""
        return "${" in text or text.startswith((_FILE, _LITERAL_FILE))

    def resolve(self, text: str) -> Resolved:
        """Put everything in; whatever cannot be is reported in `faults`."""
        if text.startswith(_LITERAL_FILE):
            found = self._variables(text[2:])
            return found
        found = self._variables(text)
        if found.faults or not found.text.startswith(_FILE):
            return found
        return self._file(found.text.removeprefix(_FILE))

    def _variables(self, text: str) -> Resolved:
        faults: list[tuple[str, str | None]] = []
        secret = False

        def put(match: re.Match[str]) -> str:
            nonlocal secret
            name = match["name"]
            if match.group() == "$${":
                return "${"
            if name is None:
                message = f"{quoted(text)} holds a ${{ that is not followed by a name and }}"
                faults.append((message, "write ${NAME} or ${NAME:-default}; $${ is a literal ${"))
                return match.group()
            value = self.environ.get(name)
            if match["sep"] and not value:
                return match["default"]
            if value is None:
                message = f"the environment variable {name} is not set"
                faults.append((message, f"set it, or give a default: ${{{name}:-...}}"))
                return match.group()
            secret = True
            return value

        return Resolved(_REFERENCE.sub(put, text), secret, tuple(faults))

    def _file(self, name: str) -> Resolved:
        if not name:
            return Resolved(_FILE, faults=(("file: is not followed by a path", "write file:/run/secrets/NAME"),))
        path = self.base / name
        self.paths.append(path)
        try:
            return Resolved(self.read(path), True)
        except OSError as error:
            reason = f"cannot be read: {(error.strerror or str(error)).lower()}"
        except ValueError as error:
            reason = str(error)
        return Resolved(_FILE + name, faults=((f"the file {quoted(name)} {reason}", None),))
