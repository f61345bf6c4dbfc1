"""Tests of edgegw.net.nats.login."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import edgegw
from edgegw.net.nats.login import Login, LoginError
from edgegw.net.nats.settings import NatsSettings
from edgegw.wire.nkeys import Seed
from tests.nkeys import creds, nkey


class LoginTests(SynchronousTestCase):
    """What CONNECT says."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def login(self, **given: Any) -> Login:
        return Login(NatsSettings.model_validate({"servers": ["a"], **given}), self.folder)

    def test_nobody(self) -> None:
        login = self.login(name="gw-1")
        options = login.options({}, False)
        self.assertEqual((options["name"], options["version"]), ("gw-1", edgegw.__version__))
        for key, value in (("verbose", False), ("pedantic", False), ("echo", False), ("tls_required", False)):
            self.assertIs(options[key], value)
        for key in ("headers", "no_responders"):
            self.assertIs(options[key], True)
        self.assertEqual(set(options) & {"user", "pass", "auth_token", "jwt", "nkey", "sig"}, set())
        self.assertIs(login.options({}, True)["tls_required"], True)

    def test_password_and_token(self) -> None:
        options = self.login(user="u", password="p").options({}, False)
        self.assertEqual((options["user"], options["pass"]), ("u", "p"))
        self.assertEqual(self.login(token="t").options({}, False)["auth_token"], "t")
        self.assertEqual([self.login(token="t").kind, self.login(user="u", password="p").kind], ["the token", "user u"])

    def test_creds(self) -> None:
        _, seed = nkey()
        (self.folder / "gw.creds").write_text(creds("a.b.c", seed))
        options = self.login(creds="gw.creds").options({"nonce": "n1"}, False)
        self.assertEqual((options["jwt"], options["sig"]), ("a.b.c", Seed(seed).sign("n1")))
        self.assertNotIn("nkey", options)

    def test_nkey_and_rotation(self) -> None:
        """The file is read at each connection."""
        login = self.login(creds="gw.seed")
        for _ in range(2):
            public, seed = nkey()
            (self.folder / "gw.seed").write_text(seed + "\n")
            options = login.options({"nonce": "n1"}, False)
            self.assertEqual((options["nkey"], options["sig"]), (public, Seed(seed).sign("n1")))
            self.assertNotIn("jwt", options)

    def test_wrong(self) -> None:
        _, seed = nkey()
        (self.folder / "gw.seed").write_text(seed)
        (self.folder / "text").write_text("no seed")
        (self.folder / "binary").write_bytes(b"\xff\xfe")
        (self.folder / "large").write_bytes(b"#" * 70_000)
        for name, words in (
            ("missing", "missing cannot be read: no such file or directory"),
            ("text", "text holds no credentials: a user's seed has 58 characters"),
            ("binary", "binary is not text"),
            ("large", "larger than 64 KiB"),
        ):
            self.assertIn(words, str(self.assertRaises(LoginError, self.login(creds=name).read)))
        error = self.assertRaises(LoginError, self.login(creds="gw.seed").options, {}, False)
        self.assertIn("it sends no nonce", str(error))
