"""The base of every settings model: frozen, strict about kinds, short forms."""

import unittest

from pydantic import ValidationError

from edgegw.config.model import Settings, ShortForm
from tests.config.sample import Config, Pool, Timeout, Upstream


class Kinds(Settings):
    flag: bool = False
    flag_or_text: bool | str = False
    number: int = 0
    share: float = 0.0
    words: str = ""


class SettingsTests(unittest.TestCase):
    def accepts(self, data: object) -> bool:
        try:
            Kinds.model_validate(data)
        except ValidationError:
            return False
        return True

    def test_frozen_and_closed(self) -> None:
        with self.assertRaises(ValidationError):
            Pool().max = 5  # type: ignore[misc]
        with self.assertRaises(ValidationError):
            Pool.model_validate({"mx": 5})

    def test_a_value_of_another_kind_is_refused(self) -> None:
        for data in (
            {"flag": "yes"},
            {"flag": 1},
            {"number": True},
            {"share": True},
            {"number": 1.5},
            {"words": 5},
            {"words": True},
        ):
            with self.subTest(data=data):
                self.assertFalse(self.accepts(data))
        self.assertFalse(self.accepts({"share": float("inf")}))

    def test_text_from_a_variable_may_be_a_number_or_a_boolean(self) -> None:
        made = Kinds.model_validate({"flag": "true", "number": "80", "share": "1.5", "flag_or_text": "true"})
        self.assertEqual((made.flag, made.number, made.share, made.flag_or_text), (True, 80, 1.5, "true"))

    def test_descriptions_come_from_the_text_below_a_field(self) -> None:
        self.assertEqual(Pool.model_fields["max"].description, "How many connections an endpoint may get.")

    def test_short_forms(self) -> None:
        self.assertEqual(Timeout.model_validate("5s"), Timeout.model_validate({"head": "5s"}))
        with self.assertRaisesRegex(ValidationError, "a map or a duration such as 15s, not a list"):
            Timeout.model_validate([])
        with self.assertRaisesRegex(ValidationError, "not true"):
            Timeout.model_validate(True)
        with self.assertRaisesRegex(ValidationError, "must be a map, not empty"):
            Pool.model_validate(None)

    def test_a_short_form_may_be_a_boolean_if_it_says_so(self) -> None:
        class Switch(Settings):
            SHORT = ShortForm(lambda value: {"on": value}, "true or false", (bool,), {"type": "boolean"})
            on: bool = False

        self.assertTrue(Switch.model_validate(True).on)

    def test_settings_pass_through(self) -> None:
        upstream = Upstream.model_validate({"endpoints": ["http://a:1"]})
        self.assertIs(Config.model_validate({"upstreams": {"a": upstream}}).upstreams["a"], upstream)
