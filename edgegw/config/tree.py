"""YAML text -> nodes with positions.

libyaml (PyYAML's C parser) delivers events; the nodes are put together here, without recursion and with a bounded depth,
because the composer of PyYAML recurses in C: a text of 200,000 brackets ends the process.
Scalars stay text; `scalars.py` gives them types.
"""

from dataclasses import dataclass
from typing import Any, Literal

import yaml
from yaml import events
from yaml.reader import Reader

from edgegw.config.advice import advise
from edgegw.config.problems import Position, Problem, quoted

Kind = Literal["scalar", "list", "map"]

MAX_DEPTH = 100
_TAGS = "tag:yaml.org,2002:"


@dataclass(slots=True, eq=False)
class Node:
    """One value as written. Lines and columns count from 0 here, as libyaml counts them; `position` turns them into ours.

    `text` is set for scalars, `items` for lists, `pairs` for maps. `plain` is an unquoted scalar without a tag. `tag` is the short
    name (`str`, `int`) of an explicit `!!tag`, or the whole text of another one.
    """

    kind: Kind
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str = ""
    plain: bool = False
    tag: str | None = None
    items: "list[Node] | None" = None
    pairs: "list[tuple[Node, Node]] | None" = None

    @property
    def position(self) -> Position:
        """Where it starts; the caret underlines what stands on that line, one character of a value that goes on below."""
        width = self.end_column - self.column if self.end_line == self.line else 1
        return Position(self.file, self.line + 1, self.column + 1, max(1, width))


class Unreadable(Exception):
    """The text is not YAML, or not YAML that a configuration may use. Carries the one problem that ended the reading."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def compose(text: str, file: str) -> tuple[Node | None, int]:
    """The root node of `text` (None for an empty one) and how many nodes it has. Raises `Unreadable`."""
    strange = Reader.NON_PRINTABLE.search(text)
    if strange:
        line, column = line_and_column(text, strange.start())
        raise _unreadable(file, line, column, f"the character U+{ord(strange.group()):04X} may not stand in YAML")
    # Only what parses is used of the loader: types, tags and anchors are decided here.
    parser: Any = yaml.CBaseLoader(text)
    try:
        return _Composer(parser, file).run()
    except yaml.MarkedYAMLError as error:
        raise Unreadable(advise(error, text, file)) from None
    finally:
        parser.dispose()


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """Line and column, both from 0, of the character at `index`."""
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n"), len(before) - (before.rfind("\n") + 1)


class _Composer:
    """Builds the tree of one text: a stack of open collections instead of recursion."""

    def __init__(self, parser: Any, file: str) -> None:
        self._parser = parser
        self._file = file
        self._open: list[Node] = []
        self._keys: list[Node | None] = []  # the key of each open map that still waits for its value
        self._anchors: dict[str, Node] = {}
        self._root: Node | None = None
        self._documents = 0
        self._count = 0

    def run(self) -> tuple[Node | None, int]:
        parser = self._parser
        scalar, alias = events.ScalarEvent, events.AliasEvent
        starts, ends = (
            (events.SequenceStartEvent, events.MappingStartEvent),
            (events.SequenceEndEvent, events.MappingEndEvent),
        )
        while parser.check_event():
            event = parser.get_event()
            kind = type(event)
            if kind is scalar:
                self._scalar(event)
            elif kind in starts:
                self._start(event)
            elif kind in ends:
                self._close(event)
            elif kind is alias:
                self._alias(event)
            elif kind is events.DocumentStartEvent:
                self._document(event)
        return self._root, self._count

    def _scalar(self, event: Any) -> None:
        start, end = event.start_mark, event.end_mark
        tag = None if event.implicit[0] or event.implicit[1] else _short(event.tag)
        plain = event.style == "" and tag is None
        node = Node("scalar", self._file, start.line, start.column, end.line, end.column, event.value, plain, tag)
        self._place(node, event.anchor)

    def _start(self, event: Any) -> None:
        start = event.start_mark
        if len(self._open) >= MAX_DEPTH:
            raise _unreadable(self._file, start.line, start.column, f"nested deeper than {MAX_DEPTH} levels")
        is_list = type(event) is events.SequenceStartEvent
        tag = None if event.implicit else _short(event.tag)
        node = Node(
            "list" if is_list else "map", self._file, start.line, start.column, start.line, start.column + 1, tag=tag
        )
        if is_list:
            node.items = []
        else:
            node.pairs = []
        self._place(node, event.anchor)
        self._open.append(node)
        self._keys.append(None)

    def _close(self, event: Any) -> None:
        node = self._open.pop()
        self._keys.pop()
        node.end_line, node.end_column = event.end_mark.line, event.end_mark.column

    def _alias(self, event: Any) -> None:
        node = self._anchors.get(event.anchor)
        if node is None:
            mark = event.start_mark
            name = f"*{event.anchor}"
            raise _unreadable(
                self._file,
                mark.line,
                mark.column,
                f"{quoted(name)} refers to an anchor that is not defined",
                f'a value that starts with "*" must be put in quotes: {quoted(name)}',
                len(name),
            )
        self._put(node)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            mark = event.start_mark
            message = 'a second document starts here ("---"); a configuration file holds one'
            raise _unreadable(
                self._file, mark.line, mark.column, message, "put it into a file of its own in a folder", 3
            )

    def _place(self, node: Node, anchor: str | None) -> None:
        self._count += 1
        if anchor is not None:
            self._anchors[anchor] = node
        self._put(node)

    def _put(self, node: Node) -> None:
        """Give the node to the collection that is open."""
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if parent.items is not None:
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            self._keys[-1] = node
        elif parent.pairs is not None:
            parent.pairs.append((key, node))
            self._keys[-1] = None


def _short(tag: str | None) -> str | None:
    return tag.removeprefix(_TAGS) if tag else tag


def _unreadable(file: str, line: int, column: int, message: str, hint: str | None = None, width: int = 1) -> Unreadable:
    return Unreadable(Problem((), message, hint, position=Position(file, line + 1, column + 1, width)))
