"""What is heard in one moment."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.settling import SETTLE_S, Settling


class SettlingTests(SynchronousTestCase):
    """On a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[float] = []
        self.settling = Settling(self.clock, lambda: self.told.append(self.clock.seconds()))

    def test_together(self) -> None:
        """Once, and not later because more is heard; what is heard after that is told again."""
        for _ in range(3):
            self.settling.begin()
            self.assertTrue(self.settling.is_due)
            self.clock.advance(SETTLE_S / 4)
        self.assertEqual(self.told, [])
        self.clock.advance(SETTLE_S / 4)
        self.assertEqual((self.told, self.settling.is_due), ([SETTLE_S], False))
        self.settling.begin()
        self.clock.advance(SETTLE_S)
        self.assertEqual(len(self.told), 2)

    def test_begun_by_who_is_told(self) -> None:
        """Nothing is due any more when it is told."""
        self.settling = Settling(self.clock, lambda: self.told.append(self.settling.is_due))
        self.settling.begin()
        self.clock.advance(SETTLE_S)
        self.assertEqual(self.told, [False])

    def test_stop(self) -> None:
        self.settling.stop()
        self.settling.begin()
        self.settling.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.settling.is_due), ([], False))
