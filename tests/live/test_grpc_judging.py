"""Breaker and outliers go by what calls end with: a real grpcio server, whose answers all have HTTP status 200."""

from __future__ import annotations

from typing import Any

import grpc

from tests.live.grpc.probe_pb2 import Message, Order
from tests.live.grpc_case import CALL_S, GrpcCase

UNAVAILABLE, INTERNAL = 14, 13


class JudgingTests(GrpcCase):
    upstream = "breaker: {failures: 5, ratio: off}, retry: {attempts: 0}"

    def at_once(self, code: int) -> Any:
        """A call that is answered by its end alone."""
        return self.fails(self.stub.Fail, Order(id="plain", code=code))

    def later(self, code: int) -> Any:
        """A call that is answered well and ends badly."""
        return self.fails(self.stub.Unary, Message(text="x"), metadata=[("x-abort", str(code))])

    def test_an_upstream_that_is_not_there_breaks(self) -> None:
        for ending in (self.at_once, self.later):
            with self.subTest(ending=ending.__name__):
                self.setUp()
                for _ in range(5):
                    self.assertNotIn("breaker_refuses", ending(UNAVAILABLE).details())
                refused = self.fails(self.stub.Unary, Message(text="x"))
                self.assertEqual(refused.code(), grpc.StatusCode.UNAVAILABLE)
                self.assertIn("breaker_refuses", refused.details())

    def test_good_calls_between_them_keep_it_open(self) -> None:
        for _ in range(3):
            for _ in range(4):
                self.later(UNAVAILABLE)
            self.assertEqual(self.stub.Unary(Message(text="x"), timeout=CALL_S).text, "x")

    def test_other_errors_are_not_the_breakers(self) -> None:
        for _ in range(10):
            self.assertNotIn("breaker_refuses", self.later(INTERNAL).details())
