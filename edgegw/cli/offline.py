"""Verbs that need only the file, or not even that: check, show, schema, explain."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from edgegw.cli.output import plural
from edgegw.cli.place import config_path
from edgegw.cli.verbs import CONFIG, CONFIG_WORD, EXIT_OK, EXIT_PROBLEMS, FORMS, Argument, Call, CommandFailed, Verb
from edgegw.config.explain import UnknownKey, default_text, description, examples, explain, first_sentence, type_text
from edgegw.config.keys import Keys, keys_of
from edgegw.config.problems import ConfigError
from edgegw.config.report import count, render
from edgegw.config.schema import schema
from edgegw.config.show import show
from edgegw.config.source import loads
from edgegw.gateway.builtins import Parts
from edgegw.gateway.loading import Loaded, read, rehearse
from edgegw.gateway.settings import GatewaySettings


def run_check(call: Call) -> int:
    """Read and build everything, listen nowhere."""
    path, out = config_path(call), call.out
    loaded = None
    try:
        loaded = read(path, environ=call.environ, defer=True)
        found, sources = rehearse(loaded), loaded.document.files
    except ConfigError as error:
        found, sources = error.problems, error.sources
    errors = sum(problem.severity == "error" for problem in found)
    refused = bool(errors) or (call.options.strict and bool(found))
    if out.is_json:
        report = json.loads(render(found, {}, "json"))
        whole = loaded is not None and not loaded.is_wrong
        out.data({"ok": not refused, "config": path, **report, **(_counts(loaded) if loaded and whole else {})})
    elif found:
        out.problems(found, sources, None if not refused else "")
    if not refused and out.form == "text" and loaded is not None:
        counts = ", ".join(plural(number, name.removesuffix("s")) for name, number in _counts(loaded).items())
        warned = f"; {count(found)}" if found else ""
        out.line(f"{path}: {out.paint('ok', 'green')} ({counts}{warned})")
    return EXIT_PROBLEMS if refused else EXIT_OK


def _counts(loaded: Loaded) -> dict[str, int]:
    settings = loaded.settings
    return {"routes": len(settings.routes), "upstreams": len(settings.upstreams), "listeners": len(settings.listen)}


def run_show(call: Call) -> int:
    """The effective configuration."""
    loaded = read(config_path(call), environ=call.environ)
    text = show(loaded.settings, loaded.document)
    if call.out.is_json:
        call.out.data(loads(text, environ={}).data)
        return EXIT_OK
    wanted = text.splitlines()
    if call.options.written:
        wanted = [line for line in wanted if not line.endswith("# default")]
    for line in wanted:
        body, mark, note = line.partition("  # ")
        call.out.line(body + (call.out.paint(mark + note, "dim") if mark else ""))
    return EXIT_OK


def run_schema(call: Call) -> int:
    """JSON Schema."""
    call.out.data(schema(GatewaySettings, title="edgegw configuration"))
    return EXIT_OK


def run_explain(call: Call) -> int:
    """What a key is."""
    key = call.options.key or ""
    model: type[BaseModel] = GatewaySettings
    shown, name = key, ""
    if key.split(".")[0] == "middleware":
        name, _, key = key.removeprefix("middleware").removeprefix(".").partition(".")
        if not name:
            return _list_middleware(call)
        model = _part(name)
    try:
        text = explain(model, key)
    except UnknownKey as error:
        raise CommandFailed(str(error)) from None
    if call.out.is_json:
        call.out.data({"key": shown, **_facts(model, key)})
    else:
        if model is not GatewaySettings:
            text = text.replace("KEY      the configuration", f"KEY      {shown}", 1)
            text = text.replace("more: edgegw explain ", f"more: edgegw explain middleware.{name}.")
        call.out.line(text.rstrip("\n"))
    return EXIT_OK


def _part(name: str) -> type[BaseModel]:
    parts = Parts()
    try:
        return parts.middleware(name).settings
    except LookupError:
        known = ", ".join(parts.names)
        raise CommandFailed(f'there is no middleware "{name}"; known: {known}') from None
    except Exception as error:
        raise CommandFailed(f'middleware "{name}" cannot be imported: {type(error).__name__}: {error}') from None


def _list_middleware(call: Call) -> int:
    rows = []
    for name in Parts().names:
        try:
            rows.append((name, first_sentence((_part(name).__doc__ or "").strip())))
        except CommandFailed as error:
            rows.append((name, str(error)))
    if call.out.is_json:
        call.out.data([{"name": name, "description": text} for name, text in rows])
        return EXIT_OK
    call.out.table(("MIDDLEWARE", "WHAT IT DOES"), rows)
    call.out.line("\nmore: edgegw explain middleware.NAME")
    return EXIT_OK


def _facts(model: type[BaseModel], key: str) -> dict[str, Any]:
    """What `explain` says, for programs."""
    keys = keys_of(model)
    path = [part for part in key.replace("[", ".").replace("]", "").split(".") if part]
    found = keys.find(path)
    node = keys.root if isinstance(found, str) or found.node is None else found.node
    required = keys.required(keys.inner(node))
    children = {
        name: _fact(keys, child) | {"required": name in required} for name, child in keys.children(node).items()
    }
    return _fact(keys, node) | {"keys": children}


def _fact(keys: Keys, node: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": type_text(keys, node),
        "default": default_text(node, False) if "default" in node else None,
        "description": description(keys, node),
        "examples": examples(keys, node),
    }


CHECK = Verb(
    "check",
    "say whether a configuration is right, with every problem in one run",
    run_check,
    (CONFIG_WORD, CONFIG, Argument(("--strict",), "take warnings for errors", {"action": "store_true"}), *FORMS),
    "Builds everything without listening: certificates parse and are in date, expressions compile, files exist,\n"
    "middleware imports. The running gateway is not asked and not changed.",
    ("edgegw check", "edgegw check shop.yaml --format github"),
)
SHOW = Verb(
    "show",
    "print the effective configuration, defaults marked and secrets hidden",
    run_show,
    (
        CONFIG_WORD,
        CONFIG,
        Argument(("--written",), "without the defaults", {"action": "store_true"}),
        *FORMS,
    ),
)
SCHEMA = Verb(
    "schema",
    "print the JSON Schema of the configuration, for editors",
    run_schema,
    FORMS,
    "Editors with the YAML language server complete and check by it when the first line of the file is\n"
    "    # yaml-language-server: $schema=./edgegw.schema.json",
    ("edgegw schema > edgegw.schema.json",),
)
EXPLAIN = Verb(
    "explain",
    "say what a key of the configuration is",
    run_explain,
    (Argument(("KEY",), "such as routes.timeout or upstreams.pool; without it, every key", {"nargs": "?"}), *FORMS),
    "`edgegw explain middleware` lists what a route's `middleware:` may use.",
    ("edgegw explain routes.timeout", "edgegw explain middleware.headers"),
)
