"""Fixed answers."""

from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.exchange.model import Response
from edgegw.targets.respond import Respond, RespondSettings
from edgegw.testing.exchanges import drain, make_exchange


class Responding(SynchronousTestCase):
    def answer(self, raw: object) -> Response:
        problems = Problems()
        target = Respond.compile(RespondSettings.model_validate(raw), problems)
        assert target is not None, list(problems)
        return self.successResultOf(Deferred.fromCoroutine(target(make_exchange())))

    def test_forms(self) -> None:
        text = (b"Content-Type", b"text/plain; charset=utf-8")
        for raw, status, fields, content in (
            (503, 503, [], b""),
            ("ok", 200, [text], b"ok"),
            ({"status": 404, "body": "n\u00f6"}, 404, [text], "n\u00f6".encode()),
            (
                {"body": "{}", "headers": {"content-type": "application/json", "X-A": "b"}},
                200,
                [(b"content-type", b"application/json"), (b"X-A", b"b")],
                b"{}",
            ),
            ({"status": 204}, 204, [], b""),
        ):
            with self.subTest(raw=raw):
                response = self.answer(raw)
                self.assertEqual((response.status, list(response.headers)), (status, fields))
                self.assertEqual(drain(response.body).data, content)
                self.assertEqual(response.body.length, len(content))

    def test_answers_share_nothing(self) -> None:
        target = Respond.compile(RespondSettings.model_validate("ok"), Problems())
        assert target is not None
        first, second = (self.successResultOf(Deferred.fromCoroutine(target(make_exchange()))) for _ in range(2))
        first.headers.set(b"X-A", b"1")
        drain(first.body)
        self.assertNotIn(b"x-a", second.headers)
        self.assertEqual(drain(second.body).data, b"ok")

    def test_mistakes(self) -> None:
        for raw, loc in (
            ({"status": 204, "body": "x"}, ("body",)),
            ({"headers": {"X A": "1"}}, ("headers", "X A")),
            ({"headers": {"X-A": "1\r\nSet-Cookie: a"}}, ("headers", "X-A")),
            ({"headers": {"Content-Length": "1"}}, ("headers", "Content-Length")),
            ({"headers": {"Transfer-Encoding": "chunked"}}, ("headers", "Transfer-Encoding")),
        ):
            with self.subTest(raw=raw):
                problems = Problems()
                self.assertIsNone(Respond.compile(RespondSettings.model_validate(raw), problems.under("respond")))
                self.assertEqual([problem.loc for problem in problems], [("respond", *loc)])
        for raw in ({"status": 199}, {"status": 600}, {"code": 200}, 1.5):
            with self.subTest(raw=raw), self.assertRaises(ValidationError):
                RespondSettings.model_validate(raw)
