"""Active health: probes of their own connections, on timers."""
