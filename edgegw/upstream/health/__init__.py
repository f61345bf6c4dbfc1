"""Active health: probes of their own connections, on timers.

settings: the keys below `health`. interfaces: what a probe is. http_probe, tcp_probe, grpc_probe, custom_probe: one kind each.
checks: the timers, what they learn, who is held. build: settings -> checks, and what is wrong with them.
"""
