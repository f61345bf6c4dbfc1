"""The middleware: a JSON request goes in, a gRPC call goes on; the call's answer comes back, JSON goes out."""

from __future__ import annotations

from collections.abc import Awaitable

import orjson

from edgegw.errors import GatewayError, Phase
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Request, Response
from edgegw.exchange.translated import Translated
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.middleware.transcode.descriptors import Api, load
from edgegw.middleware.transcode.frames import bad_response
from edgegw.middleware.transcode.requests import Requests
from edgegw.middleware.transcode.responses import Printed, Printer, is_raw, raw
from edgegw.middleware.transcode.rules import Rule, Rules, compile_rules
from edgegw.middleware.transcode.settings import TranscodeStepSettings
from edgegw.middleware.transcode.status import DETAILS, MESSAGE, STATUS, code_of, rich_status
from edgegw.middleware.transcode.streams import JsonStream, RawBody, RawStream, Single, nothing
from edgegw.middleware.transcode.values import Values
from edgegw.wire.grpc import GRPC, frame, http_status, is_grpc
from edgegw.wire.headers import Field, Headers

_CONTENT_TYPE = b"content-type"
_JSON = b"application/json"
_CALL: list[Field] = [(_CONTENT_TYPE, b"Content-Type", GRPC), (b"te", b"TE", b"trailers")]
_NOT_OF_CALL = frozenset(
    {_CONTENT_TYPE, b"content-length", b"te", b"grpc-encoding", b"grpc-accept-encoding", b"grpc-timeout"}
)
"""Request fields that say something else in a call: how it is framed, what it may be answered with, how long it may take."""

_NOT_OF_ANSWER = frozenset({_CONTENT_TYPE, b"content-length", b"grpc-encoding", b"grpc-accept-encoding"})
_UNCAPPED = 10 * 1024 * 1024
"""Bytes of a request's body where the route's own cap stands behind this middleware."""


class Transcode:
    """Transcodes requests that fit a rule; everything else passes by.

    Args:
        api, rules: what can be called. settings: how.
    """

    __slots__ = ("_next", "_printer", "_requests", "_rules", "_settings", "_writers")

    def __init__(self, following: Responder, api: Api, rules: Rules, settings: TranscodeStepSettings) -> None:
        self._next = following
        self._rules = rules
        self._settings = settings
        self._requests = Requests(Values(api.pool), settings)
        self._printer = Printer(settings, api.pool)
        self._writers: dict[Rule, Printed] = {}

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Go on, or transcode."""
        request = exchange.request
        # gRPC and gRPC-Web have nothing to be transcoded.
        if (request.headers.get(_CONTENT_TYPE) or b"")[: len(GRPC)].lower() != GRPC:
            found = self._rules.find(request.method, request.path)
            if found is not None:
                return self._transcode(exchange, *found)
        return self._next(exchange)

    async def _transcode(self, exchange: Exchange, rule: Rule, captured: list[str]) -> Response:
        request = exchange.request
        if rule.method.client_streaming:
            raise GatewayError(501, "transcode_client_stream", phase=Phase.POLICY, detail=rule.method.name)
        content_type = request.headers.get(_CONTENT_TYPE) or b""
        body = await _read(request.body)
        message = self._requests.message(rule, captured, request.query, body, content_type)
        _make_call(request, rule, message)
        response = await self._next(exchange)
        headers = response.headers
        if response.status != 200 or not is_grpc(headers.get(_CONTENT_TYPE)):
            # Not from a gRPC server, but from something on the way to it.
            return response
        if STATUS in headers:
            response.body.cancel()
            return self._without_messages(rule, headers)
        if not rule.method.server_streaming:
            return await self._unary(rule, response)
        if is_raw(rule):
            return await self._raw_stream(rule, response)
        stream = JsonStream(self._writer(rule), self._settings.max_message, self._settings.stream_newline_delimited)
        out = Translated(response.body, stream)
        # At once: what is here already is to leave together with the head.
        out.start()
        return Response(200, _answer_headers(headers, _JSON), _whole(out.body))

    def _writer(self, rule: Rule) -> Printed:
        writer = self._writers.get(rule)
        if writer is None:
            writer = self._writers[rule] = self._printer.of(rule)
        return writer

    def _without_messages(self, rule: Rule, ending: Headers) -> Response:
        """The answer to a call whose head says all."""
        code = code_of(ending)
        rich = self._rich(ending, ending) if code else None
        if rich is not None:
            return rich
        body = EMPTY
        if rule.method.server_streaming and not is_raw(rule):
            body = Body.of(nothing(self._settings.stream_newline_delimited))
        elif not code and not rule.method.server_streaming:
            raise bad_response("no message, though the call succeeded")
        return Response(http_status(code), _answer_headers(ending, _JSON), body)

    def _rich(self, head: Headers, ending: Headers) -> Response | None:
        """The answer to a failed call as a document; None if that is not wanted, or holds what nobody knows the type of."""
        if not self._settings.convert_grpc_status:
            return None
        try:
            document = self._printer.document(rich_status(ending))
        except GatewayError:
            return None
        headers = _answer_headers(head, _JSON)
        headers.remove_all({STATUS, MESSAGE, DETAILS})
        return Response(http_status(code_of(ending)), headers, Body.of(orjson.dumps(document)))

    async def _unary(self, rule: Rule, response: Response) -> Response:
        single = Single(response.body, self._settings.max_message)
        response.body.attach(single)
        message, trailers = await single.done
        ending = Headers(list(trailers))
        if STATUS not in ending:
            raise bad_response("the call ends without a grpc-status")
        code = code_of(ending)
        headers = _answer_headers(response.headers, _JSON)
        if message is None:
            if not code:
                raise bad_response("no message, though the call succeeded")
            rich = self._rich(response.headers, ending)
            if rich is not None:
                return rich
            content = b""
        elif is_raw(rule):
            content_type, content = raw(rule, message)
            headers.set(b"Content-Type", content_type)
        else:
            content = self._writer(rule)(message)
        for name in (STATUS, MESSAGE):
            value = ending.get(name)
            if value is not None:
                headers.append((name, name, value))
        return Response(http_status(code), headers, Body.of(content))

    async def _raw_stream(self, rule: Rule, response: Response) -> Response:
        stream = RawStream(rule, self._settings.max_message, response.body)
        out = RawBody(response.body, stream)
        out.start()
        # The head has to say what the first message knows.
        content_type = await stream.content_type
        return Response(200, _answer_headers(response.headers, content_type or _JSON), _whole(out.body))

    def __repr__(self) -> str:
        return f"<Transcode {self._rules!r}>"


async def _read(body: Body) -> bytes:
    """All of a request's body, as far as its cap allows. Raises GatewayError: 413 `body_too_large`."""
    if body.empty:
        return b""
    return await body.read(int(body.limit) if body.limit < float("inf") else max(body.size, _UNCAPPED))


def _make_call(request: Request, rule: Rule, message: bytes) -> None:
    """The request as gRPC has it. What came stays as it came in `Exchange.head`: errors are rendered for who asked."""
    request.method = "POST"
    request.path = rule.method.path
    request.query = None
    fields = [field for field in request.headers.fields if field[0] not in _NOT_OF_CALL]
    request.headers = Headers(fields + _CALL)
    request.body = Body.of(frame(message))


def _answer_headers(headers: Headers, content_type: bytes) -> Headers:
    fields = [field for field in headers.fields if field[0] not in _NOT_OF_ANSWER]
    return Headers([(_CONTENT_TYPE, b"Content-Type", content_type), *fields])


def _whole(body: Body) -> Body:
    """The body; of one that is complete the length is known now."""
    if body.ended:
        body.length = body.size
    return body


def build(settings: TranscodeStepSettings, around: Surroundings) -> Middleware:
    """The middleware of one route. What is wrong with the descriptors is reported; then requests pass by."""
    (path,) = settings.paths(around.base_dir)
    api = load(path, around.problems)
    if api is None:
        return lambda following: following
    rules = compile_rules(api, settings.services, around.problems)
    return lambda following: Transcode(following, api, rules, settings)


TRANSCODE = MiddlewarePart("grpc_transcode", TranscodeStepSettings, build)
