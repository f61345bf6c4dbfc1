"""WebSocket connections whose handshakes are over (RFC 6455): relayed message by message, or spliced.

settings    the `websocket:` key of a route
relay       ends the protocol on both sides and carries messages and Close across; pings, limits, drain
ending      why and how a relay ends: the table of close codes, and what is reported
side        one of its two connections
parser      frames in, messages out: autobahn's, with whole frames taken before it
frames      frames as bytes: masks, headers, close codes
deflate     permessage-deflate, negotiated for each side on its own (RFC 7692)
pulse       keepalive of one side, and the rate it may talk at
tunnel      splices the bytes and looks at none of them

This is the only folder that imports autobahn.
"""
