"""Events reach the log and the metrics, and do not flood the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway.eventlog import LINES, PERIOD_S, EventLog
from edgegw.observe.events import Events
from edgegw.observe.metrics import Registry


class EventLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.events = Events(self.clock.seconds)
        self.registry = Registry()
        self.log = EventLog(self.events, self.registry, self.clock)
        self.lines: list[Any] = []

        def observe(event: Any) -> None:
            if event.get("log_namespace") == "edgegw.upstream":
                self.lines.append((event["log_level"].name, event["log_format"].format(**event)))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def test_told_and_counted(self) -> None:
        self.events.add("endpoint_held", "u", "http://a", source="health", state="failing", reason="failing: 500")
        self.events.add("endpoint_released", "u", "http://a", source="health", state="ready")
        self.events.add("breaker_changed", "u", source="breaker", state="refusing", reason="5 failures")
        self.assertEqual(
            self.lines,
            [
                ("warn", "upstream u http://a: endpoint held, now failing: failing: 500 (health)"),
                ("info", "upstream u http://a: endpoint released, now ready (health)"),
                ("warn", "upstream u: breaker changed, now refusing: 5 failures (breaker)"),
            ],
        )
        self.assertEqual(self.registry.upstream_events.child(upstream="u", kind="endpoint_held").value, 1)

    def test_what_the_configuration_says_is_not_said_again(self) -> None:
        self.events.add("endpoint_added", "u", "http://a", source="config", state="ready")
        self.events.add("endpoint_added", "u", "http://b", source="k8s x", state="ready")
        self.assertEqual([text for _, text in self.lines], ["upstream u http://b: endpoint added, now ready (k8s x)"])
        self.assertEqual(self.registry.upstream_events.child(upstream="u", kind="endpoint_added").value, 2)

    def test_waiting_for_the_next(self) -> None:
        late, soon = self.log.next(5.0), self.log.next(30.0)
        self.clock.advance(5)
        self.successResultOf(late)
        self.assertNoResult(soon)
        self.events.add("endpoint_added", "u")
        self.successResultOf(soon)
        self.events.add("endpoint_added", "u")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bounded(self) -> None:
        for number in range(LINES + 950):
            self.events.add("endpoint_added", "u", f"http://{number}", source="k8s x")
        self.assertEqual(len(self.lines), LINES)
        self.clock.advance(PERIOD_S)
        self.events.add("endpoint_removed", "u", "http://1", source="k8s x")
        self.assertEqual(self.lines[LINES], ("warn", "and 950 more changes of upstreams"))
        self.assertEqual(len(self.lines), LINES + 2)
