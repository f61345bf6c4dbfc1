"""What the source makes of Services: ports, schemes, ExternalName, what they advise."""

from __future__ import annotations

from twisted.internet.task import deferLater

from edgegw.discovery.kubernetes import client as clients
from edgegw.discovery.kubernetes.settings import Query
from tests.discovery.kubernetes.case import ONE, TWO, SourceCase, reactor
from tests.live.kube_objects import endpoint, service


class ServiceTests(SourceCase):
    """What the Service says."""

    async def test_it_changes(self) -> None:
        """Its ports, scheme and weight act on the endpoints at once."""
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        await self.standing()
        self.put(endpoint("10.0.0.1"), ports=[("http", 8443, "https")])
        await self.until(lambda: told.urls == ["https://10.0.0.1:8443"], "appProtocol")
        self.api.put("services", service(annotations={"edgegw.dev/scheme": "h2c"}))
        await self.until(lambda: told.urls == ["h2c://10.0.0.1:8443"], "annotation")

    async def test_advice(self) -> None:
        """What it says of the upstream as a whole goes along with the endpoints; what is wrong with it is refused."""
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        await self.standing()
        notes = {"edgegw.dev/balance": "random", "edgegw.dev/health-path": "/up", "edgegw.dev/health-every": "1ms"}
        self.api.put("services", service(annotations=notes))
        await self.until(lambda: told.all("advised")[-1] == {"balance": "random", "health-path": "/up"}, "advised")
        self.assertEqual(
            told.all("refused"), [("annotations of shop/users", "health-every must be 1 or more, not 1ms")]
        )
        self.api.put("services", service())
        await self.until(lambda: told.all("advised")[-1] == {}, "advised nothing")
        self.assertEqual(told.all("failed"), [])

    async def test_wrong_advice_is_no_failure(self) -> None:
        """Also of a Service that is scaled to nothing: its endpoints go."""
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        await self.standing()
        self.api.put("services", service(annotations={"edgegw.dev/balance": "magic"}))
        await self.until(lambda: told.all("refused"), "refused")
        self.put()
        await self.until(lambda: told.urls == [], "none")
        self.assertEqual(told.all("failed"), [])

    async def test_external_name(self) -> None:
        self.api.delete("endpointslices", "shop/users-1")
        self.api.put("services", service(spec={"type": "ExternalName", "externalName": "users.example.com"}))
        _, told = self.source()
        await self.until(lambda: told.urls == ["http://users.example.com:80"], "the name")

    async def test_first_answer_waits_for_both(self) -> None:
        """Without the Service's port names the first answer would be a wrong one."""
        self.put(endpoint("10.0.0.1"), ports=[("web", 8080), ("x", 9)])
        self.api.put("services", service("users", ("web", 80), ("x", 81)))
        _, told = self.source(Query("shop", "users", "", 81))
        await self.until(lambda: told.urls, "the list")
        self.assertEqual(told.all("found"), [[("http://10.0.0.1:9", "")]])

    async def test_services_may_not_be_read(self) -> None:
        """Slices alone serve."""
        self.api.control({"forbid": [["list", "services"]]})
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        self.assertEqual(told.all("failed"), [])

    async def test_services_do_not_answer(self) -> None:
        """The first answer waits for them, but not for ever."""
        self.patch(clients, "GET_S", 0.4)
        self.api.control({"hang": "services"})
        source, told = self.source()
        await self.until(lambda: source._slices.known, "slices are listed")
        await deferLater(reactor, 0.1)
        self.assertEqual(told.told, [])
        await self.until(lambda: told.urls == [ONE], "slices alone serve")
        self.assertEqual(told.all("failed"), [])

    async def test_which_port(self) -> None:
        """It is told what to do; endpoints are not taken away. When it is right again, they are found."""
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        await self.standing()
        self.api.put("services", service("users", ("web", 80)))
        await self.until(lambda: told.all("failed"), "failed")
        self.assertIn('no port "http"; it has web', told.all("failed")[0])
        self.assertEqual(told.urls, [ONE])
        confirmed = len(told.all("confirmed"))
        self.api.control({"bookmark": True})
        await self.until(lambda: len(told.all("failed")) > 1, "it is still so")
        self.assertEqual(len(told.all("confirmed")), confirmed)
        self.api.put("services", service())
        await self.until(lambda: len(told.all("found")) == 2, "right again")
        self.assertEqual(told.urls, [ONE])

    async def test_refused(self) -> None:
        """What cannot be an endpoint is told with every answer, as it is left out of each; the rest serves."""
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        await self.standing()
        self.put(endpoint("10.0.0.1"), endpoint("127.1"))
        await self.until(lambda: told.all("refused"), "refused")
        self.put(endpoint("10.0.0.1"), endpoint("10.0.0.2"), endpoint("127.1"))
        await self.until(lambda: told.urls == [ONE, TWO], "the rest")
        self.assertEqual([what for what, _ in told.all("refused")], ['"127.1"'] * 2)
