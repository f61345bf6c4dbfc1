"""How long is waited after errors."""

import random

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.backoff import CAP_S, FLOOR_S, Backoff


class Steady(random.Random):
    """Jitter that is the upper end each time, or the lower one."""

    low = False

    def uniform(self, a: float, b: float) -> float:
        return a if self.low else b


class BackoffTests(SynchronousTestCase):
    """Numbers."""

    def test_grows(self) -> None:
        """To a bound, however often; an end of errors ends it."""
        backoff = Backoff(Steady())
        self.assertEqual([backoff.next_s() for _ in range(7)], [1, 2, 4, 8, 16, CAP_S, CAP_S])
        for _ in range(5000):
            backoff.next_s()
        self.assertEqual((backoff.next_s(), backoff.setbacks), (CAP_S, 5008))
        backoff.reset()
        self.assertEqual((backoff.setbacks, backoff.next_s()), (0, 1.0))

    def test_least(self) -> None:
        """Never at once, and never sooner than asked for."""
        chance = Steady()
        chance.low = True
        self.assertEqual(Backoff(chance).next_s(), FLOOR_S)
        self.assertEqual(Backoff(chance).next_s(20.0), 20.0)
        self.assertEqual(Backoff(Steady()).next_s(0.5), 1.0)

    def test_jitter_is_full(self) -> None:
        """Anything below the bound, each as likely."""
        backoff = Backoff(random.Random(7))
        waits = [backoff.next_s() for _ in range(1000)][10:]
        self.assertTrue(all(FLOOR_S <= wait_s <= CAP_S for wait_s in waits))
        self.assertLess(abs(sum(waits) / len(waits) - CAP_S / 2), 1.0)
        self.assertLess(min(waits), 0.05 * CAP_S)
        self.assertGreater(max(waits), 0.95 * CAP_S)
