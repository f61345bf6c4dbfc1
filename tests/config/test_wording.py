"""pydantic's errors in our words, one at a time; whole configurations are in test_validation."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.keys import keys_of
from edgegw.config.mask import Mask
from edgegw.config.problems import Loc
from edgegw.config.source import loads
from edgegw.config.units import Duration, Percent, Size
from edgegw.config.wording import SHAPE, Names, advice, choices, expected, predicate
from tests.config.sample import Config


class Colour(Enum):
    RED = "red"
    GREEN = "green"


def our_shape(value: object) -> object:
    raise PydanticCustomError(SHAPE, "x", {"expected": "a URL", "kind": "url"})


def refused(value: object) -> object:
    raise ValueError("not this one")


def error(kind: Any, value: object) -> ErrorDetails:
    """The one error that pydantic reports; an enum would take nothing but its members if it were strict."""
    try:
        TypeAdapter(kind).validate_python(value, strict=kind is not Colour)
    except ValidationError as caught:
        (found,) = caught.errors()
        return found
    raise AssertionError(f"{value!r} was accepted")


class PredicateTests(SynchronousTestCase):
    """What is wrong with a value, to follow the name of its key."""

    def check(self, rows: tuple[tuple[Any, object, str], ...]) -> None:
        for kind, value, wanted in rows:
            self.assertEqual(predicate(error(kind, value)), wanted, (kind, value))

    def test_kinds(self) -> None:
        self.check(
            (
                (str, 5, "must be text, not the number 5"),
                (str, None, "must be text, not empty"),
                (int, "x", 'must be a whole number, not "x"'),
                (int, [], "must be a whole number, not a list"),
                (float, {}, "must be a number, not a map"),
                (bool, "yes", 'must be true or false, not "yes"'),
                (list[int], "x", 'must be a list, not "x"'),
                (dict[str, int], [], "must be a map, not a list"),
                (None, 1, "must be empty, not the number 1"),
                (Literal["a"], "b", 'must be "a", not "b"'),
                (Literal["a", "b", "c"], "d", 'must be a, b or c, not "d"'),
                (Colour, "blue", 'must be red or green, not "blue"'),
                (Annotated[str, BeforeValidator(our_shape)], 1, "must be a URL, not the number 1"),
            )
        )

    def test_bounds(self) -> None:
        self.check(
            (
                (Annotated[int, Field(gt=0)], 0, "must be more than 0, not 0"),
                (Annotated[int, Field(ge=1)], 0, "must be 1 or more, not 0"),
                (Annotated[float, Field(lt=1)], 1.5, "must be less than 1.0, not 1.5"),
                (Annotated[int, Field(le=9)], 10, "must be 9 or less, not 10"),
                (Annotated[int, Field(multiple_of=5)], 7, "must be a multiple of 5, not 7"),
            )
        )

    def test_bounds_with_units(self) -> None:
        """As they are written in a configuration, if the kind of the value is known."""
        for kind, value, wanted in (
            (Annotated[Duration, Field(ge=0.1)], "50ms", "must be 100ms or more, not 50ms"),
            (Annotated[Duration, Field(gt=0)], "0s", "must be more than 0, not 0s"),
            (Annotated[Duration | None, Field(le=90)], "2m", "must be 90s or less, not 2m"),
            (Annotated[Size, Field(le=65536)], "1MiB", "must be 64KiB or less, not 1MiB"),
            (Annotated[Percent, Field(gt=0.25)], "20%", "must be more than 25%, not 20%"),
        ):
            node = TypeAdapter(kind).json_schema()
            self.assertEqual(predicate(error(kind, value), node), wanted)

    def test_lengths(self) -> None:
        self.check(
            (
                (Annotated[str, Field(min_length=1)], "", "must have 1 character or more"),
                (Annotated[str, Field(max_length=2)], "abc", "must have 2 characters or less"),
                (Annotated[list[int], Field(min_length=2)], [1], "must have 2 items or more"),
                (Annotated[list[int], Field(max_length=1)], [1, 2], "must have 1 item or less"),
                (Annotated[str, Field(pattern="^/")], "a", "must match ^/"),
            )
        )

    def test_our_own_words_pass_as_they_are(self) -> None:
        self.check(((Annotated[str, BeforeValidator(refused)], "a", "not this one"),))

    def test_what_has_no_words_of_ours_keeps_pydantics(self) -> None:
        strange: Any = {"type": "url_parsing", "input": 1, "msg": "Input should be a valid URL", "loc": ()}
        self.assertEqual((expected(strange), predicate(strange)), (None, "must be a valid URL"))
        strange["msg"] = "Input should have a scheme"
        self.assertEqual(predicate(strange), "must have a scheme")


class AdviceTests(SynchronousTestCase):
    """What to write instead."""

    def test_table(self) -> None:
        words = Literal["least_conn", "round_robin"]
        for kind, value, wanted in (
            (str, 5, 'put it in quotes: "5"'),
            (str, 1.5, 'put it in quotes: "1.5"'),
            (str, True, 'put it in quotes: "true"'),
            (str, [], None),
            (words, "round_robbin", 'did you mean "round_robin"?'),
            (words, "least_con", 'did you mean "least_conn"?'),
            (words, "zzz", None),
            (words, 5, None),
            (Colour, "gren", 'did you mean "green"?'),
            (list[str], "a", "put it in brackets: [a]"),
            (list[int], 5, "put it in brackets: [5]"),
            (list[int], True, None),
            (list[int], {}, None),
            (int, "5", None),
        ):
            self.assertEqual(advice(error(kind, value)), wanted, (kind, value))


class ChoicesTests(SynchronousTestCase):
    def test_a_single_word_is_quoted(self) -> None:
        self.assertEqual(choices("'a'"), '"a"')
        self.assertEqual(choices("False"), "false")
        self.assertEqual(choices("'a' or 'b'"), "a or b")
        self.assertEqual(choices("'a', 'b' or 'c'"), "a, b or c")


class NamesTests(SynchronousTestCase):
    """A place in the words of the configuration."""

    TEXT = (
        "listen: [{port: 80}, {}]\n"
        "routes:\n  - {name: users, match: /u}\n  - {match: {path: /x, methods: [GET]}}\n  - {name: '${SECRET}'}\n  - {}\n"
        "upstreams: {api: {endpoints: ['http://a'], pool: {max: 1}}}\n"
    )

    def names(self) -> Names:
        document = loads(self.TEXT, environ={"SECRET": "hunter2-is-long"})
        return Names(document.data, keys_of(Config), Mask(document))

    def test_subject(self) -> None:
        rows: tuple[tuple[Loc, str], ...] = (
            ((), "the configuration"),
            (("routes",), '"routes"'),
            (("routes", 0), 'route "users"'),
            (("routes", 1), 'route "GET /x"'),
            (("routes", 2), "route #3"),
            (("routes", 3), "route #4"),
            (("routes", 9), "route #10"),
            (("listen", 0), "listener 80"),
            (("listen", 1), "listener #2"),
            (("upstreams", "api"), 'upstream "api"'),
            (("routes", 0, "to"), '"to" in route "users"'),
            (("upstreams", "api", "endpoints", 1), 'item 2 of "endpoints" in upstream "api"'),
            (("upstreams", "api", "pool", "max"), '"max" in "pool" of upstream "api"'),
            (("observe", "log", "level"), '"level" in "observe.log"'),
        )
        for loc, wanted in rows:
            self.assertEqual(self.names().subject(loc), wanted, loc)

    def test_within(self) -> None:
        rows: tuple[tuple[Loc, str], ...] = (
            ((), ""),
            (("observe",), ' in "observe"'),
            (("observe", "log"), ' in "observe.log"'),
            (("routes", 0), ' in route "users"'),
            (("upstreams", "api", "pool"), ' in "pool" of upstream "api"'),
            (("routes", 0, "to", 2), ' in item 3 of "to" of route "users"'),
        )
        for loc, wanted in rows:
            self.assertEqual(self.names().within(loc), wanted, loc)

    def test_a_secret_is_not_a_name(self) -> None:
        names = self.names()
        for loc in (("routes", 2), ("routes", 2, "to")):
            self.assertNotIn("hunter2", names.subject(loc))
