"""Tests against real servers and real processes; `make live` installs what they need and runs them.

- `install`: brings the Debian packages that are missing.
- `process`: a real process on loopback ports of its own, started, awaited, measured, always killed.
- `servers`: the processes that tests use: `Nginx`, `HAProxy`, `PythonOrigin`, `Gateway`.
- `case`: `LiveCase`, a test case that stops what it started and shows its output when the test fails.
- `discovered`: `DiscoveryCase`, for upstreams that are found: who may be chosen, and that nothing is lost while that changes.
- `origin`: an HTTP/1.1 origin that tells what it received.
"""
