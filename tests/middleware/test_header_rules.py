"""Tests of edgegw.middleware.header_rules."""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError

from edgegw.middleware.header_rules import HEADER_RULES, HeaderRulesSettings
from edgegw.testing.exchanges import make_exchange
from tests.middleware.running import Case, Target, sent


class HeaderRulesTests(Case):
    def run_with(self, rules: dict[str, Any], *fields: tuple[bytes, bytes], target: Target | None = None) -> Any:
        layer = HEADER_RULES.build(HeaderRulesSettings.model_validate(rules), cast(Any, None))(target or Target())
        exchange = make_exchange(headers=fields)
        return exchange, self.respond(layer, exchange)

    def test_requests(self) -> None:
        rules = {"request": {"remove": ["X-Gone"], "set": {"X-Set": "1"}, "add": {"X-Add": "2"}}}
        came = ((b"x-gone", b"a"), (b"X-GONE", b"b"), (b"x-set", b"old"), (b"x-set", b"older"), (b"x-add", b"first"))
        exchange, response = self.run_with(rules, *came)
        self.assertEqual(sent(exchange), {b"host": [b"example.com"], b"x-add": [b"first", b"2"], b"x-set": [b"1"]})
        self.assertEqual(len(response.headers), 0)

    def test_in_place_before_the_target_sees_it(self) -> None:
        seen: list[Any] = []
        target = Target(does=lambda exchange: seen.append(exchange.request.headers.get(b"x-a")))
        self.run_with({"request": {"set": {"X-A": "1"}}}, target=target)
        self.assertEqual(seen, [b"1"])

    def test_responses(self) -> None:
        rules = {"response": {"remove": ["Server"], "set": {"X-Set": "\u00e9"}, "add": {"Via": "1.1 a"}}}
        exchange, response = self.run_with(rules, target=Target((b"Server", b"x"), (b"x-set", b"old")))
        self.assertEqual(list(response.headers), [(b"X-Set", b"\xe9"), (b"Via", b"1.1 a")])
        self.assertEqual(sent(exchange), {b"host": [b"example.com"]})

    def test_removed_then_added(self) -> None:
        rules = {"response": {"remove": ["X-A"], "add": {"X-A": "new"}}}
        _, response = self.run_with(rules, target=Target((b"X-A", b"old")))
        self.assertEqual(list(response.headers), [(b"X-A", b"new")])

    def test_nothing_to_do(self) -> None:
        exchange, response = self.run_with({}, (b"A", b"1"), target=Target((b"B", b"2")))
        self.assertEqual((sent(exchange)[b"a"], list(response.headers)), ([b"1"], [(b"B", b"2")]))

    def test_refused_at_load(self) -> None:
        for edits in (
            {"remove": ["Content-Length"]}, {"remove": ["Host"]}, {"set": {"Transfer-Encoding": "chunked"}},
            {"set": {"Host": "evil"}}, {"add": {"Connection": "close"}}, {"add": {"Upgrade": "h2c"}},
            {"set": {"a b": "1"}}, {"set": {"": "1"}}, {"remove": ["a\r\nb"]}, {"set": {"X": "a\r\nSet-Cookie: b"}},
            {"add": {"X": "a\x00"}}, {"set": {"X-A": "1", "x-a": "2"}}, {"unknown": []},
        ):  # fmt: skip
            for side in ("request", "response"):
                self.assertRaises(ValidationError, HeaderRulesSettings.model_validate, {side: edits})

    def test_what_the_loop_is_noticed_by_stays(self) -> None:
        for edits in ({"remove": ["Via"]}, {"set": {"via": "1.1 x"}}, {"add": {"VIA": "1.1 x"}}):
            self.assertRaises(ValidationError, HeaderRulesSettings.model_validate, {"request": edits})
            HeaderRulesSettings.model_validate({"response": edits})
