"""Bodies of gRPC responses on their way: one message, or a stream of them as JSON or as bytes."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.translated import Translated
from edgegw.middleware.transcode.frames import Frames, bad_response
from edgegw.middleware.transcode.responses import Printed, raw
from edgegw.middleware.transcode.rules import Rule
from edgegw.wire.headers import Field


class JsonStream:
    """A translation of a stream: a JSON array, element by element, or a message a line."""

    __slots__ = ("_begun", "_frames", "_lines", "_printed")

    def __init__(self, printed: Printed, limit: int, lines: bool) -> None:
        self._printed = printed
        self._frames = Frames(limit)
        self._lines = lines
        self._begun = False

    def translate(self, data: bytes) -> bytes:
        """JSON of the messages that are complete. Raises GatewayError 502."""
        out: list[bytes] = []
        for encoded in self._frames.feed(data):
            if self._lines:
                out += self._printed(encoded), b"\n"
            else:
                out += b"," if self._begun else b"[", self._printed(encoded)
                self._begun = True
        return b"".join(out)

    def finish(self, trailers: tuple[Field, ...]) -> tuple[bytes, tuple[Field, ...]]:
        """The end of the array. Raises GatewayError 502."""
        self._frames.finish()
        return nothing(self._lines) if not self._begun else b"]", trailers


def nothing(lines: bool) -> bytes:
    """A stream without messages."""
    return b"" if lines else b"[]"


class RawStream:
    """A translation of a stream of google.api.HttpBody.

    `content_type` fires with that of the first one, with empty bytes if none comes, or with what went wrong before.
    """

    __slots__ = ("_frames", "_rule", "content_type")

    def __init__(self, rule: Rule, limit: int, body: Body) -> None:
        self._rule = rule
        self._frames = Frames(limit)
        self.content_type: Deferred[bytes] = Deferred(lambda _: body.cancel())

    def translate(self, data: bytes) -> bytes:
        """What the messages hold. Raises GatewayError 502."""
        out: list[bytes] = []
        try:
            for encoded in self._frames.feed(data):
                content_type, content = raw(self._rule, encoded)
                self._tell(content_type)
                out.append(content)
        except GatewayError as error:
            self.failed(error)
            raise
        return b"".join(out)

    def finish(self, trailers: tuple[Field, ...]) -> tuple[bytes, tuple[Field, ...]]:
        """Nothing more. Raises GatewayError 502."""
        try:
            self._frames.finish()
        except GatewayError as error:
            self.failed(error)
            raise
        self._tell(b"")
        return b"", trailers

    def failed(self, error: GatewayError) -> None:
        """The stream broke off."""
        if not self.content_type.called:
            self.content_type.errback(error)

    def _tell(self, content_type: bytes) -> None:
        if not self.content_type.called:
            self.content_type.callback(content_type)


class RawBody(Translated):
    """A body through a `RawStream`, which hears of its breaking off too."""

    __slots__ = ("_stream",)

    def __init__(self, inner: Body, stream: RawStream) -> None:
        super().__init__(inner, stream)
        self._stream = stream

    def abort(self, error: GatewayError) -> None:
        """From the body."""
        super().abort(error)
        self._stream.failed(error)


class Single:
    """A sink for the answer of a unary call. `done` fires with the message, None if none came, and the trailers."""

    __slots__ = ("_body", "_frames", "_message", "done")

    def __init__(self, body: Body, limit: int) -> None:
        self._body = body
        self._frames = Frames(limit)
        self._message: bytes | None = None
        self.done: Deferred[tuple[bytes | None, tuple[Field, ...]]] = Deferred(lambda _: body.cancel())

    def write(self, data: bytes) -> None:
        """From the body."""
        if self.done.called:
            return
        try:
            for message in self._frames.feed(data):
                if self._message is not None:
                    raise bad_response("more than one message")
                self._message = message
        except GatewayError as error:
            self._body.cancel()
            self.done.errback(error)

    def end(self, trailers: tuple[Field, ...]) -> None:
        """From the body."""
        if self.done.called:
            return
        try:
            self._frames.finish()
        except GatewayError as error:
            self.done.errback(error)
            return
        self.done.callback((self._message, trailers))

    def abort(self, error: GatewayError) -> None:
        """From the body."""
        if not self.done.called:
            self.done.errback(error)
