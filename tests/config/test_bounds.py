"""Bounds that a settings model states hold, whatever kind of value they are stated of."""

import pkgutil
import unittest
from collections.abc import Iterator
from importlib import import_module
from typing import Annotated, Any, get_args, get_origin

from pydantic import Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo

import edgegw
from edgegw.config.model import Settings
from edgegw.config.units import FORMATS, TYPE_KEY, Duration, OptionalDuration, Percent, Size

BOUNDS = {"gt": "greater_than", "ge": "greater_than_equal", "lt": "less_than", "le": "less_than_equal"}


def every_model(root: type[Settings] = Settings) -> Iterator[type[Settings]]:
    """All that are defined anywhere in the product."""
    for each in root.__subclasses__():
        if each.__module__.startswith("edgegw."):
            yield each
        yield from every_model(each)


def stated(info: Any) -> Iterator[tuple[str, float]]:
    """The bounds in the metadata of a field or of an `Annotated`."""
    for each in info:
        for piece in each.metadata if isinstance(each, FieldInfo) else [each]:
            yield from ((name, getattr(piece, name)) for name in BOUNDS if hasattr(piece, name))


def bounded(annotation: Any, kind: Any) -> Iterator[tuple[Any, str, float]]:
    """(what is bounded, which bound, its value), those inside of unions and lists too. kind: the whole of what is annotated."""
    if get_origin(annotation) is Annotated:
        yield from ((annotation, *bound) for bound in stated(get_args(annotation)[1:]))
    for inner in get_args(annotation):
        if not isinstance(inner, (str, int, bool)) and get_args(inner):
            yield from bounded(inner, inner)


def beyond(kind: Any, name: str, bound: float) -> object:
    """A value, as it is written, that the bound forbids."""
    step = 0.001 if isinstance(bound, float) else 1
    value = {"gt": bound, "lt": bound, "ge": bound - step, "le": bound + step}[name]
    schema = TypeAdapter(kind).json_schema()
    unit = next((each[TYPE_KEY] for each in (schema, *schema.get("anyOf", ())) if TYPE_KEY in each), None)
    if unit is None:
        return value
    if unit.startswith("duration"):
        return f"{value:.6f}s"
    return FORMATS[unit](value)


class BoundsTests(unittest.TestCase):
    def refused(self, kind: Any, name: str, bound: float) -> str | None:
        """What is said of a value beyond a bound; None: it is taken."""
        value = beyond(kind, name, bound)
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            return ", ".join(each["type"] for each in error.errors())
        return None

    def test_every_bound_of_every_settings_model_holds(self) -> None:
        for module in pkgutil.walk_packages(edgegw.__path__, "edgegw."):
            if not module.name.startswith(("edgegw.tap", "edgegw.testing", "edgegw.cli")):
                import_module(module.name)
        count = 0
        for model in dict.fromkeys(every_model()):
            for key, info in model.model_fields.items():
                # As the model declares it: what stands in its metadata was part of the annotation, or of Field().
                whole = create_model("One", value=(info.annotation, info)).model_fields["value"]
                kind = Annotated[whole.annotation, *whole.metadata] if whole.metadata else whole.annotation
                for what, name, bound in bounded(kind, kind):
                    if name == "ge" and bound == 0 and what is kind:
                        continue  # Nothing negative can be written of what has a unit.
                    count += 1
                    with self.subTest(model=f"{model.__module__}.{model.__name__}", key=key, bound=f"{name}={bound}"):
                        self.assertIn(BOUNDS[name], self.refused(what, name, bound) or "it was taken")
        self.assertGreater(count, 60)

    def test_each_unit_takes_bounds(self) -> None:
        """Those of a field win over whatever the kind of value says itself."""
        for kind in (Duration, OptionalDuration, Size, Percent, Duration | None, Size | None):
            for more in ({"ge": 1}, {"gt": 1}, {"le": 0}, {"lt": 0}):
                (name,) = more
                model = create_model("One", __base__=Settings, value=(kind, Field(**more)))
                value = {"ge": 0, "gt": 1, "le": 1, "lt": 0}[name]
                text: Any = f"{value * 100}%" if kind is Percent else str(value)
                if "float" in str(kind) and kind is not Percent:
                    text = f"{value}s"
                with self.subTest(kind=kind, bound=more), self.assertRaises(ValidationError) as caught:
                    model.model_validate({"value": text})
                self.assertEqual([each["type"] for each in caught.exception.errors()], [BOUNDS[name]])
