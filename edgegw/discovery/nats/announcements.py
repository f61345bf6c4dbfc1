"""The source for `subject`: instances that announce themselves, and have to do so again and again.

Under a prefix: `register` and `deregister` carry an instance, `health.ID` and `health.ID.update` say that one is there and how it
is, `discover` asks everybody who knows instances. While NATS itself is silent nobody's time runs out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from edgegw.discovery.candidate import Refused
from edgegw.discovery.feed import MAX_ENDPOINTS
from edgegw.discovery.interfaces import Listener
from edgegw.discovery.nats.instance import Scope, identified, read_instance, read_json, read_status, written
from edgegw.discovery.nats.table import Table
from edgegw.discovery.settling import Settling
from edgegw.net.nats.client import Owner
from edgegw.net.nats.sharing import Guest
from edgegw.runtime.supervise import Pace, Supervised
from edgegw.upstream.environment import Environment
from edgegw.wire.nats import MAX_PAYLOAD, Message

PREFIX = "gateway.services"
ASK_S = 10.0
"""Until everybody is asked again: who answers and does not announce himself is heard of by that."""
GATHER_S = 1.0
"""How long answers are waited for."""
LATE_S = 1.0
"""A server that answers a ping later than this may have held up announcements, too."""
ANSWERS = 20
"""To the questions of others, in a second."""
_ANSWERED_MOST = 1000

_log = Logger("edgegw.discovery.nats")


class Announcements:
    """Hears one prefix.

    Args:
        name: of the source. scope: prefix of the subjects, and service. scheme: of those that tell none.
        join: makes a guest of the connection. answer: whether questions of others are answered.
    """

    def __init__(
        self,
        name: str,
        scope: Scope,
        scheme: str,
        join: Callable[[Owner], Guest],
        environment: Environment,
        answer: bool = False,
    ) -> None:
        self.name = name
        self._scope = scope
        self._scheme = scheme
        self._reactor = environment.reactor
        self._table = Table(environment.reactor.seconds, MAX_ENDPOINTS)
        self._client = client = join(self)
        self._listener: Listener | None = None
        self._settling = Settling(environment.reactor, self._settle)
        self._asking: Deferred[None] | None = None
        self._told = False
        self._fault = ""
        self._complaint = ""
        self._answers = 0
        self._checked_s: float | None = None
        prefix = scope.root
        for last, heard in (("register", self._registered), ("deregister", self._left), ("health.>", self._beaten)):
            client.subscribe(f"{prefix}.{last}", self._guarded(heard))
        if answer:
            client.subscribe(f"{prefix}.discover", self._asked)
        chance = environment.chance.random
        self._ticks = Supervised(f"{name}: times", self._tick, Pace(1.0, at_once=False), environment.reactor)
        self._asks = Supervised(
            f"{name}: asking", self._ask, Pace(ASK_S, 0.1, at_once=False), environment.reactor, chance
        )

    # Life.

    def start(self, listener: Listener) -> None:
        """`Source`."""
        self._listener = listener
        self._table.remember(listener.known())
        self._ticks.startService()
        self._asks.startService()
        self._client.start()

    def stop(self) -> Deferred[None] | None:
        """`Source`."""
        self._listener = None
        self._settling.stop()
        if self._asking is not None:
            self._asking.cancel()
        self._ticks.stopService()
        self._asks.stopService()
        return self._client.stop()

    # What the client tells.

    def opened(self) -> None:
        """`Owner`."""
        self._fault = ""
        self._checked_s = None
        self._table.spare()
        self._ask()

    def alive(self, sent_s: float) -> None:
        """`Owner`."""
        listener = self._listener
        if listener is None:
            return
        if self._reactor.seconds() - sent_s > LATE_S:
            self._table.spare()
            self._checked_s = None
        elif self._checked_s is not None and sent_s >= self._checked_s:
            if self._table.expire(sent_s):
                self._changed()
            self._checked_s = None
        if self._fault:
            listener.failed(self._fault)
        elif self._told and not self._settling.is_due:
            listener.confirmed()

    def lost(self, reason: str) -> None:
        """`Owner`."""
        self.failed(reason)

    def failed(self, reason: str) -> None:
        """`Owner`."""
        if self._listener is not None:
            self._listener.failed(reason)

    def complained(self, words: str) -> None:
        """`Owner`."""
        if "subscription" in words.lower():
            # What can't be heard is as good as silent.
            self._fault = f"the server does not let us listen: {words}"
            self.failed(self._fault)
        elif words != self._complaint:
            self._complaint = words
            _log.warn("{name}: the server refuses: {words}", name=self.name, words=words)

    # Time.

    def _tick(self) -> None:
        """Who is not heard of may be gone, or the server be silent: that is asked first."""
        self._answers = 0
        if self._checked_s is None and self._client.is_open and self._table.is_due():
            self._checked_s = self._reactor.seconds()
            self._client.ping()

    def _ask(self) -> None:
        if not self._client.is_open or self._asking is not None:
            return
        question = {"service": self._scope.service} if self._scope.service else {}
        subject = f"{self._scope.root}.discover"
        asking = self._client.gather(subject, json.dumps(question).encode(), GATHER_S, self._guarded(self._answered))
        self._asking = asking
        asking.addBoth(self._was_asked)

    def _was_asked(self, _: object) -> None:
        self._asking = None
        if self._listener is not None and not self._told and self._client.is_open:
            self._changed()

    # What others say.

    def _guarded(self, heard: Callable[[Message], None]) -> Callable[[Message], None]:
        def hear(message: Message) -> None:
            listener = self._listener
            if listener is None:
                return
            try:
                heard(message)
            except Refused as error:
                listener.refused(error.what, error.reason)

        return hear

    def _registered(self, message: Message) -> None:
        self._take(read_json(message.payload, f"a message on {message.subject}"), f"a message on {message.subject}")

    def _answered(self, message: Message) -> None:
        what = "an answer to discover"
        data = read_json(message.payload, what, MAX_PAYLOAD)
        if isinstance(data, dict):
            data = next((data[key] for key in ("instances", "services") if key in data), [data])
        if not isinstance(data, list):
            raise Refused(what, "it is not a list")
        for each in data[:MAX_ENDPOINTS]:
            try:
                self._take(each, what)
            except Refused as error:
                if self._listener is not None:
                    self._listener.refused(error.what, error.reason)

    def _take(self, data: Any, what: str) -> None:
        service = self._scope.service
        instance = read_instance(data, self._scheme, what)
        if service and instance.service != service:
            # It moved to another service, if it was ours.
            if instance.service and self._table.drop(instance.id):
                self._changed()
            if not instance.service:
                raise Refused(instance.id, "it does not say its service")
            return
        if self._table.put(instance):
            self._changed()

    def _left(self, message: Message) -> None:
        what = f"a message on {message.subject}"
        id_ = identified(read_json(message.payload, what))
        if not id_:
            raise Refused(what, "it has no id")
        if self._table.drop(id_):
            self._changed()

    def _beaten(self, message: Message) -> None:
        id_ = message.subject.removeprefix(f"{self._scope.root}.health.").removesuffix(".update")
        if id_ not in self._table:
            # Of another service on the same prefix: everybody there hears it.
            return
        payload = message.payload.strip()
        status = read_status(read_json(payload, f"a message on {message.subject}")) if payload else ""
        if self._table.beat(id_, status):
            self._changed()

    def _asked(self, message: Message) -> None:
        """Others ask; whoever floods us with questions gets few answers."""
        if not message.reply or self._answers >= ANSWERS:
            return
        self._answers += 1
        try:
            question = read_json(message.payload, "") if message.payload.strip() else {}
        except Refused:
            return
        wanted = question.get("service") if isinstance(question, dict) else None
        fit = [
            written(instance, age_s)
            for instance, age_s in self._table.heard()
            if not wanted or instance.service == wanted
        ]
        if fit:
            self._client.publish(message.reply, json.dumps(fit[:_ANSWERED_MOST]).encode())

    # What is told.

    def _changed(self) -> None:
        if self._listener is not None:
            self._settling.begin()

    def _settle(self) -> None:
        if self._listener is not None:
            self._told = True
            self._listener.found(self._table.named())

    def __repr__(self) -> str:
        return f"<Announcements {self.name}: {self._table!r}, {self._client!r}>"
