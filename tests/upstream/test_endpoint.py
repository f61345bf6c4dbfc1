"""Tests of edgegw.upstream.endpoint."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.address import EndpointUrl
from edgegw.upstream.endpoint import Endpoint


class EndpointTests(SynchronousTestCase):
    def test_connects_to_its_own_address(self) -> None:
        origin = Origin()
        asked: list[EndpointUrl] = []
        connect = origin.connect
        origin.connect = lambda url=None: (asked.append(url), connect())[1]  # type: ignore[assignment, func-returns-value]
        (endpoint,) = cluster(origin).endpoints
        self.successResultOf(endpoint.pool.connection())
        self.assertEqual(asked, [EndpointUrl(False, "origin-0", 80, "")])
        self.assertEqual((endpoint.name, endpoint.authority), ("http://origin-0:80", b"origin-0"))

    def test_an_exchange_that_leaves_is_counted_out(self) -> None:
        (endpoint,) = cluster(Origin()).endpoints
        endpoint.in_flight += 2
        endpoint.vacate()
        self.assertEqual(endpoint.in_flight, 1)
        self.assertIn("in_flight=1", repr(endpoint))


class Follower:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def load_changed(self, endpoint: Endpoint, by: int) -> None:
        self.told.append((by, endpoint.in_flight))


class LoadTests(SynchronousTestCase):
    def test_followers_are_told_what_is_in_flight(self) -> None:
        (endpoint,) = cluster(Origin()).endpoints
        follower = Follower()
        endpoint.follow_load(follower)
        endpoint.in_flight += 1
        endpoint.vacate()
        self.assertEqual(follower.told, [(1, 1), (-1, 0)])
        endpoint.occupy()
        self.assertEqual(follower.told[2:], [(1, 1)])

    def test_nobody_is_kept_by_being_a_follower(self) -> None:
        (endpoint,) = cluster(Origin()).endpoints
        kept = Follower()
        for follower in (Follower(), kept, Follower()):
            endpoint.follow_load(follower)
        del follower
        endpoint.in_flight += 1
        endpoint.follow_load(last := Follower())
        self.assertEqual(len(endpoint._followers), 2)
        endpoint.in_flight -= 1
        self.assertEqual((kept.told, last.told), ([(1, 1), (-1, 0)], [(-1, 0)]))
