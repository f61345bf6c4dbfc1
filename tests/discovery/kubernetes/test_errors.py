"""Status objects as errors."""

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.kubernetes.errors import from_status, is_gone
from tests.live.kube_double import status


class StatusTests(SynchronousTestCase):
    """What an API server says when it does not give what was asked for."""

    def test_code_and_words(self) -> None:
        error = from_status(status(403, "endpointslices is forbidden: no"), 403)
        self.assertEqual((error.status, is_gone(error), error.unreachable), (403, False, False))
        self.assertIn("403", error.words)
        self.assertIn("endpointslices is forbidden: no", error.words)

    def test_gone(self) -> None:
        """410 in any of its forms, and a version from the future, mean that a new list is due."""
        self.assertTrue(is_gone(from_status(status(410, "too old"), 200)))
        self.assertTrue(is_gone(from_status({"reason": "Expired"}, 500)))
        self.assertTrue(is_gone(from_status({"reason": "Gone"}, 500)))
        ahead = status(504, "Too large", "Timeout", {"causes": [{"reason": "ResourceVersionTooLarge"}]})
        self.assertTrue(is_gone(from_status(ahead, 504)))
        self.assertFalse(is_gone(from_status(status(504, "Too slow", "Timeout"), 504)))

    def test_retry_after(self) -> None:
        """The longer of header and body; nonsense is left out."""
        self.assertEqual(from_status(status(429, "x", details={"retryAfterSeconds": 7}), 429, 3.0).retry_after_s, 7.0)
        self.assertEqual(from_status(status(429, "x"), 429, 3.0).retry_after_s, 3.0)
        for bad in (-1, 10**9, "9", None, [1]):
            self.assertEqual(from_status({"details": {"retryAfterSeconds": bad}}, 503).retry_after_s, 0.0)

    def test_garbage(self) -> None:
        """Whatever stands there, it becomes an error of the HTTP status."""
        for data in (
            {},
            {"code": "403"},
            {"code": True},
            {"code": 7},
            {"message": 5, "details": "x"},
            {"details": {"causes": 3}},
        ):
            self.assertEqual(from_status(data, 503).status, 503)
