"""Discovery from Consul against the double of its agent: `consul_cases`, and what only a double can be made to do.

`test_consul_agent` has the same cases against a real agent.
"""

import time
from typing import Any

from tests.live import consul_cases
from tests.live.consul_cases import Double
from tests.live.process import wait_until


class DoubleTests(consul_cases.Cases):
    """The double."""

    kind = Double


class TroubleTests(consul_cases.ConsulCase):
    """What only a double can be made to do."""

    agent: Double
    kind = Double

    def setUp(self) -> None:
        super().setUp()
        self.begin()
        self.agent.register(self.one)
        self.serves("one")

    def questions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.agent.call("GET", "/_requests")
        return found

    def test_half_open(self) -> None:
        """Questions arrive, and no answer ever comes."""
        with self.nothing_lost():
            self.agent.control(hang=True, cut=True)
            self.await_failing("no answer within")
            self.is_stale()
            self.agent.control(hang=False)
            self.agent.register(self.two)
            self.serves("one", "two", limit_s=40)
            self.is_fresh()

    def test_no_leader(self) -> None:
        """What servers without one say is used; that it may be old is visible."""
        with self.nothing_lost():
            self.agent.control(headers={"X-Consul-Knownleader": "false", "X-Consul-Lastcontact": "20000"})
            self.await_failing("its servers have no leader")
            self.is_stale()
            self.agent.register(self.two)
            self.serves("one", "two")
            self.is_stale()
            self.agent.control(headers={})
            self.is_fresh()

    def test_pace(self) -> None:
        """It asks once in `wait`; an index that goes backwards loses no change; an agent that holds nothing back is not hurried."""
        before = len(self.questions())
        wait_until(lambda: len(self.questions()) >= before + 3, "three more questions")
        self.assertTrue(all(each["waits"] for each in self.questions()[before + 1 :]))
        self.agent.control(index=5)
        wait_until(lambda: self.questions()[-1]["args"].get("index") == ["5"], "it waits from the lower index on")
        with self.nothing_lost() as load:
            self.agent.register(self.two)
            self.serves("one", "two", limit_s=5)
            self.agent.control(blocks=False)
            before, done, began = len(self.questions()), load.done, time.monotonic()
            wait_until(lambda: load.done > done + 1000, "1000 requests", 60)
        # Once a second, and as often again for what we see late.
        self.assertLess(len(self.questions()) - before, 2 * (time.monotonic() - began) + 3)
        wait_until(lambda: not self.source()["failing"], "it answers")
