"""The page of the laboratory: one HTML file with one script of its own, which asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from downslope.core.errors import DownslopeError, SettingsError, one_of
from downslope.core.settings import Decay, Settings
from downslope.lab.javascript import rule_source
from downslope.plot.template import render_page

LANGUAGES = ("en", "zh")
DEFAULT = Settings(lr=0.05, momentum=0.9)
CURVATURES = (0.1, 20.0)
"""A valley two hundred times as steep across as along: there momentum wins by far over plain SGD at its own best lr."""


def write_page(
    out: Path | str,
    settings: Settings = DEFAULT,
    *,
    curvatures: tuple[float, float] = CURVATURES,
    lang: str = "en",
) -> Path:
    """Write the page to an HTML file, and return its path.

    Raises:
        DownslopeError: If `out` is a folder.
        MissingDependencyError: If jinja2 is not installed.
        SettingsError: If there is no such language, or a number of the settings is driven by a schedule.
    """
    out = Path(out)
    if out.is_dir():
        raise DownslopeError(f"{out}: is a folder. Give the file to write, such as {out / 'lab.html'}.")
    page = render(settings, curvatures=curvatures, lang=lang)
    out.write_text(page, encoding="utf-8")
    return out


def render(settings: Settings = DEFAULT, *, curvatures: tuple[float, float] = CURVATURES, lang: str = "en") -> str:
    """Return the page as HTML.

    Args:
        settings: What the sliders begin with: numbers, not schedules, and lr outside the velocity.
        curvatures: Of the valley, along and across.
        lang: "en" or "zh".

    Raises:
        MissingDependencyError: If jinja2 is not installed.
        SettingsError: If there is no such language, or the sliders cannot hold the settings.
    """
    if lang not in LANGUAGES:
        raise SettingsError(f"there is no language {lang!r}; there are {one_of(LANGUAGES)}.")
    words = tomllib.loads(_text("words.toml"))[lang]
    begin = _begin(settings, curvatures)
    script = "\n".join(
        [
            '"use strict";',
            rule_source(),
            f"const BEGIN = {json.dumps(begin)};",
            f"const WORDS = {json.dumps(words, ensure_ascii=False)};",
            _text("lab.js"),
        ]
    )
    script = re.sub(r"\n\s*\n+", "\n", script)  # as the page is laid out, or its hash would be another
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render_page(
        "lab/lab.html.j2",
        lang="zh-Hans" if lang == "zh" else lang,
        words=words,
        script=script,
        digest=digest,
        decays=get_args(Decay),
    )


def _begin(settings: Settings, curvatures: tuple[float, float]) -> dict[str, Any]:
    """Return what the sliders begin with."""
    numbers = {name: getattr(settings, name) for name in ("lr", "momentum", "weight_decay", "dampening")}
    driven = [name for name, value in numbers.items() if not isinstance(value, int | float)]
    if driven:
        raise SettingsError(
            f"`{driven[0]}` is driven by a schedule, and a slider holds a number. Give a recipe with numbers, or the "
            "largest of the schedule's: --sgd.lr 0.1."
        )
    if settings.lr_in_velocity or settings.maximize:
        name = "lr_in_velocity" if settings.lr_in_velocity else "maximize"
        raise SettingsError(f"`{name}` = true has no slider here. Leave it out; with constant numbers it is the same.")
    low, high = sorted(curvatures)
    if not 0 < low <= high < float("inf"):
        raise SettingsError(f"curvatures must be above 0 and finite; got {low!r} and {high!r}.")
    return {**numbers, "nesterov": settings.nesterov, "decay": settings.decay, "along": low, "across": high}


def _text(name: str) -> str:
    return (resources.files("downslope.lab") / name).read_text(encoding="utf-8")
