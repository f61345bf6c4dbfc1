"""The effective configuration: the file in its long form, every default written out and marked, secrets hidden."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from edgegw.config.mask import STARS, Mask
from edgegw.config.plain import fields, plain
from edgegw.config.problems import Loc
from edgegw.config.source import Document
from edgegw.config.yamltext import key_text, scalar

_DEFAULT = "  # default"
_SHORT_ENOUGH = 80


def show(settings: BaseModel, document: Document | None = None) -> str:
    """Settings as YAML, ending in a line break. Without the lines that end in `# default` it is what was written.

    Values that came from the environment or a file are shown as stars, with where they came from in a comment.
    """
    return "".join(f"{line}\n" for line in _Writer(document).map(settings, plain(settings), (), False))


class _Writer:
    def __init__(self, document: Document | None) -> None:
        self._mask = Mask(document)
        self._origins: Mapping[Loc, str] = document.origins if document is not None else {}

    def map(self, value: object, dumped: Mapping[str, object], loc: Loc, is_default: bool) -> Iterator[str]:
        """The lines of a map, not indented. `value` is the settings or dict that `dumped` was made from."""
        made_from = fields(value, dumped)
        unknown = (None, True)
        # In a list item what was written comes first, so that the dash stands before something that was written.
        order = (
            sorted(dumped, key=lambda key: not made_from.get(key, unknown)[1])
            if loc and isinstance(loc[-1], int)
            else dumped
        )
        for key in order:
            text = dumped[key]
            child, is_set = made_from.get(key, unknown)
            yield from self._entry(f"{key_text(key)}:", child, text, (*loc, key), is_default or not is_set)

    def _entry(self, head: str, value: object, dumped: object, loc: Loc, is_default: bool) -> Iterator[str]:
        if isinstance(dumped, dict) and dumped:
            yield head + (_DEFAULT if is_default else "")
            for line in self.map(value, dumped, loc, is_default):
                yield f"  {line}"
        elif isinstance(dumped, list) and any(isinstance(each, (dict, list)) for each in dumped):
            yield head + (_DEFAULT if is_default else "")
            for line in self._list(value, dumped, loc, is_default):
                yield f"  {line}"
        else:
            yield self._leaf(head, value, dumped, loc, is_default)

    def _list(self, value: object, dumped: list[object], loc: Loc, is_default: bool) -> Iterator[str]:
        values = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [None] * len(dumped)
        for index, (each, text) in enumerate(zip(values, dumped, strict=True)):
            here = (*loc, index)
            if isinstance(text, dict) and text:
                dash = "- "
                for line in self.map(each, text, here, is_default):
                    yield dash + line
                    dash = "  "
            else:
                yield self._leaf("-", each, text, here, is_default)

    def _leaf(self, head: str, value: object, dumped: object, loc: Loc, is_default: bool) -> str:
        if self._mask.hides(loc, dumped, by_place=not is_default):
            return f'{head} "{STARS}"{self._origin(loc)}'
        if isinstance(dumped, list):
            hidden = [STARS if self._mask.hides((*loc, index), each) else each for index, each in enumerate(dumped)]
            line = f"{head} {scalar(hidden)}"
        else:
            line = f"{head} {scalar(dumped)}"
        return line + (_DEFAULT if is_default else "")

    def _origin(self, loc: Loc) -> str:
        for length in range(len(loc), 0, -1):
            text = self._origins.get(loc[:length])
            if text is not None and text.isprintable() and len(text) <= _SHORT_ENOUGH:
                return f"  # from {text}"
        return ""
