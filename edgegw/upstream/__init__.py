"""The servers behind the gateway.

- `settings`: the configuration of one upstream.
- `endpoint`: one address, with its pool and its counts.
- `pool`: connections to one endpoint: idle stack, caps, bounded queue.
- `connect`: how a connection to an endpoint is made: names, TLS, UNIX sockets; `handshake`: what is spoken on it.
- `balance/`: which endpoint next. `foreign`: how balancers and probes of others are found.
- `cluster`: a named set of endpoints; what the proxy target asks.
"""
