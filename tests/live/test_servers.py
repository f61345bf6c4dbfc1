"""The harness itself, without edgegw: real servers start, answer, are measured, and leave nothing behind."""

import hashlib
import json
import os

from tests.live.case import LiveCase
from tests.live.origin import pattern, pattern_sha256
from tests.live.process import NotReady, accepts, free_port
from tests.live.servers import HAProxy, Nginx, PythonOrigin, fetch

PROXY = """
    server {{
        listen 127.0.0.1:@{{web}};
        location / {{
            proxy_pass http://127.0.0.1:{port};
            proxy_http_version 1.1;
            proxy_set_header X-Through nginx;
        }}
    }}
"""


class HarnessTests(LiveCase):
    """Each server class once, for real."""

    def test_nginx_before_origin(self) -> None:
        """A request goes through nginx and the origin tells what it received, to the byte."""
        origin = self.serve(PythonOrigin(args=["--label", "one"]))
        nginx = self.serve(Nginx(PROXY.format(port=origin.port())))
        echo = json.loads(fetch(nginx.port(), "/a?b=c", "POST", b"body")[1])
        self.assertEqual(
            (echo["method"], echo["target"], echo["body"], echo["origin"]), ("POST", "/a?b=c", "body", "one")
        )
        self.assertIn(["X-Through", "nginx"], echo["headers"])
        self.assertTrue(origin.raw()[0].startswith("POST /a?b=c HTTP/1.1\r\n"), origin.raw())
        self.assertGreater(nginx.rss_kib(), 1000)
        self.assertGreater(len(nginx.pids()), 1)

    def test_haproxy_before_origin(self) -> None:
        """The same through HAProxy."""
        origin = self.serve(PythonOrigin())
        haproxy = self.serve(
            HAProxy(f"""
                defaults
                    mode http
                    timeout client 10s
                    timeout server 10s
                    timeout connect 5s
                frontend f
                    bind 127.0.0.1:@{{web}}
                    default_backend b
                backend b
                    server s 127.0.0.1:{origin.port()}
            """)
        )
        body = b"".join(pattern(300_000))
        answer = json.loads(fetch(haproxy.port(), "/sha256", "PUT", body)[1])
        self.assertEqual(answer, {"sha256": pattern_sha256(300_000), "length": 300_000, "trailers": []})

    def test_origin_bytes(self) -> None:
        """What the origin streams is the pattern, and a part of it is the same part."""
        port = self.serve(PythonOrigin()).port()
        for query in ("", "?chunked=1", "?close=1"):
            body = fetch(port, f"/bytes/1000000{query}")[1]
            self.assertEqual(
                (len(body), hashlib.sha256(body).hexdigest()), (1_000_000, pattern_sha256(1_000_000)), query
            )

    def test_bad_configuration_shows_output(self) -> None:
        """A server that does not start is an error that says why."""
        error = self.assertRaises(NotReady, self.serve, Nginx("no_such_directive @{web};"))
        self.assertIn("no_such_directive", str(error))

    def test_stop_leaves_nothing(self) -> None:
        """After stop the port is free, the workers are gone and the folder is removed."""
        nginx = self.serve(Nginx("server { listen 127.0.0.1:@{web}; }"))
        pids = nginx.pids()
        nginx.stop()
        self.assertFalse(accepts(nginx.port()))
        self.assertEqual([pid for pid in pids if os.path.exists(f"/proc/{pid}/stat")], [])
        self.assertFalse(nginx.folder.exists())

    def test_free_ports_differ(self) -> None:
        """Ports handed out one after the other are different, and outside the range of outgoing connections."""
        ports = [free_port() for _ in range(20)]
        self.assertEqual(len(set(ports)), 20)
        self.assertTrue(all(20_000 <= port < 32_000 for port in ports), ports)
