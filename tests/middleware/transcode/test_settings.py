"""Tests of edgegw.middleware.transcode.settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.middleware.grpc_web import GrpcSettings
from edgegw.middleware.transcode.settings import TranscodeSettings, TranscodeStepSettings


class TranscodeSettingsTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        settings = TranscodeSettings(descriptors="api.pb")
        self.assertEqual(settings.services, ())
        flags = {name: value for name, value in settings if isinstance(value, bool)}
        self.assertEqual(set(flags.values()), {False})
        self.assertEqual(len(flags), 7)

    def test_paths_start_at_the_configuration(self) -> None:
        base = Path("/etc/edgegw")
        self.assertEqual(TranscodeSettings(descriptors="api.pb").paths(base), (base / "api.pb",))
        self.assertEqual(TranscodeSettings(descriptors="/x/api.pb").paths(base), (Path("/x/api.pb"),))

    def test_within_the_limit_beside_it(self) -> None:
        settings = TranscodeSettings(descriptors="api.pb", convert_grpc_status=True).within(7)
        self.assertIsInstance(settings, TranscodeStepSettings)
        self.assertEqual((settings.max_message, settings.convert_grpc_status, settings.services), (7, True, ()))

    def test_it_stands_below_grpc(self) -> None:
        settings = GrpcSettings.model_validate({"transcode": {"descriptors": "api.pb", "services": ["acme.Orders"]}})
        assert settings.transcode is not None
        self.assertEqual(settings.transcode.services, ("acme.Orders",))
        self.assertIsNone(GrpcSettings().transcode)

    def test_descriptors_are_needed(self) -> None:
        self.assertRaises(ValidationError, TranscodeSettings.model_validate, {"services": []})
