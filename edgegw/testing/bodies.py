"""Bodies for tests: a source that only remembers."""

from __future__ import annotations

from collections.abc import Callable


def _nothing() -> None:
    pass


class Source:
    """A `BodySource` that remembers what it is told, in order, by the names of its methods.

    Args:
        on_start, on_resume: what it does then, such as write into its body.
    """

    def __init__(self, on_start: Callable[[], None] = _nothing, on_resume: Callable[[], None] = _nothing) -> None:
        self.told: list[str] = []
        self._on_start = on_start
        self._on_resume = on_resume

    def start(self) -> None:
        """`BodySource`."""
        self.told.append("start")
        self._on_start()

    def pause(self) -> None:
        """`BodySource`."""
        self.told.append("pause")

    def resume(self) -> None:
        """`BodySource`."""
        self.told.append("resume")
        self._on_resume()

    def cancel(self) -> None:
        """`BodySource`."""
        self.told.append("cancel")

    def __repr__(self) -> str:
        return f"<Source told {' '.join(self.told) or 'nothing'}>"
