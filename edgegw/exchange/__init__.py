"""One request and its answer, whatever protocol carried them.

- `interfaces`: `Responder`, and the two ends of a body: `BodySource` and `BodySink`.
- `model`: `Request`, `Response`, `Exchange`, `Outcome`.
- `body`: a stream of bytes between one source and one sink, with watermarks.
- `replay`: a bounded copy of a request body, for another attempt.
- `drive`: runs a responder's coroutine on Deferreds, without a task per exchange.
- `predicates`: what a route or middleware may ask of a request.
- `render`: the only place where a `GatewayError` becomes a `Response`.
"""
