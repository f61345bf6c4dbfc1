"""List and watch of one collection of the API, whatever happens to the server and to what it sends.

The semantics are those of client-go's reflector (tools/cache/reflector.go) and of "Efficient detection of changes" in the
Kubernetes API concepts. Two things differ. After a server could not be reached at all the collection is listed anew instead of
watched from the old version: it may have been restored from a backup, and a list of ours is small. And silence is not believed:
see `pulse`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from edgegw.discovery.api.backoff import Backoff
from edgegw.discovery.api.errors import ApiError, Garbage
from edgegw.discovery.api.fields import Malformed, listed, mapping, text
from edgegw.discovery.api.rounds import Rounds
from edgegw.discovery.kubernetes.client import KubernetesClient, decoded
from edgegw.discovery.kubernetes.errors import from_status, is_gone
from edgegw.discovery.kubernetes.identity import Identity, is_older, version_of
from edgegw.discovery.kubernetes.pulse import Pulse

PAGE = 500
PAGES_MAX = 1000
ITEMS_MAX = 5000
WATCH_S = 290.0
SLACK_S = 15.0
LIST_S = 60.0
SPACING_S = 1.0
"""At least so long between two starts, also where everything goes well."""

_RESTARTS = 3

Item = TypeVar("Item")


class Collection(NamedTuple):
    """What is listed and watched. path: of the API. selectors: labelSelector, fieldSelector. what: for people, with the
    namespace. right: what an operator grants so that it may be.
    """

    path: str
    selectors: Mapping[str, str]
    what: str
    right: str


class Follower(Protocol):
    """Whom a reflector tells. None of it may raise."""

    def changed(self) -> None:
        """`items` are others, or were listed for the first time."""

    def confirmed(self) -> None:
        """The API server answered: `items` hold."""

    def failed(self, error: ApiError) -> None:
        """It did not; the reflector goes on trying."""


class Reflector(Generic[Item]):
    """Keeps `items` (by `namespace/name`) what the API server says they are.

    Args:
        read: an object of the API as an item; raises Malformed.

    Attributes:
        known: they were listed once.
    """

    def __init__(
        self,
        client: KubernetesClient,
        collection: Collection,
        read: Callable[[Mapping[str, Any]], Item],
        follower: Follower,
        clock: IReactorTime,
        chance: random.Random,
    ) -> None:
        self._client = client
        self._collection = collection
        self._read = read
        self._follower = follower
        self._clock = clock
        self._chance = chance
        self._version = ""
        self._lines = 0
        self._began_s = 0.0
        self._cut: ApiError | None = None
        self._watching: Deferred[None] | None = None
        self._backoff = Backoff(chance)
        self._rounds = Rounds(clock, self._turn, self._setback, f"watching {collection.what}")
        self._pulse = Pulse(clock, self._ask, self._silent)
        self.items: dict[str, Item] = {}
        self.known = False

    def start(self) -> None:
        """Begin."""
        self._rounds.start()

    def stop(self) -> None:
        """End; nothing is told any more. The connections belong to the client."""
        self._rounds.stop()

    async def _turn(self) -> float:
        """Until the watch ends. Returns: how long to pause then."""
        self._began_s = self._clock.seconds()
        if not self._version:
            await self._list()
        # A follower may have stopped it.
        if self._rounds.is_on:
            await self._watch()
        return self._spacing_s

    @property
    def _spacing_s(self) -> float:
        return self._began_s + SPACING_S - self._clock.seconds()

    def _setback(self, error: ApiError) -> float:
        """Returns: how long to wait after an error."""
        first, wait_s = not self._backoff.setbacks, self._backoff.next_s(error.retry_after_s)
        if is_gone(error) or error.unreachable or isinstance(error, Garbage):
            self._version = ""
        if is_gone(error) and first:
            # A version that is too old is everyday life; a list that does not help is not.
            return self._spacing_s
        if error.status == 403:
            # What to do comes first: lists of sources cut long words.
            words = f"grant {self._collection.right}; {error.words}"
            error = ApiError(words, error.status, error.retry_after_s)
        self._follower.failed(error)
        return max(wait_s, self._spacing_s)

    # The list.

    async def _list(self) -> None:
        until_s = self._clock.seconds() + LIST_S
        token, restarts, pages = "", 0, 0
        fresh: dict[str, Item] = {}
        while True:
            params = {"limit": str(PAGE), **self._collection.selectors, **({"continue": token} if token else {})}
            left_s = until_s - self._clock.seconds()
            if left_s <= 0.0 or pages >= PAGES_MAX:
                raise ApiError(f"the list of {self._collection.what} does not end")
            pages += 1
            try:
                page = await self._client.get(self._collection.path, params, left_s)
            except ApiError as error:
                if not (is_gone(error) and token and restarts < _RESTARTS):
                    raise
                # The pages after this one are not kept any more (API concepts: retrieving large results sets in chunks).
                token, restarts, fresh = "", restarts + 1, {}
                continue
            token = self._take_page(page, fresh)
            if not token:
                break
        self._version = self._checked(lambda: version_of(page))
        self.items, self.known = fresh, True
        self._follower.changed()
        self._follower.confirmed()

    def _take_page(self, page: Mapping[str, Any], fresh: dict[str, Item]) -> str:
        """Returns: what to go on with, empty at the end."""

        def take() -> str:
            for data in listed(page, "items"):
                if not isinstance(data, dict):
                    raise Malformed("items holds what is not a map")
                self._put(fresh, data)
            return text(mapping(page, "metadata"), "continue")

        return self._checked(take)

    def _put(self, items: dict[str, Item], data: Mapping[str, Any]) -> None:
        who = Identity(data)
        if len(items) >= ITEMS_MAX and who.key not in items:
            raise Malformed(f"more than {ITEMS_MAX} objects")
        try:
            items[who.key] = self._read(data)
        except Malformed as error:
            raise Malformed(f"{who.key}: {error}") from None

    def _checked(self, work: Callable[[], str]) -> str:
        try:
            return work()
        except Malformed as error:
            raise Garbage(f"{self._collection.what}: the API server sent what cannot be read: {error}") from None

    # The watch.

    async def _watch(self) -> None:
        began_s, self._lines, self._cut = self._clock.seconds(), 0, None
        # Spread, so that the watches of a fleet do not end together.
        seconds = round(WATCH_S * self._chance.uniform(0.9, 1.1))
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
            **self._collection.selectors,
        }
        self._watching = Deferred.fromCoroutine(
            self._client.watch(self._collection.path, params, self._opened, self._line, seconds + SLACK_S)
        )
        try:
            await self._watching
        except CancelledError:
            if self._cut is not None:
                raise self._cut from None
            raise
        except ApiError as error:
            if self._lines and error.unreachable and not isinstance(error, Garbage):
                # A connection that was torn after it had served: it goes on where it was.
                return
            raise
        finally:
            self._watching = None
            self._pulse.stop()
        if not self._lines and self._clock.seconds() - began_s < SPACING_S:
            raise ApiError("the API server ends watches at once", 200)
        self._backoff.reset()

    def _opened(self) -> None:
        self._follower.confirmed()
        self._pulse.start()

    def _line(self, line: bytes) -> None:
        """One event. Raises ApiError."""
        event = decoded(line)
        kind, data = event.get("type"), event.get("object")
        if not isinstance(kind, str) or not isinstance(data, dict):
            raise Garbage("the API server sent an event without type or object")
        if kind == "ERROR":
            raise from_status(data, 500)
        version = self._checked(lambda: version_of(data))
        if is_older(version, self._version):
            raise ApiError(f"the API server went back from version {self._version} to {version}", 410)
        self._apply(kind, data)
        self._version = version
        self._backoff.reset()
        self._lines += 1
        self._pulse.heard()
        if kind != "BOOKMARK":
            self._follower.changed()
        self._follower.confirmed()

    def _apply(self, kind: str, data: Mapping[str, Any]) -> None:
        def apply() -> str:
            if kind in ("ADDED", "MODIFIED"):
                self._put(self.items, data)
            elif kind == "DELETED":
                self.items.pop(Identity(data).key, None)
            return ""

        self._checked(apply)

    # Silence.

    async def _ask(self) -> None:
        """The smallest list there is. Raises ApiError; 410 when the API server knows less than it did."""
        page = await self._client.get(self._collection.path, {"limit": "1", **self._collection.selectors})
        version = self._checked(lambda: version_of(page))
        if is_older(version, self._version):
            raise ApiError(f"the API server went back from version {self._version} to {version}", 410)
        self._backoff.reset()
        self._follower.confirmed()

    def _silent(self, error: ApiError) -> None:
        self._cut = error
        if self._watching is not None:
            self._watching.cancel()

    def __repr__(self) -> str:
        state = f"{len(self.items)} at version {self._version}" if self._version else "not listed"
        return f"<Reflector of {self._collection.what}: {state}>"
