"""Autobahn|Testsuite as fuzzing client: through the relay and straight to the same server. Never worse through us, case by case.

The fast families (1 to 7 and 10, 247 cases) by default; the relay with all of them when EDGEGW_NIGHTLY is set, which takes half
an hour. Skipped where Python 2.7 cannot be had.
"""

import concurrent.futures
import json
import os
import subprocess
from pathlib import Path

from tests.live.autobahn_install import wstest
from tests.live.cache import CannotHave
from tests.live.protocols import Fronted, WebSocketEcho

FAST = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
FAST_COUNT = 247
NIGHTLY = bool(os.environ.get("EDGEGW_NIGHTLY"))
LIMIT_S = 3000 if NIGHTLY else 240
TRIES = 12
# From best to worst; what is not named is a failure.
RANKS = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED")
Results = dict[str, tuple[str, str]]

try:
    wstest()
    MISSING = ""
except CannotHave as reason:
    MISSING = str(reason)


def rank(behavior: str) -> int:
    """How good a result is: 0 is best."""
    return RANKS.index(behavior) if behavior in RANKS else len(RANKS)


def worse(through: Results, straight: Results) -> list[str]:
    """One line for every case that went worse through the gateway, in what it did or in how it closed."""
    lines = []
    for case, found in sorted(through.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        expected = straight[case]
        if any(rank(mine) > rank(theirs) for mine, theirs in zip(found, expected, strict=True)):
            lines.append(f"{case}: {'/'.join(found)} through the gateway, {'/'.join(expected)} straight")
    return lines


class RankTests(Fronted):
    """The comparison itself."""

    def test_worse(self) -> None:
        """A lower class in either column is named, an equal or better one is not."""
        straight = {"1.1": ("OK", "OK"), "1.2": ("NON-STRICT", "OK"), "10.1": ("FAILED", "OK")}
        self.assertEqual(worse(straight, straight), [])
        self.assertEqual(worse({**straight, "1.2": ("OK", "OK"), "10.1": ("OK", "OK")}, straight), [])
        self.assertEqual(len(worse({**straight, "1.1": ("NON-STRICT", "OK")}, straight)), 1)
        self.assertEqual(len(worse({**straight, "1.1": ("OK", "UNCLEAN")}, straight)), 1)


class AutobahnTests(Fronted):
    """The suite against the gateway before `websockets`, and against `websockets` alone."""

    timeout = LIMIT_S + 60
    if MISSING:
        skip = MISSING

    def run_suite(self, agent: str, port: int, cases: list[str]) -> Results:
        """Run the fuzzing client; behaviour and closing behaviour of each case."""
        folder = self.scratch / agent
        folder.mkdir()
        servers = [{"agent": agent, "url": f"ws://127.0.0.1:{port}", "options": {"version": 18}}]
        spec = {"outdir": str(folder / "out"), "servers": servers, "cases": cases, "exclude-cases": []}
        (folder / "spec.json").write_text(json.dumps({**spec, "exclude-agent-cases": {}}))
        command, environment = wstest()
        done = subprocess.run(
            [*command, "-m", "fuzzingclient", "-s", str(folder / "spec.json")],
            env={**os.environ, **environment},
            cwd=folder,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        index = Path(folder / "out" / "index.json")
        self.assertTrue(index.exists(), done.stdout[-2000:] + done.stderr[-2000:])
        found = json.loads(index.read_text())[agent]
        return {case: (result["behavior"], result["behaviorClose"]) for case, result in found.items()}

    def compare(self, websocket: str, cases: list[str]) -> None:
        """Both runs side by side; fails with every case that is worse each time that it is tried."""
        straight, behind = self.serve(WebSocketEcho()), self.serve(WebSocketEcho())
        gateway = self.before(f"http://127.0.0.1:{behind.port()}", route=f"websocket: {websocket}")
        lines: list[str] = []
        # A few cases end by who is faster, the echo or the close, and by how single bytes meet in one read: what is worse once
        # by chance is run again, alone.
        for number in range(TRIES):
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                direct = pool.submit(self.run_suite, f"straight{number}", straight.port(), cases)
                through = pool.submit(self.run_suite, f"edgegw{number}", gateway.port("web"), cases)
                expected, found = direct.result(), through.result()
            self.assertEqual(set(found), set(expected))
            if number == 0:
                self.assertGreaterEqual(len(found), FAST_COUNT)
                # A server that fails every case would make every gateway look good.
                failed = [case for case, (behavior, _) in expected.items() if rank(behavior) == len(RANKS)]
                self.assertLess(len(failed), len(expected) // 10, failed)
            lines = worse(found, expected)
            if not lines:
                break
            cases = [line.partition(":")[0] for line in lines]
        self.assertEqual(lines, [])
        self.assertNotIn("Traceback", gateway.log())

    def test_relay(self) -> None:
        """Both sides terminated: every case at least as good as the server alone."""
        self.compare("{mode: relay, max_message: 32MiB, compress: true, ping: 0}", ["*"] if NIGHTLY else FAST)

    def test_tunnel(self) -> None:
        """Bytes spliced: what the server does is what the client sees."""
        self.compare("{mode: tunnel}", FAST)
