"""The page of an explanation: one HTML file, laid out by `page.html.j2`, which is whole without network and script."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from downslope.core.errors import DownslopeError
from downslope.explaining.explanation import Explanation
from downslope.explaining.language import Words, epochs_text, short, whole, words_of
from downslope.explaining.plots import draw_curves, draw_damping_map, draw_decay_map
from downslope.explaining.quantities import own_form
from downslope.explaining.sections import write_document
from downslope.explaining.sliders import beginning_of
from downslope.explaining.typeset import typeset, typeset_rule
from downslope.explaining.walks import draw_walks
from downslope.lab.page import make_parts
from downslope.plot.template import policy_of, render_page

_ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")

FOLDED = {"schedule": "details.schedule", "extents": "details.extents", "neighbours": "details.neighbours"}
"""Tables that are folded, with the names of the words for them."""


def write_page(explanation: Explanation, out: Path | str, *, lang: str = "en") -> Path:
    """Write the page of an explanation, in English ("en") or Chinese ("zh"), to an HTML file, and return its path.

    Raises:
        DownslopeError: If `out` is a folder.
        MissingDependencyError: If matplotlib or jinja2 is not installed.
        SettingsError: If there is no such language.
    """
    out = Path(out)
    if out.is_dir():
        raise DownslopeError(f"{out}: is a folder. Give the file to write, such as {out / 'explained.html'}.")
    page = render(explanation, lang=lang)
    out.write_bytes(page.encode("utf-8", "surrogateescape"))
    return out


def render(explanation: Explanation, *, lang: str = "en") -> str:
    """Return the page as HTML, in English ("en") or Chinese ("zh").

    Raises:
        MissingDependencyError: If matplotlib or jinja2 is not installed.
        SettingsError: If there is no such language.
    """
    words, document = words_of(lang), write_document(explanation, lang)
    plots = {
        "schedule": draw_curves(explanation, words),
        "decay": [draw_decay_map(explanation, words)],
        "damping": [draw_damping_map(explanation, words)],
    }
    lab = make_parts(beginning_of(explanation), "zh" if lang == "zh" else "en")
    return render_page(
        "explaining/page.html.j2",
        lang=words.say("language"),
        say=words.say,
        document=document,
        rule=typeset_rule(explanation),
        typeset=typeset,
        linked=_linked,
        folded=FOLDED,
        closed={"rotation"} if explanation.normalises is False else set[str](),
        headlines=_headlines(explanation, words),
        walks=draw_walks(explanation, words),
        policy=policy_of(lab.script),
        lab=lab,
        plots={name: [plot for plot in drawn if plot is not None] for name, drawn in plots.items()},
    )


def _linked(text: str) -> str:
    """Return text as HTML, its arXiv numbers as links."""
    return _ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>', escape(text))


def _headlines(explanation: Explanation, words: Words) -> list[tuple[str, str, str]]:
    """Return the numbers at the top: (what it is, the number, its unit)."""
    found = [(words.say("schedule.effective_lr"), short(explanation.peak.effective_lr, 3), "")]
    if "velocity_horizon" in explanation:
        value = whole(explanation["velocity_horizon"].value or 0.0)
        found.append((words.say("page.horizon"), value, words.say("page.unit.steps")))
    if "decay_epochs" in explanation:
        epochs, steps = explanation["decay_epochs"].value, explanation["decay_steps"].value or 0.0
        if explanation.memory.way == "grows":
            found.append((words.say("page.timescale"), words.say("memory.grows"), ""))
        elif epochs is not None:
            found.append((words.say("page.timescale"), epochs_text(epochs), words.say("page.unit.epochs")))
        else:
            found.append((words.say("page.timescale"), whole(steps), words.say("page.unit.steps")))
    own = own_form(explanation.settings)
    limit = max(0.0, explanation[f"largest_curvature_{own}"].value or 0.0)
    found.append((words.say("page.largest_curvature"), short(limit, 3), ""))
    return found
