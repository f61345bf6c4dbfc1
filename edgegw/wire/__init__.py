"""Bytes to events and events to bytes; no I/O, no clock, no Twisted.

- `events`: the frozen vocabulary that every protocol version speaks (`RequestHead`, `ResponseHead`, `End`, `Violation`).
- `headers`: an ordered header list that keeps names and values as they came.
- `path`: the one path normaliser; routing, policy, cache keys and forwarding all see its form.
- `http1`: the HTTP/1.x codecs of both sides and their encoders.
"""
