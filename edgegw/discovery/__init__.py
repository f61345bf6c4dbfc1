"""What keeps the endpoints of upstreams current.

interfaces.py   the contract between a source and the feed that it tells; what a kind of source is
settings.py     `discovery` of an upstream: what to watch
connections.py  the top-level `discovery`: how to reach what is watched, by name
parts.py        kinds by name; `build_feed`
common.py       what several sources use together
candidate.py    what a source heard becomes an endpoint, or is refused
policy.py       which addresses may be connected to (SSRF)
damping.py      endpoints that come and go too often
feed.py         stands between a source and an upstream: policy, damping, last known good, staleness
snapshots.py    the last known good on disk
settling.py     what is heard in one moment is told together
refusals.py     what a source named and may not be, told once
api/            what the sources that ask an API by HTTP have in common
dns_client.py, dns_settings.py, resolv_conf.py   who is asked by `dns.py`, and how
file.py, dns.py, kubernetes/, consul/, nats/   the sources; they do not import each other
"""
