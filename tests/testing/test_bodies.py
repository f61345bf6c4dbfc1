"""Tests of edgegw.testing.bodies."""

from __future__ import annotations

import unittest

from edgegw.exchange.body import HIGH_WATER, Body
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import drain


class SourceTests(unittest.TestCase):
    def test_it_remembers_what_a_body_tells_it(self) -> None:
        source = Source()
        body = Body(None, source)
        self.assertEqual(repr(source), "<Source told nothing>")
        body.write(bytes(HIGH_WATER))
        drain(body)
        body.cancel()
        self.assertEqual(source.told, ["pause", "start", "resume", "cancel"])
        self.assertEqual(repr(source), "<Source told pause start resume cancel>")

    def test_it_may_write(self) -> None:
        source = Source(lambda: body.write(b"a"), lambda: body.write(b"b"))
        body = Body(None, source)
        sink = drain(body)
        body.pause()
        body.resume()
        self.assertEqual((sink.data, source.told), (b"ab", ["start", "pause", "resume"]))
