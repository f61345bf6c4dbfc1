"""What must not be shown: values that came from the environment or from a file, and those whose type is a secret."""

import re
from collections.abc import Iterable

from pydantic import SecretBytes, SecretStr

from edgegw.config.problems import Loc, quoted
from edgegw.config.source import Document, at

STARS = "********"
_LONG_ENOUGH = 6  # Shorter values are hidden only where they stand alone: "80" inside another text is no secret.


class Mask:
    """Decides what of one configuration is hidden. Without a document only secret types are."""

    def __init__(self, document: Document | None = None) -> None:
        self._locs = document.secrets if document is not None else frozenset()
        found = {at(document.data, loc) for loc in self._locs} if document is not None else set()
        # Longest first, so that one secret that holds another goes as a whole.
        self._values = sorted((str(value) for value in found if value not in (None, "")), key=len, reverse=True)

    def hides(self, loc: Loc, value: object = None, *, by_place: bool = True) -> bool:
        """Whether the value at `loc` is secret: by its place, by its type, or because a secret is part of it.

        `by_place=False` is for a default next to a secret that a short form was expanded from.
        """
        if isinstance(value, (SecretStr, SecretBytes)):
            return True
        if by_place and self._locs and any(loc[:length] in self._locs for length in range(1, len(loc) + 1)):
            return True
        return isinstance(value, str) and any(
            value == secret or (len(secret) >= _LONG_ENOUGH and secret in value) for secret in self._values
        )

    def hides_any(self, locs: Iterable[Loc]) -> bool:
        """Whether any of the places is secret."""
        return any(self.hides(loc) for loc in locs)

    def text(self, loc: Loc, text: str) -> str:
        """A message about `loc` with the secret values taken out of it."""
        if not self._locs:
            return text
        near = {secret for secret in self._values if len(secret) >= _LONG_ENOUGH or self.hides(loc)}
        for secret in sorted(near, key=len, reverse=True):
            for shape in (quoted(secret), f'"{secret}"', f"'{secret}'"):
                text = text.replace(shape, STARS)
            if len(secret) >= _LONG_ENOUGH:
                text = text.replace(secret, STARS).replace(quoted(secret)[1:-1], STARS)
            else:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", STARS, text)
        return text
