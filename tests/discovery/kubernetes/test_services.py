"""Service objects."""

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.fields import Malformed
from edgegw.discovery.kubernetes.services import SCHEMES, ServicePort, read_service
from tests.live.kube_objects import service


def made(*ports: tuple[object, ...], **more: object) -> dict[str, object]:
    thing = service("users", *ports, **more)
    thing["metadata"]["resourceVersion"] = "1"
    return thing


class ReadTests(SynchronousTestCase):
    """What is used of a Service."""

    def test_whole(self) -> None:
        found = read_service(
            made(
                ("http", 80),
                ("grpc", 90, "kubernetes.io/h2c"),
                labels={"app": "users"},
                annotations={"edgegw.dev/weight": "3"},
                spec={"ipFamilies": ["IPv6", "IPv4"]},
            )
        )
        self.assertEqual((found.key, found.family, found.external_name), ("shop/users", "IPv6", ""))
        self.assertEqual(found.ports, (ServicePort("http", 80, ""), ServicePort("grpc", 90, "kubernetes.io/h2c")))
        self.assertEqual((found.labels, found.annotations), ({"app": "users"}, {"edgegw.dev/weight": "3"}))

    def test_udp_is_left_out(self) -> None:
        thing = made()
        thing["spec"]["ports"].append({"name": "dns", "port": 53, "protocol": "UDP"})  # type: ignore[index]
        self.assertEqual([port.name for port in read_service(thing).ports], ["http"])

    def test_external_name(self) -> None:
        """Only of a Service of that type: others may still carry an old name."""
        self.assertEqual(read_service(made(spec={"type": "ExternalName", "externalName": "a.b"})).external_name, "a.b")
        self.assertEqual(read_service(made(spec={"externalName": "a.b"})).external_name, "")

    def test_malformed(self) -> None:
        for spec in ({"ports": 5}, {"ports": [{}]}, {"ports": [{"port": "80"}]}, {"ipFamilies": {}}, {"type": 1}):
            self.assertRaises(Malformed, read_service, made(spec=spec))


class PortTests(SynchronousTestCase):
    """Which port is meant."""

    def test_by_name_and_number(self) -> None:
        found = read_service(made(("http", 80), ("admin", 81)))
        for wanted, name in (("http", "http"), ("admin", "admin"), (80, "http"), (81, "admin")):
            port = found.port(wanted)
            self.assertEqual(port and port.name, name)

    def test_the_only_one(self) -> None:
        port = read_service(made(("http", 80))).port(None)
        self.assertEqual(port and port.number, 80)
        self.assertIsNone(read_service(made(spec={"ports": []})).port(None))

    def test_which_one(self) -> None:
        """Several, or none of that name: the words say which there are."""
        found = read_service(made(("http", 80), ("admin", 81)))
        for wanted, words in ((None, "several ports: http, admin"), ("htp", 'no port "htp"; it has http, admin')):
            with self.assertRaises(LookupError) as caught:
                found.port(wanted)
            self.assertIn(words, str(caught.exception))

    def test_a_number_it_does_not_have(self) -> None:
        """It may be what the endpoints listen on."""
        self.assertIsNone(read_service(made(("http", 80))).port(8080))


class SchemeTests(SynchronousTestCase):
    """appProtocol."""

    def test_standard_names(self) -> None:
        """Those of KEP-3726."""
        wanted = {"kubernetes.io/h2c": "h2c", "kubernetes.io/ws": "http", "kubernetes.io/wss": "https"}
        self.assertEqual({name: SCHEMES[name] for name in wanted}, wanted)
