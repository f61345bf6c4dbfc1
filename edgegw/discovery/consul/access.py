"""What a request to the agent is made with. The token's file is read each time, certificates when their files change."""

from __future__ import annotations

import re
from pathlib import Path

from edgegw.config.problems import Problems
from edgegw.discovery.consul.settings import ConsulSettings
from edgegw.discovery.kubernetes.credentials import Access
from edgegw.discovery.kubernetes.errors import ApiError
from edgegw.net.tls import UpstreamTls, UpstreamTlsSettings
from edgegw.upstream.address import EndpointUrl

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}\Z")
_FILE_MAX = 64 * 1024

Stamp = tuple[int, int, int] | None


class AgentAccess:
    """Keeps it current.

    Args:
        base_dir: the folder that relative paths in the configuration start from.
    """

    def __init__(self, settings: ConsulSettings, base_dir: Path) -> None:
        self.url = EndpointUrl.parse(settings.url)
        self._settings = settings
        self._base_dir = base_dir
        self._about_tls = UpstreamTlsSettings(
            server_name=settings.server_name,
            ca=settings.ca_file,
            cert=settings.cert_file,
            key=settings.key_file,
            verify=settings.verify,
        )
        self._tls: UpstreamTls | None = None
        self._stamps: tuple[Stamp, ...] = ()

    def access(self) -> Access:
        """What to use now; certificates that cannot be used any more leave those before in place.

        Raises:
            ApiError: the token cannot be read, or no certificates could be used yet.
        """
        if self.url.secure:
            self._renew_tls()
        return Access(self.url.secure, self.url.host, self.url.port, "", "", self._tls, self.token())

    def token(self) -> str:
        """The token as it is now; empty: none is shown. Raises ApiError."""
        settings = self._settings
        if settings.token_file is None:
            token = settings.token.get_secret_value() if settings.token is not None else ""
            return _checked(token, "the token") if token else ""
        return _checked(_read(self._base_dir / settings.token_file).strip(), settings.token_file)

    def _renew_tls(self) -> None:
        stamps = tuple(_stamp(path) for path in self._about_tls.paths(self._base_dir))
        if self._tls is not None and stamps == self._stamps:
            return
        problems = Problems()
        made = UpstreamTls.load(self._about_tls, problems, self._base_dir)
        if made is not None:
            self._tls = made
        elif self._tls is None:
            raise ApiError("; ".join(each.message for each in problems.errors))
        self._stamps = stamps

    def __repr__(self) -> str:
        return f"<AgentAccess {self._settings.url}>"


def _checked(token: str, where: str) -> str:
    if not _TOKEN.match(token):
        raise ApiError(f"{where} holds no ACL token")
    return token


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_MAX).decode()
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        raise ApiError(f"{path} cannot be read: {words}") from None


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
