"""JSON Schema draft-07 of the settings models: what editors complete and check by."""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from edgegw.config.units import FORMATS, TYPE_KEY, Rate, StatusRange

Node = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
_NOTES = ("title", "description", "default", "examples", TYPE_KEY)
_ELSEWHERE = "elsewhere"


def schema(model: type[BaseModel], *, title: str | None = None, identity: str = "urn:edgegw:schema:config") -> Node:
    """The JSON Schema of a configuration whose root is `model`, as plain data.

    Values that need not be text may still be written as `${NAME}` or `file:PATH`; the schema lets those through.
    """
    root = _opened(_for_draft07(raw_schema(model)), False)
    definitions = root.pop("definitions", {})
    definitions[_ELSEWHERE] = {
        "title": "a value from elsewhere",
        "description": "${NAME}, ${NAME:-default} or file:PATH",
        "type": "string",
        "pattern": r"^file:|\$\{",
    }
    head = {"$schema": DRAFT, "$id": identity, "title": title or root.get("title", model.__name__)}
    return {**head, **{key: value for key, value in root.items() if key != "title"}, "definitions": definitions}


@cache
def raw_schema(model: type[BaseModel]) -> Node:
    """pydantic's schema with our types' defaults as text and without the titles it makes up. Do not change what is returned."""
    made: Node = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    _clean(made)
    return made


class _Generator(GenerateJsonSchema):
    """Leaves out the title that pydantic makes from a field's name: it says nothing that the key does not say."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _clean(node: object) -> None:
    if isinstance(node, list):
        for each in node:
            _clean(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key not in ("default", "examples", "const", "enum"):
                _clean(value)
        if "default" in node:
            node["default"] = as_written(node, node["default"])
        node.pop("discriminator", None)


def as_written(node: Node, value: object) -> object:
    """A value of this kind as it would be written: 5.0 of a duration is `5s`."""
    kinds = [each.get(TYPE_KEY) for each in (node, *node.get("anyOf", ()))]
    for kind in kinds:
        if kind == "rate" and isinstance(value, dict):
            return FORMATS[kind](Rate(**value))
        if kind == "status codes" and isinstance(value, list) and value:
            return FORMATS[kind](tuple(StatusRange(**each) for each in value))
        if kind in FORMATS and not isinstance(value, (str, list, dict)) and value is not None:
            return FORMATS[kind](value)
    return "none" if value is None and "duration or none" in kinds else value


def _for_draft07(node: Any) -> Any:
    """`$defs` is `definitions`, and what stands next to a `$ref` does not count there, so the `$ref` moves into `allOf`."""
    if isinstance(node, list):
        return [_for_draft07(each) for each in node]
    if not isinstance(node, dict):
        return node
    made: Node = {}
    for key, value in node.items():
        if key == "$ref":
            made[key] = value.replace("#/$defs/", "#/definitions/")
        elif key == "$defs":
            made["definitions"] = {name: _for_draft07(each) for name, each in value.items()}
        elif key == "properties":
            made[key] = {name: _for_draft07(each) for name, each in value.items()}
        elif key == "prefixItems":
            made["items"] = _for_draft07(value)
        elif key in ("default", "examples", "const", "enum"):
            made[key] = value
        else:
            made[key] = _for_draft07(value)
    if "$ref" in made and len(made) > 1:
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return made


def _opened(node: Node, alternative: bool) -> Node:
    """Lets `${NAME}` stand where the schema asks for more than any text. `alternative`: the node is one of an `anyOf`."""
    made = dict(node)
    for key in ("properties", "definitions"):
        if key in made:
            made[key] = {name: _opened(each, key == "definitions") for name, each in made[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = _opened(made[key], False)
    reference = {"$ref": f"#/definitions/{_ELSEWHERE}"}
    if "anyOf" in made:
        narrow = any(_is_narrow(each) for each in made["anyOf"])
        made["anyOf"] = [_opened(each, True) for each in made["anyOf"]] + ([reference] if narrow else [])
    elif not alternative and _is_narrow(made):
        notes = {key: made.pop(key) for key in _NOTES if key in made}
        return {**notes, "anyOf": [made, reference]}
    return made


def _is_narrow(node: Node) -> bool:
    """Whether a scalar's schema would refuse some text."""
    if "enum" in node or "const" in node:
        return True
    kind = node.get("type")
    return kind in ("integer", "number", "boolean") or (
        kind == "string" and bool({"pattern", "format", "minLength"} & node.keys())
    )
