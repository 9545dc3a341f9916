"""The page of the laboratory, and its parts for other pages: sliders, plots, and the one script that moves them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from downslope.core.errors import DownslopeError, SettingsError, one_of
from downslope.core.settings import Decay, Settings
from downslope.lab.begin import START, Beginning, begin_with
from downslope.lab.javascript import rule_source
from downslope.lab.schedules import OFFERED
from downslope.plot.charts import as_json
from downslope.plot.template import policy_of, render_page

LANGUAGES = ("en", "zh")
DEFAULT = begin_with(Settings(lr=0.05, momentum=0.9))
_SCRIPTS = ("follow.js", "draw.js", "lab.js")


@dataclass(frozen=True)
class Parts:
    """What a page needs to hold the laboratory.

    Attributes:
        words: Its words in the page's language.
        begin: What the sliders begin with.
        script: The script, which goes into one `<script>` below everything else.
        decays: The ways of weight decay.
        schedules: Names of the schedules there are to choose from.
    """

    words: Mapping[str, str]
    begin: Beginning
    script: str
    decays: tuple[str, ...]
    schedules: tuple[str, ...]


def write_page(out: Path | str, begin: Beginning = DEFAULT, *, lang: str = "en") -> Path:
    """Write the page to an HTML file, and return its path.

    Raises:
        DownslopeError: If `out` is a folder.
        MissingDependencyError: If jinja2 is not installed.
        SettingsError: If there is no such language.
    """
    out = Path(out)
    if out.is_dir():
        raise DownslopeError(f"{out}: is a folder. Give the file to write, such as {out / 'lab.html'}.")
    page = render(begin, lang=lang)
    out.write_text(page, encoding="utf-8")
    return out


def render(begin: Beginning = DEFAULT, *, lang: str = "en") -> str:
    """Return the page as HTML.

    Args:
        begin: What the sliders begin with.
        lang: "en" or "zh".

    Raises:
        MissingDependencyError: If jinja2 is not installed.
        SettingsError: If there is no such language.
    """
    parts = make_parts(begin, lang)
    policy = policy_of(parts.script, pictures=False)
    return render_page("lab/lab.html.j2", lang="zh-Hans" if lang == "zh" else lang, policy=policy, lab=parts)


def make_parts(begin: Beginning, lang: str) -> Parts:
    """Return the parts of a page with sliders.

    Raises:
        SettingsError: If there is no such language.
    """
    if lang not in LANGUAGES:
        raise SettingsError(f"there is no language {lang!r}; there are {one_of(LANGUAGES)}.")
    words = tomllib.loads(_text("words.toml"))[lang]
    schedules = {name: {"shares": one.shares(), "torch": one.torch} for name, one in OFFERED.items()}
    script = "\n".join(
        [
            '"use strict";',
            rule_source(),
            f"const START = {_as_script(START)};",
            f"const BEGIN = {_as_script(begin.to_table())};",
            f"const SCHEDULES = {_as_script(schedules)};",
            f"const WORDS = {_as_script(words)};",
            *map(_text, _SCRIPTS),
        ]
    )
    script = re.sub(r"\n\s*\n+", "\n", script)  # as the page is laid out, or its hash would be another
    names = (*(["own"] if begin.course else []), *OFFERED)
    return Parts(words, begin, script, get_args(Decay), names)


def _as_script(value: Any) -> str:
    """Return a value as JavaScript inside HTML may have it: no `<`, and infinity as a number."""
    return as_json(value).replace("<", "\\u003c")


def _text(name: str) -> str:
    return (resources.files("downslope.lab") / name).read_text(encoding="utf-8")
