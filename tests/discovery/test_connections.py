"""Tests of edgegw.discovery.connections."""

from __future__ import annotations

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.connections import KINDS, ConnectionSettings
from edgegw.discovery.dns import DnsSettings
from edgegw.discovery.parts import PARTS


class ConnectionTests(SynchronousTestCase):
    """A map with one key."""

    def test_one(self) -> None:
        found = ConnectionSettings.model_validate({"dns": {"servers": ["10.0.0.53"]}})
        self.assertEqual((found.kind, found.settings), ("dns", DnsSettings(servers=("10.0.0.53",))))

    def test_none(self) -> None:
        error = self.assertRaises(ValidationError, ConnectionSettings.model_validate, {})
        self.assertIn("a connection has one of", str(error))

    def test_every_kind_that_has_one(self) -> None:
        """The kinds of connections are those of the parts that have a connection."""
        self.assertEqual(set(KINDS), {part.kind for part in PARTS if part.connection is not None})
        self.assertEqual(set(KINDS), set(ConnectionSettings.model_fields))
