"""`edgegw explain KEY`: what a key is, from the settings models."""

import json
import textwrap
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from edgegw.config.keys import Keys, Node, keys_of
from edgegw.config.problems import quoted
from edgegw.config.units import TYPE_KEY
from edgegw.config.yamltext import scalar

_WIDTH = 100
_PLAIN_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "map",
    "array": "list",
}


class UnknownKey(LookupError):
    """There is no such key. The text says so, and what is near."""


def explain(model: type[BaseModel], key: str = "") -> str:
    """Type, default, description, examples and the keys below `key`, as text that ends in a line break.

    `key` is dotted: `routes.limit`, `upstreams.pool.max`, also with names (`upstreams.*.pool`, `upstreams.users.pool`); "" is the
    whole configuration. Raises `UnknownKey`.
    """
    keys = keys_of(model)
    path = [part for part in key.replace("[", ".").replace("]", "").split(".") if part]
    found = keys.find(path)
    if isinstance(found, str):
        raise UnknownKey(_unknown(keys, found))
    node = found.node if found.node is not None else keys.root
    parent = keys.find(found.path[:-1])
    holder = parent.node if not isinstance(parent, str) and parent.node is not None else keys.root
    is_required = bool(found.path) and found.path[-1] in keys.required(keys.inner(holder))
    lines = [f"KEY      {found.dotted or 'the configuration'}", f"TYPE     {type_text(keys, node)}"]
    if found.path:
        lines.append(f"DEFAULT  {default_text(node, is_required)}")
    lines += _paragraphs(description(keys, node))
    lines += _examples(keys, node, found.path[-1] if found.path else "")
    lines += _children(keys, node, found.dotted)
    return "\n".join(lines) + "\n"


def type_text(keys: Keys, node: Node) -> str:
    """The type in a few words: `duration`, `text or map`, `list of maps`."""
    return " or ".join(dict.fromkeys(_types(keys, node))) or "anything"


def _types(keys: Keys, node: Node) -> list[str]:
    if TYPE_KEY in node:
        return [str(node[TYPE_KEY])]
    inner = node.get("anyOf") or node.get("oneOf") or node.get("allOf")
    if inner:
        return [text for each in inner for text in _types(keys, each)]
    if "$ref" in node:
        return [text for each in keys.definition(node) for text in _types(keys, each)]
    if "enum" in node or "const" in node:
        return [scalar(each) for each in node.get("enum", [node.get("const")])]
    kind = node.get("type")
    if kind == "array" and isinstance(node.get("items"), dict):
        return [f"list of {_plural(type_text(keys, node['items']))}"]
    if kind == "object" and isinstance(node.get("additionalProperties"), dict):
        return [f"map of names to {_plural(type_text(keys, node['additionalProperties']))}"]
    return [] if kind == "null" else [_PLAIN_TYPES.get(str(kind), "anything")]


def _plural(text: str) -> str:
    return f"{text}s" if text in ("map", "number", "whole number", "duration", "size", "address range") else text


def default_text(node: Node, is_required: bool) -> str:
    """The default as it would be written, or why there is none."""
    if is_required:
        return "none, it is required"
    if "default" not in node:
        return "what its keys default to"
    value = node["default"]
    return "not set" if value is None else scalar(value)


def description(keys: Keys, node: Node) -> str:
    """What the field says, else what its model says, else what is said about the things in the collection."""
    while True:
        if "description" in node:
            return str(node["description"])
        for each in keys.alternatives(node):
            if "description" in each:
                return str(each["description"])
        below = keys.values(node) or keys.items(node)
        if below is None:
            return ""
        node = below


def examples(keys: Keys, node: Node) -> list[Any]:
    """The field's own examples, else those of its type."""
    if "examples" in node:
        return list(node["examples"])
    return [
        example for each in [*node.get("anyOf", ()), *keys.alternatives(node)] for example in each.get("examples", ())
    ]


def _paragraphs(text: str) -> list[str]:
    lines = []
    for paragraph in text.split("\n\n") if text else ():
        wrapped = textwrap.wrap(" ".join(paragraph.split()), _WIDTH - 2, break_long_words=False, break_on_hyphens=False)
        lines += ["", *(f"  {line}" for line in wrapped)]
    return lines


def _examples(keys: Keys, node: Node, key: str) -> list[str]:
    found = list(dict.fromkeys(json.dumps(each) for each in examples(keys, node)))
    shown = [f"  {key}: {scalar(json.loads(each))}" for each in found]
    return ["", "EXAMPLES", *shown] if shown and key else []


def _children(keys: Keys, node: Node, path: str) -> list[str]:
    children = keys.children(node)
    if not children:
        return []
    required = keys.required(keys.inner(node))
    title = "KEYS" if keys.inner(node) is node else "KEYS of each"
    rows = [(key, type_text(keys, child), default_text(child, key in required)) for key, child in children.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = ["", title]
    for (key, kind, default), child in zip(rows, children.values(), strict=True):
        shown = (
            "required"
            if key in required
            else f"default {default}"
            if "default" in child and child["default"] is not None
            else ""
        )
        lines.append(f"  {key:<{widths[0]}}  {kind:<{min(widths[1], 40)}}  {shown}".rstrip())
        first = first_sentence(description(keys, child))
        if first:
            lines += textwrap.wrap(
                first, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False
            )
    return [*lines, "", f"more: edgegw explain {path + '.' if path else ''}KEY"]


def first_sentence(text: str) -> str:
    """The first sentence of a description, on one line."""
    line = " ".join(text.split("\n\n")[0].split())
    end = line.find(". ")
    return line if end < 0 else line[: end + 1]


def _unknown(keys: Keys, path: str) -> str:
    parts = path.split(".")
    around = keys.find(parts[:-1])
    node = around.node if not isinstance(around, str) and around.node is not None else keys.root
    known = keys.children(node)
    near = get_close_matches(parts[-1], known, 1)
    inside = f" in {'.'.join(parts[:-1])}" if len(parts) > 1 else ""
    if near:
        right = ".".join([*parts[:-1], near[0]])
        return f"unknown key {quoted(parts[-1])}{inside}; did you mean {quoted(right)}?"
    listed = f"; known: {', '.join(known)}" if known else "; it has no keys"
    return f"unknown key {quoted(parts[-1])}{inside}{listed}"
