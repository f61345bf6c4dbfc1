"""Instances become endpoints."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.consul import instances as module
from edgegw.discovery.consul.instances import Wanted, read_instances
from edgegw.upstream.address import Named
from tests.discovery.consul.case import entry

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 70000) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Node", "Service", "Checks", "Tags", "Meta", "Port", "Address", "Weights", "Passing"]),
            inner,
        )
    ),
    max_leaves=20,
)


class Case(SynchronousTestCase):
    """Reading entries."""

    def one(self, data: Any, wanted: Wanted = Wanted()) -> Named:
        found = read_instances([data], wanted)
        self.assertEqual(found.faults, ())
        return found.named[0]

    def fault(self, data: Any, wanted: Wanted = Wanted()) -> str:
        found = read_instances([data], wanted)
        self.assertEqual((found.named, len(found.faults)), ((), 1))
        return ": ".join(found.faults[0])


class AddressTests(Case):
    """Where an instance is."""

    def url(self, data: Any, wanted: Wanted = Wanted()) -> str:
        return self.one(data, wanted).settings.url

    def test_own_address_or_the_nodes(self) -> None:
        self.assertEqual(self.url(entry()), "http://10.0.0.1:80")
        self.assertEqual(self.url(entry(Address="")), "http://10.0.9.9:80")
        self.assertEqual(self.url(entry(Address="fd00::1")), "http://[fd00::1]:80")
        self.assertEqual(self.url(entry(Address="users.internal.")), "http://users.internal:80")
        self.assertEqual(self.fault(entry(Address="", node={"Address": ""})), 'instance "web1": it has no address')

    def test_port(self) -> None:
        """What is registered counts; `port` is for those that register none."""
        self.assertEqual(self.url(entry(), Wanted(port=9000)), "http://10.0.0.1:80")
        self.assertEqual(self.url(entry(Port=0), Wanted(port=9000)), "http://10.0.0.1:9000")
        self.assertIn("say which with `port`", self.fault(entry(Port=0)))
        for bad in (-1, 65536, True, "80", 8.5):
            self.assertIn("Port is not a port", self.fault(entry(Port=bad)))

    def test_scheme(self) -> None:
        """The configuration's, else Meta's, else that of a tag, else http."""
        both = entry(Meta={"scheme": "grpc"}, Tags=["a", "scheme=https"])
        self.assertEqual(self.url(both, Wanted(scheme="h2c")), "h2c://10.0.0.1:80")
        self.assertEqual(self.url(both), "grpc://10.0.0.1:80")
        self.assertEqual(self.url(entry(Tags=["a", "scheme=https"])), "https://10.0.0.1:80")
        self.assertEqual(self.url(entry(Tags=["https"])), "http://10.0.0.1:80")
        self.assertIn('"ftp" is not known', self.fault(entry(Meta={"scheme": "ftp"})))
        self.assertIn("UNIX socket", self.fault(entry(Meta={"scheme": "unix"})))

    def test_what_resolvers_read_in_their_own_ways(self) -> None:
        for bad in ("2130706433", "127.1", "0", "0x7f.1", "a b", "a/b", "a@b", "10.0.0.1:90", "x\r\ny"):
            self.fault(entry(Address=bad))


class FactTests(Case):
    """What else is said of it."""

    def test_weight(self) -> None:
        """Of the passing, within 1 and 1000."""
        for passing, weight in ((7, 7), (0, 1), (-5, 1), (65535, 1000)):
            self.assertEqual(self.one(entry(Weights={"Passing": passing, "Warning": 3})).settings.weight, weight)
        self.assertEqual(self.one(entry(Weights=None)).settings.weight, 1)
        self.assertIn("Weights.Passing is not a number", self.fault(entry(Weights={"Passing": "7"})))

    def test_zone(self) -> None:
        """Of the instance's Meta, of the node's, of Locality."""
        node = {"Meta": {"zone": "n"}, "Locality": {"Zone": "nl"}}
        place = {"Locality": {"Region": "eu", "Zone": "l"}}
        self.assertEqual(self.one(entry(Meta={"zone": "a"}, node=node, **place)).settings.zone, "a")
        self.assertEqual(self.one(entry(node=node, **place)).settings.zone, "n")
        self.assertEqual(self.one(entry(**place)).settings.zone, "l")
        self.assertEqual(self.one(entry(node={"Locality": {"Zone": "nl"}})).settings.zone, "nl")
        self.assertEqual(self.one(entry()).settings.zone, "")

    def test_meta(self) -> None:
        """Meta as it is registered, tags as `tag:NAME`; who it is can't be said by Meta."""
        found = self.one(entry(Meta={"version": "2", "node": "evil"}, Tags=["blue", "V1"])).settings.meta
        wanted = {"version": "2", "tag:blue": "true", "tag:V1": "true", "node": "n1", "dc": "dc1", "id": "web1"}
        self.assertEqual(found, wanted)

    def test_more_meta_than_fits(self) -> None:
        """Who it is and its tags come first."""
        many = {f"a{number:02}": "x" for number in range(64)}
        found = self.one(entry(Meta=many, Tags=[f"t{number:02}" for number in range(20)])).settings.meta
        self.assertEqual(len(found), 32)
        self.assertTrue({"id", "node", "dc", "tag:t00", "tag:t11", "a00", "a16"} <= set(found))
        self.assertNotIn("tag:t12", found)

    def test_held(self) -> None:
        """By the worst of its checks, and by maintenance whatever the others say."""
        for status, held in (("passing", ""), ("warning", "warning"), ("critical", "critical"), ("odd", "critical")):
            self.assertEqual(self.one(entry(status=status)).held, held)
        data = entry(status="warning")
        data["Checks"].append({"CheckID": "d", "Status": "critical"})
        data["Checks"].append({"CheckID": "e", "Status": "warning"})
        self.assertEqual(self.one(data).held, "critical")
        for name in ("_node_maintenance", "_service_maintenance:web1"):
            data["Checks"][0] = {"CheckID": name, "Status": "critical"}
            self.assertEqual(self.one(data).held, "maintenance")
        self.assertEqual(self.one({**entry(), "Checks": None}).held, "")


class AllTests(Case):
    """All of an answer."""

    def test_order(self) -> None:
        """Of their URLs, whatever the agent's is."""
        entries = [entry(number) for number in range(1, 9)]
        self.assertEqual(read_instances(entries, Wanted()), read_instances(entries[::-1], Wanted()))

    def test_tags(self) -> None:
        """All of them must be there, in capitals or not: a newer agent may not look at `tag`."""
        entries = [entry(1, Tags=["Blue", "v1"]), entry(2, Tags=["blue"]), entry(3)]
        found = read_instances(entries, Wanted(tags=("BLUE", "V1")))
        self.assertEqual([each.settings.url for each in found.named], ["http://10.0.0.1:80"])
        self.assertEqual(len(read_instances(entries, Wanted(tags=("blue",))).named), 2)
        self.assertEqual(found.faults, ())

    def test_one_address_twice(self) -> None:
        """It may be chosen if either of them may, in whatever order they come."""
        entries = [entry(1, "critical", ID="a"), entry(1, ID="b"), entry(1, "warning", ID="c")]
        for some in (entries, entries[::-1]):
            found = read_instances(some, Wanted())
            self.assertEqual([each.held for each in found.named], [""])

    def test_the_others_serve(self) -> None:
        found = read_instances([5, entry(1), {"Service": {"Port": 1}}, entry(2, Port=99999), entry(3)], Wanted())
        self.assertEqual([each.settings.url for each in found.named], ["http://10.0.0.1:80", "http://10.0.0.3:80"])
        self.assertEqual([what for what, _ in found.faults][-1], 'instance "web2"')
        self.assertEqual(len(found.faults), 3)

    def test_too_many(self) -> None:
        self.patch(module, "INSTANCES_MAX", 2)
        self.assertEqual(len(read_instances([entry(1), entry(2)], Wanted()).named), 2)
        self.assertRaises(LookupError, read_instances, [entry(1), entry(2), entry(3)], Wanted())

    @given(st.lists(JSON, max_size=5))
    def test_anything(self, entries: list[Any]) -> None:
        """Whatever JSON there is, it ends in endpoints and faults."""
        found = read_instances(entries, Wanted(port=80))
        self.assertLessEqual(len(found.named), len(entries))
