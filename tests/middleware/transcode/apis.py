"""What the tests of transcoding share: the API of orders.proto, and small ones made on the spot."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, message_factory

from edgegw.config.problems import Problems
from edgegw.middleware.transcode.descriptors import Api, load
from edgegw.middleware.transcode.rules import Rule, Rules, compile_rules

FOLDER = Path(__file__).resolve().parent
DESCRIPTORS = FOLDER / "orders.pb"
SERVICES = ("acme.Orders", "acme.Parts")


@functools.cache
def orders() -> Api:
    """The API of orders.proto."""
    problems = Problems()
    api = load(DESCRIPTORS, problems)
    assert api is not None and not list(problems), list(problems)
    return api


@functools.cache
def rules() -> Rules:
    """Its rules."""
    problems = Problems()
    compiled = compile_rules(orders(), SERVICES, problems)
    assert not problems, list(problems)
    return compiled


def fit(method: str, path: str) -> tuple[Rule, list[str]]:
    """The rule of a request, and what its variables capture."""
    found = rules().find(method, path)
    assert found is not None, (method, path)
    return found


def message(name: str, /, **fields: Any) -> Any:
    """A message of the API."""
    return message_factory.GetMessageClass(orders().pool.FindMessageTypeByName(name))(**fields)


def order(**fields: Any) -> Any:
    """An `acme.Order`."""
    return message("acme.Order", **fields)


def small_api(*patterns: dict[str, Any], **options: Any) -> descriptor_pb2.FileDescriptorSet:
    """A file `small.proto` with messages `small.In` (text, number, many, inner) and `small.Out` (text), and a service `small.Api`.

    patterns: fields of the HttpRule of each method, by which they are called M0, M1 ... options: of the methods.
    """
    file = descriptor_pb2.FileDescriptorProto(name="small.proto", package="small", syntax="proto3")
    file.dependency.append("google/api/annotations.proto")
    kinds = descriptor_pb2.FieldDescriptorProto
    message = file.message_type.add(name="In")
    message.field.add(name="text", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    message.field.add(name="number", number=2, type=kinds.TYPE_INT32, label=kinds.LABEL_OPTIONAL)
    message.field.add(name="many", number=3, type=kinds.TYPE_STRING, label=kinds.LABEL_REPEATED)
    message.field.add(
        name="inner", number=4, type=kinds.TYPE_MESSAGE, type_name=".small.In", label=kinds.LABEL_OPTIONAL
    )
    answer = file.message_type.add(name="Out")
    answer.field.add(name="text", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    service = file.service.add(name="Api")
    for number, pattern in enumerate(patterns):
        method = service.method.add(name=f"M{number}", input_type=".small.In", output_type=".small.Out", **options)
        if pattern:
            rule = method.options.Extensions[annotations_pb2.http]
            for name, value in pattern.items():
                if name == "custom":
                    rule.custom.kind, rule.custom.path = value
                elif name == "additional_bindings":
                    for each in value:
                        rule.additional_bindings.add(**each)
                else:
                    setattr(rule, name, value)
    return descriptor_pb2.FileDescriptorSet(file=[file])
