"""`--reactor uvloop`: what the module installs, and that asking for it is never answered by another loop.

The plugin itself, in processes of its own, is in test_loop.
"""

from twisted.trial.unittest import SynchronousTestCase

from edgegw.net import loop, uvreactor


class InstallTests(SynchronousTestCase):
    def test_it_asks_for_uvloop_and_nothing_else(self) -> None:
        asked: list[str] = []
        self.patch(loop, "install", asked.append)
        uvreactor.install()
        self.assertEqual(asked, ["uvloop"])

    def test_a_missing_uvloop_is_an_error(self) -> None:
        def missing(choice: str) -> str:
            raise loop.LoopUnavailable(choice)

        self.patch(loop, "install", missing)
        self.assertRaises(loop.LoopUnavailable, uvreactor.install)
