"""Bytes to events and events to bytes; no I/O, no clock, no Twisted.

- `events`: the frozen vocabulary that every protocol version speaks (`RequestHead`, `ResponseHead`, `End`, `Violation`).
- `headers`: an ordered header list that keeps names and values as they came.
- `path`: the one path normaliser; routing, policy, cache keys and forwarding all see its form.
- `authority`: the grammar of Host; `connection`: Connection options and hop-by-hop fields.
- `http1`: the HTTP/1.x codecs of both sides. Behind it `http1_codec` (buffer, body, end), `http1_fields` (header lines),
  `http1_request`, `http1_target`, `http1_response` (heads), `http1_framing`, `http1_chunked` (bodies), `http1_limits`;
  `http1_encode`: heads and chunks to bytes.
- `http2`: the HTTP/2 codecs of both sides. Behind it `http2_codec` (frames in), `http2_control` (frames without messages),
  `http2_sending` (frames out, windows, queues), `http2_frames`, `http2_hpack` and `http2_fields` (header blocks), `http2_head`,
  `http2_glitches` (floods), `http2_limits`.
- `reasons`: every name under which a codec refuses a message.
"""
