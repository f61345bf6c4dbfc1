"""What a request is made with."""

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.access import Access


class AccessTests(SynchronousTestCase):
    """URLs."""

    def test_origin(self) -> None:
        """Brackets around IPv6; the prefix belongs to every path."""
        for secure, host, prefix, origin in (
            (True, "api.example.com", "", "https://api.example.com:443"),
            (False, "127.0.0.1", "/k8s/c-1", "http://127.0.0.1:443/k8s/c-1"),
            (True, "fd00::1", "", "https://[fd00::1]:443"),
        ):
            self.assertEqual(Access(secure, host, 443, prefix, "").origin, origin)
        self.assertEqual(Access(True, "fd00::1", 1, "/x", "").authority, "[fd00::1]:1")

    def test_repr(self) -> None:
        """The token stays a secret."""
        self.assertNotIn("hush", repr(Access(True, "a", 443, "", "", token="hush")))
