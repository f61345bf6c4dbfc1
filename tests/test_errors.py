"""The one error of the data path: what it carries unless told otherwise, and how it reads in a log."""

from enum import Enum

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Retry, Side


class GatewayErrorTests(SynchronousTestCase):
    """One failed exchange."""

    def test_careful_unless_told_otherwise(self) -> None:
        error = GatewayError(404, "no_route")
        self.assertEqual((error.status, error.reason), (404, "no_route"))
        self.assertEqual((error.side, error.phase, error.retry), (Side.GATEWAY, Phase.ROUTE, Retry.NEVER))
        self.assertEqual((error.detail, error.headers, error.close), ("", (), False))

    def test_it_keeps_what_it_is_told(self) -> None:
        fields = [(b"Retry-After", b"1")]
        error = GatewayError(
            503,
            "full",
            side=Side.UPSTREAM,
            phase=Phase.CHOOSE,
            retry=Retry.ALWAYS,
            detail="d",
            headers=fields,
            close=True,
        )
        self.assertEqual((error.side, error.phase, error.retry), (Side.UPSTREAM, Phase.CHOOSE, Retry.ALWAYS))
        self.assertEqual((error.detail, error.close), ("d", True))
        fields.append((b"X", b"later"))
        self.assertEqual(error.headers, ((b"Retry-After", b"1"),), "not those of a list that changes")

    def test_text_names_status_reason_side_and_phase(self) -> None:
        error = GatewayError(502, "upstream_reset", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD)
        self.assertEqual(str(error), "502 upstream_reset (upstream, response_head)")
        error = GatewayError(413, "body_too_large", side=Side.DOWNSTREAM, phase=Phase.BODY, detail="more than 5 bytes")
        self.assertEqual(str(error), "413 body_too_large (downstream, body): more than 5 bytes")
        self.assertEqual(repr(error), str(error))

    def test_a_traceback_shows_reason_and_detail(self) -> None:
        self.assertEqual(GatewayError(500, "a", detail="b").args, ("a", "b"))
        self.assertIsInstance(GatewayError(500, "a"), Exception)


class NameTests(SynchronousTestCase):
    """Sides, phases and retry decisions are labels and log fields: their values are part of the interface."""

    def test_values_are_the_names_in_lower_case(self) -> None:
        kinds: tuple[type[Enum], ...] = (Side, Phase, Retry)
        for kind in kinds:
            for member in kind:
                self.assertEqual(member.value, member.name.lower())

    def test_which_there_are(self) -> None:
        self.assertEqual([side.value for side in Side], ["downstream", "upstream", "gateway"])
        self.assertEqual([retry.value for retry in Retry], ["never", "if_idempotent", "always"])
        phases = "head body route policy choose connect send response_head response_body"
        self.assertEqual([phase.value for phase in Phase], phases.split(), "in the order of an exchange")
