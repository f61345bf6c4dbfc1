"""The plug point of health probes: a contract, a factory, a name.

A third party ships one as an entry point of the group `edgegw.health_probes`, or names it `package.module:factory`; the factory is
called with an `Environment` and what stands below `with`, as keywords:

    class Disk:
        def __init__(self, environment: Environment, path: str = "/disk") -> None: ...
        async def probe(self, endpoint: Endpoint, timeout_s: float) -> str: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.foreign import PlugPoint

PLUG_POINT = PlugPoint("health probe", "edgegw.health_probes", given=1)


class ProbeFailed(Exception):
    """The endpoint is not well.

    Args:
        reason: why, in a few words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Probe(Protocol):
    """Asks an endpoint how it does. One object serves all endpoints of an upstream, many at once."""

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> str:
        """Ask once, on a connection of its own (`endpoint.probe_connection()`, `endpoint.probe_raw(build)`), and close it.

        It is cancelled after `timeout_s` seconds and has to let go of everything then.

        Returns:
            what was found, in a few words.

        Raises:
            ProbeFailed: why the endpoint is not well. Any other exception counts as that, too.
        """


Factory = Callable[..., Probe]
"""(environment, **with) -> a probe. Raises ValueError with what is wrong, in words for an operator."""
