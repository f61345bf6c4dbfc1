"""EndpointSlice objects."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.fields import Malformed
from edgegw.discovery.kubernetes.slices import NOT_READY, TERMINATING, SlicePort, read_slice
from tests.live.kube_objects import endpoint, endpoint_slice


def made(*endpoints: dict[str, Any], **more: Any) -> dict[str, Any]:
    thing = endpoint_slice("users-1", *endpoints, **more)
    thing["metadata"]["resourceVersion"] = "1"
    return thing


class ReadTests(SynchronousTestCase):
    """What is used of an EndpointSlice."""

    def test_whole(self) -> None:
        found = read_slice(
            made(
                endpoint("10.0.0.1", zone="eu-1a", node="n1", pod="users-x", zones=["eu-1a", "eu-1b"]),
                ports=[("http", 8080, "http"), ("", 9)],
                labels={"app": "users"},
                annotations={"a": "b"},
            )
        )
        self.assertEqual((found.key, found.service, found.family), ("shop/users-1", "users", "IPv4"))
        self.assertEqual(found.ports, (SlicePort("http", 8080, "http"), SlicePort("", 9, "")))
        self.assertEqual((found.labels["app"], found.annotations), ("users", {"a": "b"}))
        (one,) = found.endpoints
        self.assertEqual((one.address, one.held, one.zone, one.node), ("10.0.0.1", "", "eu-1a", "n1"))
        self.assertEqual((one.pod, one.target, one.zones), ("users-x", "Pod shop/users-x", ("eu-1a", "eu-1b")))

    def test_old_zone(self) -> None:
        """v1beta1 kept the zone in the topology, and v1 shows that as deprecatedTopology."""
        thing = endpoint("10.0.0.1") | {"deprecatedTopology": {"topology.kubernetes.io/zone": "eu-1c"}}
        self.assertEqual(read_slice(made(thing)).endpoints[0].zone, "eu-1c")

    def test_only_the_first_address(self) -> None:
        thing = endpoint("10.0.0.1") | {"addresses": ["10.0.0.1", "10.0.0.9"]}
        self.assertEqual([each.address for each in read_slice(made(thing)).endpoints], ["10.0.0.1"])

    def test_malformed(self) -> None:
        good = made(endpoint("10.0.0.1"))
        for change in (
            {"endpoints": 5}, {"endpoints": [5]}, {"endpoints": [{"addresses": []}]}, {"endpoints": [{"addresses": [5]}]},
            {"endpoints": [{"addresses": ["a"], "conditions": {"ready": "yes"}}]}, {"addressType": "IPX"}, {"addressType": None},
            {"ports": [{"port": 70000}]}, {"metadata": {}}, {"metadata": []},
        ):  # fmt: skip
            self.assertRaises(Malformed, read_slice, good | change)


class ConditionTests(SynchronousTestCase):
    """ready, serving, terminating (API reference of EndpointConditions)."""

    def test_table(self) -> None:
        for conditions, held in (
            ({}, [""]),
            ({"ready": None}, [""]),
            ({"ready": True}, [""]),
            ({"ready": True, "serving": True, "terminating": False}, [""]),
            ({"ready": True, "terminating": True}, [""]),  # publishNotReadyAddresses.
            ({"ready": False}, [NOT_READY]),
            ({"ready": False, "serving": False}, [NOT_READY]),
            ({"ready": False, "serving": True, "terminating": True}, [TERMINATING]),
            ({"ready": False, "serving": False, "terminating": True}, []),
            ({"ready": False, "terminating": True}, []),
        ):
            found = read_slice(made({"addresses": ["10.0.0.1"], "conditions": conditions}))
            self.assertEqual([each.held for each in found.endpoints], held, conditions)

    def test_no_conditions(self) -> None:
        self.assertEqual(read_slice(made({"addresses": ["10.0.0.1"]})).endpoints[0].held, "")
