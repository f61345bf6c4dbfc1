"""Slices and Services become endpoints."""

from __future__ import annotations

import random
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.kubernetes import gather
from edgegw.discovery.kubernetes.gather import Gathered, Gatherer
from edgegw.discovery.kubernetes.services import Service, read_service
from edgegw.discovery.kubernetes.settings import Query
from edgegw.discovery.kubernetes.slices import Slice, read_slice
from edgegw.upstream.advice import Advice
from tests.live.kube_objects import Thing, endpoint, endpoint_slice, service


def slices(*things: Thing) -> dict[str, Slice]:
    for thing in things:
        thing["metadata"]["resourceVersion"] = "1"
    found = [read_slice(thing) for thing in things]
    return {each.key: each for each in found}


def services(*things: Thing) -> dict[str, Service]:
    for thing in things:
        thing["metadata"]["resourceVersion"] = "1"
    found = [read_service(thing) for thing in things]
    return {each.key: each for each in found}


def gathered(
    things: list[Thing], of: list[Thing] | None = None, *, prefix: str = "edgegw.dev/", **query: Any
) -> Gathered:
    made = Query(**{"namespace": "shop", "service": "users", "selector": "", **query})
    return Gatherer(made, prefix).gather(slices(*things), services(*(of or [])))


def told(found: Gathered) -> list[tuple[str, str]]:
    return [(each.settings.url, each.held) for each in found.named]


class MergeTests(SynchronousTestCase):
    """Several slices, one list."""

    def test_order_is_stable(self) -> None:
        """However slices come, the order is the same."""
        things = [endpoint_slice(f"users-{n}", endpoint(f"10.0.0.{9 - n}")) for n in range(5)]
        first = told(gathered(things))
        for seed in range(5):
            random.Random(seed).shuffle(things)
            self.assertEqual(told(gathered(things)), first)
        self.assertEqual([url for url, _ in first], sorted(url for url, _ in first))

    def test_duplicates_ready_wins(self) -> None:
        """An endpoint may stand in two slices for a moment; whichever comes first."""
        ready = endpoint_slice("users-2", endpoint("10.0.0.1"))
        leaving = endpoint_slice("users-1", endpoint("10.0.0.1", ready=False, serving=True, terminating=True))
        not_ready = endpoint_slice("users-0", endpoint("10.0.0.1", ready=False))
        self.assertEqual(told(gathered([not_ready, leaving, ready])), [("http://10.0.0.1:8080", "")])
        self.assertEqual(told(gathered([not_ready, leaving])), [("http://10.0.0.1:8080", "terminating")])
        self.assertEqual(told(gathered([not_ready])), [("http://10.0.0.1:8080", "not ready")])

    def test_ipv6(self) -> None:
        found = gathered([endpoint_slice("users-1", endpoint("2001:DB8:0::1"), family="IPv6")])
        self.assertEqual(told(found), [("http://[2001:db8::1]:8080", "")])

    def test_fqdn(self) -> None:
        found = gathered([endpoint_slice("users-1", endpoint("users.example.com"), family="FQDN")])
        self.assertEqual(told(found), [("http://users.example.com:8080", "")])

    def test_two_families_of_one_pod(self) -> None:
        """A Pod is one endpoint: of the family that the Service names first, IPv4 where that is not known."""
        both = [
            endpoint_slice("users-4", endpoint("10.0.0.1", pod="a"), endpoint("10.0.0.2", pod="b")),
            endpoint_slice("users-6", endpoint("fd00::1", pod="a"), endpoint("fd00::3", pod="c"), family="IPv6"),
        ]
        urls = ["http://10.0.0.1:8080", "http://10.0.0.2:8080", "http://[fd00::3]:8080"]
        self.assertEqual([url for url, _ in told(gathered(both))], urls)
        six = [service(spec={"ipFamilies": ["IPv6", "IPv4"]})]
        urls = ["http://10.0.0.2:8080", "http://[fd00::1]:8080", "http://[fd00::3]:8080"]
        self.assertEqual([url for url, _ in told(gathered(both, six))], urls)

    def test_what_is_no_address_is_refused(self) -> None:
        """The rest serves."""
        bad = [endpoint(each) for each in ("2130706433", "127.1", "evil.example.com", "10.0.0.1/8", "")]
        found = gathered([endpoint_slice("users-1", endpoint("10.0.0.1"), *bad)])
        self.assertEqual(told(found), [("http://10.0.0.1:8080", "")])
        self.assertEqual(len(found.faults), 5)
        self.assertIn(('"2130706433"', "not an address, and its slice is of IPv4"), found.faults)

    def test_too_many(self) -> None:
        with patch.object(gather, "ENDPOINTS_MAX", 3):
            self.assertRaises(
                LookupError, gathered, [endpoint_slice("a", *(endpoint(f"10.0.0.{n}") for n in range(4)))]
            )

    def test_only_what_changed_is_worked_out_again(self) -> None:
        """A rollout of a large Service costs one slice at a time."""
        made = Gatherer(Query("shop", "users", ""), "edgegw.dev/")
        known = slices(*(endpoint_slice(f"users-{n}", endpoint(f"10.0.0.{n}")) for n in range(4)))
        made.gather(known, {})
        known |= slices(endpoint_slice("users-2", endpoint("10.0.0.99")))
        with patch.object(gather, "candidate", wraps=gather.candidate) as worked:
            found = made.gather(known, {})
        self.assertEqual(worked.call_count, 1)
        self.assertIn("http://10.0.0.99:8080", [url for url, _ in told(found)])

    @given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["", "terminating", "not ready"])), max_size=12))
    def test_property(self, drawn: list[tuple[int, str]]) -> None:
        """Each address once, as ready as the readiest of its mentions."""
        flags = {
            "": {},
            "terminating": {"ready": False, "serving": True, "terminating": True},
            "not ready": {"ready": False},
        }
        things = [
            endpoint_slice(f"s-{at}", endpoint(f"10.0.0.{n}", **flags[held])) for at, (n, held) in enumerate(drawn)
        ]
        best = {n: min((["", "terminating", "not ready"].index(h) for m, h in drawn if m == n)) for n, _ in drawn}
        wanted = [(f"http://10.0.0.{n}:8080", ["", "terminating", "not ready"][best[n]]) for n in sorted(best)]
        self.assertEqual(told(gathered(things)), wanted)


class PortTests(SynchronousTestCase):
    """Which port is connected to."""

    TWO = [("http", 8080), ("admin", 9090)]

    def urls(self, port: Any, of: list[Thing] | None, ports: Any = None) -> list[str]:
        found = gathered([endpoint_slice("users-1", endpoint("10.0.0.1"), ports=ports or self.TWO)], of, port=port)
        return [url for url, _ in told(found)]

    def test_by_name(self) -> None:
        self.assertEqual(self.urls("admin", None), ["http://10.0.0.1:9090"])
        self.assertEqual(self.urls("admin", [service("users", ("http", 80), ("admin", 81))]), ["http://10.0.0.1:9090"])

    def test_by_the_services_number(self) -> None:
        """As its clients know it: 81 is admin, whose endpoints listen on 9090."""
        self.assertEqual(self.urls(81, [service("users", ("http", 80), ("admin", 81))]), ["http://10.0.0.1:9090"])

    def test_the_services_number_goes_first(self) -> None:
        """8080 is a port of the Service here, and also what the endpoints of another one listen on."""
        crossed = [service("users", ("http", 80), ("admin", 8080))]
        self.assertEqual(self.urls(8080, crossed), ["http://10.0.0.1:9090"])

    def test_by_what_endpoints_listen_on(self) -> None:
        self.assertEqual(self.urls(9090, None), ["http://10.0.0.1:9090"])
        self.assertEqual(self.urls(9090, [service("users", ("http", 80), ("admin", 81))]), ["http://10.0.0.1:9090"])

    def test_the_only_one(self) -> None:
        self.assertEqual(self.urls(None, None, [("http", 8080)]), ["http://10.0.0.1:8080"])

    def test_ambiguous(self) -> None:
        """It is said which there are, and nothing is guessed."""
        for of in (None, [service("users", ("http", 80), ("admin", 81))]):
            found = gathered([endpoint_slice("users-1", endpoint("10.0.0.1"), ports=self.TWO)], of)
            self.assertEqual(found.named, ())
            self.assertIn("several ports: http, admin", found.faults[0][1])

    def test_unknown_name(self) -> None:
        found = gathered([endpoint_slice("a", endpoint("10.0.0.1"))], [service()], port="htp")
        self.assertIn('no port "htp"', found.faults[0][1])

    def test_a_slice_without_the_port(self) -> None:
        """Pods that do not name the port stand in a slice of their own."""
        things = [endpoint_slice("a", endpoint("10.0.0.1"), ports=[]), endpoint_slice("b", endpoint("10.0.0.2"))]
        self.assertEqual(told(gathered(things, port="http")), [("http://10.0.0.2:8080", "")])

    def test_all_ports(self) -> None:
        """A port without a number stands for all of them."""
        things = [endpoint_slice("a", endpoint("10.0.0.1"), ports=[("", None)])]
        self.assertEqual(told(gathered(things, [service("users", ("", 80))], port=80)), [("http://10.0.0.1:80", "")])
        self.assertIn("all of them", gathered(things).faults[0][1])


class SchemeTests(SynchronousTestCase):
    """How endpoints are spoken to."""

    def scheme(self, app: str, said: str = "", annotation: str = "") -> str:
        notes = {"edgegw.dev/scheme": annotation} if annotation else {}
        thing = endpoint_slice("a", endpoint("10.0.0.1"), ports=[("web", 8080, app)])
        found = gathered([thing], [service("users", ("web", 80, app), annotations=notes)], scheme=said)
        return found.named[0].settings.url.partition(":")[0] if found.named else found.faults[0][1]

    def test_app_protocol(self) -> None:
        table = {"kubernetes.io/h2c": "h2c", "kubernetes.io/ws": "http", "https": "https", "HTTPS": "https"}
        for app, scheme in {**table, "grpc": "grpc", "": "http", "mongo": "http"}.items():
            self.assertEqual(self.scheme(app), scheme, app)

    def test_who_wins(self) -> None:
        """The configuration, then the annotation, then appProtocol."""
        self.assertEqual(self.scheme("https", annotation="grpc"), "grpc")
        self.assertEqual(self.scheme("https", said="h2c", annotation="grpc"), "h2c")

    def test_a_wrong_annotation(self) -> None:
        self.assertIn("none of http, https", self.scheme("https", annotation="gopher"))


class AnnotationTests(SynchronousTestCase):
    """What annotations say."""

    def test_weight_and_tier(self) -> None:
        """Of the Service, and nearer ones of a slice."""
        of = [service(annotations={"edgegw.dev/weight": "5", "edgegw.dev/tier": "2", "other/weight": "9"})]
        near = endpoint_slice("b", endpoint("10.0.0.2"), annotations={"edgegw.dev/weight": "7"})
        found = gathered([endpoint_slice("a", endpoint("10.0.0.1")), near], of)
        self.assertEqual([(each.settings.weight, each.settings.tier) for each in found.named], [(5, 2), (7, 2)])
        self.assertEqual(found.named[0].settings.meta["annotation:weight"], "5")

    def test_wrong_numbers(self) -> None:
        """They are told, and the endpoints serve as without them."""
        for value in ("0", "1001", "x", "-1", "1.5", "٣"):
            found = gathered(
                [endpoint_slice("a", endpoint("10.0.0.1"))], [service(annotations={"edgegw.dev/weight": value})]
            )
            self.assertEqual(found.named[0].settings.weight, 1, value)
            self.assertIn("not a number from 1 to 1000", found.faults[0][1])

    def test_prefix(self) -> None:
        of = [service(annotations={"gateway.io/weight": "4", "edgegw.dev/weight": "9"})]
        found = gathered([endpoint_slice("a", endpoint("10.0.0.1"))], of, prefix="gateway.io/")
        self.assertEqual(found.named[0].settings.weight, 4)

    def test_facts(self) -> None:
        """What a route's `to` may choose by."""
        thing = endpoint_slice("a", endpoint("10.0.0.1", zone="eu-1a", node="n1", pod="p", zones=["eu-1a", "eu-1b"]))
        of = [
            service(
                labels={"version": "v2", "endpointslice.kubernetes.io/managed-by": "x", "kubernetes.io/cluster": "y"}
            )
        ]
        (one,) = gathered([thing], of).named
        wanted = {
            "namespace": "shop",
            "service": "users",
            "port": "http",
            "pod": "p",
            "node": "n1",
            "zones": "eu-1a,eu-1b",
        }
        self.assertEqual(one.settings.meta, {**wanted, "label:version": "v2"})
        self.assertEqual(one.settings.zone, "eu-1a")

    def test_many(self) -> None:
        """Facts are bounded, and those that matter are among them."""
        of = [
            service(
                labels={f"l{n}": "x" for n in range(99)}, annotations={f"edgegw.dev/a{n}": "y" * 999 for n in range(99)}
            )
        ]
        (one,) = gathered([endpoint_slice("a", endpoint("10.0.0.1", node="n", pod="p", zones=["z"]))], of).named
        self.assertLessEqual(len(one.settings.meta), 32)
        self.assertEqual(one.settings.meta["pod"], "p")


class ExternalTests(SynchronousTestCase):
    """ExternalName."""

    def test_one_endpoint_by_name(self) -> None:
        spec = {"type": "ExternalName", "externalName": "users.example.com"}
        self.assertEqual(told(gathered([], [service(spec=spec)])), [("http://users.example.com:80", "")])
        of = [service("users", ("web", 443, "https"), spec=spec)]
        self.assertEqual(told(gathered([], of)), [("https://users.example.com:443", "")])

    def test_without_ports(self) -> None:
        """The port of the configuration, or that of the scheme."""
        of = [service(spec={"type": "ExternalName", "externalName": "a.example.com", "ports": []})]
        self.assertEqual(told(gathered([], of, port=8443, scheme="https")), [("https://a.example.com:8443", "")])
        self.assertEqual(told(gathered([], of, scheme="https")), [("https://a.example.com:443", "")])

    def test_what_is_no_name(self) -> None:
        for name in ("a b", "a/b", "2130706433", "user@host", "x" * 300 + "/"):
            found = gathered([], [service(spec={"type": "ExternalName", "externalName": name})])
            self.assertEqual((found.named, len(found.faults)), ((), 1), name)


class AdviceTests(SynchronousTestCase):
    """What annotations of Services say of the whole upstream."""

    def test_of_a_service(self) -> None:
        """It is no fact of the endpoints, and takes no place from those that act on them."""
        notes = {f"edgegw.dev/health-x{n}": "y" for n in range(20)} | {f"edgegw.dev/a{n}": "z" for n in range(20)}
        notes |= {"edgegw.dev/balance": "random", "edgegw.dev/health-path": "/up", "edgegw.dev/weight": "2"}
        found = gathered([endpoint_slice("a", endpoint("10.0.0.1"))], [service(annotations=notes)])
        self.assertEqual(found.advice, Advice(balance_by="random", health_path="/up"))
        (one,) = found.named
        self.assertEqual((one.settings.weight, len(found.faults), len(found.doubts)), (2, 0, 20))
        self.assertFalse({"annotation:balance", "annotation:health-path"} & one.settings.meta.keys())

    def test_not_of_a_slice(self) -> None:
        thing = endpoint_slice("a", endpoint("10.0.0.1"), annotations={"edgegw.dev/balance": "random"})
        self.assertIsNone(gathered([thing], [service()]).advice)

    def test_of_several(self) -> None:
        """The first by its name holds; another one that says something else is told, one that says the same is not."""
        of = [
            service("a", annotations={"edgegw.dev/weight": "2"}),
            service("b", annotations={"edgegw.dev/balance": "random"}),
            service("c", annotations={"edgegw.dev/balance": "peak_ewma"}),
            service("d", annotations={"edgegw.dev/balance": "random", "edgegw.dev/health-path": "x"}),
        ]
        found = gathered([], of, service="", selector="app=users")
        self.assertEqual(found.advice, Advice(balance_by="random"))
        self.assertEqual([what for what, _ in found.doubts], ["annotations of shop/c", "annotations of shop/d"])
        self.assertIn("those of shop/b", found.doubts[0][1])

    def test_read_once(self) -> None:
        """Each change of a slice looks at all Services of the upstream again."""
        of = services(service("users", annotations={"edgegw.dev/balance": "random"}))
        gatherer = Gatherer(Query("shop", "users", ""), "edgegw.dev/")
        first = gatherer.gather({}, of)
        with patch.object(gather, "read_advice") as read:
            again = gatherer.gather(slices(endpoint_slice("a", endpoint("10.0.0.1"))), of)
        self.assertEqual((first.advice, again.advice, read.called), (Advice(balance_by="random"),) * 2 + (False,))


class SelectorTests(SynchronousTestCase):
    """Several Services as one upstream."""

    def test_each_by_its_own(self) -> None:
        """Ports and weights are each Service's own; one that cannot be used is told, and the others serve."""
        things = [
            endpoint_slice("a-1", endpoint("10.0.0.1"), service="a", ports=[("web", 8080)]),
            endpoint_slice("b-1", endpoint("10.0.0.2"), service="b", ports=[("web", 9090)]),
            endpoint_slice("c-1", endpoint("10.0.0.3"), service="c", ports=[("x", 1)]),
        ]
        of = [
            service("a", ("web", 80), annotations={"edgegw.dev/weight": "3"}),
            service("b", ("web", 80)),
            service("c", ("x", 80)),
        ]
        found = gathered(things, of, service="", selector="app=users", port="web")
        self.assertEqual(told(found), [("http://10.0.0.1:8080", ""), ("http://10.0.0.2:9090", "")])
        self.assertEqual([each.settings.weight for each in found.named], [3, 1])
        self.assertEqual(found.faults, (("EndpointSlice shop/c-1", 'Service shop/c has no port "web"; it has x'),))
