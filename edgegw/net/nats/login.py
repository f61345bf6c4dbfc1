"""What we say of ourselves when a NATS server has greeted us."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegw import __version__
from edgegw.net.nats.settings import NatsSettings
from edgegw.wire.nkeys import Seed, read_credentials

_FILE_MAX = 64 * 1024


class LoginError(Exception):
    """There is nothing to log in with; the text is for operators."""


class Login:
    """Makes the options of CONNECT.

    Args:
        base_dir: the folder that relative paths in the configuration start from.
    """

    def __init__(self, settings: NatsSettings, base_dir: Path) -> None:
        self._settings = settings
        self._creds = None if settings.creds is None else (base_dir / Path(settings.creds).expanduser()).absolute()

    @property
    def kind(self) -> str:
        """What is checked by the server, for messages."""
        settings = self._settings
        if self._creds is not None:
            return f"creds {settings.creds}"
        if settings.token is not None:
            return "the token"
        return f"user {settings.user}" if settings.user is not None else "no login at all"

    def read(self) -> tuple[str, Seed] | None:
        """JWT and seed, as the file has them now; None: none are configured.

        Raises:
            LoginError: the file can't be read or used.
        """
        if self._creds is None:
            return None
        try:
            with self._creds.open("rb") as file:
                data = file.read(_FILE_MAX + 1)
        except OSError as error:
            raise LoginError(
                f"{self._settings.creds} cannot be read: {(error.strerror or str(error)).lower()}"
            ) from None
        try:
            if len(data) > _FILE_MAX:
                raise ValueError("it is larger than 64 KiB")
            return read_credentials(data.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise LoginError(f"{self._settings.creds} is not text") from None
        except ValueError as error:
            raise LoginError(f"{self._settings.creds} holds no credentials: {error}") from None

    def options(self, info: Mapping[str, Any], secure: bool) -> dict[str, Any]:
        """Of CONNECT, in answer to an INFO.

        Args:
            secure: whether TLS is spoken.

        Raises:
            LoginError: there is nothing to log in with.
        """
        settings = self._settings
        options: dict[str, Any] = {
            "verbose": False,
            "pedantic": False,
            "tls_required": secure,
            "name": settings.name,
            "lang": "python-edgegw",
            "version": __version__,
            "protocol": 1,
            "echo": False,
            "headers": True,
            "no_responders": True,
        }
        if settings.user is not None and settings.password is not None:
            options.update(user=settings.user, **{"pass": settings.password.get_secret_value()})
        if settings.token is not None:
            options["auth_token"] = settings.token.get_secret_value()
        signing = self.read()
        if signing is not None:
            jwt, seed = signing
            nonce = info.get("nonce")
            if not isinstance(nonce, str) or not nonce:
                raise LoginError(
                    "the server asks for no signature (it sends no nonce): it does not know creds and nkeys"
                )
            options.update({"jwt": jwt} if jwt else {"nkey": seed.public}, sig=seed.sign(nonce))
        return options
