"""`twistd edgegw --config FILE`: options, the choice of the loop, and the service.

The only module that imports the global reactor, and it does so late: the loop is installed first, in `postOptions`, and only then
is the gateway imported, with its settings models, entry points and users' modules (see docs/adr/0001).

Everything that can fail is tried here, before twistd forks: a daemon has nobody to tell.
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
    optParameters = [  # Twisted reads the attribute.
        ["config", "c", "edgegw.yaml", "The configuration: a YAML file, or a folder of them."],
        [
            "loop",
            None,
            "auto",
            f"The event loop: {', '.join(LOOPS)}. A reactor chosen with `twistd --reactor` is respected.",
        ],
    ]

    def opt_version(self) -> None:
        """Print the version of edgegw and exit."""
        import edgegw

        sys.stdout.write(f"edgegw {edgegw.__version__}\n")
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Install the loop, then read the configuration: every problem is told before anything starts."""
        if self["loop"] not in LOOPS:
            raise usage.UsageError(f"--loop {self['loop']}: known are {', '.join(LOOPS)}")
        # Before this line nothing may have imported the reactor; after it everything may.
        from edgegw.net.loop import LoopUnavailable, install, is_installed

        was_there = is_installed()
        try:
            self["loop_installed"] = install(self["loop"])
        except LoopUnavailable as error:
            raise usage.UsageError(str(error)) from None
        if was_there:
            self._tell_of_reactor()
        from edgegw.gateway.starting import read_or_exit

        # twistd changes folder when it becomes a daemon.
        self["config"] = os.path.abspath(self["config"])
        self["loaded"] = read_or_exit(self["config"], sys.stderr)

    def _tell_of_reactor(self) -> None:
        """Some reactor came before ours. One that was asked for is respected; any other is a mistake that costs speed."""
        asked, found = _of_twistd(self, "reactor"), self["loop_installed"]
        if asked is None:
            text = f"a reactor ({found}) was there before --loop {self['loop']} could take effect: a plugin of twistd imported it"
        elif self["loop"] not in ("auto", found):
            text = f"--loop {self['loop']} has no effect: twistd --reactor {asked} was asked for"
        else:
            return
        sys.stderr.write(f"edgegw: warning: {text}\n")


def _of_twistd(options: usage.Options, name: str) -> Any:
    """An option that was given to twistd itself; None where there is no twistd."""
    parent = getattr(options, "parent", None)
    return parent.get(name) if parent is not None else None


def _is_daemon(options: usage.Options) -> bool:
    has_parent = getattr(options, "parent", None) is not None
    return has_parent and not (_of_twistd(options, "nodaemon") or _of_twistd(options, "debug"))


def _log_path(options: usage.Options) -> str | None:
    """Where the log goes as twistd's options have it; None if they name something that is no file."""
    from edgegw.gateway.logplace import TWISTD_LOG

    if _of_twistd(options, "syslog") or _of_twistd(options, "logger"):
        return None
    named = _of_twistd(options, "logfile")
    if named == "-":
        if _is_daemon(options):
            raise SystemExit("edgegw: a daemon cannot log to standard output; give a file: twistd --logfile FILE")
        return "stdout"
    if not named and not _is_daemon(options):
        return "stderr"
    # twistd changes to this folder before it would open the file.
    return os.path.abspath(os.path.join(_of_twistd(options, "rundir") or ".", named or TWISTD_LOG))


def makeService(options: Options) -> IService:
    """Twisted: the service to run, built and its sockets open."""
    from twisted.internet import reactor

    from edgegw.gateway.starting import (
        build_service,
        open_log_or_exit,
        prepare_or_exit,
    )

    path, loaded = _log_path(options), options["loaded"]
    log = open_log_or_exit(path, sys.stderr) if path is not None else None
    service: Any = build_service(options["config"], loaded, reactor, log)
    prepare_or_exit(service, loaded, sys.stderr, daemon=_is_daemon(options))
    return service  # type: ignore[no-any-return]
