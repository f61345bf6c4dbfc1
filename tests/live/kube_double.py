"""A double of the Kubernetes API server over real HTTP, written from the API's documentation ("Kubernetes API concepts": retrieving
large result sets in chunks, efficient detection of changes, bookmarks, 410 Gone).

    python -m tests.live.kube_double --port 6443 [--token TOKEN]

What it has of the API: Services and EndpointSlices, with GET (list, by labelSelector and fieldSelector metadata.name, limit and
continue), watch (resourceVersion, timeoutSeconds, bookmarks), POST, PUT and DELETE of objects, 401, 403, 404, 410 and 429 as
Status objects. Namespaces are accepted and forgotten.

POST /_control takes JSON and makes it behave; each key is optional:
    tokens: [..]           who may come in (empty: everybody)
    forbid: [[verb, resource], ..]   403 for these
    compact: true          versions before the last change are gone; expire: true  continue tokens are gone
    gone: http | event     how a watch from a version that is gone is told
    future: wait | error   a watch from a version that is ahead: nothing comes, or 504 with ResourceVersionTooLarge
    version: N             the version goes (back) to N, as after a backup was restored
    bookmark: true         a bookmark to every watch now; bookmarks: SECONDS between them (0: none)
    end: true              ends every watch; cut: true  tears their connections
    answer: {status, body, headers, times, path}   the next requests whose path holds `path` are answered so
    hang: true | false     requests get no answer at all; a text: those whose path holds it
    raw: "text"            these bytes go to every watch; split: N  what a watch sends goes N bytes at a time
GET /_requests: every request so far: {method, path, args, token, open}; open: it is a watch that stands.
"""

import argparse
import base64
import itertools
import json
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

RESOURCES = {
    "endpointslices": ("/apis/discovery.k8s.io/v1", "EndpointSlice", "discovery.k8s.io"),
    "services": ("/api/v1", "Service", ""),
}
REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "AlreadyExists",
    410: "Expired",
    429: "TooManyRequests",
}

Thing = dict[str, Any]


def status(code: int, message: str, reason: str = "", details: Thing | None = None) -> Thing:
    """A Status object (meta/v1)."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason or REASONS.get(code, "InternalError"),
        "code": code,
        **({"details": details} if details else {}),
    }


class Selector:
    """labelSelector (equality and sets) and fieldSelector metadata.name of one request."""

    def __init__(self, args: dict[str, str], namespace: str) -> None:
        self.namespace = namespace
        self.name = args.get("fieldSelector", "").removeprefix("metadata.name=")
        self.labels = _split(args.get("labelSelector", ""))

    def __call__(self, thing: Thing) -> bool:
        metadata = thing["metadata"]
        if self.namespace and metadata["namespace"] != self.namespace:
            return False
        if self.name and metadata["name"] != self.name:
            return False
        return all(_fits(term, metadata.get("labels") or {}) for term in self.labels)


def _split(selector: str) -> list[str]:
    terms, depth, term = [], 0, ""
    for char in selector:
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            terms.append(term)
            term = ""
        else:
            term += char
    return [each.strip() for each in [*terms, term] if each.strip()]


def _fits(term: str, labels: dict[str, str]) -> bool:
    for word, wanted in ((" notin ", False), (" in ", True)):
        if word in term:
            name, _, values = term.partition(word)
            return (labels.get(name.strip()) in [v.strip() for v in values.strip(" ()").split(",")]) is wanted
    if "!=" in term:
        name, _, value = term.partition("!=")
        return labels.get(name) != value
    if "=" in term:
        name, _, value = term.replace("==", "=").partition("=")
        return labels.get(name) == value
    return term[1:] not in labels if term.startswith("!") else term in labels


class Watch:
    """One watch that stands."""

    def __init__(
        self, api: "Api", request: Request, resource: str, selector: Selector, version: int, bookmarks: bool
    ) -> None:
        self.api, self.request, self.resource, self.selector = api, request, resource, selector
        self.version, self.bookmarks = version, bookmarks
        self.timers: list[Any] = []
        request.notifyFinish().addBoth(lambda _: self.forget())

    def forget(self) -> None:
        self.api.watches.discard(self)
        for timer in self.timers:
            if timer.active():
                timer.cancel()

    def send(self, kind: str, thing: Thing) -> None:
        self.write(json.dumps({"type": kind, "object": thing}, ensure_ascii=False).encode() + b"\n")

    def write(self, data: bytes) -> None:
        size = self.api.split or len(data)
        for at in range(0, len(data), size):
            self.request.write(data[at : at + size])

    def see(self, change: tuple[int, Thing | None, Thing | None]) -> None:
        """One change: before and after, as the selector sees them."""
        version, before, after = change
        if version <= self.version:
            return
        was, now = before is not None and self.selector(before), after is not None and self.selector(after)
        self.version = version
        if now and after is not None:
            self.send("MODIFIED" if was else "ADDED", after)
        elif was and before is not None:
            gone = {**before, "metadata": {**before["metadata"], "resourceVersion": str(version)}}
            self.send("DELETED", gone)

    def bookmark(self) -> None:
        if self.bookmarks and self.version <= self.api.version:
            _, kind, group = RESOURCES[self.resource]
            self.version = self.api.version
            metadata = {"resourceVersion": str(self.version), "creationTimestamp": None}
            self.send("BOOKMARK", {"kind": kind, "apiVersion": f"{group}/v1" if group else "v1", "metadata": metadata})

    def end(self) -> None:
        self.request.finish()

    def cut(self) -> None:
        self.request.transport.abortConnection()  # type: ignore[attr-defined]


class Api(Resource):
    """The API server: what it knows and how it is told to behave."""

    isLeaf = True

    def __init__(self, clock: IReactorTime, version: int = 1000) -> None:
        super().__init__()
        self.clock = clock
        self.version = version
        self.things: dict[str, dict[str, Thing]] = {resource: {} for resource in RESOURCES}
        self.changes: dict[str, list[tuple[int, Thing | None, Thing | None]]] = {resource: [] for resource in RESOURCES}
        self.kept_since = version
        self.watches: set[Watch] = set()
        self.continues: dict[str, tuple[int, list[Thing]]] = {}
        self.numbers = itertools.count(1)
        self.requests: list[Thing] = []
        self.tokens: list[str] = []
        self.forbid: list[list[str]] = []
        self.gone, self.future = "event", "wait"
        self.bookmarks = 0.0
        self.answers: list[Thing] = []
        self.hang: bool | str = False
        self.split = 0

    # Objects.

    def put(self, resource: str, thing: Thing) -> Thing:
        """Create or replace."""
        metadata = thing["metadata"]
        key = f"{metadata.setdefault('namespace', 'default')}/{metadata['name']}"
        self.version += 1
        before = self.things[resource].get(key)
        after = {**thing, "metadata": {**metadata, "resourceVersion": str(self.version)}}
        self.things[resource][key] = after
        self._changed(resource, before, after)
        return after

    def delete(self, resource: str, key: str) -> Thing | None:
        before = self.things[resource].pop(key, None)
        if before is not None:
            self.version += 1
            self._changed(resource, before, None)
        return before

    def _changed(self, resource: str, before: Thing | None, after: Thing | None) -> None:
        change = (self.version, before, after)
        self.changes[resource].append(change)
        for watch in list(self.watches):
            if watch.resource == resource:
                watch.see(change)

    # HTTP.

    def render(self, request: Request) -> Any:
        path, args = request.path.decode(), {k.decode(): v[0].decode() for k, v in (request.args or {}).items()}
        if path == "/_control":
            self.control(json.loads(request.content.read()))
            return b"{}"
        if path == "/_requests":
            standing = [watch.request for watch in self.watches]
            told = [
                {k: v for k, v in each.items() if k != "request"} | {"open": each["request"] in standing}
                for each in self.requests
            ]
            return self.answer(request, 200, told)
        token = (request.getHeader("authorization") or "").removeprefix("Bearer ")
        method = request.method.decode()
        self.requests.append(
            {
                "method": method,
                "path": path,
                "args": args,
                "token": token,
                "request": request,
                "agent": request.getHeader("user-agent"),
            }
        )
        if self.hang is True or (self.hang and self.hang in path):
            return NOT_DONE_YET
        for scripted in self.answers:
            if scripted["times"] > 0 and scripted.get("path", "") in path:
                scripted["times"] -= 1
                for name, value in scripted.get("headers", {}).items():
                    request.setHeader(name, value)
                request.setResponseCode(scripted["status"])
                return scripted["body"].encode()
        if self.tokens and token not in self.tokens:
            return self.answer(request, 401, status(401, "Unauthorized"))
        return self.route(request, method, path, args)

    def answer(self, request: Request, code: int, data: Any) -> bytes:
        request.setResponseCode(code)
        request.setHeader("content-type", "application/json")
        return json.dumps(data, ensure_ascii=False).encode()

    def route(self, request: Request, method: str, path: str, args: dict[str, str]) -> Any:
        for resource, (base, _, group) in RESOURCES.items():
            if not path.startswith(base + "/"):
                continue
            parts = path.removeprefix(base + "/").split("/")
            if parts[0] == "namespaces" and len(parts) < 3:
                return self.answer(request, 201 if method == "POST" else 200, {})
            namespace, parts = (parts[1], parts[2:]) if parts[0] == "namespaces" else ("", parts)
            if parts[0] != resource:
                continue
            verb = {"POST": "create", "PUT": "update", "DELETE": "delete"}.get(
                method, "watch" if "watch" in args else "list"
            )
            if [verb, resource] in self.forbid:
                return self.answer(request, 403, status(403, forbidden(verb, resource, group, namespace)))
            return self.serve(request, verb, resource, namespace, parts[1:], args)
        # As v1.20 does: in words, no Status.
        request.setResponseCode(404)
        request.setHeader("content-type", "text/plain; charset=utf-8")
        return b"404 page not found\n"

    def serve(
        self, request: Request, verb: str, resource: str, namespace: str, names: list[str], args: dict[str, str]
    ) -> Any:
        if verb in ("create", "update"):
            thing = json.loads(request.content.read())
            thing["metadata"].setdefault("namespace", namespace or "default")
            key = f"{thing['metadata']['namespace']}/{thing['metadata']['name']}"
            if verb == "create" and key in self.things[resource]:
                return self.answer(request, 409, status(409, f"{resource} {key} already exists"))
            return self.answer(request, 201 if verb == "create" else 200, self.put(resource, thing))
        if names:
            group = RESOURCES[resource][2]
            full = f"{resource}.{group}" if group else resource
            found = self.things[resource].get(f"{namespace}/{names[0]}")
            if found is None:
                return self.answer(request, 404, status(404, f'{full} "{names[0]}" not found'))
            if verb != "delete":
                return self.answer(request, 200, found)
            self.delete(resource, f"{namespace}/{names[0]}")
            done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            return self.answer(request, 200, {**done, "details": {"name": names[0], "group": group, "kind": resource}})
        selector = Selector(args, namespace)
        return (
            self.watch(request, resource, selector, args)
            if verb == "watch"
            else self.listing(request, resource, selector, args)
        )

    def listing(self, request: Request, resource: str, selector: Selector, args: dict[str, str]) -> bytes:
        _, kind, group = RESOURCES[resource]
        if token := args.get("continue"):
            if token not in self.continues:
                return self.answer(request, 410, status(410, "The provided continue parameter is too old"))
            version, rest = self.continues[token]
        else:
            version, rest = self.version, [self.things[resource][key] for key in sorted(self.things[resource])]
            rest = [each for each in rest if selector(each)]
        limit = int(args.get("limit", "0")) or len(rest)
        page, rest = rest[:limit], rest[limit:]
        metadata: Thing = {"resourceVersion": str(version)}
        if rest:
            following = base64.urlsafe_b64encode(f"{version}:{next(self.numbers)}".encode()).decode()
            self.continues[following] = (version, rest)
            metadata |= {"continue": following}
            # With a selector nobody has counted.
            metadata |= {} if selector.labels or selector.name else {"remainingItemCount": len(rest)}
        api = f"{group}/v1" if group else "v1"
        # What the list is says what its items are.
        items = [{name: value for name, value in each.items() if name not in ("kind", "apiVersion")} for each in page]
        return self.answer(
            request, 200, {"kind": f"{kind}List", "apiVersion": api, "metadata": metadata, "items": items}
        )

    def watch(self, request: Request, resource: str, selector: Selector, args: dict[str, str]) -> Any:
        version = int(args.get("resourceVersion", "0"))
        too_old = status(410, f"too old resource version: {version} ({self.kept_since})")
        if version < self.kept_since and self.gone == "http":
            return self.answer(request, 410, too_old)
        if version > self.version and self.future == "error":
            cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            words = f"Timeout: Too large resource version: {version}, current: {self.version}"
            return self.answer(request, 504, status(504, words, "Timeout", {"causes": [cause], "retryAfterSeconds": 1}))
        request.setHeader("content-type", "application/json")
        watch = Watch(self, request, resource, selector, version, args.get("allowWatchBookmarks") in ("1", "true"))
        request.write(b"")
        if version < self.kept_since:
            watch.send("ERROR", too_old)
            request.finish()
            return NOT_DONE_YET
        self.watches.add(watch)
        for change in self.changes[resource]:
            watch.see(change)
        watch.timers.append(self.clock.callLater(float(args.get("timeoutSeconds", "3600")), watch.end))
        if self.bookmarks:
            self._bookmark_later(watch)
        return NOT_DONE_YET

    def _bookmark_later(self, watch: Watch) -> None:
        def due() -> None:
            watch.bookmark()
            self._bookmark_later(watch)

        if self.bookmarks and watch in self.watches:
            watch.timers = [timer for timer in watch.timers if timer.active()]
            watch.timers.append(self.clock.callLater(self.bookmarks, due))

    def control(self, orders: Thing) -> None:
        """What `_control` takes."""
        for name, order in orders.items():
            if name in ("tokens", "forbid", "gone", "future", "bookmarks", "hang", "split"):
                setattr(self, name, order)
            else:
                getattr(self, f"do_{name}")(order)

    def do_compact(self, order: bool) -> None:
        self.kept_since = self.version
        for resource in self.changes:
            self.changes[resource] = []

    def do_expire(self, order: bool) -> None:
        self.continues.clear()

    def do_version(self, order: int) -> None:
        self.version = self.kept_since = order
        for resource, things in self.things.items():
            self.changes[resource] = []
            for thing in things.values():
                thing["metadata"]["resourceVersion"] = str(order)

    def do_bookmark(self, order: bool) -> None:
        for watch in list(self.watches):
            watch.bookmark()

    def do_end(self, order: bool) -> None:
        for watch in list(self.watches):
            watch.end()

    def do_cut(self, order: bool) -> None:
        for watch in list(self.watches):
            watch.cut()

    def do_answer(self, order: Thing) -> None:
        self.answers.append({"times": 1, "body": "", **order})

    def do_raw(self, order: str) -> None:
        for watch in list(self.watches):
            watch.write(order.encode())


def forbidden(verb: str, resource: str, group: str, namespace: str) -> str:
    """The words of an API server."""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    full = f"{resource}.{group}" if group else resource
    who = "system:serviceaccount:edge:edgegw"
    return f'{full} is forbidden: User "{who}" cannot {verb} resource "{resource}" in API group "{group}" {where}'


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--version", type=int, default=1000, help="the resourceVersion to start from")
    parser.add_argument("--token", action="append", default=[])
    options = parser.parse_args()
    reactor: Any = global_reactor
    api = Api(reactor, options.version)
    api.tokens = options.token
    reactor.listenTCP(options.port, Site(api), interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main()
