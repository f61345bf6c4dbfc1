"""Who objects are, and their versions."""

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.fields import Malformed
from edgegw.discovery.kubernetes.identity import Identity, is_older, version_of


class IdentityTests(SynchronousTestCase):
    """metadata."""

    def test_identity(self) -> None:
        who = Identity({"metadata": {"name": "a", "namespace": "n", "resourceVersion": "7", "labels": {"x": "y"}}})
        self.assertEqual((who.key, who.version, who.labels, who.annotations), ("n/a", "7", {"x": "y"}, {}))
        for metadata in ({}, {"name": "a"}, {"name": "a", "resourceVersion": 7}, {"name": "", "resourceVersion": "7"}):
            self.assertRaises(Malformed, Identity, {"metadata": metadata})

    def test_versions(self) -> None:
        self.assertEqual(version_of({"metadata": {"resourceVersion": "12"}}), "12")
        for bad in ("", "x" * 257, "a\nb", "é"):
            self.assertRaises(Malformed, version_of, {"metadata": {"resourceVersion": bad}})

    def test_older(self) -> None:
        """By number, and only where both are numbers."""
        self.assertTrue(is_older("9", "10"))
        self.assertFalse(is_older("10", "9"))
        self.assertFalse(is_older("10", "10"))
        self.assertFalse(is_older("a", "10"))
        self.assertFalse(is_older("9", "z"))
