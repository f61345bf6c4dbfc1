"""The servers behind the gateway.

- `settings`: the configuration of one upstream.
- `endpoint`: one address, with its pool and its counts.
- `breaker`, `outlier`: which upstream is broken, which endpoint is ejected, by what exchanges end in; `verdict`: what that says.
- `pool`: connections to one endpoint: idle stack, caps, bounded queue.
- `connect`: how a connection to an endpoint is made: names, TLS, UNIX sockets; `handshake`: what is spoken on it.
- `balance/`: which endpoint next. `foreign`: how balancers and probes of others are found.
- `advice`: what discovery may say of the whole, and what goes before it.
- `cluster`: a named set of endpoints; what the proxy target asks.
"""
