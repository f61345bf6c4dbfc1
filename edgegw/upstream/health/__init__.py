"""Active health: probes of their own connections, on timers.

settings: the keys below `health`. interfaces: what a probe is. http_probe, tcp_probe, grpc_probe: one kind each;
those of others come by `upstream/foreign.py`.
checks: the timers, what they learn, who is held. build: settings -> checks, and what is wrong with them.
"""
