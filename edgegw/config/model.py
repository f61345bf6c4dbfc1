"""`Settings`: the base of every settings model, each of which stands next to the part that it configures.

What is made from the models can be imported from here too: validate, schema, explain, reference_markdown, show, diff.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from edgegw.config.diff import Change, diff
from edgegw.config.explain import UnknownKey, explain
from edgegw.config.problems import kind_of
from edgegw.config.reference import reference_markdown
from edgegw.config.schema import schema
from edgegw.config.show import show
from edgegw.config.validation import SHAPE, validate

__all__ = [
    "Change",
    "Settings",
    "ShortForm",
    "UnknownKey",
    "diff",
    "explain",
    "reference_markdown",
    "schema",
    "show",
    "validate",
]


@dataclass(frozen=True, slots=True)
class ShortForm:
    """How a map may be written in one word: `timeout: 15s` for `timeout: {head: 15s}`.

    `expand` turns a value of one of the types `accepts` into the long form and raises ValueError when it cannot. `says` completes
    "must be a map or ...". `schema` is the JSON schema of the short form.
    """

    expand: Callable[[Any], Mapping[str, Any]]
    says: str
    accepts: tuple[type, ...] = (str,)
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


class Settings(BaseModel):
    """A frozen map of the configuration: unknown keys are errors, and so are values of another kind (`true` for a number).

    Describe each field with the text in quotes below it, or with `Field(description=...)`; schema, `edgegw explain` and the
    reference page are made from it. A model that has a short form names it in `SHORT`.

    Write unions of maps plainly (`Http | Tcp`): the problems shown are those of the nearest one. pydantic takes no
    `discriminator="kind"` next to the check of kinds below.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    SHORT: ClassVar[ShortForm | None] = None

    @model_validator(mode="before")
    @classmethod
    def _long_form(cls, value: object) -> object:
        if isinstance(value, (dict, cls)):
            return value
        short = cls.SHORT
        if (
            short is not None
            and isinstance(value, short.accepts)
            and (not isinstance(value, bool) or bool in short.accepts)
        ):
            return short.expand(value)
        expected = f"a map or {short.says}" if short else "a map"
        raise PydanticCustomError(
            SHAPE, "must be {expected}, not {kind}", {"expected": expected, "kind": kind_of(value)}
        )

    @field_validator("*", mode="before")
    @classmethod
    def _same_kind(cls, value: object, info: ValidationInfo) -> object:
        """pydantic would read true as 1 and "yes" as true. Text that came from a variable may still be a number or a boolean."""
        kinds = _kinds(cls, info.field_name or "")
        if isinstance(value, bool):
            if bool not in kinds and kinds & {int, float}:
                expected = "a whole number" if int in kinds else "a number"
                raise PydanticCustomError(
                    SHAPE, "must be {expected}, not {kind}", {"expected": expected, "kind": kind_of(value)}
                )
        elif kinds == {bool}:
            if isinstance(value, str) and value in ("true", "false"):
                return value == "true"
            raise _wrong_kind("true or false", value)
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Adds the short form to the model's schema."""
        made = handler(core_schema)
        if cls.SHORT is not None:
            here = handler.resolve_ref_schema(made)
            if "anyOf" not in here:
                long_form = dict(here)
                here.clear()
                here.update({"anyOf": [dict(cls.SHORT.schema), long_form]})
        return made


def _wrong_kind(expected: str, value: object) -> PydanticCustomError:
    context = {"expected": expected, "kind": kind_of(value)}
    return PydanticCustomError(SHAPE, "must be {expected}, not {kind}", context)


@cache
def _kinds(model: type[BaseModel], name: str) -> frozenset[type]:
    """The plain types that a field's annotation allows, None left out; containers and models count as themselves.

    Types that read their own text (`Duration`) are left out: they have better words for what is wrong.
    """
    found = model.model_fields.get(name)
    if found and any(isinstance(each, BeforeValidator) for each in found.metadata):
        return frozenset()
    return frozenset(_plain_types(found.annotation)) - {type(None)} if found else frozenset()


def _plain_types(annotation: Any) -> list[type]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return [kind for arg in get_args(annotation) for kind in _plain_types(arg)]
    if origin is Annotated:
        reads_text = any(isinstance(each, BeforeValidator) for each in get_args(annotation)[1:])
        return [] if reads_text else _plain_types(get_args(annotation)[0])
    if origin is Literal:
        return [type(value) for value in get_args(annotation)]
    return [origin or annotation]
