"""nginx and HAProxy, as Debian ships them."""

import os

from benchmarks.install import debian_program, output_of
from benchmarks.peers.interfaces import Site
from benchmarks.process import Command


class Nginx:
    """nginx, one worker under its master; the baseline of most rows."""

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
            tls="ssl" if site.setup.tls else "",
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
            tls=f"ssl crt {pem}" if site.setup.tls else "",
        )
        return Command([str(debian_program("haproxy")), "-db", "-f", str(conf)], stdout=site.log)
