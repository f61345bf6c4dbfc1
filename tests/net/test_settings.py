"""Tests of edgegw.net.settings: the defaults of reference/trust.md A2, and what a listener may be."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.settings import Caps, ListenSettings


class CapsTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        caps = Caps()
        self.assertEqual((caps.head, caps.target, caps.fields), (16384, 8192, 100))
        self.assertEqual((caps.head_deadline, caps.handshake, caps.idle), (10, 10, 75))
        self.assertEqual((caps.body_gap, caps.body_rate, caps.body_rate_after, caps.write_gap), (30, 240, 10, 60))
        self.assertEqual((caps.requests, caps.per_client, caps.connections), (1000, 0, "auto"))

    def test_bounds(self) -> None:
        for bad in (
            {"connections": 0}, {"connections": -1}, {"connections": "some"}, {"per_client": -1}, {"requests": 0},
            {"head_deadline": "0s"}, {"idle": "0s"}, {"write_gap": "0s"}, {"body_gap": "0s"}, {"body_rate_after": "0s"},
            {"handshake": "0s"}, {"fields": 0}, {"head": 10}, {"unknown": 1},
        ):  # fmt: skip
            self.assertRaises(ValidationError, Caps, **bad)


class ListenTests(SynchronousTestCase):
    def test_names(self) -> None:
        for given, name in (
            ({"port": 443}, "*:443"),
            ({"port": 80, "interface": "127.0.0.1"}, "127.0.0.1:80"),
            ({"port": 80, "interface": "::1"}, "[::1]:80"),
            ({"unix": "/run/x.sock"}, "unix:/run/x.sock"),
            ({"systemd": "web"}, "systemd:web"),
        ):
            self.assertEqual(ListenSettings(**given).name, name)

    def test_one_place(self) -> None:
        for bad, words in (
            ({}, "none of them"),
            ({"port": 1, "unix": "/x"}, "port and unix"),
            ({"unix": "/x", "interface": "127.0.0.1"}, "interface goes with port"),
        ):
            self.refuse(words, bad)

    def refuse(self, words: str, given: dict[str, Any]) -> None:
        error = self.assertRaises(ValidationError, ListenSettings, **given)
        self.assertIn(words, str(error))

    def test_port_range(self) -> None:
        self.refuse("port", {"port": 0})
        self.refuse("port", {"port": 65536})

    def test_methods_and_trailers(self) -> None:
        given = ListenSettings(port=80, methods=("PROPFIND",), trailers=("X-Checksum",))
        self.assertEqual((given.methods, given.trailers), (("PROPFIND",), ("X-Checksum",)))
        self.refuse("not a method", {"port": 80, "methods": ("propfind",)})
        for method in ("CONNECT", "TRACE"):
            self.refuse("is not served", {"port": 80, "methods": (method,)})
        self.refuse("not a field name", {"port": 80, "trailers": ("x y",)})
        for name in ("Content-Length", "authorization", "Host"):
            self.refuse("cannot come after the body", {"port": 80, "trailers": (name,)})
