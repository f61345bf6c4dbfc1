"""What answers say of whoever gave them: the status that they stand for, and how many were bad one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from edgegw.exchange.model import Response
from edgegw.wire.grpc import http_status, is_grpc, read_code
from edgegw.wire.headers import Field

ENOUGH = 20
"""Good heads that end a row of failures though bodies break off: more than `failures` and `consecutive`, so that of as many answers
that are torn together there is a row left when they are."""

_STATUS = b"grpc-status"


def status_of(answer: Response, ending: Sequence[Field]) -> int:
    """The status to judge an answer by.

    A gRPC call is answered by 200 whatever becomes of it; what its grpc-status stands for in HTTP says more (Envoy's outlier
    detection does the same). Without one the call is judged by its head.

    Args:
        ending: its trailers, as far as they are to be looked at.
    """
    if answer.status != 200:
        return answer.status
    code = next((field[2] for field in ending if field[0] == _STATUS), answer.headers.get(_STATUS))
    if code is None or not is_grpc(answer.headers.get(b"content-type")):
        return 200
    return http_status(read_code(code))


class Row:
    """Failures one after the other, none that went well between them.

    An answer that comes whole ends a row. One that only began well does, too, as long as none that began so ended badly: else
    whoever tears every body would never have two failures in a row. From then on `ENOUGH` of them are needed.

    Attributes:
        length: how many.
    """

    __slots__ = ("_begun", "_torn", "length")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """There is none."""
        self.length = 0
        # Answers that began well since the last failure. Whether a failure was of one that had.
        self._begun = 0
        self._torn = False

    def good(self, whole: bool) -> None:
        """A good answer, or the good head of one. Need not be told while `length` is 0."""
        self._begun += 1
        if whole or self._begun >= ENOUGH:
            self.clear()

    def bad(self, torn: bool) -> None:
        """A failure. torn: of an answer whose head was taken for a good one: that and others like it ended no row, then."""
        if self._begun and not torn and not self._torn:
            self.clear()
        self.length += 1
        self._begun = 0
        self._torn = self._torn or torn

    def __repr__(self) -> str:
        return f"<Row of {self.length}{' torn' if self._torn else ''}>"
