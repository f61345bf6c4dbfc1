"""Discovery from Consul against a real agent: `consul_cases`. Skipped, and counted, where it cannot be had."""

from tests.live import consul_cases
from tests.live.cache import CannotHave
from tests.live.consul_install import consul

try:
    consul()
    MISSING = ""
except CannotHave as reason:
    MISSING = str(reason)


class AgentTests(consul_cases.Cases):
    """Consul's agent in development mode."""

    kind = consul_cases.RealAgent
    if MISSING:
        skip = MISSING
