"""What a request is made with."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgegw.net.tls import UpstreamTls


@dataclass(frozen=True, eq=False)
class Access:
    """What a request is made with. prefix: of every path, as proxies of several clusters have one. tls: None over plain HTTP."""

    secure: bool
    host: str
    port: int
    prefix: str
    namespace: str
    tls: UpstreamTls | None = None
    token: str = field(default="", repr=False)

    @property
    def authority(self) -> str:
        """Host and port, for URLs; brackets around IPv6."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The start of every URL."""
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.prefix}"
