"""Settings as plain data, as they would be written, with what they were made from at hand."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr


def plain(settings: BaseModel) -> dict[str, Any]:
    """Maps, lists, text and numbers by the keys of the configuration; values of a secret type stay objects of that type."""
    dumped = settings.model_dump(mode="json", by_alias=True)
    made = _kept(settings, dumped)
    return made if isinstance(made, dict) else dumped


def fields(value: object, dumped: Mapping[str, object]) -> dict[str, tuple[object, bool]]:
    """By the key in `dumped`: the value it was made from, and whether somebody wrote it."""
    if isinstance(value, BaseModel):
        return {
            info.serialization_alias or info.alias or name: (getattr(value, name), name in value.model_fields_set)
            for name, info in type(value).model_fields.items()
        }
    if isinstance(value, Mapping):
        return {str(key): (each, True) for key, each in value.items()}
    return dict.fromkeys(dumped, (None, True))


def _kept(value: object, dumped: object) -> object:
    """`dumped` with the secret objects of `value` back in their places: pydantic writes stars for each, whatever it holds."""
    if isinstance(value, (SecretStr, SecretBytes)):
        return value
    if isinstance(dumped, dict):
        found = fields(value, dumped)
        return {key: _kept(found.get(key, (None, True))[0], each) for key, each in dumped.items()}
    if isinstance(dumped, list) and isinstance(value, (list, tuple)) and len(value) == len(dumped):
        return [_kept(each, text) for each, text in zip(value, dumped, strict=True)]
    return dumped
