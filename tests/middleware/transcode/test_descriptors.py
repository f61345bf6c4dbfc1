"""Tests of edgegw.middleware.transcode.descriptors."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import descriptor_pb2
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.middleware.transcode.descriptors import Api, load
from tests.middleware.transcode.apis import DESCRIPTORS, orders, small_api


class LoadTests(SynchronousTestCase):
    def load(self, content: bytes | descriptor_pb2.FileDescriptorSet) -> tuple[Api | None, list[str]]:
        path = Path(self.mktemp())
        path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        problems = Problems()
        api = load(path, problems.under("grpc", "transcode"))
        for problem in problems:
            self.assertEqual(problem.loc, ("grpc", "transcode", "descriptors"))
        return api, [problem.message.replace(str(path), "api.pb") for problem in problems]

    def test_services_and_their_methods(self) -> None:
        api = orders()
        self.assertEqual(list(api.services), ["acme.Orders", "acme.Parts", "acme.Bare"])
        methods = {method.name: method for method in api.services["acme.Orders"]}
        get, watch, collect = (methods[f"acme.Orders.{name}"] for name in ("Get", "Watch", "Collect"))
        self.assertEqual((get.path, get.client_streaming, get.server_streaming), ("/acme.Orders/Get", False, False))
        self.assertEqual((watch.server_streaming, collect.client_streaming), (True, True))
        self.assertEqual(get.rule.get, "/v1/orders/{text}")
        self.assertIsNone(methods["acme.Orders.Unmapped"].rule)
        self.assertEqual(get.request(text="x").SerializeToString(), b"\n\x01x")

    def test_types_that_answers_may_hold(self) -> None:
        """Details of errors can be shown, whether or not the API's files import them."""
        api, _ = self.load(small_api({"get": "/a"}))
        assert api is not None
        for name in ("google.rpc.Status", "google.rpc.RetryInfo", "google.api.HttpBody", "google.protobuf.Any"):
            self.assertEqual(api.pool.FindMessageTypeByName(name).full_name, name)

    def test_no_file(self) -> None:
        problems = Problems()
        self.assertIsNone(load(Path("/no/such.pb"), problems))
        self.assertEqual(
            [problem.message for problem in problems], ["/no/such.pb cannot be read: No such file or directory"]
        )

    def test_not_descriptors(self) -> None:
        self.assertEqual(self.load(b"syntax = 'proto3';"), (None, ["api.pb is not a FileDescriptorSet"]))
        self.assertEqual(self.load(b""), (None, ["api.pb holds no files of descriptors"]))

    def test_files_in_any_order(self) -> None:
        given = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
        api, problems = self.load(descriptor_pb2.FileDescriptorSet(file=reversed(given.file)))
        assert api is not None
        self.assertEqual((len(api.services["acme.Orders"]), problems), (len(orders().services["acme.Orders"]), []))

    def test_without_imports(self) -> None:
        """Google's own files are here; others are not."""
        given = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
        (own,) = (file for file in given.file if file.name == "orders.proto")
        api, problems = self.load(descriptor_pb2.FileDescriptorSet(file=[own]))
        self.assertEqual((api is not None, problems), (True, []))
        own.dependency.append("acme/more.proto")
        api, problems = self.load(descriptor_pb2.FileDescriptorSet(file=[own]))
        self.assertIsNone(api)
        self.assertEqual(problems, ['api.pb: orders.proto imports "acme/more.proto", which is not in it'])
        own.dependency[-1] = "google/no/such.proto"
        self.assertIn("google/no/such.proto", self.load(descriptor_pb2.FileDescriptorSet(file=[own]))[1][0])

    def test_imports_in_a_circle(self) -> None:
        files = [
            descriptor_pb2.FileDescriptorProto(name="a.proto", dependency=["b.proto"]),
            descriptor_pb2.FileDescriptorProto(name="b.proto", dependency=["a.proto"]),
        ]
        api, problems = self.load(descriptor_pb2.FileDescriptorSet(file=files))
        self.assertEqual((api, problems), (None, ["api.pb: b.proto imports itself in the end"]))

    def test_files_that_do_not_fit_together(self) -> None:
        given = small_api({"get": "/a"})
        given.file[0].message_type[0].field[3].type_name = ".small.Missing"
        api, problems = self.load(given)
        self.assertIsNone(api)
        self.assertEqual(len(problems), 1)
        self.assertTrue(problems[0].startswith("api.pb: "), problems)

    def test_a_service_without_a_package(self) -> None:
        given = small_api({"get": "/a"})
        given.file[0].package = ""
        for method in given.file[0].service[0].method:
            method.input_type, method.output_type = ".In", ".Out"
        given.file[0].message_type[0].field[3].type_name = ".In"
        api, problems = self.load(given)
        assert api is not None, problems
        self.assertEqual([method.path for method in api.services["Api"]], ["/Api/M0"])
