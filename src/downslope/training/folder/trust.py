"""Whether a run folder was made here: a recipe that names functions is code, and that of a stranger is a stranger's.

A recipe may name functions as "package.module:function", which evaluating, predicting, reporting and going on import
and call. In a run of one's own that is what one wants. In a folder that came from elsewhere it would run whatever its
author chose. So a run notes in its facts a seal over the functions that its recipe names, made with a secret that lies
in the user's own state folder ($XDG_STATE_HOME/downslope, else ~/.local/state/downslope): nobody else can make one, one
that is copied does not fit other functions, and a copy of one's own run still has its own. Any other run folder whose
recipe names functions is refused until the person has read them and says `--trust`, which is noted in the state folder.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from downslope.core.errors import DownslopeError
from downslope.core.files import NO_FOLLOW, read_regular
from downslope.core.shown import shown
from downslope.core.strict_json import decode_json
from downslope.training.folder.names import FACTS, RECIPE, read_recipe
from downslope.training.user_code import functions_named

SEAL = "made_here"
"""Key of the seal in the facts of a run."""

_SECRET = "secret"  # noqa: S105  the name of the file that holds it
_TRUSTED = "trusted"
_LENGTH = 64
_LARGEST = 256 << 20


class TrustError(DownslopeError):
    """A run folder that was not made here names functions, and nobody has said that they may be run."""


class _Facts(Struct):
    made_here: str | None = None


def seal_of(named: Mapping[str, str]) -> dict[str, str]:
    """Return what goes into the facts of a run: the seal, by its key; nothing if no function is named.

    Nor is there anything where the secret can be neither read nor made, as in a home that is read-only: the run then
    counts as one from elsewhere.
    """
    if not named:
        return {}
    secret = _secret(make=True)
    return {} if secret is None else {SEAL: _seal(secret, named)}


def check_trust(folder: Path, *, trust: bool = False) -> None:
    """Raise if using a run would run functions that a stranger chose; nothing of them is imported for it.

    Args:
        folder: The run folder.
        trust: Whether the person says that they may be run; it is noted, and need not be said again.

    Raises:
        TrustError: With the functions, and what to do.
        RecipeError: If its recipe cannot be read.
    """
    named = functions_named(read_recipe(folder))
    if not named:
        return
    secret, made = _secret(make=trust), _made(folder)
    if secret is not None:
        note = _note(secret, folder, named, made)
        if made is not None and hmac.compare_digest(made, _seal(secret, named)):
            return
        if os.path.lexists(note):
            return
        if trust:
            _write_note(note, folder)
    if trust:
        return
    names = ", ".join(f"{path} = {shown(repr(name))}" for path, name in named.items())
    raise TrustError(
        f"{shown(folder, 1000)}: was not made here by you, and its recipe names functions, which would be run: "
        f"{names}. Read its {RECIPE} and those functions; if you trust them, add --trust, which is asked for once."
    )


def state_folder() -> Path | None:
    """Return where what is the user's own is kept; None if there is no home."""
    given = os.environ.get("XDG_STATE_HOME", "")
    if Path(given).is_absolute():
        return Path(given) / "downslope"
    try:
        return Path.home() / ".local" / "state" / "downslope"
    except RuntimeError:
        return None


def _made(folder: Path) -> str | None:
    """Return the seal in the facts of a run, or None."""
    try:
        data = read_regular(folder / FACTS, limit=_LARGEST, follow=False)
        seal = decode_json(data, _Facts, FACTS).made_here
    except (OSError, DownslopeError):
        return None
    return seal if seal is not None and seal.isascii() else None


def _seal(secret: bytes, named: Mapping[str, str], *more: str) -> str:
    text = json.dumps([*sorted(named.items()), *more])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=secret, digest_size=16).hexdigest()


def _note(secret: bytes, folder: Path, named: Mapping[str, str], made: str | None) -> Path:
    """Return the file that notes the trust in these functions of the folder at this place."""
    root = state_folder() or Path()
    return root / _TRUSTED / _seal(secret, named, str(folder.resolve()), made or "")


def _write_note(path: Path, folder: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o600)
        os.write(descriptor, os.fsencode(folder.resolve()) + b"\n")  # for the person who looks
        os.close(descriptor)
    except OSError:
        return  # it cannot be noted here, and will have to be said again


def _secret(*, make: bool) -> bytes | None:
    """Return the user's secret; None if there is none and none can be made."""
    root = state_folder()
    if root is None:
        return None
    found = _read_secret(root / _SECRET)
    if found is None and make:
        try:
            _make_secret(root)
        except OSError:
            return None
        found = _read_secret(root / _SECRET)
    return found


def _read_secret(path: Path) -> bytes | None:
    try:
        text = read_regular(path, limit=_LENGTH + 1, follow=False).strip()
        return bytes.fromhex(text.decode()) if len(text) == _LENGTH else None
    except (OSError, ValueError, DownslopeError):
        return None


def _make_secret(root: Path) -> None:
    """Write a new secret; of several processes that do so at once, one wins, and all then read the same."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = root / f".{_SECRET}.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o600)
    try:
        os.write(descriptor, secrets.token_hex(_LENGTH // 2).encode() + b"\n")
        os.fsync(descriptor)
        os.link(partial, root / _SECRET)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        partial.unlink()
