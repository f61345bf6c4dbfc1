"""The source, against the double of the API server."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.discovery.common import Common
from edgegw.discovery.interfaces import Surroundings
from edgegw.discovery.kubernetes import reflector as reflecting
from edgegw.discovery.kubernetes.settings import KubernetesSettings, Query
from edgegw.discovery.kubernetes.source import K8S, KubernetesSource, build_kubernetes, collections, query_of
from edgegw.discovery.settings import DiscoverySettings
from tests.discovery.kubernetes.case import ONE, QUERY, SLICES, TWO, SourceCase, reactor
from tests.live.kube_objects import endpoint, service


class WatchTests(SourceCase):
    """From the API server to the listener."""

    async def test_found_and_changed(self) -> None:
        """Added, held, removed."""
        source, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        await self.standing()
        self.put(endpoint("10.0.0.1"), endpoint("10.0.0.2", zone="z"))
        await self.until(lambda: told.urls == [ONE, TWO], "added")
        self.put(endpoint("10.0.0.1", ready=False, serving=True, terminating=True), endpoint("10.0.0.2"))
        await self.until(lambda: told.all("found")[-1] == [(ONE, "terminating"), (TWO, "")], "terminating")
        self.put(endpoint("10.0.0.2"))
        await self.until(lambda: told.urls == [TWO], "removed")
        self.api.delete("endpointslices", "shop/users-1")
        await self.until(lambda: told.urls == [], "none")
        self.assertEqual((told.all("failed"), source.name), ([], "k8s shop/users:http"))

    async def test_only_what_was_asked_for(self) -> None:
        """Selectors go to the API server: a cluster has many Services."""
        self.put(endpoint("10.0.0.7"), name="other-1", service="other")
        self.put(endpoint("10.0.0.8"), name="users-1", namespace="elsewhere")
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        by_path = {each["path"]: each["args"] for each in self.api.requests}
        self.assertEqual(by_path[SLICES]["labelSelector"], "kubernetes.io/service-name=users")
        self.assertEqual(by_path["/api/v1/namespaces/shop/services"]["fieldSelector"], "metadata.name=users")

    async def test_all_namespaces_by_selector(self) -> None:
        labels = {"app": "users"}
        self.put(endpoint("10.0.0.2"), name="b-1", service="b", namespace="dev", labels=labels, ports=[("http", 8080)])
        self.api.put("services", service("b", namespace="dev", labels=labels))
        self.put(endpoint("10.0.0.3"), name="c-1", service="c", namespace="qa", labels=labels)
        _, told = self.source(Query("*", "", "app=users", "http"))
        await self.until(lambda: told.urls == [TWO, "http://10.0.0.3:8080"], "both namespaces")

    async def test_pages(self) -> None:
        """A list of many pages is one list."""
        self.patch(reflecting, "PAGE", 2)
        for number in range(2, 8):
            self.put(endpoint(f"10.0.0.{number}"), name=f"users-{number}")
        _, told = self.source()
        await self.until(lambda: told.urls is not None and len(told.urls) == 7, "seven endpoints")
        self.assertEqual(len(told.all("found")), 1)
        pages = [each for each in self.api.requests if "endpointslices" in each["path"] and "limit" in each["args"]]
        self.assertEqual(len(pages), 4)

    async def test_a_burst_is_told_as_one(self) -> None:
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        await self.standing()
        for number in range(2, 42):
            self.put(endpoint(f"10.0.0.{number}"), name=f"users-{number}")
        await self.until(lambda: told.urls is not None and len(told.urls) == 41, "all of them")
        self.assertLess(len(told.all("found")), 10)

    async def test_bookmarks_confirm(self) -> None:
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        await self.standing()
        before = len(told.all("confirmed"))
        self.api.control({"bookmark": True})
        await self.until(lambda: len(told.all("confirmed")) > before, "confirmed")
        self.assertEqual(len(told.all("found")), 1)


class TroubleTests(SourceCase):
    """What an API server may do."""

    async def found(self) -> Any:
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        await self.standing()
        return told

    def lists(self) -> int:
        return len([each for each in self.api.requests if each["path"].endswith("slices") and "limit" in each["args"]])

    async def after(self, told: Any, orders: dict[str, Any]) -> None:
        """Make it behave so, and see that the next change comes through."""
        self.api.control(orders)
        self.put(endpoint("10.0.0.1"), endpoint("10.0.0.2"))
        await self.until(lambda: told.urls == [ONE, TWO], f"after {orders}")

    async def test_watches_end(self) -> None:
        """They are resumed, without a list."""
        told = await self.found()
        await self.after(told, {"end": True})
        self.assertEqual((self.lists(), told.all("failed")), (1, []))

    async def test_connections_are_torn(self) -> None:
        told = await self.found()
        self.api.control({"bookmark": True})
        await self.after(told, {"cut": True})

    async def test_gone(self) -> None:
        """Compacted while nobody watched: as status and as event."""
        told = await self.found()
        for gone in ("http", "event"):
            await self.standing()
            lists = self.lists()
            self.api.version += 10
            self.api.control({"gone": gone, "compact": True, "end": True})
            await self.until(lambda lists=lists: self.lists() > lists, "listed anew")
            self.put(endpoint("10.0.0.1"), endpoint("10.0.0.2"))
            await self.until(lambda: told.urls == [ONE, TWO], "and goes on")
            self.put(endpoint("10.0.0.1"))
            await self.until(lambda: told.urls == [ONE], "and back")

    async def test_versions_begin_anew(self) -> None:
        """Restored from a backup: the watch from the old version is told that it is ahead."""
        told = await self.found()
        self.api.control({"version": 10, "future": "error", "end": True})
        await self.until(lambda: self.lists() > 1, "listed anew")
        self.put(endpoint("10.0.0.1"), endpoint("10.0.0.2"))
        await self.until(lambda: told.urls == [ONE, TWO], "and goes on")

    async def test_not_let_in(self) -> None:
        """What was found stays; the words name the status."""
        told = await self.found()
        self.api.control({"tokens": ["other"], "end": True})
        await self.until(lambda: told.all("failed"), "failed")
        self.assertIn("401", told.all("failed")[0])
        await self.after(told, {"tokens": []})

    async def test_forbidden(self) -> None:
        """The words say what to grant, and where."""
        self.api.control({"forbid": [["watch", "endpointslices"]]})
        _, told = self.source()
        await self.until(lambda: told.all("failed"), "failed")
        self.assertIn(
            "grant list and watch on endpointslices of discovery.k8s.io in namespace shop", told.all("failed")[0]
        )
        self.assertIn('cannot watch resource "endpointslices"', told.all("failed")[0])
        await self.until(lambda: told.urls == [ONE], "what the list told serves")

    async def test_garbage(self) -> None:
        """In the stream: the endpoints stay, and the next list is right."""
        told = await self.found()
        for raw in ("garbage\n", '{"type":"ADDED","object":{"metadata":{}}}\n', "[" * 5000 + "\n", "x" * 1_100_000):
            failed = len(told.all("failed"))
            self.api.control({"raw": raw})
            await self.until(lambda failed=failed: len(told.all("failed")) > failed, raw[:20])
            self.assertEqual(told.urls, [ONE])
            await self.standing()
        await self.after(told, {})

    async def test_split_events(self) -> None:
        """One byte at a time, through a character of three bytes."""
        told = await self.found()
        self.api.control({"split": 1})
        self.put(endpoint("10.0.0.1", zone="東京"), endpoint("10.0.0.2"))
        await self.until(lambda: told.urls == [ONE, TWO], "whole")

    async def test_slow_down(self) -> None:
        """Retry-After of a 429 is kept to."""
        self.api.control({"answer": {"status": 429, "headers": {"Retry-After": "1"}, "path": "endpointslices"}})
        began_s = reactor.seconds()
        _, told = self.source()
        await self.until(lambda: told.urls == [ONE], "the list")
        self.assertGreaterEqual(reactor.seconds() - began_s, 1.0)

    async def test_unreachable_and_back(self) -> None:
        told = await self.found()
        await self.listening.stopListening()
        self.api.control({"cut": True})
        await self.until(lambda: len(told.all("failed")) > 1, "failed")
        self.assertEqual(told.urls, [ONE])
        self.put(endpoint("10.0.0.1"), endpoint("10.0.0.2"))
        self.listening = reactor.listenTCP(self.port, self.listening.factory, interface="127.0.0.1")
        self.addCleanup(self.listening.stopListening)
        await self.until(lambda: told.urls == [ONE, TWO], "back")


class StopTests(SourceCase):
    """Nothing is left: trial itself fails a test that leaves a socket or a timer."""

    async def test_in_every_state(self) -> None:
        """Before anything came, while it hangs, while it waits after an error, and while it watches."""
        for orders, turns in (
            ({}, 0),
            ({"hang": True}, 0.05),
            ({"hang": False, "forbid": [["list", "endpointslices"]]}, 0.05),
        ):
            self.api.control(orders)
            await self.stopped_after(turns)
        self.api.control({"forbid": []})
        await self.stopped_after(0.1)
        await self.until(lambda: not self.api.watches, "the double sees it")

    async def stopped_after(self, turns: float) -> None:
        client = self.client()
        source, told = self.source(client=client)
        await deferLater(reactor, turns)
        await source.stop()  # type: ignore[misc]
        count = len(told.told)
        self.assertIn("0 open", repr(client))
        await deferLater(reactor, 0.1)
        self.assertEqual(len(told.told), count, "told after the stop")


class AskTests(SynchronousTestCase):
    """What an upstream's `discovery` asks for."""

    def query(self, **keys: Any) -> Query:
        return query_of(DiscoverySettings.model_validate({"from": "k8s", **keys}), "edge")

    def test_right(self) -> None:
        self.assertEqual(self.query(service="shop/users", port="http"), QUERY)
        self.assertEqual(self.query(service="users").namespace, "edge")
        self.assertEqual(self.query(service="users", namespace="dev").namespace, "dev")
        self.assertEqual(self.query(service="users", port="8080").port, 8080)
        self.assertEqual(
            self.query(selector="app=a", namespace="*", scheme="h2c"), Query("*", "", "app=a", None, "h2c")
        )

    def test_wrong(self) -> None:
        for key, keys in (
            ("service", {}),
            ("service", {"service": "a", "selector": "b=c"}),
            ("service", {"service": "A b"}),
            ("namespace", {"service": "a/b", "namespace": "c"}),
            ("namespace", {"service": "b", "namespace": "C"}),
            ("selector", {"selector": "\n"}),
            ("port", {"service": "b", "port": 0}),
            ("port", {"service": "b", "port": "70000"}),
        ):
            with self.assertRaises(ValueError, msg=str(keys)) as caught:
                self.query(**keys)
            self.assertEqual(str(caught.exception).partition(": ")[0], key)

    def test_everywhere(self) -> None:
        """Paths without a namespace, and a right that is the cluster's."""
        slices, services = collections(self.query(service="*/users"))
        self.assertEqual(slices.path, "/apis/discovery.k8s.io/v1/endpointslices")
        self.assertEqual(services.path, "/api/v1/services")
        self.assertIn("a ClusterRole", slices.right)


class BuildTests(SynchronousTestCase):
    """The factory."""

    def build(
        self, connection: KubernetesSettings | None = None, common: Common | None = None, **keys: Any
    ) -> tuple[KubernetesSource | None, Problems]:
        problems = Problems()
        folder = Path("/nowhere")

        class Environment:
            reactor = None
            resolver = None
            chance = random.Random(1)
            wall = None

        settings = DiscoverySettings.model_validate({"from": "k8s", **(keys or {"service": "users"})})
        environment: Any = Environment()
        around = Surroundings(environment, folder, problems.under("u"), problems.under("c"), common or Common())
        return build_kubernetes(settings, connection, around), problems

    def test_outside_a_pod(self) -> None:
        """A warning: a configuration is checked where the cluster is not."""
        source, problems = self.build()
        self.assertEqual(source and source.name, "k8s default/users")
        self.assertIn("does not run in a pod", problems.warnings[0].message)

    def test_elsewhere(self) -> None:
        source, _ = self.build(KubernetesSettings(url="https://10.0.0.1:6443", namespace="shop", verify=False))
        self.assertEqual(source and source.name, "k8s shop/users at https://10.0.0.1:6443")

    def test_warnings(self) -> None:
        _, problems = self.build(KubernetesSettings(url="https://10.0.0.1:6443", verify=False))
        self.assertEqual([each.loc for each in problems.warnings], [("c", "verify")])
        _, problems = self.build(KubernetesSettings(url="http://10.0.0.1:6443", token="t"))
        self.assertEqual([each.loc for each in problems.warnings], [("c", "url")])

    def test_what_cannot_work(self) -> None:
        source, problems = self.build(KubernetesSettings(kubeconfig="nowhere"))
        self.assertEqual((source, [each.loc for each in problems.errors]), (None, [("c",)]))
        source, problems = self.build(None, service="a b")
        self.assertEqual((source, [each.loc for each in problems.errors]), (None, [("u", "service")]))

    def test_what_is_shown_is_found_out_once(self) -> None:
        """For all upstreams of one connection: an exec plugin is not run for each of them."""
        common = Common()
        settings = [KubernetesSettings(url="https://10.0.0.1:6443", token=token) for token in ("t", "t", "u")]
        sources = [self.build(each, common=common)[0] for each in settings]
        one, same, other = (source._client._credentials for source in sources if source is not None)
        self.assertEqual((one is same, one is other), (True, False))

    def test_part(self) -> None:
        self.assertEqual((K8S.kind, K8S.connection), ("k8s", KubernetesSettings))
