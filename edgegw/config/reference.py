"""The configuration page of the docs, from the settings models."""

from collections.abc import Iterator

from pydantic import BaseModel

from edgegw.config.explain import default_text, description, examples, first_sentence, type_text
from edgegw.config.keys import Keys, Node, keys_of
from edgegw.config.yamltext import scalar

_HEAD = """# Configuration reference

<!-- Made from the settings models by `make docs`: change those, not this page. -->

Every key of the configuration file, with its type and default. `edgegw explain KEY` says the same on the command line, and
`edgegw schema` writes it as a JSON Schema for editors. Text may hold `${NAME}` or `${NAME:-default}` (environment variables) or be
`file:PATH` (the content of a file) wherever it stands.
"""


def reference_markdown(model: type[BaseModel]) -> str:
    """The whole page as Markdown, ending in a line break: one section per key that has keys of its own."""
    keys = keys_of(model)
    page = _Page(keys)
    lines = [*page.table(keys.root, "")]
    for key, node in keys.children(keys.root).items():
        lines += page.section(key, node, 2)
    return _HEAD + "\n" + "\n".join(lines).rstrip() + "\n"


class _Page:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._told: dict[str, str] = {}  # by definition: the section that has its keys

    def section(self, path: str, node: Node, level: int) -> Iterator[str]:
        """A heading, what the key is, its keys in a table, then the sections of those."""
        keys = self._keys
        yield from (f"{'#' * level} `{path}`", "")
        text = description(keys, node)
        if text:
            yield from (*text.strip().split("\n"), "")
        yield from (f"Type: {type_text(keys, node)}.", "")
        shown = examples(keys, node)
        if shown:
            yield from ("```yaml", *(f"{path.rsplit('.', 1)[-1]}: {scalar(each)}" for each in shown), "```", "")
        inner = keys.inner(node)
        name = keys.reference(inner)
        if name is not None and name in self._told and keys.children(node):
            told = self._told[name]
            yield from (f"It has the keys of [`{told}`](#{told.replace('.', '')}).", "")
            return
        if name is not None:
            self._told[name] = path
        yield from self.table(node, path)
        for key, child in keys.children(node).items():
            if keys.children(child):
                yield from self.section(f"{path}.{key}", child, min(level + 1, 4))

    def table(self, node: Node, path: str) -> Iterator[str]:
        """One row per key."""
        keys = self._keys
        children = keys.children(node)
        if not children:
            return
        required = keys.required(keys.inner(node))
        yield from ("| Key | Type | Default | What it is |", "|---|---|---|---|")
        for key, child in children.items():
            whole = f"{path}.{key}" if path else key
            shown = f"[`{key}`](#{whole.replace('.', '')})" if keys.children(child) or not path else f"`{key}`"
            default = default_text(child, key in required)
            is_value = "default" in child and child["default"] is not None and key not in required
            cells = [
                shown,
                type_text(keys, child),
                f"`{default}`" if is_value else default,
                first_sentence(description(keys, child)),
            ]
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        yield ""
