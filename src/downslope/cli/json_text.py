"""Results as JSON, in which inf and NaN are strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def print_json(result: Mapping[str, Any]) -> None:
    """Print a result as one JSON object; inf and NaN as strings, which JSON has no numbers for."""
    print(as_json_text(result))


def as_json_text(result: Mapping[str, Any]) -> str:
    """Return a result as one JSON object on a line; inf and NaN as strings."""
    import json

    return json.dumps(_plain(result), allow_nan=False)


def _plain(value: Any) -> Any:
    from downslope.training.folder.log import as_json

    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):  # a path may hold bytes that were no text in the locale's encoding, and mostly are UTF-8
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return as_json(value)
