"""nginx and HAProxy, as Debian ships them."""

import os

from benchmarks.install import debian_program, output_of
from benchmarks.peers.interfaces import Site
from benchmarks.process import Command

_UPGRADE = """proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_read_timeout 1h;"""


class Nginx:
    """nginx, one worker under its master; the baseline of most rows. Not for gRPC: its `grpc_pass` keeps connections for which the

    origin still has credit to give, and answers the next call on them with 502 ("frame for unknown stream").
    """

    name = "nginx"

    def version(self) -> str:
        """From `nginx -v`."""
        return output_of(debian_program("nginx"), "-v").removeprefix("nginx version: nginx/")

    def prepare(self, site: Site) -> Command:
        """One server with `proxy_pass`, stub_status as its metrics."""
        # A connection to the origin takes a slot as well; a plain number, as nginx pays memory for each.
        slots = site.setup.connections + 1024
        conf = site.write(
            "nginx.conf",
            user="user root;" if os.geteuid() == 0 else "",
            worker_connections=slots,
            files=slots + 64,
            tls=" ".join(word for word, on in (("ssl", site.setup.tls), ("http2", site.setup.http2)) if on),
            upgrade=_UPGRADE if site.setup.websocket else "",
        )
        return Command([str(debian_program("nginx")), "-c", str(conf), "-p", str(site.folder), "-e", "stderr"])


class Haproxy:
    """HAProxy, one thread, no master process."""

    name = "haproxy"

    def version(self) -> str:
        """From `haproxy -v`."""
        return output_of(debian_program("haproxy"), "-v").split()[2]

    def prepare(self, site: Site) -> Command:
        """One frontend, one backend, the Prometheus exporter as its metrics."""
        pem = site.folder / "bench.pem"
        pem.write_text(site.certificate.cert.read_text() + site.certificate.key.read_text())
        conf = site.write(
            "haproxy.cfg",
            maxconn=site.setup.connections,
            scheme="https" if site.setup.tls else "http",
            tls=f"ssl crt {pem} {'alpn h2' if site.setup.http2 else ''}" if site.setup.tls else "",
            proto="proto h2" if site.setup.grpc else "",
        )
        return Command([str(debian_program("haproxy")), "-db", "-f", str(conf)], stdout=site.log)
