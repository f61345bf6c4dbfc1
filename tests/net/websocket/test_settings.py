"""The `websocket:` key: defaults, short form, and the words for faults."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.units import Rate
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.wire.origins import Origins

FAULTY: list[tuple[Any, str]] = [
    ("maybe", "relay"),
    ({"mode": "splice"}, "relay"),
    ({"max_message": 0}, "greater than 0"),
    ({"max_frame": "0"}, "greater than 0"),
    ({"max_message": "2GiB"}, "1073741824"),
    ({"pong_timeout": "0s"}, "greater than 0"),
    ({"ping": 20}, "20s"),
    ({"idle": "-1s"}, "duration"),
    ({"rate": "0/s"}, "at least 1"),
    ({"compress": "yes"}, "true or false"),
    ({"origins": ["shop.example.com"]}, "https://shop.example.com"),
    ({"origins": ["https://shop.example.com/"]}, "origin"),
    ({"origins": ["https://*"]}, "origin"),
    ({"origins": ["*"]}, "origin"),
    ({"origins": ["HTTPS://SHOP.example.com"]}, "origin"),
    ({"subprotocols": ["a b"]}, "subprotocol"),
    ({"pings": "20s"}, "pings"),
]


class WebSocketSettingsTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """Those that design/config.md and trust.md A5 state."""
        made = WebSocketSettings()
        self.assertEqual(
            (made.mode, made.max_message, made.frame_limit, made.ping, made.pong_timeout, made.idle),
            ("relay", 1 << 20, 1 << 20, 20.0, 10.0, 300.0),
        )
        self.assertEqual((made.origins, made.compress, made.rate, made.subprotocols), ((), False, None, None))

    def test_short_form(self) -> None:
        for mode in ("relay", "tunnel", "off"):
            self.assertEqual(WebSocketSettings.model_validate(mode), WebSocketSettings.model_validate({"mode": mode}))

    def test_long_form(self) -> None:
        made = WebSocketSettings.model_validate(
            {
                "max_message": "64KiB",
                "max_frame": "1MiB",
                "ping": 0,
                "idle": "1h",
                "rate": "50/s",
                "origins": [
                    "https://*.example.com",
                    "http://localhost:8080",
                    "https://[::1]:8443",
                    "null",
                    "https://**.a",
                ],
                "subprotocols": ["graphql-transport-ws"],
            }
        )
        self.assertEqual((made.ping, made.idle, made.rate), (0.0, 3600.0, Rate(50, 1.0)))
        self.assertEqual(made.frame_limit, 65536)  # A frame is never larger than its message.
        self.assertEqual(len(made.origins), 5)
        self.assertTrue(Origins(made.origins), "each of them compiles")

    def test_faults_are_named(self) -> None:
        for value, words in FAULTY:
            with self.assertRaises(ValidationError, msg=str(value)) as caught:
                WebSocketSettings.model_validate(value)
            self.assertIn(words, str(caught.exception), value)
