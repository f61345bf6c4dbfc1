"""Tells twistd that the command `edgegw` exists.

twistd imports every plugin module it finds before it knows which command was asked for. So this file names `edgegw.tap` by
a string and imports nothing of edgegw: the loop must be chosen before anything can install a reactor (`edgegw/tap.py`).
"""

from twisted.application.service import ServiceMaker

edgegw = ServiceMaker(
    "edgegw",
    "edgegw.tap",
    "An edge gateway: HTTP and TLS in front of upstreams, configured by one file.",
    "edgegw",
)
