"""The connection of DNS: which name servers, and which search list."""

from __future__ import annotations

from pydantic import Field, field_validator

from edgegw.config.model import Settings
from edgegw.config.problems import quoted
from edgegw.config.units import Duration
from edgegw.discovery.resolv_conf import DOMAIN, NDOTS_MAX, SUFFIXES, ResolvConf, Server, system
from edgegw.net.addresses import canonical


class DnsSettings(Settings):
    """Name servers."""

    servers: tuple[str, ...] = Field(
        default=(),
        max_length=8,
        description="Addresses, with a port if it is not 53, asked in this order; those of /etc/resolv.conf if left out.",
        examples=[["10.0.0.53", "10.0.0.54:5353"]],
    )
    timeout: Duration = Field(
        default=3.0, gt=0, le=30, description="For one question, all servers and attempts together."
    )
    search: tuple[str, ...] | None = Field(
        default=None,
        max_length=SUFFIXES,
        description="Domains that names without a dot at the end are looked for in; without it those of /etc/resolv.conf, "
        "or none if there are `servers`.",
        examples=[["shop.svc.cluster.local", "svc.cluster.local"]],
    )
    ndots: int | None = Field(
        default=None,
        ge=0,
        le=NDOTS_MAX,
        description="Names with so many dots are tried as they are first, others last; without it that of /etc/resolv.conf, "
        "or 1 if there are `servers`.",
    )

    @field_validator("servers")
    @classmethod
    def _parse(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for text in servers:
            parse_server(text)
        return servers

    @field_validator("search")
    @classmethod
    def _are_domains(cls, search: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for text in search or ():
            if not DOMAIN.match(text):
                raise ValueError(f"{quoted(text)} is not a domain; write shop.svc.cluster.local")
        return search and tuple(each.rstrip(".") for each in search)

    def naming(self) -> ResolvConf:
        """Who is asked now, and for what."""
        if self.servers:
            found = ResolvConf([parse_server(text) for text in self.servers])
        else:
            found = system()
        return found._replace(
            search=found.search if self.search is None else self.search,
            ndots=found.ndots if self.ndots is None else self.ndots,
        )


def parse_server(text: str) -> Server:
    """`10.0.0.53`, `10.0.0.53:5353`, `::1` or `[::1]:5353`.

    Raises:
        ValueError: it is none of them.
    """
    host, port = text, "53"
    if text.startswith("[") or text.count(":") == 1:
        host, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "53")
    address = canonical(host.strip("[]"))
    if address is None or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise ValueError(f"{quoted(text)} is not the address of a name server; write 10.0.0.53 or 10.0.0.53:5353")
    return address, int(port)
