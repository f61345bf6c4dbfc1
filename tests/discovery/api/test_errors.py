"""What errors are called."""

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectingCancelledError, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

from edgegw.discovery.api.errors import ApiError, CredentialsError, is_cancelled, one_line, reasons


class ErrorTests(SynchronousTestCase):
    """What operators read."""

    def test_unreachable(self) -> None:
        self.assertTrue(ApiError("no route").unreachable)
        self.assertTrue(CredentialsError("no file").unreachable)
        self.assertFalse(ApiError("forbidden", 403).unreachable)

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


class CancelTests(SynchronousTestCase):
    """Whether somebody gave a request up."""

    def test_packed(self) -> None:
        packed = ResponseFailed([Failure(RequestTransmissionFailed([Failure(CancelledError())]))])
        for error in (CancelledError(), ConnectingCancelledError(None), packed):
            self.assertTrue(is_cancelled(error))
        for other in (ConnectionLost(), ResponseFailed([Failure(ConnectionLost())]), ResponseFailed([]), None):
            self.assertFalse(is_cancelled(other))
