"""Settings to a snapshot."""

import shutil
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgegw.config.problems import ConfigError, Problems
from edgegw.config.source import loads
from edgegw.gateway.assembly import Assembly, Resources, watched_files
from edgegw.gateway.loading import accept, provision
from edgegw.gateway.snapshot import Snapshot
from edgegw.middleware.access_record import AccessRecord
from edgegw.middleware.client_address import ClientAddress
from edgegw.middleware.grpc import Grpc
from edgegw.middleware.grpc_web import GrpcWeb
from edgegw.middleware.header_rules import HeaderRules
from edgegw.middleware.request_caps import RequestCaps
from edgegw.middleware.request_id import RequestId
from edgegw.middleware.rescue import Rescue
from edgegw.middleware.security_headers import SecurityHeaders
from edgegw.middleware.timeouts import TotalTimeout
from edgegw.routing.rewrite import Rewrite
from edgegw.routing.router import Router
from edgegw.runtime.overload import Overload, OverloadSettings
from edgegw.targets.proxy import Proxy
from edgegw.targets.respond import Respond
from edgegw.targets.to_https import ToHttps
from edgegw.targets.websocket import Upgrading
from tests.certs import Authority
from tests.gateway.test_golden import resources
from tests.middleware.transcode.apis import DESCRIPTORS
from tests.net.tlspair import AnyClient, Pair

UP = 'upstreams: {u: {endpoints: ["http://h"]}}\n'


class AssemblyCase(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-asm-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.resources = resources()

    def build(self, text: str, old: Snapshot | None = None, listen: str = "8080") -> Snapshot:
        document = loads(f"edgegw: 1\nlisten: [{listen}]\n{text}", "shop.yaml", environ={})
        return provision(accept(document, self.folder), self.resources, old)

    def layers(self, responder: Any) -> list[type]:
        """The types from the outside in."""
        found = []
        while responder is not None:
            # It stands before every proxy and passes on what is no WebSocket.
            if not isinstance(responder, Upgrading):
                found.append(type(responder))
            inner = (getattr(responder, name, None) for name in ("_next", "_then", "_proxy"))
            responder = next((each for each in inner if each is not None), None)
        return found

    def pipeline(self, route: str, more: str = "") -> list[str]:
        snapshot = self.build(f"{UP}{more}routes:\n  - {{match: /**, {route}}}\n")
        return [layer.__name__ for layer in self.layers(snapshot.routes[0].responder)][1:]


class EdgeStageTests(AssemblyCase):
    def test_order(self) -> None:
        """Outermost first; whatever routes say, each listener has all of it."""
        snapshot = self.build("", listen="8080, {port: 8081, redirect: https}")
        for name, last in (("*:8080", Router), ("*:8081", ToHttps)):
            layers = self.layers(snapshot.terms[name].responder)
            self.assertEqual(layers, [Rescue, AccessRecord, RequestId, ClientAddress, last])

    def test_what_a_listener_lets_in(self) -> None:
        listen = (
            "{port: 8080, methods: [PROPFIND], trailers: [X-Checksum], caps: {head: 64KiB, target: 1KiB, fields: 9}}"
        )
        limits = self.build("", listen=listen).terms["*:8080"].limits
        self.assertEqual((limits.head, limits.target, limits.fields, limits.field), (65536, 1024, 9, 32768))
        self.assertLess({"PROPFIND", "GET"}, limits.methods)
        self.assertEqual(limits.trailers_allowed, {b"x-checksum"})

    def test_protocols_are_what_alpn_offers(self) -> None:
        Authority().issue("localhost").write(self.folder, "a")
        for said, offered, chosen in (
            ("", [b"http/1.1", b"h2"], b"h2"),
            (", protocols: [http1]", [b"h2", b"http/1.1"], b"http/1.1"),
            (", protocols: [http2]", [b"http/1.1", b"h2"], b"h2"),
        ):
            terms = self.build("", listen=f"{{port: 443, tls: {{cert: a.pem, key: a.key}}{said}}}").terms["*:443"]
            assert terms.tls is not None
            pair = Pair(terms.tls, AnyClient(alpn=offered))
            self.assertEqual(pair.client.transport.negotiatedProtocol, chosen, said)  # type: ignore[attr-defined]

    def test_https_port(self) -> None:
        """The redirect leads to the first listener with TLS."""
        Authority().issue("localhost").write(self.folder, "a")
        tls = "tls: {cert: a.pem, key: a.key}"
        snapshot = self.build("", listen=f"{{port: 80, redirect: https}}, {{port: 8443, {tls}}}, {{port: 9443, {tls}}}")
        self.assertIn("8443", repr(snapshot.terms["*:80"].responder._next._next._next._next))  # type: ignore[attr-defined]


class RouteStageTests(AssemblyCase):
    def test_canonical_order(self) -> None:
        route = "timeout: {total: 5m}, headers: {request: {set: {X-A: b}}}, rewrite: {prefix: /x}, to: u"
        wanted = [SecurityHeaders, GrpcWeb, RequestCaps, TotalTimeout, Grpc, HeaderRules, Rewrite, Proxy]
        self.assertEqual(self.pipeline(route), [each.__name__ for each in wanted])

    def test_an_overloaded_process_refuses_before_anything_else(self) -> None:
        registry = self.resources.telemetry.registry
        overload = Overload(lambda: 0.0, registry, OverloadSettings(memory="off"))
        self.resources = replace(self.resources, overload=overload)
        self.assertEqual(self.pipeline("respond: 200")[0], "Shedding")
        snapshot = self.build("defaults: {importance: low}\nroutes: [{match: /a, respond: 200}]\n")
        self.assertIn("<Shedding low>", repr(snapshot.routes[0].responder._next))  # type: ignore[attr-defined]

    def test_what_is_not_asked_for_is_not_there(self) -> None:
        self.assertEqual(self.pipeline("respond: {status: 200}"), ["SecurityHeaders", "RequestCaps", "Respond"])
        self.assertEqual(self.pipeline("security_headers: false, to: u"), ["GrpcWeb", "RequestCaps", "Grpc", "Proxy"])
        none = "timeout: {total: none}, grpc: {web: false}, to: u"
        self.assertEqual(self.pipeline(none), ["SecurityHeaders", "RequestCaps", "Grpc", "Proxy"])

    def test_defaults_hold(self) -> None:
        more = (
            "defaults: {security_headers: false, timeout: {total: 1m}, headers: {response: {remove: [Server]}},"
            " grpc: {web: false}}\n"
        )
        self.assertEqual(self.pipeline("to: u", more), ["RequestCaps", "TotalTimeout", "Grpc", "HeaderRules", "Proxy"])
        total = self.pipeline("timeout: {total: none}, to: u", more)
        self.assertEqual(total, ["RequestCaps", "Grpc", "HeaderRules", "Proxy"])

    def test_websockets(self) -> None:
        """Their mode reaches the target, and whoever may not come is refused before anything else is done for him."""
        for mode, target in (
            ("relay", "<WebSocketTarget relay to u>"),
            ("tunnel", "<WebSocketTarget tunnel to u>"),
            ("off", "<function websocket_off"),
        ):
            snapshot = self.build(f"{UP}routes:\n  - {{match: /**, websocket: {mode}, to: u}}\n")
            responder: Any = snapshot.routes[0].responder
            while not isinstance(responder, Upgrading):
                responder = responder._next
            self.assertIn(f"<Upgrading <Proxy to u> or {target}", repr(responder))
        layers = self.pipeline('websocket: {origins: ["https://a.example"]}, to: u')
        self.assertEqual(layers[2:4], ["WebSocketOrigin", "RequestCaps"])

    def test_own_middleware_is_innermost_and_may_move_a_step(self) -> None:
        own = "middleware: [{use: stamp, with: {text: a}}], to: u"
        self.assertEqual(self.pipeline(own), ["SecurityHeaders", "GrpcWeb", "RequestCaps", "Grpc", "Stamp", "Proxy"])
        moved = "middleware: [{use: stamp, with: {text: a}}, {use: body_limit, with: {body_limit: 1KiB}}], to: u"
        self.assertEqual(self.pipeline(moved), ["SecurityHeaders", "GrpcWeb", "Grpc", "Stamp", "RequestCaps", "Proxy"])

    def test_targets(self) -> None:
        self.assertEqual(self.pipeline("respond: {status: 200}")[-1], Respond.__name__)
        self.assertEqual(self.pipeline("redirect: {to: /x}")[-1], "Redirect")
        self.assertEqual(self.pipeline("files: {root: .}")[-1], "Files")

    def test_a_resource_that_ends_the_process(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            self.build('routes: [{match: "/**", resource: tests.gateway.foreign_exits.root}]\n')
        self.assertIn("cannot be imported: SystemExit: usage: ...", str(caught.exception))

    def test_names(self) -> None:
        """A route without a name is called by its match; one match, several routes: they are counted."""
        when = "when: {header: {X-A: "
        routes = (
            f"routes:\n  - {{match: /a, {when}'1'}}}}, to: u}}\n  - {{match: /a, {when}'2'}}}}, to: u}}\n"
            "  - {name: b, match: /b, to: u}\n  - {match: /a, to: u}\n"
        )
        names = [route.name for route in self.build(UP + routes).routes]
        self.assertEqual(names, ["/a", "/a #2", "b", "/a #3"])
        self.assertEqual(len(set(names)), 4)


class TakeOverTests(AssemblyCase):
    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority()
        self.authority.issue("localhost").write(self.folder, "a")
        self.listen = "{port: 8443, tls: {cert: a.pem, key: a.key}}"

    def test_the_same_certificates_keep_their_contexts(self) -> None:
        first = self.build("", listen=self.listen)
        again = self.build("state: x\n", first, listen=self.listen)
        self.assertIs(again.terms["*:8443"].tls, first.terms["*:8443"].tls)

    def test_another_certificate_or_policy_is_another_context(self) -> None:
        first = self.build("", listen=self.listen)
        other = self.build("", first, listen=self.listen.replace("a.key}", 'a.key, min_version: "1.3"}'))
        self.assertIsNot(other.terms["*:8443"].tls, first.terms["*:8443"].tls)
        self.authority.issue("localhost").write(self.folder, "a")
        renewed = self.build("", first, listen=self.listen)
        self.assertIsNot(renewed.terms["*:8443"].tls, first.terms["*:8443"].tls)

    def test_tls_off_and_on(self) -> None:
        first = self.build("", listen="8443")
        secure = self.build("", first, listen=self.listen)
        self.assertIsNotNone(secure.terms["*:8443"].tls)
        self.assertIsNone(self.build("", secure, listen="8443").terms["*:8443"].tls)

    def test_is_same_as(self) -> None:
        first = self.build("", listen=self.listen)
        self.assertTrue(self.build("", first, listen=self.listen).is_same_as(first))
        self.assertFalse(self.build("state: x\n", first, listen=self.listen).is_same_as(first))
        self.authority.issue("localhost").write(self.folder, "a")
        self.assertFalse(self.build("", first, listen=self.listen).is_same_as(first))

    def test_watched(self) -> None:
        """Every file beside the configuration, once; also those that defaults name."""
        self.authority.write(self.folder)
        text = "defaults: {upstream: {tls: {ca: ca.pem}}}\n" + UP
        snapshot = self.build(text, listen=f"{self.listen}, {self.listen.replace('8443', '8444')}")
        self.assertEqual([path.name for path in snapshot.watched], ["a.pem", "a.key", "ca.pem"])
        self.assertTrue(all(path.parent == self.folder for path in watched_files(snapshot.settings, self.folder)))


class TranscodingTests(AssemblyCase):
    """`grpc.transcode` of routes."""

    def setUp(self) -> None:
        super().setUp()
        shutil.copy(DESCRIPTORS, self.folder / "api.pb")

    def test_it_is_next_to_the_target(self) -> None:
        own = "grpc: {web: false, transcode: {descriptors: api.pb}}, rewrite: {prefix: /x}, to: u"
        self.assertEqual(
            self.pipeline(f"security_headers: false, {own}"), ["RequestCaps", "Grpc", "Rewrite", "Transcode", "Proxy"]
        )
        more = "defaults: {grpc: {transcode: {descriptors: api.pb}}}\n"
        self.assertNotIn("Transcode", self.pipeline("respond: {status: 200}", more))
        self.assertIn("Transcode", self.pipeline("to: u", more))

    def test_descriptors_are_watched(self) -> None:
        text = f"{UP}routes:\n  - {{match: /**, grpc: {{transcode: {{descriptors: api.pb}}}}, to: u}}\n"
        self.assertEqual(self.build(text).watched, (self.folder / "api.pb",))

    def test_all_problems_in_one_run(self) -> None:
        text = UP + "\n".join((
            "routes:",
            "  - {match: /a/**, to: u, grpc: {transcode: {descriptors: no.pb}}}",
            "  - {match: /b/**, to: u, grpc: {transcode: {descriptors: api.pb, services: [acme.Nope, acme.Bare]}}}",
        ))  # fmt: skip
        with self.assertRaises(ConfigError) as caught:
            self.build(text)
        errors = [problem for problem in caught.exception.problems if problem.severity == "error"]
        self.assertEqual(
            [(problem.line, problem.message.replace(str(self.folder), "")) for problem in errors],
            [
                (5, "/no.pb cannot be read: No such file or directory"),
                (6, 'there is no service "acme.Nope"'),
                (6, "no method of acme.Bare has a google.api.http rule"),
            ],
        )


class OfflineTests(unittest.TestCase):
    def test_it_builds_and_stops(self) -> None:
        offline = Resources.offline()
        document = loads("edgegw: 1\nlisten: [80]\n" + UP, environ={})
        problems = Problems()
        loaded = accept(document, Path("/"))
        snapshot = Assembly(offline).build(document, loaded.settings, Path("/"), problems)
        self.assertFalse(problems)
        self.assertRegex(repr(snapshot), r"^<Snapshot 0 [0-9a-f]{12} 0 routes, 1 upstreams, 1 listeners>$")
        offline.stop()
