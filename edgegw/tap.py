"""`twistd edgegw --config FILE`: options, the choice of the loop, and the service.

The only module that imports the global reactor, and it does so late: the loop is installed first, in `postOptions`, and only then
is the gateway imported, with its settings models, entry points and users' modules (see docs/adr/0001).
"""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

LOOPS = ("auto", "uvloop", "asyncio", "epoll")


class Options(usage.Options):
    """Options of the twistd command."""

    synopsis = "[options]"
    longdesc = "edgegw: an API and edge gateway. Configuration: `edgegw explain`, `edgegw check --config FILE`."
    optParameters = [  # noqa: RUF012  # Twisted reads the attribute.
        ["config", "c", "edgegw.yaml", "The configuration: a YAML file, or a folder of them."],
        ["loop", None, "auto", f"The event loop: {', '.join(LOOPS)}. A reactor chosen with `twistd --reactor` is respected."],
    ]

    def postOptions(self) -> None:
        """Install the loop, then read the configuration: every problem is told before anything starts."""
        if self["loop"] not in LOOPS:
            raise usage.UsageError(f"--loop {self['loop']}: known are {', '.join(LOOPS)}")
        # Before this line nothing may have imported the reactor; after it everything may.
        from edgegw.net.loop import install  # noqa: PLC0415

        self["loop_installed"] = install(self["loop"])
        from edgegw.gateway.starting import read_or_exit  # noqa: PLC0415

        # twistd changes folder when it becomes a daemon.
        self["config"] = os.path.abspath(self["config"])
        self["loaded"] = read_or_exit(self["config"], sys.stderr)


def makeService(options: Options) -> IService:
    """Twisted: the service to run."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251

    from edgegw.gateway.starting import build_service  # noqa: PLC0415

    service: Any = build_service(options["config"], options["loaded"], reactor)
    return service  # type: ignore[no-any-return]
