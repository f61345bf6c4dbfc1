"""The `observe:` section."""

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.export.settings import AccessLogSettings, LogSettings, ObserveSettings, parse_listen


class ListenTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        for text, parsed in (
            ("127.0.0.1:9902", ("127.0.0.1", 9902)),
            ("0.0.0.0:0", ("0.0.0.0", 0)),
            ("localhost:80", ("127.0.0.1", 80)),
            ("[::1]:80", ("::1", 80)),
            (":9902", ("::", 9902)),
        ):
            self.assertEqual(parse_listen(text), parsed)

    def test_what_is_none(self) -> None:
        wrong = (
            "9902 127.0.0.1 127.0.0.1: 127.0.0.1:x 127.0.0.1:70000 ::1:80 [::1] [::1]x:80 a.b:80 1.2.3:80 127.0.0.1:²"
        )
        for text in ("", *wrong.split()):
            with self.subTest(text), self.assertRaises(ValueError):
                parse_listen(text)


class SettingsTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        settings = ObserveSettings()
        self.assertIsNone(settings.listen)
        self.assertEqual((settings.access_log.path, settings.access_log.format), ("stdout", "json"))
        self.assertEqual((settings.log.level, settings.log.format), ("info", "console"))

    def test_the_example_of_the_design(self) -> None:
        settings = ObserveSettings.model_validate({
            "listen": "0.0.0.0:9902",
            "access_log": {"path": "stdout", "format": "json"},
            "log": {"level": "info", "format": "console"},
        })  # fmt: skip
        self.assertEqual(settings.listen, "0.0.0.0:9902")

    def test_short_form_of_the_access_log(self) -> None:
        self.assertEqual(ObserveSettings.model_validate({"access_log": "off"}).access_log.path, "off")

    def test_mistakes_are_errors(self) -> None:
        for model, value in (
            (ObserveSettings, {"listen": "9902x"}),
            (ObserveSettings, {"metrics": True}),
            (AccessLogSettings, {"path": ""}),
            (AccessLogSettings, {"format": "xml"}),
            (LogSettings, {"level": "verbose"}),
        ):
            with self.subTest(value), self.assertRaises(ValidationError):
                model.model_validate(value)
