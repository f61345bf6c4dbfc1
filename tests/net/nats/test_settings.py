"""Tests of edgegw.net.nats.settings."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.nats.settings import NatsSettings, Server, parse_server


class ServerTests(SynchronousTestCase):
    """URLs."""

    def test_right(self) -> None:
        for text, server in (
            ("nats://a.example:1", Server("a.example", 1)),
            ("tls://a.example", Server("a.example", 4222, True)),
            ("10.0.0.1", Server("10.0.0.1", 4222)),
            ("nats://[::1]:4223/", Server("::1", 4223)),
        ):
            self.assertEqual(parse_server(text), server)
        self.assertEqual(str(Server("::1", 1)), "[::1]:1")

    def test_wrong(self) -> None:
        for text in ("", "http://a", "a:0", "a:65536", "a b", "nats://", "nats://a/b", "[::g]", "a:", "ws://a"):
            self.assertRaises(ValueError, parse_server, text)
        error = self.assertRaises(ValueError, parse_server, "nats://me:secret@a")
        self.assertIn("write `user` and `password`", str(error))
        self.assertNotIn("secret", str(error))


class SettingsTests(SynchronousTestCase):
    """The map."""

    def refused(self, **given: Any) -> str:
        return str(self.assertRaises(ValidationError, NatsSettings.model_validate, {"servers": ["a"], **given}))

    def test_defaults(self) -> None:
        found = NatsSettings.model_validate({"servers": ["a"]})
        self.assertEqual((found.timeout, found.ping, found.answer, found.cluster), (5.0, 10.0, False, False))

    def test_one_login(self) -> None:
        self.assertIn("`user` and `password` go together", self.refused(user="x"))
        self.assertIn("`user` and `password` go together", self.refused(password="x"))
        self.assertIn("`user` and `token` are two ways", self.refused(user="x", password="y", token="z"))
        self.assertIn("`token` and `creds` are two ways", self.refused(token="z", creds="f"))

    def test_servers(self) -> None:
        self.assertIn("is not a NATS server", self.refused(servers=["http://a"]))
        self.assertIn("at least 1", self.refused(servers=[]))

    def test_secrets_are_not_shown(self) -> None:
        self.assertNotIn("hidden", repr(NatsSettings.model_validate({"servers": ["a"], "token": "hidden"})))
