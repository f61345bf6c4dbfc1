"""Envoy, Traefik and Caddy, from their PyPI wheels."""

import json
from typing import Any

from benchmarks.install import output_of, wheel_program
from benchmarks.peers.interfaces import Site
from benchmarks.process import Command

_ONE_CORE = {"GOMAXPROCS": "1"}


class Envoy:
    """Envoy with one worker thread."""

    name = "envoy"

    def version(self) -> str:
        """From `envoy --version`."""
        return output_of(wheel_program("envoy"), "--version").rpartition("version: ")[2].split("/")[1]

    def prepare(self, site: Site) -> Command:
        """One listener, one static cluster; the admin listener serves its statistics."""
        secret = {
            "certificate_chain": {"filename": str(site.certificate.cert)},
            "private_key": {"filename": str(site.certificate.key)},
        }
        socket: dict[str, Any] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_certificates": [secret]},
            },
        }
        if site.setup.http2:
            socket["typed_config"]["common_tls_context"]["alpn_protocols"] = ["h2"]
        behind = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
        conf = site.write(
            "envoy.yaml",
            transport_socket=json.dumps(socket if site.setup.tls else None),
            codec="AUTO" if site.setup.http2 else "HTTP1",
            behind=json.dumps(behind if site.setup.grpc else {}),
        )
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return Command([str(wheel_program("envoy")), "-c", str(conf), *options])


class Traefik:
    """Traefik with the file provider."""

    name = "traefik"

    def version(self) -> str:
        """From `traefik version`."""
        return output_of(wheel_program("traefik"), "version").split()[1]

    def prepare(self, site: Site) -> Command:
        """One router for every path, Prometheus on its own entry point."""
        site.write("traefik-routes.yaml", tls=", tls: {}" if site.setup.tls else "")
        conf = site.write("traefik.yaml")
        return Command([str(wheel_program("traefik")), f"--configFile={conf}"], env=_ONE_CORE)


class Caddy:
    """Caddy with a Caddyfile."""

    name = "caddy"

    def version(self) -> str:
        """From `caddy version`."""
        return output_of(wheel_program("caddy"), "version").split()[0].removeprefix("v")

    def prepare(self, site: Site) -> Command:
        """One site with `reverse_proxy`; its metrics are on the admin listener."""
        tls = site.setup.tls
        conf = site.write(
            "Caddyfile",
            scheme="https" if tls else "http",
            tls=f"tls {site.certificate.cert} {site.certificate.key}" if tls else "",
            protocols="h1 h2 h2c" if site.setup.http2 and not tls else "h1 h2",
            upstream=f"127.0.0.1:{site.origin_port}",
            versions="versions h2c" if site.setup.grpc else "",
        )
        folders = {name: str(site.folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
        return Command([str(wheel_program("caddy")), "run", "--config", str(conf)], env={**_ONE_CORE, **folders})
