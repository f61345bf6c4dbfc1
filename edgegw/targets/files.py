"""`files:` the files of a folder (RFC 9110 conditions and ranges), streamed."""

from __future__ import annotations

import mimetypes
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.problems import Problems, quoted
from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.model import Exchange, Response
from edgegw.targets.conditions import evaluate, http_date, range_applies
from edgegw.targets.filebody import FileBody
from edgegw.targets.folder import Folder, IsFolder, OpenFile
from edgegw.targets.ranges import Span, content_range, length_of, multipart, parse_ranges
from edgegw.targets.threads import Threads, threads_of
from edgegw.wire.headers import Headers

RESTING_S = 2.0
"""A file that changed less than this ago may change again within the same tick of its time stamp: its tag is weak."""

_TYPES = mimetypes.MimeTypes(filenames=())
"""Python's own table: no file of the machine changes what we answer."""
for _type, _end in (
    ("text/javascript", ".js"), ("text/javascript", ".mjs"), ("application/wasm", ".wasm"), ("font/woff2", ".woff2"),
    ("font/woff", ".woff"), ("image/webp", ".webp"), ("image/avif", ".avif"), ("text/markdown", ".md"),
    ("application/manifest+json", ".webmanifest"), ("application/x-ndjson", ".ndjson"), ("text/yaml", ".yaml"),
):  # fmt: skip
    _TYPES.add_type(_type, _end)


class FilesSettings(Settings):
    """The files of a folder."""

    root: str = Field(description="The folder, relative to the configuration's.", examples=["./www"])
    index: str = Field("index.html", description="The file that a folder shows.")


class Files:
    """A responder that serves a folder.

    What `**` of the match captured is looked up; without a `**`, or behind a rewrite, the whole path is.

    Args:
        folder: where. clock: for turns between chunks. threads: for reads that wait. now: wall clock, seconds since the epoch.
        boundary: makes the boundary of a multipart answer.
    """

    __slots__ = ("_boundary", "_clock", "_folder", "_now", "_threads")

    def __init__(
        self,
        folder: Folder,
        clock: Any,
        threads: Threads,
        now: Callable[[], float] = time.time,  # noqa: TID251 # the default that tests replace
        boundary: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._threads = threads
        self._now = now
        self._boundary = boundary

    @classmethod
    def compile(cls, settings: FilesSettings, problems: Problems, base_dir: Path, reactor: Any) -> Files | None:
        """None when something is wrong with the settings.

        Args:
            problems: hand in `problems.under(..., "files")`. base_dir: what a relative root starts from.
        """
        before = len(problems.errors)
        root = (base_dir / settings.root).absolute()
        if not root.is_dir():
            what = "is not a folder" if root.exists() else "does not exist"
            problems.add(("root",), f"{quoted(str(root))} {what}")
        elif not os.access(root, os.R_OK | os.X_OK):
            problems.add(("root",), f"{quoted(str(root))} cannot be read by this user")
        if not settings.index or "/" in settings.index or settings.index.startswith("."):
            problems.add(("index",), f"{quoted(settings.index)} is not a file name", hint="index.html")
        if len(problems.errors) > before:
            return None
        return cls(Folder(root, settings.index), reactor, threads_of(reactor))

    async def __call__(self, exchange: Exchange) -> Response:
        """The file.

        Raises:
            GatewayError: 404 `no_file`, 405 for methods other than GET and HEAD, 412, 416.
        """
        if exchange.request.method not in ("GET", "HEAD"):
            allow = [(b"Allow", b"GET, HEAD")]
            raise _refusal(405, "method_not_allowed", headers=allow)
        path = _relative_path(exchange)
        found = IsFolder() if path is None else self._folder.open(path)
        if found is None:
            raise _refusal(404, "no_file")
        if isinstance(found, IsFolder):
            return _with_slash(exchange)
        try:
            response, pieces = self._answer(exchange, found)
        except BaseException:
            os.close(found.descriptor)
            raise
        if not pieces:
            os.close(found.descriptor)
            return response
        source = FileBody(found.descriptor, pieces, self._clock, self._threads)
        source.prefetch()
        response.body = source.body
        # Whatever becomes of the answer, the descriptor is closed.
        exchange.on_end(lambda *_: source.cancel())
        return response

    def _answer(self, exchange: Exchange, found: OpenFile) -> tuple[Response, list[bytes | Span]]:
        asked = exchange.request.headers
        modified_s = found.modified_ns / 1e9
        etag = b'"%x-%x"' % (found.modified_ns, found.size)
        if self._now() - modified_s < RESTING_S:
            etag = b"W/" + etag
        fields = Headers.of([(b"ETag", etag), (b"Last-Modified", http_date(modified_s)), (b"Accept-Ranges", b"bytes")])
        verdict = evaluate(asked, etag, modified_s)
        if verdict == 412:
            raise _refusal(412, "precondition_failed")
        if verdict == 304:
            return Response(304, fields), []
        kind = content_type(found.name)
        fields.add(b"Content-Type", kind)
        spans = None
        if exchange.request.method == "GET" and range_applies(asked, etag, modified_s):
            spans = parse_ranges(asked.get(b"range"), found.size)
        if spans is None:
            fields.add(b"Content-Length", b"%d" % found.size)
            whole = exchange.request.method == "GET" and found.size > 0
            return Response(200, fields), [Span(0, found.size)] if whole else []
        return self._partial(fields, spans, found.size, kind)

    def _partial(
        self, fields: Headers, spans: list[Span], size: int, kind: bytes
    ) -> tuple[Response, list[bytes | Span]]:
        if not spans:
            raise _refusal(416, "range_not_satisfiable", headers=[(b"Content-Range", b"bytes */%d" % size)])
        pieces: list[bytes | Span] = [spans[0]]
        if len(spans) == 1:
            fields.add(b"Content-Range", content_range(spans[0], size))
        else:
            boundary = self._boundary().encode("ascii")
            fields.set(b"Content-Type", b"multipart/byteranges; boundary=" + boundary)
            pieces = multipart(spans, size, kind, boundary)
        fields.add(b"Content-Length", b"%d" % length_of(pieces))
        return Response(206, fields), pieces


def content_type(name: str) -> bytes:
    """The media type of a file name; text is UTF-8."""
    kind, encoding = _TYPES.guess_type(name)
    if encoding is not None:
        kind = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}.get(encoding)
    kind = kind or "application/octet-stream"
    return (kind + ("; charset=utf-8" if kind.startswith("text/") else "")).encode("ascii")


def _relative_path(exchange: Exchange) -> str | None:
    """What to look up; None is the root itself, asked for without a slash (`/files` of `/files/**`)."""
    request = exchange.request
    captured = request.params.get("path")
    if captured is None or request.path != exchange.head.path:
        return request.path[1:]
    return captured if captured or request.path.endswith("/") else None


def _with_slash(exchange: Exchange) -> Response:
    """The same address with a slash, so that relative links in the folder's index lead into it."""
    head = exchange.head
    location = head.path + "/" + (f"?{head.query}" if head.query is not None else "")
    return Response(308, Headers.of([(b"Location", location.encode("ascii"))]))


def _refusal(status: int, reason: str, headers: list[tuple[bytes, bytes]] | None = None) -> GatewayError:
    return GatewayError(status, reason, side=Side.DOWNSTREAM, phase=Phase.ROUTE, headers=headers or ())
