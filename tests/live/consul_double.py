"""A double of a Consul agent over real HTTP, written from the API's documentation ("Blocking queries", "Consistency modes", "Health
HTTP endpoint", "Agent HTTP endpoint").

    python -m tests.live.consul_double --port 8500 [--token TOKEN] [--index N]

What it has of the API: register and deregister of services (`/v1/agent/service/...`), TTL checks that are told `pass`, `warn` or
`fail`, maintenance, and `/v1/health/service/NAME` with passing, tag, dc, index, wait and tokens: 403 for one that is unknown, an
empty list without one. The datacenters are dc1, where everything is registered, and dc2, which is empty.

POST /_control takes JSON and makes it behave; each key is optional:
    index: N              the index of every service goes (back) to N, as after a snapshot was restored; who waits is answered
    said: TEXT | null     what X-Consul-Index says instead (null: the header is missing); "": the truth again
    headers: {..}         headers on every answer about health (null takes one away)
    tokens: [..]          who may come in (empty: everybody)
    blocks: false         questions are answered at once, whatever index they bring
    answer: {status, body, headers, times}   the next questions about health are answered so
    hang: true | false    they get no answer at all; drip: true  one byte a second
    cut: true             tears the connection of whoever waits
GET /_requests: every question about health so far: {path, args, token, waits}.
"""

import argparse
import json
import random
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

HEALTH = "/v1/health/service/"
DATACENTERS = ("dc1", "dc2")
STATES = {"pass": "passing", "warn": "warning", "fail": "critical"}

Thing = dict[str, Any]


def seconds(text: str) -> float:
    """A Go duration of one part: 10s, 1500ms, 5m."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


class Question:
    """One that waits for a change."""

    def __init__(self, agent: "Agent", request: Request, name: str, index: int, wait_s: float) -> None:
        self.agent, self.request, self.name, self.index = agent, request, name, index
        self.timer = agent.clock.callLater(wait_s, self.answer)
        request.notifyFinish().addErrback(lambda _: self.forget())

    def forget(self) -> None:
        self.agent.waiting.discard(self)
        if self.timer.active():
            self.timer.cancel()

    def answer(self) -> None:
        self.forget()
        self.agent.answer_health(self.request, self.name)

    def look(self) -> None:
        if self.agent.index_of(self.name) > self.index:
            self.answer()


class Agent(Resource):
    """The agent: what it knows and how it is told to behave."""

    isLeaf = True

    def __init__(self, clock: IReactorTime, index: int = 10) -> None:
        super().__init__()
        self.clock = clock
        self.index = index
        self.indexes: dict[str, int] = {}
        self.services: dict[str, Thing] = {}
        self.checks: dict[str, Thing] = {}
        self.waiting: set[Question] = set()
        self.requests: list[Thing] = []
        self.tokens: list[str] = []
        self.answers: list[Thing] = []
        self.headers: dict[str, str | None] = {}
        self.said: str | None = ""
        self.blocks, self.hang, self.drip = True, False, False

    # What is registered.

    def index_of(self, name: str) -> int:
        return self.indexes.get(name, 1)

    def changed(self, name: str) -> None:
        self.index += 1
        self.indexes[name] = self.index
        self.wake()

    def wake(self) -> None:
        for question in list(self.waiting):
            question.look()

    def register(self, said: Thing) -> None:
        name, key = said["Name"], said.get("ID") or said["Name"]
        weights = {"Passing": 1, "Warning": 1, **(said.get("Weights") or {})}
        service = {"ID": key, "Service": name, "Tags": said.get("Tags") or [], "Address": said.get("Address", "")}
        service |= {"Meta": said.get("Meta") or {}, "Port": said.get("Port", 0), "Weights": weights}
        self.services[key] = service
        given = said.get("Checks") or ([said["Check"]] if "Check" in said else [])
        for number, check in enumerate(given):
            self.check(check.get("CheckID") or f"service:{key}:{number}", key, check.get("Status", "critical"))
        self.changed(name)

    def deregister(self, key: str) -> None:
        service = self.services.pop(key)
        self.checks = {name: each for name, each in self.checks.items() if each["ServiceID"] != key}
        self.changed(service["Service"])

    def check(self, name: str, key: str, status: str) -> None:
        self.checks[name] = {"Node": "double", "CheckID": name, "Name": name, "Status": status, "ServiceID": key}

    def told(self, name: str, status: str) -> None:
        self.checks[name]["Status"] = status
        self.changed(self.services[self.checks[name]["ServiceID"]]["Service"])

    def maintain(self, key: str, on: bool) -> None:
        name = f"_service_maintenance:{key}"
        if on:
            self.check(name, key, "critical")
        else:
            self.checks.pop(name, None)
        self.changed(self.services[key]["Service"])

    def entries(self, name: str, passing: bool, tags: list[str]) -> list[Thing]:
        found = []
        serf = {"Node": "double", "CheckID": "serfHealth", "Name": "Serf", "Status": "passing", "ServiceID": ""}
        for key, service in self.services.items():
            checks = [serf, *(each for each in self.checks.values() if each["ServiceID"] == key)]
            if service["Service"] != name or (passing and any(each["Status"] != "passing" for each in checks)):
                continue
            if not {tag.lower() for tag in tags} <= {tag.lower() for tag in service["Tags"]}:
                continue
            node = {"ID": "d0", "Node": "double", "Address": "127.0.0.1", "Datacenter": "dc1", "Meta": None}
            found.append({"Node": node, "Service": service, "Checks": checks})
        return found

    # HTTP.

    def render(self, request: Request) -> Any:
        path = request.path.decode()
        if path == "/_control":
            self.control(json.loads(request.content.read()))
            return b"{}"
        if path == "/_requests":
            return json.dumps(self.requests).encode()
        if path == "/v1/status/leader":
            return b'"127.0.0.1:8300"'
        if path.startswith(HEALTH):
            return self.health(request, path.removeprefix(HEALTH))
        return self.change(request, path)

    def change(self, request: Request, path: str) -> bytes:
        """What services tell their agent."""
        if self.token(request) is None:
            return self.plain(request, 403, "ACL not found")
        *_, verb, last = path.split("/")
        if path == "/v1/agent/service/register":
            self.register(json.loads(request.content.read()))
        elif path.startswith("/v1/agent/service/deregister/") and last in self.services:
            self.deregister(last)
        elif path.startswith("/v1/agent/check/") and last in self.checks:
            self.told(last, STATES[verb])
        elif path.startswith("/v1/agent/service/maintenance/") and last in self.services:
            self.maintain(last, (request.args or {})[b"enable"] == [b"true"])
        else:
            return self.plain(request, 404, f"Unknown service or path {path}")
        return b""

    def token(self, request: Request) -> str | None:
        """The one shown, empty if none is; None: it is not known."""
        token = request.getHeader("x-consul-token") or ""
        return token if not self.tokens or not token or token in self.tokens else None

    def health(self, request: Request, name: str) -> Any:
        args = {k.decode(): [v.decode() for v in values] for k, values in (request.args or {}).items()}
        token = self.token(request)
        index = int(args.get("index", ["0"])[0])
        waits = self.blocks and index > 0 and index >= self.index_of(name)
        shown = request.getHeader("x-consul-token") or ""
        self.requests.append({"path": request.path.decode(), "args": args, "token": shown, "waits": waits})
        if self.hang:
            return NOT_DONE_YET
        if self.answers:
            return self.scripted(request)
        if token is None:
            return self.plain(request, 403, "ACL not found")
        if args.get("dc", ["dc1"])[0] not in DATACENTERS:
            return self.plain(request, 500, "No path to datacenter")
        if waits:
            wait_s = min(seconds(args.get("wait", ["5m"])[0]), 600.0)
            # Consul adds up to a sixteenth.
            self.waiting.add(Question(self, request, name, index, wait_s * (1 + random.random() / 16)))
        else:
            self.answer_health(request, name)
        return NOT_DONE_YET

    def answer_health(self, request: Request, name: str) -> None:
        args = request.args or {}
        entries = self.entries(name, b"passing" in args, [tag.decode() for tag in args.get(b"tag", [])])
        if args.get(b"dc") == [b"dc2"] or (self.tokens and self.token(request) not in self.tokens):
            entries = []
        said = {
            "Content-Type": "application/json",
            "X-Consul-Index": str(self.index_of(name)) if self.said == "" else self.said,
            "X-Consul-Knownleader": "true",
            "X-Consul-Lastcontact": "0",
            "X-Consul-Effective-Consistency": "stale" if b"stale" in args else "leader",
            **self.headers,
        }
        for header, value in said.items():
            if value is not None:
                request.setHeader(header, value)
        body = json.dumps(entries, indent=4).encode()
        if self.drip:
            self.slowly(request, body)
        else:
            request.write(body)
            request.finish()

    def slowly(self, request: Request, body: bytes) -> None:
        timers: list[Any] = []

        def one(at: int) -> None:
            request.write(body[at : at + 1])
            timers[:] = [self.clock.callLater(1.0, one, at + 1)]

        one(0)
        request.notifyFinish().addErrback(lambda _: timers[0].cancel())

    def scripted(self, request: Request) -> bytes:
        answer = self.answers[0]
        answer["times"] -= 1
        if answer["times"] <= 0:
            self.answers.pop(0)
        for header, value in answer.get("headers", {}).items():
            request.setHeader(header, value)
        return self.plain(request, answer.get("status", 200), answer.get("body", ""))

    def plain(self, request: Request, status: int, words: str) -> bytes:
        request.setResponseCode(status)
        return words.encode()

    # Behaviour.

    def control(self, orders: Thing) -> None:
        for name, value in orders.items():
            getattr(self, f"do_{name}", lambda value, name=name: setattr(self, name, value))(value)

    def do_index(self, order: int) -> None:
        self.index = order
        self.indexes = dict.fromkeys(self.indexes, order)
        for question in list(self.waiting):
            question.answer()

    def do_answer(self, order: Thing) -> None:
        self.answers.append({"times": 1, **order})

    def do_cut(self, order: bool) -> None:
        for question in list(self.waiting):
            question.request.transport.abortConnection()  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--index", type=int, default=10, help="the index to start from")
    parser.add_argument("--token", action="append", default=[])
    options = parser.parse_args()
    reactor: Any = global_reactor
    agent = Agent(reactor, options.index)
    agent.tokens = options.token
    reactor.listenTCP(options.port, Site(agent), interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main()
