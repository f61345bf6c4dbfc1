"""Clients of several countries reach the regions that are meant for them, by a real GeoLite2 database."""

import shutil
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.live.cache import CannotHave
from tests.live.case import LiveCase
from tests.live.control import edgegw
from tests.live.geolite_install import database
from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway

# By GeoLite2-Country of 2024.
GERMANY, SPAIN, UNITED_STATES, JAPAN = "2.160.0.1", "195.76.1.1", "8.8.8.8", "1.0.16.1"
SWEDEN = "2001:6b0:1::1"
UNKNOWN = ("192.0.2.1", "10.1.2.3", "2001:db8::1")
ZONES = ("eu", "us", "asia")


def _named(zone: bytes, call: Call) -> None:
    """A region that says which one it is."""
    call.ok(zone)


class GeoTests(LiveCase):
    def setUp(self) -> None:
        try:
            self.database = database()
        except CannotHave as reason:
            raise SkipTest(f"there is no GeoLite2 database: {reason}") from None
        self.origins = {zone: self.scripted(partial(_named, zone.encode())) for zone in ZONES}
        self.file = Path(self.mktemp()).absolute()
        shutil.copy(self.database, self.file)

    def _text(self, file: Path, listen: str = "trusted_proxies: [127.0.0.0/8]", geo: str = "") -> str:
        endpoints = [
            f'{{url: "http://127.0.0.1:{origin.port}", zone: {zone}}}' for zone, origin in self.origins.items()
        ]
        regions = "{DE: [eu], ES: [eu, asia], SE: [eu], US: [us], JP: [asia, us]}"
        return (
            "edgegw: 1\nshutdown: {lame_duck: 0s, grace: 10s}\n"
            'observe: {listen: "127.0.0.1:@{observe}"}\n'
            f"listen: [{{port: @{{web}}, interface: 127.0.0.1, {listen}}}]\n"
            "upstreams:\n"
            f"  shop:\n    endpoints: [{', '.join(endpoints)}]\n"
            f"    balance: {{tiers: {{geo: {{database: {file}, regions: {regions}, default: [us], {geo}}}}}}}\n"
            'routes: [{match: "/**", to: shop}]\n'
        )

    def _zone(self, gateway: Gateway, client: str, **headers: str) -> str:
        response, body = self.get(gateway, "/", x_forwarded_for=client, **headers)
        self.assertEqual(response.status, 200)
        return body.decode()

    def test_countries(self) -> None:
        """Must show: clients of three countries reach their regions; an unknown address falls back."""
        gateway = self.serve(Gateway(self._text(self.file)))
        rows = {
            GERMANY: "eu",
            SPAIN: "eu",
            SWEDEN: "eu",
            UNITED_STATES: "us",
            JAPAN: "asia",
            **dict.fromkeys(UNKNOWN, "us"),
        }
        for _ in range(3):
            for client, zone in rows.items():
                self.assertEqual(self._zone(gateway, client), zone, client)

    def test_the_next_region_serves_when_the_first_is_gone(self) -> None:
        gateway = self.serve(Gateway(self._text(self.file)))
        self.assertEqual(self._zone(gateway, JAPAN), "asia")
        done = edgegw(gateway, "upstream", "drain", "shop", f"http://127.0.0.1:{self.origins['asia'].port}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self._zone(gateway, JAPAN), "us")

    def test_a_stranger_cannot_say_where_he_is(self) -> None:
        gateway = self.serve(Gateway(self._text(self.file, listen="", geo="header: CF-IPCountry")))
        self.assertEqual(self._zone(gateway, GERMANY, cf_ipcountry="DE"), "us")

    def test_a_trusted_proxy_can(self) -> None:
        gateway = self.serve(Gateway(self._text(self.file, geo="header: CF-IPCountry")))
        self.assertEqual(self._zone(gateway, UNKNOWN[0], cf_ipcountry="JP"), "asia")

    def test_a_corrupt_database_keeps_the_old_one(self) -> None:
        """Must show: overwritten in place while it serves, then by a whole one."""
        gateway = self.serve(Gateway(self._text(self.file)))
        self.assertEqual(self._zone(gateway, GERMANY), "eu")
        whole = self.file.read_bytes()
        self.file.write_bytes(whole[: len(whole) // 3])
        wait_until(lambda: "stays in use" in gateway.log(), "the refusal in the log", limit_s=20)
        self.assertEqual(self._zone(gateway, GERMANY), "eu")
        # An address that nobody asked for yet: it is looked up in the old one.
        self.assertEqual(self._zone(gateway, "2.160.7.7"), "eu")
        self.file.write_bytes(whole)
        wait_until(lambda: "was read again" in gateway.log(), "the new one in the log", limit_s=20)
        self.assertEqual(self._zone(gateway, "2.160.7.8"), "eu")

    def test_a_corrupt_database_at_the_start_is_a_problem(self) -> None:
        gateway = self.serve(Gateway(self._text(self.file)))
        self.file.write_bytes(b"junk")
        done = edgegw(gateway, "check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("is not a database in the MaxMind format", done.stdout + done.stderr)
