"""Who an object of the API is, and in which version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgegw.config.problems import quoted
from edgegw.discovery.api.fields import Malformed, mapping, text, texts


class Identity:
    """Who an object is. key: `namespace/name`. version: its resourceVersion."""

    __slots__ = ("annotations", "key", "labels", "name", "namespace", "version")

    def __init__(self, data: Mapping[str, Any]) -> None:
        metadata = mapping(data, "metadata")
        self.namespace, self.name = text(metadata, "namespace"), text(metadata, "name")
        if not self.name:
            raise Malformed("metadata.name is missing")
        self.key = f"{self.namespace}/{self.name}"
        self.version = version_of(data)
        self.labels = texts(metadata, "labels")
        self.annotations = texts(metadata, "annotations")


def version_of(data: Mapping[str, Any]) -> str:
    """metadata.resourceVersion of an object, a list or a bookmark."""
    found = text(mapping(data, "metadata"), "resourceVersion")
    if not found:
        raise Malformed("metadata.resourceVersion is missing")
    if len(found) > 256 or not found.isascii() or not found.isprintable():
        raise Malformed(f"metadata.resourceVersion is {quoted(found)}")
    return found


def is_older(version: str, than: str) -> bool:
    """Whether a version comes before another one. They are opaque, but the numbers that every API server gives only grow."""
    return version.isdigit() and than.isdigit() and int(version) < int(than)
