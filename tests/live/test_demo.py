"""What README promises of `make run`: the demo serves on port 8080, and Ctrl-C ends all of it with status 0."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

from tests.live.case import LiveCase
from tests.live.process import Server, accepts, wait_until
from tests.live.servers import ROOT, fetch

PORTS = {"origin": 9000, "web": 8080, "observe": 9902}


class Demo(Server):
    """`examples/demo/run.py`, on the ports that it has always."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ports.update(PORTS)
        self.env.setdefault("PYTHONPATH", str(ROOT))

    def command(self) -> list[str]:
        return [sys.executable, "-u", str(Path(ROOT, "examples/demo/run.py"))]

    def is_ready(self) -> bool:
        return super().is_ready() and "Ctrl-C" in self.log()


class DemoTests(LiveCase):
    """The demo as a newcomer starts it."""

    def test_serves_and_ends(self) -> None:
        """Origin and gateway answer through the gateway's port; SIGINT stops both."""
        demo = self.serve(Demo())
        status, body = fetch(demo.port("web"), "/some/path")
        self.assertEqual((status, json.loads(body)["request"]), (200, "GET /some/path"))
        self.assertEqual(fetch(demo.port("web"), "/hello"), (200, b"hello from the gateway itself\n"))
        self.assertEqual(fetch(demo.port("observe"), "/livez")[0], 200)
        demo.signal(signal.SIGINT)
        self.assertEqual(demo.wait_exit(60), 0)
        self.assertEqual([name for name, port in PORTS.items() if accepts(port)], [])

    def test_interrupted_twice(self) -> None:
        """Who will not wait for the lame duck presses Ctrl-C again: everything ends at once, without a traceback."""
        demo = self.serve(Demo())
        demo.signal(signal.SIGINT)
        wait_until(lambda: fetch(demo.port("observe"), "/readyz")[0] == 503, "it drains")
        demo.signal(signal.SIGINT)
        self.assertEqual(demo.wait_exit(4), 0)
        self.assertEqual([name for name, port in PORTS.items() if accepts(port)], [])
        self.assertNotIn("Traceback", demo.log())

    def test_port_in_use(self) -> None:
        """A second demo says which port is taken, and leaves the first one alone."""
        self.serve(Demo())
        second = Demo()
        self.addCleanup(second.stop)
        error = self.assertRaises(AssertionError, second.start)
        self.assertIn("in use: 9000, 8080, 9902", str(error))
