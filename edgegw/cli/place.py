"""Where the configuration and the state folder are."""

from __future__ import annotations

import re
from pathlib import Path

from edgegw.cli.verbs import Call, UsageProblem
from edgegw.config.problems import ConfigError
from edgegw.config.source import load
from edgegw.gateway.loading import base_dir_of
from edgegw.gateway.messages import SOCKET
from edgegw.gateway.settings import GatewaySettings

DEFAULT_CONFIG = "edgegw.yaml"
ENVIRONMENT = "EDGEGW_CONFIG"

NO_CONFIG = (
    f"there is no {DEFAULT_CONFIG} in this folder and {ENVIRONMENT} is not set; "
    "give a configuration with --config FILE, or write a first one: edgegw init"
)
_STATE = re.compile(r"^state: *(?:\"([^\"]+)\"|'([^']+)'|([^\s#\"'][^#\n]*))", re.MULTILINE)


def config_path(call: Call) -> str:
    """The configuration that the verb is about, as the person would name it.

    Raises:
        UsageProblem: none was named, and none is where one would be looked for.
    """
    options = call.options
    word, flag = getattr(options, "config_word", None), options.config
    if word and flag and word != flag:
        raise UsageProblem(f"{word} and --config {flag}: which one?")
    found = word or flag or (DEFAULT_CONFIG if Path(DEFAULT_CONFIG).exists() else call.environ.get(ENVIRONMENT))
    if not found:
        raise UsageProblem(NO_CONFIG)
    return str(found)


def state_dir(call: Call) -> Path:
    """The state folder of the gateway that runs, or ran, with this configuration.

    The configuration need not be valid: it may be just the one that has to be rolled back.
    """
    if call.options.state:
        return Path(call.options.state)
    path = config_path(call)
    return base_dir_of(path) / _stated(path, call)


def control_socket(call: Call) -> Path:
    """Where that gateway is asked."""
    return state_dir(call) / SOCKET


def _stated(path: str, call: Call) -> str:
    default = str(GatewaySettings.model_fields["state"].default)
    try:
        found = load(path, environ=call.environ, defer=True).data.get("state", default)
    except ConfigError as error:
        matches = [match for text in error.sources.values() if (match := _STATE.search(text))]
        found = next((group for group in matches[0].groups() if group), default).strip() if matches else default
    return found if isinstance(found, str) and found else default
