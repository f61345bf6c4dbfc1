"""Tokens and certificates that change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.errors import ApiError
from edgegw.discovery.consul.access import AgentAccess
from edgegw.discovery.consul.settings import ConsulSettings
from tests.certs import Authority


class AccessTests(SynchronousTestCase):
    """What a request is made with."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def access(self, **settings: Any) -> AgentAccess:
        return AgentAccess(ConsulSettings.model_validate(settings), self.folder)

    def test_plain(self) -> None:
        access = self.access(url="http://[::1]:8500").access()
        self.assertEqual((access.origin, access.token, access.tls), ("http://[::1]:8500", "", None))
        self.assertEqual(self.access(token="t").access().token, "t")

    def test_file(self) -> None:
        """It is read each time, white space around it left out."""
        (self.folder / "token").write_text("one\n")
        access = self.access(token_file="token")
        self.assertEqual(access.access().token, "one")
        (self.folder / "token").write_text("two")
        self.assertEqual(access.access().token, "two")

    def test_file_that_is_of_no_use(self) -> None:
        access = self.access(token_file="token")
        self.assertIn("cannot be read: No such file", str(self.assertRaises(ApiError, access.access)))
        for content in (b"", b"\n", b"two words", b"\xff\xfe", b"x" * 5000, b"a\r\nX-Evil: 1"):
            (self.folder / "token").write_bytes(content)
            error = self.assertRaises(ApiError, access.access)
            self.assertNotIn("evil", str(error).lower())

    def test_token_that_is_none(self) -> None:
        self.assertIn("holds no ACL token", str(self.assertRaises(ApiError, self.access(token="a b").access)))

    def test_certificates(self) -> None:
        """Made once; again when a file changes; what is broken leaves those before in place."""
        path = Authority().write(self.folder)
        access = self.access(url="https://consul:8501", ca_file=str(path))
        first = access.access().tls
        assert first is not None
        self.assertIs(access.access().tls, first)
        path.write_bytes(Authority().cert_pem + b"\n")
        second = access.access().tls
        self.assertIsNot(second, first)
        path.write_text("broken")
        self.assertIs(access.access().tls, second)
        path.unlink()
        self.assertIs(access.access().tls, second)

    def test_certificates_that_never_were(self) -> None:
        access = self.access(url="https://consul:8501", ca_file="none.pem")
        self.assertIn("none.pem", str(self.assertRaises(ApiError, access.access)))

    def test_repr(self) -> None:
        self.assertEqual(repr(self.access(token="hush")), "<AgentAccess http://127.0.0.1:8500>")
