"""A configuration as it stands on disk: one YAML file, or a folder of them, with the place of every value."""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgegw.config.problems import ConfigError, Loc, Position, Problem, in_order
from edgegw.config.scalars import Substitution, read_secret
from edgegw.config.tree import Node, Unreadable, compose, line_and_column
from edgegw.config.walk import TooMuch, Walk

MAX_SIZE = 10 * 1024 * 1024
"""Bytes of one configuration, all its files together."""

_SUFFIXES = (".yaml", ".yml")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, eq=False)
class Document:
    """A configuration that was read and not yet checked.

    `data`: plain maps, lists, text, numbers, booleans and None. `files`: the text of each file by its name, in order.
    `origins`: the text as written (`${TOKEN}`, `file:/run/x`) of every value that came from elsewhere.
    `problems`: what is wrong although it could be read (only with `defer=True`).
    `digest`: SHA-256 of the texts and of what they were resolved to. `watched_paths`: everything on disk that the data depend on.
    """

    data: dict[str, object]
    files: Mapping[str, str]
    origins: Mapping[Loc, str]
    problems: tuple[Problem, ...]
    digest: str
    watched_paths: tuple[Path, ...]
    _places: Mapping[Loc, tuple[Node | None, Node]] = field(repr=False)

    @property
    def secrets(self) -> frozenset[Loc]:
        """The places whose values came from the environment or from a file, and are not to be shown."""
        return frozenset(self.origins)

    def position(self, loc: Loc) -> Position:
        """Where the value at `loc` stands; the nearest thing around it that was written where it was not."""
        place = self._place(loc)
        return place[1].position if place else Position(next(iter(self.files), "configuration"), 1, 1)

    def key_position(self, loc: Loc) -> Position:
        """Where the key of `loc` stands; the value's place for list items."""
        place = self._place(loc)
        return (place[0] or place[1]).position if place else self.position(loc)

    def written(self, loc: Loc) -> Loc:
        """The same place, counted as in the files; see `remainder.Remainder`, as for `lacks`."""
        return loc

    def lacks(self, loc: Loc) -> bool:
        """Whether something was left out at `loc`, in it or around it, because it is wrong."""
        return False

    def names(self, loc: Loc) -> tuple[str, ...]:
        """The keys of the map at `loc`, as far as they were written, whatever stands below them."""
        found = at(self.data, loc)
        return tuple(map(str, found)) if isinstance(found, dict) else ()

    def _place(self, loc: Loc) -> tuple[Node | None, Node] | None:
        while loc and loc not in self._places:
            loc = loc[:-1]
        return self._places.get(loc)

    def __repr__(self) -> str:
        return f"<Document {', '.join(self.files)} {self.digest[:12]}>"


def load(path: str | Path, *, environ: Mapping[str, str] | None = None, defer: bool = False) -> Document:
    """Read a file, or the `*.yaml` and `*.yml` files of a folder in the order of their names.

    In a folder, the top-level maps of the files are merged by key and the top-level lists are concatenated; a key defined twice is
    an error. `environ` is what `${NAME}` looks up, by default the process's own.

    With `defer=True`, problems that leave the rest readable (an unset variable, a duplicate key) stay in `Document.problems`, so
    that `validation.validate` reports them together with its own. Raises `ConfigError`.
    """
    root = Path(path)
    problems: list[Problem] = []
    texts: dict[str, str] = {}
    size = 0
    paths = _files(root, problems)
    for each in paths:
        content = _content(each, str(each), problems, MAX_SIZE - size)
        if content is not None:
            size += len(content)
            text = _decode(content, str(each), problems)
            if text is not None:
                texts[str(each)] = text
    if problems:
        raise ConfigError(problems, texts)
    base = root if root.is_dir() else root.parent
    watched = paths if paths == [root] else [root, *paths]
    return _document(texts, Substitution(os.environ if environ is None else environ, base), watched, defer)


def loads(
    text: str,
    name: str = "configuration",
    *,
    environ: Mapping[str, str] | None = None,
    base: str | Path = ".",
    defer: bool = False,
) -> Document:
    """Read a configuration from text; `name` is what positions call it, `base` the folder that `file:` counts from.

    Otherwise as `load`. Raises `ConfigError`.
    """
    return restore({name: text}, environ=environ, base=base, defer=defer)


def restore(
    texts: Mapping[str, str],
    *,
    environ: Mapping[str, str] | None = None,
    base: str | Path = ".",
    defer: bool = False,
) -> Document:
    """Read a configuration from the texts of its files by name, as `Document.files` held them.

    Otherwise as `loads`. Raises `ConfigError`.
    """
    if sum(map(len, texts.values())) > MAX_SIZE:
        name = next(iter(texts))
        raise ConfigError([_whole(name, f"the configuration is larger than {MAX_SIZE // 1024**2} MiB")])
    substitution = Substitution(os.environ if environ is None else environ, Path(base), read_secret)
    return _document(texts, substitution, [], defer)


def _document(texts: Mapping[str, str], substitution: Substitution, paths: Sequence[Path], defer: bool) -> Document:
    problems: list[Problem] = []
    roots: list[tuple[Node, int]] = []
    for name, text in texts.items():
        try:
            root, count = compose(text, name)
        except Unreadable as error:
            problems.append(error.problem)
            continue
        if root is not None and (root.kind != "scalar" or root.text):
            problems.extend(_not_a_map(root))
            roots.append((root, count))
    if not roots and not problems:
        problems.append(
            _whole(
                next(iter(texts), "configuration"), "the file is empty", "`edgegw init` writes a first configuration"
            )
        )
    if problems:
        raise ConfigError(in_order(problems, texts), texts)
    walk = Walk(substitution)
    try:
        for root, count in roots:
            walk.add(root, count)
    except TooMuch as error:
        raise ConfigError(
            [Problem((), f"{error}; is this meant to be a configuration?", position=error.position)], texts
        ) from None
    found = in_order(walk.problems, texts)
    if found and not defer:
        raise ConfigError(found, texts)
    watched = tuple(dict.fromkeys([*paths, *substitution.paths]))
    return Document(walk.data, texts, walk.origins, found, _digest(texts, walk), watched, walk.places)


def _digest(texts: Mapping[str, str], walk: Walk) -> str:
    """What is the same as long as the configuration is: the texts, and what was put into them."""
    resolved = [(loc, at(walk.data, loc)) for loc in walk.origins]
    return hashlib.sha256(repr((list(texts.items()), resolved)).encode()).hexdigest()


def at(data: object, loc: Loc) -> object:
    """The value at `loc` in plain data, None where there is none."""
    for part in loc:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _files(root: Path, problems: list[Problem]) -> list[Path]:
    """The files of a configuration. Hidden ones are left out: a mounted ConfigMap keeps its versions in such folders."""
    try:
        if not stat.S_ISDIR(root.stat().st_mode):
            return [root]
        found = sorted(
            each
            for each in root.iterdir()
            if each.suffix in _SUFFIXES and not each.name.startswith(".") and each.is_file()
        )
    except OSError as error:
        problems.append(_whole(str(root), f"the configuration cannot be read: {_reason(error)}"))
        return []
    if not found:
        problems.append(_whole(str(root), "there is no *.yaml or *.yml file in this folder"))
    return found


def _content(path: Path, name: str, problems: list[Problem], room: int) -> bytes | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                problems.append(_whole(name, "the configuration is not a regular file"))
                return None
            content = stream.read(room + 1)
    except (OSError, ValueError) as error:
        problems.append(_whole(name, f"the configuration cannot be read: {_reason(error)}"))
        return None
    if len(content) > room:
        problems.append(_whole(name, f"the configuration is too large: it may have {MAX_SIZE // 1024**2} MiB"))
        return None
    return content


def _decode(content: bytes, name: str, problems: list[Problem]) -> str | None:
    if content.startswith(_UTF16):
        problems.append(_whole(name, "the file is UTF-16; save it as UTF-8"))
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from behind a byte order mark, and so do we.
        before = error.object[: error.start].decode("utf-8", "replace")
        line, column = line_and_column(before, len(before))
        message = f"this is not UTF-8: byte 0x{error.object[error.start]:02X}"
        problems.append(Problem((), message, "save the file as UTF-8", position=Position(name, line + 1, column + 1)))
        return None


def _not_a_map(root: Node) -> list[Problem]:
    if root.kind == "map":
        return []
    what = "a list" if root.kind == "list" else "plain text"
    hint = 'there is a space after the ":" of a key' if root.kind == "scalar" else None
    return [Problem((), f"a configuration is a map of keys, not {what}", hint, position=root.position)]


def _whole(name: str, message: str, hint: str | None = None) -> Problem:
    return Problem((), message, hint, position=Position(name, 1, 1))


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
