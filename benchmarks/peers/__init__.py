"""The proxies under test.

- `interfaces.py`: `Peer`, the contract; `Setup`, what a row asks for; `Site`, where one peer of one row runs.
- `debian.py` nginx, HAProxy · `wheels.py` Envoy, Traefik, Caddy · `python.py` aiohttp, naive Twisted, edgegw.
- `conf/`: their configuration texts, placeholders written `@@{name}`. `aiohttp_proxy.py`, `twisted_proxy.py`: the two programs.

All do the same work: one worker on one core, keep-alive to the origin, a JSON access log in a file (buffered where the
peer can), X-Forwarded-For to the origin, metrics on where the peer has them, bodies streamed rather than spooled to disk.
"""
