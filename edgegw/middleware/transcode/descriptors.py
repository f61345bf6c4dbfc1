"""The API that is transcoded to, out of a FileDescriptorSet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.api import annotations_pb2, httpbody_pb2
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from edgegw.config.problems import Problems, quoted

_HOW = "protoc --include_imports --descriptor_set_out=api.pb api.proto"
_USUAL = (
    any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2,
    status_pb2, error_details_pb2, httpbody_pb2,
)  # fmt: skip
"""What the `Any`s of answers and errors hold, whether or not an API's files import it."""


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One method of a service.

    name: `acme.Orders.Get`. path: `/acme.Orders/Get`. rule: its google.api.HttpRule, or None. request, response: classes of
    messages.
    """

    name: str
    path: str
    rule: Any
    request: Any
    response: Any
    client_streaming: bool
    server_streaming: bool


@dataclass(frozen=True, slots=True, eq=False)
class Api:
    """pool: every type of the file. services: the methods of each, by full name."""

    pool: Any
    services: Mapping[str, tuple[Method, ...]]


def load(path: Path, problems: Problems) -> Api | None:
    """Read a file; what is wrong with it is reported at `descriptors` and None returned."""
    here = problems.under("descriptors")
    try:
        found = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
    except OSError as error:
        here.add((), f"{path} cannot be read: {error.strerror or error}")
        return None
    except DecodeError:
        here.add((), f"{path} is not a FileDescriptorSet", hint=_HOW)
        return None
    if not found.file:
        here.add((), f"{path} holds no files of descriptors", hint=_HOW)
        return None
    pool = _pool(found.file, path, here)
    if pool is None:
        return None
    return Api(pool, {name: tuple(_methods(name, service, pool)) for name, service in _services(found.file)})


def _services(files: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for file in files:
        for service in file.service:
            yield (f"{file.package}.{service.name}" if file.package else service.name), service


def _methods(name: str, service: Any, pool: Any) -> Iterator[Method]:
    described = pool.FindServiceByName(name).methods_by_name
    for method in service.method:
        known = described[method.name]
        has_rule = method.options.HasExtension(annotations_pb2.http)
        yield Method(
            f"{name}.{method.name}",
            f"/{name}/{method.name}",
            method.options.Extensions[annotations_pb2.http] if has_rule else None,
            message_factory.GetMessageClass(known.input_type),
            message_factory.GetMessageClass(known.output_type),
            method.client_streaming,
            method.server_streaming,
        )


def _pool(files: Iterable[Any], path: Path, problems: Problems) -> Any:
    """A pool with all the files, what they import first; None if they do not fit together."""
    waiting = {file.name: file for file in files}
    pool = descriptor_pool.DescriptorPool()
    done: set[str] = set()
    for file in files:
        if not _add(file, waiting, done, pool, path, problems):
            return None
    for module in _USUAL:
        try:
            _add_known(module.DESCRIPTOR.name, done, pool)
        except TypeError:
            # The file has the same types under another name; its own are as good.
            continue
    return pool


def _add(file: Any, waiting: Mapping[str, Any], done: set[str], pool: Any, path: Path, problems: Problems) -> bool:
    """Add a file and what it imports. Iterative: how deep imports go is the file's affair."""
    stack = [file]
    while stack:
        top = stack[-1]
        needed = [name for name in top.dependency if name not in done]
        known = [waiting[name] for name in needed if name in waiting]
        if any(each in stack for each in known):
            problems.add((), f"{path}: {top.name} imports itself in the end")
            return False
        for name in needed:
            if name not in waiting and not _add_known(name, done, pool):
                problems.add((), f"{path}: {top.name} imports {quoted(name)}, which is not in it", hint=_HOW)
                return False
        if known:
            stack.extend(known[:1])
            continue
        stack.pop()
        if top.name not in done:
            done.add(top.name)
            try:
                pool.Add(top)
            except TypeError as error:
                problems.add((), f"{path}: {error}")
                return False
    return True


def _add_known(name: str, done: set[str], pool: Any) -> bool:
    """Add one of Google's own files, with what it imports, as this program has it."""
    if name in done:
        return True
    if not name.startswith("google/"):
        return False
    try:
        file = descriptor_pool.Default().FindFileByName(name)
    except KeyError:
        return False
    for needed in file.dependencies:
        _add_known(needed.name, done, pool)
    pool.AddSerializedFile(file.serialized_pb)
    done.add(name)
    return True
