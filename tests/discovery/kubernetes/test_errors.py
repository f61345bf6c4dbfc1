"""Status objects as errors."""

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed

from edgegw.discovery.kubernetes.errors import ApiError, from_status, one_line, reasons
from tests.live.kube_double import status


class StatusTests(SynchronousTestCase):
    """What an API server says when it does not give what was asked for."""

    def test_code_and_words(self) -> None:
        error = from_status(status(403, "endpointslices is forbidden: no"), 403)
        self.assertEqual((error.status, error.gone, error.unreachable), (403, False, False))
        self.assertIn("403", error.words)
        self.assertIn("endpointslices is forbidden: no", error.words)

    def test_gone(self) -> None:
        """410 in any of its forms, and a version from the future, mean that a new list is due."""
        self.assertTrue(from_status(status(410, "too old"), 200).gone)
        self.assertTrue(from_status({"reason": "Expired"}, 500).gone)
        self.assertTrue(from_status({"reason": "Gone"}, 500).gone)
        ahead = status(504, "Too large", "Timeout", {"causes": [{"reason": "ResourceVersionTooLarge"}]})
        self.assertTrue(from_status(ahead, 504).gone)
        self.assertFalse(from_status(status(504, "Too slow", "Timeout"), 504).gone)

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

    def test_unreachable(self) -> None:
        self.assertTrue(ApiError("no route").unreachable)

    def test_words_are_bounded(self) -> None:
        """One line, cut."""
        words = one_line("a\nb" + "x" * 1000)
        self.assertLess(len(words), 320)
        self.assertNotIn("\n", words)
        self.assertEqual(one_line("short"), "short")


class ReasonTests(SynchronousTestCase):
    """What errors are called."""

    def test_words(self) -> None:
        """Also where Twisted's own error cannot be written as text."""
        packed = ResponseFailed([Failure(ConnectionLost(ConnectionResetError(104, "reset by peer")))])
        self.assertIn("reset by peer", reasons(packed))
        self.assertEqual(reasons(ValueError()), "ValueError")
        self.assertEqual(len(reasons(ValueError("x" * 999))), 300)
