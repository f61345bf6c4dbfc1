"""`resource:` mounts any twisted.web IResource below a route: a klein app, a WSGIResource, a static.File.

Its request bodies are spooled, up to `body_limit` (twisted.web renders after the last byte); its answers stream. A WSGI application
writes from its own thread and cannot be slowed down: what it yields for a slow reader waits in memory.
"""

from __future__ import annotations

import importlib
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from twisted.internet.defer import Deferred
from twisted.web import server
from twisted.web.resource import IResource

from edgegw.config.problems import Problems, quoted
from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Response
from edgegw.targets.webchannel import WebChannel, WebRequest
from edgegw.wire.headers import Field

IN_MEMORY = 65536
"""Bytes of a request body that are kept in memory; more go to a temporary file."""


class MountedSite(server.Site):
    """A site whose root stands below the segments that the route matched before its `**`."""

    def __init__(self, resource: IResource, reactor: Any) -> None:
        super().__init__(resource, reactor=reactor)  # type: ignore[no-untyped-call]

    def getResourceFor(self, request: WebRequest) -> Any:
        """Find the resource for what is left of the path."""
        postpath = request.postpath or []
        request.prepath, request.postpath = postpath[: request.mounted], postpath[request.mounted :]
        found: Any = super().getResourceFor(request)  # type: ignore[no-untyped-call]
        return found


class ResourceTarget:
    """A responder that renders a resource.

    Args:
        resource: an IResource. reactor: time, for sessions and pull producers. body_limit: bytes of a request body.
    """

    __slots__ = ("_body_limit", "_reactor", "_site")

    def __init__(self, resource: IResource, reactor: Any, body_limit: int) -> None:
        self._site = MountedSite(resource, reactor)
        self._reactor = reactor
        self._body_limit = body_limit

    @classmethod
    def compile(cls, dotted: str, problems: Problems, reactor: Any, body_limit: int) -> ResourceTarget | None:
        """None when there is no resource of that name.

        Args:
            dotted: module and name, such as `shop.web.root`: an IResource, or a callable without arguments that makes one.
            problems: hand in `problems.under(..., "resource")`.
        """
        try:
            found = load(dotted)
            if not IResource.providedBy(found) and callable(found):
                found = found()
        except LookupError as error:
            problems.add((), str(error.args[0]), hint="module.name, importable by this Python")
            return None
        except Exception as error:
            problems.add((), f"{quoted(dotted)} cannot be imported: {type(error).__name__}: {error}")
            return None
        if not IResource.providedBy(found):
            kind = type(found).__name__
            problems.add(
                (), f"{quoted(dotted)} is a {kind}, not a twisted.web IResource", hint="for a klein app: app.resource"
            )
            return None
        return cls(found, reactor, body_limit)

    async def __call__(self, exchange: Exchange) -> Response:
        """The answer's head, its body still flowing.

        Raises:
            GatewayError: 413; 500 `resource_...` for what the resource does wrong; what the request's body ended with.
        """
        content = cast(IO[bytes], SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115 # the request closes it at its end
        spool = Spool(exchange.request.body, content, self._body_limit)
        try:
            size = await spool.done
        except BaseException:
            content.close()
            raise
        return await WebChannel(exchange, self._site, self._reactor).render(content, size, _mounted(exchange))


class Spool:
    """A body sink that writes a file. `done` fires with the number of bytes."""

    __slots__ = ("_body", "_content", "_limit", "_size", "done")

    def __init__(self, body: Body, content: IO[bytes], limit: int) -> None:
        self._body = body
        self._content = content
        self._limit = limit
        self._size = 0
        self.done: Deferred[int] = Deferred(lambda _: body.cancel())
        body.attach(self)

    def write(self, data: bytes) -> None:
        """Keep data, or refuse."""
        self._size += len(data)
        if self._size <= self._limit:
            self._content.write(data)
        elif not self.done.called:
            self._body.cancel()
            error = GatewayError(413, "body_too_large", side=Side.DOWNSTREAM, phase=Phase.BODY, close=True)
            self.done.errback(error)

    def end(self, trailers: tuple[Field, ...]) -> None:
        """All is there."""
        if not self.done.called:
            self.done.callback(self._size)

    def abort(self, error: GatewayError) -> None:
        """The rest will not come."""
        if not self.done.called:
            self.done.errback(error)


def load(dotted: str) -> Any:
    """The object of a dotted name: the longest part of it that is a module, then attributes.

    Raises:
        LookupError: there is no such module or attribute. Whatever the module raises while it is imported comes through.
    """
    names = dotted.split(".")
    if len(names) < 2 or not all(name.isidentifier() for name in names):
        raise LookupError(f"{quoted(dotted)} is not a dotted name")
    found: Any = None
    depth = 0
    for depth in range(1, len(names) + 1):
        module = ".".join(names[:depth])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # One that is missing inside the module is the module's own fault.
            if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
                raise
            if depth == 1:
                raise LookupError(f"there is no module {quoted(module)}") from None
            depth -= 1
            break
    for name in names[depth:]:
        if not hasattr(found, name):
            raise LookupError(f"{quoted(dotted)}: there is no {quoted(name)} in {quoted('.'.join(names[:depth]))}")
        found = getattr(found, name)
    return found


def _mounted(exchange: Exchange) -> int:
    """Segments of the path before what `**` captured; none without it, or when a rewrite changed the path."""
    request = exchange.request
    captured = request.params.get("path")
    if captured is None or request.path != exchange.head.path or not request.path.endswith(captured):
        return 0
    inner = captured.count("/") + 1 if captured or request.path.endswith("/") else 0
    return request.path.count("/") - inner
