"""R10 of the drills: a gateway in a real memory cgroup whose clients want more memory than it may have.

What they make it hold are request bodies: they are kept for another attempt while an origin takes its time to answer.
"""

import re
import threading
import time
from collections import Counter
from functools import partial

from tests.live.case import LiveCase
from tests.live.memory_group import GroupedGateway, memory_group
from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.wire import Cut, Wire

MIB = 1 << 20
LIMIT = 160 * MIB
"""Somewhat more than twice of what it uses when it has nothing to do."""
CLOSE = 0.8
"""A share of the limit from which on the gateway is given time to look after each MiB: its first step is at 85 %."""
LOOK_S = 0.3
"""It looks four times a second."""
MANY = 12
"""Clients that come when there is room for eight MiB; each wants one."""
CONFIG = """
    edgegw: 1
    shutdown: {lame_duck: 0s, grace: 5s}
    observe: {listen: "127.0.0.1:@{observe}", access_log: "@{dir}/access.log"}
    overload: {lag: off, memory: @MEMORY}
    listen: [{port: @{web}, interface: 127.0.0.1}]
    upstreams: {origin: {endpoints: ["http://127.0.0.1:ORIGIN"], retry: {body: 1MiB}, timeouts: {head: 120s}}}
    routes:
      - {match: /healthz, importance: critical, respond: {status: 200}}
      - {match: /vital/**, importance: critical, to: origin}
      - {match: /low/**, importance: low, to: origin}
"""


class MemoryLimitTests(LiveCase):
    """`auto` finds the limit of the cgroup."""

    stop_limit_s = 10.0

    def setUp(self) -> None:
        super().setUp()
        self.whole = 0
        self.answering = threading.Event()
        self.origin = self.scripted(self.takes_its_time)
        self.addCleanup(self.answering.set)
        self.held: list[Wire] = []
        self.group = memory_group()
        self.addCleanup(self.group.remove)
        # Before it begins, as that of a container.
        self.group.limit(LIMIT)

    def takes_its_time(self, call: Call) -> None:
        """An origin that has read the whole request answers when it is told."""
        if call.method == b"PUT":
            call.body(MIB)
        if call.target == b"/vital/":
            self.whole += 1
            self.answering.wait(120)
        call.ok()

    def levels(self) -> list[int]:
        """All so far, by the log."""
        return [0, *(int(each) for each in re.findall(r"overload: level \d to (\d)", self.gateway.log()))]

    def test_the_ladder(self) -> None:
        """Up to its top, clients that all want more, and down again: nobody is killed, and what is critical is answered."""
        self.gateway = self.serve(GroupedGateway(CONFIG.replace("ORIGIN", str(self.origin.port)), self.group))
        self.fill(3)
        changes = len(self.levels())
        while (told := self.asking_for_more()) != {(503, True, True): MANY}:
            # It got memory back from its allocator just now, and may be asked for more.
            self.assertGreater(len(self.levels()), changes, told)
            self.fill(3)
            changes = len(self.levels())
        shed = partial(self.gateway.metric, "edgegw_shed_total", importance="low")
        wait_until(lambda: shed() >= MANY, "they are counted", 5)
        self.assertEqual(self.get(self.gateway, "/healthz")[0].status, 200)
        self.fill(4)
        self.assertEqual(self.gateway.observe("/livez")[0], 200)
        late = self.wire(self.gateway, timeout_s=60)
        late.request("/healthz")
        self.assertEqual(self.group.killed(), 0)
        self.answering.set()
        self.assertEqual({wire.read("PUT").status for wire in self.held}, {200})
        # It waited in the kernel's backlog.
        self.assertEqual(late.read().status, 200)
        wait_until(lambda: self.levels()[-1] == 0, "nothing is given up any more", 30)
        wait_until(lambda: self.gateway.metric("edgegw_overload_level") == 0, "it is told", 5)
        response, _ = self.get(self.gateway, "/low/")
        self.assertEqual((response.status, response.getheader("connection")), (200, None))
        self.assertEqual(self.group.killed(), 0)

    def fill(self, level: int) -> None:
        """Up to this level, one MiB after the other."""
        while self.levels()[-1] < level:
            wire = self.wire(self.gateway)
            wire.request("/vital/", "PUT", bytes(MIB))
            self.held.append(wire)
            wait_until(lambda: self.whole == len(self.held), "the origin has all of it")
            if self.group.used() > CLOSE * LIMIT:
                time.sleep(LOOK_S)
        self.assertEqual(self.levels()[-1], level)
        wait_until(lambda: self.gateway.metric("edgegw_overload_level") == self.levels()[-1], "it is told", 5)

    def asking_for_more(self) -> Counter[object]:
        """More than there is room for, at once; what came of it. All are refused before anything is kept of what they bring."""
        told: Counter[object] = Counter()

        def ask(wire: Wire) -> None:
            try:
                wire.request("/low/", "PUT", bytes(MIB))
                answer = wire.read("PUT")
                told[answer.status, b'"overloaded"' in answer.body, answer.header("retry-after") in "123"] += 1
            except (OSError, Cut) as error:
                told[repr(error)] += 1

        threads = [threading.Thread(target=ask, args=(self.wire(self.gateway),)) for _ in range(MANY)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return told
