"""The google.api.http rules of an API, compiled; a request finds its own in one walk down a tree of segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from edgegw.config.problems import Problems, quoted
from edgegw.middleware.transcode.descriptors import Api, Method
from edgegw.middleware.transcode.template import MANY, ONE, Template, TemplateError, Variable, parse
from edgegw.middleware.transcode.values import TEXTUAL

ANY_METHOD = "*"
WHOLE = "*"
_PATTERNS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One way to call a method.

    variables: what the path binds. body, response_body: field that the body is, `*` for the whole message, or empty; of a request
    empty means that its body is not read.
    """

    method: Method
    variables: tuple[Variable, ...]
    body: str
    response_body: str
    bound: frozenset[tuple[str, ...]]

    def __repr__(self) -> str:
        return f"<Rule {self.method.path}>"


@dataclass(slots=True, eq=False)
class _Node:
    """literal: by segment. one: behind a `*`. here, many: rules by verb and HTTP method that end here, or in `**` from here on."""

    literal: dict[str, _Node] = field(default_factory=dict)
    one: _Node | None = None
    here: dict[str, dict[str, Rule]] = field(default_factory=dict)
    many: dict[str, dict[str, Rule]] = field(default_factory=dict)


class Rules:
    """All rules of the services of a route."""

    def __init__(self) -> None:
        self._root = _Node()
        self._verbs: set[str] = set()
        self.count = 0

    def add(self, http_method: str, template: Template, rule: Rule) -> Rule | None:
        """Add a rule. Returns the one that stands there already, if one does."""
        node, segments = self._root, template.segments
        deep = segments[-1] == MANY
        for segment in segments[:-1] if deep else segments:
            if segment != ONE:
                node = node.literal.setdefault(segment, _Node())
                continue
            if node.one is None:
                node.one = _Node()
            node = node.one
        ends = (node.many if deep else node.here).setdefault(template.verb, {})
        if http_method in ends:
            return ends[http_method]
        ends[http_method] = rule
        self._verbs.add(template.verb)
        self.count += 1
        return None

    def find(self, http_method: str, path: str) -> tuple[Rule, list[str]] | None:
        """The rule that a request fits, with what its variables capture, still escaped; None if there is no such rule.

        Literals go before `*`, these before `**`. A slash at the end does not count. What follows a colon in the last segment is a
        verb wherever some rule has it as one.
        """
        if not path.startswith("/"):
            return None
        segments = path[1:].split("/")
        if not segments[-1]:
            segments.pop()
        verb = ""
        if segments and ":" in segments[-1]:
            bare, _, said = segments[-1].rpartition(":")
            if said in self._verbs:
                segments[-1], verb = bare, said
        rule = _find(self._root, segments, 0, verb, http_method)
        if rule is None:
            return None
        return rule, ["/".join(segments[variable.start : variable.stop]) for variable in rule.variables]

    def __repr__(self) -> str:
        return f"<Rules {self.count}>"


def _find(node: _Node, segments: list[str], at: int, verb: str, http_method: str) -> Rule | None:
    """Depth first; no node is seen twice, for its depth is the index of the segment."""
    if at == len(segments):
        found = _of_method(node.here, verb, http_method)
    else:
        segment = segments[at]
        child = node.literal.get(segment)
        found = _find(child, segments, at + 1, verb, http_method) if child is not None else None
        if found is None and node.one is not None and segment:
            found = _find(node.one, segments, at + 1, verb, http_method)
    return found if found is not None else _of_method(node.many, verb, http_method)


def _of_method(ends: dict[str, dict[str, Rule]], verb: str, http_method: str) -> Rule | None:
    rules = ends.get(verb)
    if rules is None:
        return None
    return rules.get(http_method) or rules.get(ANY_METHOD)


def compile_rules(api: Api, services: tuple[str, ...], problems: Problems) -> Rules:
    """Compile what an API says of these services, or of all.

    Args:
        problems: gets all that is wrong, below `descriptors` and `services`.
    """
    rules = Rules()
    for index, name in enumerate(services):
        here = problems.under("services", index)
        if name not in api.services:
            here.add(
                (), f"there is no service {quoted(name)}", hint=f"there is {', '.join(api.services) or 'none at all'}"
            )
        elif not any(method.rule is not None for method in api.services[name]):
            here.add(
                (), f"no method of {name} has a google.api.http rule", hint=f"its methods are called at /{name}/..."
            )
    here = problems.under("descriptors")
    known = [api.services[name] for name in services or api.services if name in api.services]
    seen = False
    for method in chain.from_iterable(known):
        if method.rule is not None:
            seen = True
            _add(method, rules, here)
    if not seen and not services:
        here.add((), "no method has a google.api.http rule, so there is nothing to transcode")
    return rules


def _add(method: Method, rules: Rules, problems: Problems) -> None:
    if method.client_streaming:
        problems.warn(
            (), f"{method.name} takes a stream of messages, which HTTP requests for it cannot be: they get a 501"
        )
    for http_rule in (method.rule, *method.rule.additional_bindings):
        if http_rule is not method.rule and http_rule.additional_bindings:
            problems.add((), f"{method.name}: an additional binding has additional bindings")
        http_method, text = _pattern(http_rule)
        if not http_method or not text:
            problems.add((), f"{method.name}: its google.api.http rule has no path")
            continue
        said = f"{method.name}: the path {quoted(text)} of its google.api.http rule"
        try:
            template = parse(text)
        except TemplateError as error:
            problems.add((), f"{said} {error}")
            continue
        wrong = list(_wrong(method, http_rule, template, said))
        for message in wrong:
            problems.add((), message)
        if wrong:
            continue
        bound = frozenset(variable.field for variable in template.variables)
        rule = Rule(method, template.variables, http_rule.body, http_rule.response_body, bound)
        other = rules.add(http_method, template, rule)
        if other is not None:
            problems.add((), f"{said} is that of {other.method.name} too ({http_method})")


def _pattern(http_rule: Any) -> tuple[str, str]:
    kind = http_rule.WhichOneof("pattern")
    if kind == "custom":
        return http_rule.custom.kind, http_rule.custom.path
    return (kind.upper(), getattr(http_rule, kind)) if kind in _PATTERNS else ("", "")


def _wrong(method: Method, http_rule: Any, template: Template, said: str) -> Iterator[str]:
    """What does not fit the method's messages."""
    request, response = method.request.DESCRIPTOR, method.response.DESCRIPTOR
    for variable in template.variables:
        if not _can_bind(request, variable.field):
            name = ".".join(variable.field)
            yield f"{said} binds {quoted(name)}, which is not a field of {request.full_name} that text can be"
    for what, name, message in (
        ("body", http_rule.body, request),
        ("response_body", http_rule.response_body, response),
    ):
        whole = what == "body" and name == WHOLE
        if name and not whole and name not in message.fields_by_name:
            yield f"{method.name}: the {what} {quoted(name)} of its google.api.http rule is not a field of {message.full_name}"


def _can_bind(message: Any, names: tuple[str, ...]) -> bool:
    """Whether a field is there, with all fields on its way singular, and has values that a text can stand for."""
    found: Any = None
    for name in names:
        if message is None or (found is not None and message.full_name in TEXTUAL):
            return False
        found = message.fields_by_name.get(name)
        if found is None or found.is_repeated:
            return False
        message = found.message_type
    return message is None or message.full_name in TEXTUAL
