"""JSON that was written by somebody else: of the type that was asked for, or refused with one message.

Every JSON that is read goes through here: manifests, facts of a run, lines of logs, configurations of other frameworks,
metadata of tensor files. A field that is missing, of another type, or nested so deep that decoding runs out of stack is
one error, so that the caller can pass over the file as over a damaged one.
"""

from __future__ import annotations

from typing import TypeVar

from downslope.core.errors import DownslopeError
from downslope.core.shown import shown

Decoded = TypeVar("Decoded")


def decode_json(
    data: bytes | str, form: type[Decoded], what: object, error: type[DownslopeError] = DownslopeError
) -> Decoded:
    """Return what JSON says, checked against a type.

    Args:
        data: The JSON, in UTF-8.
        form: What it must be: a `msgspec.Struct`, dataclass or TypedDict, `dict[str, float]`, ... Types are strict: a
            number in quotes is no number.
        what: What is decoded, for the message: a path.
        error: What to raise.

    Raises:
        DownslopeError: If it is no JSON, or of another form; of the type `error`.

    Example:
        >>> decode_json('{"step": 3}', dict[str, int], "state.json")
        {'step': 3}
        >>> decode_json('{"step": "3"}', dict[str, int], "state.json")
        Traceback (most recent call last):
            ...
        downslope.core.errors.DownslopeError: state.json: Expected `int`, got `str` - at `$[...]`.
    """
    import msgspec  # deferred: most who import this room decode nothing

    try:
        return msgspec.json.decode(data, type=form)
    except msgspec.ValidationError as reason:
        raise error(f"{shown(what)}: {shown(reason)}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as reason:
        raise error(f"{shown(what)}: is no JSON: {shown(reason)}.") from None
    except RecursionError:
        raise error(f"{shown(what)}: is nested too deep to be read.") from None
