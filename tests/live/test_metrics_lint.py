"""Prometheus's own linter reads what a running gateway exposes, and nothing that a peer sends becomes a label."""

import json
import subprocess

from tests.live.case import LiveCase
from tests.live.servers import Gateway, PythonOrigin

_CONFIG = """
edgegw: 1
shutdown: {lame_duck: 0s, grace: 10s}
listen: [{port: @{web}, interface: 127.0.0.1}]
upstreams: {o: {endpoints: ["http://127.0.0.1:ORIGIN"]}}
routes: [{name: app, match: /app/**, to: o}]
observe: {listen: "127.0.0.1:@{observe}", access_log: "@{dir}/access.log"}
"""


class MetricsLintTests(LiveCase):
    def setUp(self) -> None:
        origin = self.serve(PythonOrigin())
        self.gateway = self.serve(Gateway(_CONFIG.replace("ORIGIN", str(origin.port()))))

    def test_promtool_has_nothing_to_say(self) -> None:
        self.get(self.gateway, "/app/x")
        self.get(self.gateway, "/nowhere")
        status, text = self.gateway.observe("/metrics")
        self.assertEqual(status, 200)
        lint = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual((lint.returncode, lint.stdout + lint.stderr), (0, ""))

    def test_routes_are_labelled_by_name_and_never_by_path(self) -> None:
        for number in range(50):
            self.get(self.gateway, f"/random-{number}")
        self.get(self.gateway, "/app/%0aFAKE?token=S3CR3T")
        records = self.gateway.await_records(51)
        self.assertEqual(len(records), 51)
        self.assertNotIn("S3CR3T", json.dumps(records))
        self.assertEqual(self.gateway.metric("edgegw_requests_total", route="-", code="404"), 50.0)
        self.assertNotIn("random-", self.gateway.observe("/metrics")[1])
