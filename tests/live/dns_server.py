"""An authoritative DNS server for tests: its records are a file that is read at every question.

    python -m tests.live.dns_server --port 5353 --zone zone.json

zone.json: {"u.test": {"A": ["127.0.0.2"], "ttl": 1}, "_http._tcp.u.test": {"SRV": [[0, 1, 9000, "h.u.test"]], "ttl": 1},
"broken.test": {"rcode": "SERVFAIL"}}. A name that is not there is NXDOMAIN, one without the type that is asked for has no data.
What is too long for a datagram is truncated, and served over TCP.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.names import dns, error, server

CODES = {"SERVFAIL": error.DNSServerError, "REFUSED": error.DNSQueryRefusedError}


def records(name: str, found: dict[str, Any], kind: int) -> list[dns.RRHeader]:
    """The records of one type."""
    ttl = found.get("ttl", 1)
    made: list[Any] = []
    if kind == dns.A:
        made = [dns.Record_A(each) for each in found.get("A", ())]
    elif kind == dns.AAAA:
        made = [dns.Record_AAAA(each) for each in found.get("AAAA", ())]
    elif kind == dns.SRV:
        made = [dns.Record_SRV(*each) for each in found.get("SRV", ())]
    return [dns.RRHeader(name, kind, dns.IN, ttl, each, auth=True) for each in made]


class Zone:
    """What twisted.names asks; see `twisted.internet.interfaces.IResolver.query`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def query(self, query: dns.Query, timeout: object = None) -> Deferred[Any]:
        name = query.name.name.decode().lower()
        zone = json.loads(self.path.read_text())
        if name not in zone:
            return fail(error.DNSNameError(name))
        found = zone[name]
        if "rcode" in found:
            return fail(CODES[found["rcode"]](name))
        return succeed((records(name, found, query.type), [], []))


class Factory(server.DNSServerFactory):
    """Says what a failing zone says, and truncates."""

    noisy = False
    verbose = 0

    def gotResolverError(self, failure: Any, protocol: Any, message: Any, address: Any) -> None:
        codes = {error.DNSServerError: dns.ESERVER, error.DNSQueryRefusedError: dns.EREFUSED}
        answer = self._responseFromMessage(message=message, rCode=codes.get(failure.type, dns.ENAME))
        self.sendReply(protocol, answer, address)


def main() -> None:
    """Serve until killed."""
    from twisted.internet import reactor

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--zone", type=Path, required=True)
    options = parser.parse_args()
    factory = Factory(clients=[Zone(options.zone)])
    loop: Any = reactor
    loop.listenUDP(options.port, dns.DNSDatagramProtocol(factory), interface="127.0.0.1")
    loop.listenTCP(options.port, factory, interface="127.0.0.1")
    loop.run()


if __name__ == "__main__":
    sys.exit(main())
