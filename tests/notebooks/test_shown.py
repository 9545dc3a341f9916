"""What a notebook shows: the same parts as the pages, nothing that runs, ids that are each output's own."""

import json
import os
import re
import signal
import sys
import threading
import time
from html.parser import HTMLParser

import pytest

import downslope
from downslope.core.errors import DownslopeError
from downslope.notebooks.blocks import Code, Points, Rows, Text, Title, as_html, as_markdown
from downslope.notebooks.fragment import fragment_of

WORDS = "SGD with momentum 0.9; lr 0.1, divided by 10 every 30 epochs; 90 epochs, batch size 256"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
TABLE = {"table", "thead", "tbody", "tr", "th", "td"}
TORCH = "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)"


class Seen(HTMLParser):
    """What is in a piece of HTML: its tags, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.references, self.handlers, self.text = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            self.handlers += [name] if name.startswith("on") or "javascript:" in (value or "") else []
            self.ids += [value] if name == "id" else []
            self.references += [value[1:]] if name == "href" and value.startswith("#") else []
            self.references += value.split() if name == "aria-labelledby" else []
            self.references += re.findall(r"url\(#([^)]*)\)", value or "")

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """Return one of each kind, and a run."""
    made = {
        "readings": downslope.read(WORDS),
        "reading": downslope.read(WORDS)[0],
        "explanation": downslope.explain("digits"),
        "comparison": downslope.compare(TORCH, TORCH.replace("5e-4", "1e-4")),
        "audit": downslope.audit("SGD, lr 0.1, weight decay 0.98, 90 epochs"),
        "rescaled": downslope.rescale("digits", batch_size=64),
        "recipe": downslope.load_recipe("digits"),
    }
    small = [("train.epochs", "1"), ("model.hidden", "[8]"), ("data.batch_size", "256"), ("title", json.dumps(HOSTILE))]
    recipe = downslope.load_recipe(overrides=small)
    made["run"] = downslope.train(recipe, tmp_path_factory.mktemp("runs") / "small", quiet=True)
    return made


KINDS = {
    "readings": ["What the text says", WORDS[:17], "divided by 10 every 30 epochs"],
    "reading": ["What the text says", "divided by 10 every 30 epochs"],
    "explanation": ["The update rule", "decay timescale", "Polyak"],
    "comparison": ["Not the same rule: they part at step 0", "weight_decay", "To make them equal"],
    "audit": ["without a gradient, weights keep 37 %", "certain"],
    "rescaled": ["data.batch_size", "Goyal"],
    "recipe": ['name = "digits"', "momentum = 0.9"],
    "run": ["<script>alert(1)</script>", "loss"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_shows_itself_as_html(kind, things):
    """It says what its page says; no script, no handler, and every reference leads to an id of its own output."""
    html = things[kind]._repr_html_()
    seen = Seen(html)
    for words in KINDS[kind]:
        assert words.lower() in seen.text.lower(), words
    assert not {*seen.tags} & {"script", "iframe", "object", "link", "meta", "html", "body", "base", "form"}
    assert not seen.handlers
    assert {*seen.references} <= {*seen.ids}
    assert len(html) < 500_000
    assert html.count("<div class=") >= 1
    own = re.match(r'<div class="(d[0-9a-f]{10})"', html)[1]
    assert all(one.startswith(own) for one in seen.ids)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "run"])
def test_each_shows_itself_as_markdown(kind, things):
    """In short, for those who read text."""
    text = things[kind]._repr_markdown_()
    assert text.endswith("\n")
    assert "|" in text or "```" in text


def test_each_is_text_in_ipython(things):
    """As the command prints it, and no page-long repr."""
    pretty = pytest.importorskip("IPython.lib.pretty").pretty
    assert pretty(things["readings"]).startswith("Reading 1 of 1: SGD")
    assert pretty(things["explanation"]) == str(things["explanation"])
    assert pretty(things["audit"]) == str(things["audit"])
    assert pretty(things["recipe"]).startswith('title = "Handwritten')
    assert "  sgd.lr.initial: before 0.1; now 0.2; why the effective lr" in pretty(things["rescaled"])
    assert pretty(things["comparison"]).startswith("Not the same rule: they part at step 0")
    assert pretty(things["run"]) == repr(things["run"])
    assert max(len(pretty(one)) for one in things.values()) < 20_000


def test_a_long_text_is_not_shown_beside_its_values():
    """Of a paper the values are shown, with their words; the paper itself is not put into the notebook."""
    readings = downslope.read(f"{WORDS}. {'Nothing of it. ' * 3000}")
    assert "Nothing of it. Nothing of it. Nothing" not in readings._repr_html_()
    assert "divided by 10 every 30 epochs" in readings._repr_html_()


def test_style_stays_inside():
    """Rules for the page are rules for the output's own element; two outputs share no id."""
    page = (
        "<!doctype html><html lang=zh-CN><style>/* body */ :root { --a: 1 } body { x: y } tbody { z: 0 }</style><body>"
        '<p id="a" onclick="run()">1</p><a href="#a">2</a><svg style="clip-path: url(#a)" aria-labelledby="a b"></svg>'
        "<script>run()</script><footer>3</footer><div hidden>4<div>5</div>6</div><div>7</div></body></html>"
    )
    found = fragment_of(page)
    own = re.match(r'<div class="(\w+)" lang="zh-CN">', found)[1]
    assert f'<p id="{own}-a">1</p><a href="#{own}-a">2</a>' in found
    assert f'url(#{own}-a)" aria-labelledby="{own}-a {own}-b"' in found
    assert "& { --a: 1 } & { x: y } tbody { z: 0 }" in found
    assert "run()" not in found
    assert "footer" not in found
    assert [one for one in "4567" if f">{one}" in found or f"{one}<" in found] == ["7"]
    assert own not in fragment_of(page.replace("1</p>", "other</p>"))


def test_blocks_mean_nothing_but_their_text():
    """What comes from outside is text, in HTML and in Markdown."""
    blocks = [Title(HOSTILE), Text("a | b\n# c"), Points("[x](y)", ["*"]), Rows(["h"], [["`|`"]])]
    blocks.append(Code("a\n```\nb", ""))
    html, markdown = as_html(blocks), as_markdown(blocks)
    assert {*Seen(html).tags} == {"div", "style", "h1", "h2", "p", "ul", "li", "pre", "code"} | TABLE
    assert "\\<script\\>" in markdown
    assert "a \\| b \\# c" in markdown
    assert "````\na\n```\nb\n````" in markdown
    assert as_html([Points("nothing", [])]).count("nothing") == 0


def test_without_what_draws_it_the_text_is_shown(monkeypatch):
    """No matplotlib, no page: Jupyter is told to show the text."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    assert downslope.explain("digits")._repr_html_() is None
    assert downslope.read(WORDS)._repr_html_() is not None


def test_what_is_opened_says_what_it_is(things, tmp_path):
    """A run is opened by its folder; what holds none is refused."""
    again = downslope.open_run(things["run"].path)
    assert repr(again) == f"RunFolder({str(things['run'].path)!r})"
    assert again.rows("evaluation")[-1]["step"] == 5
    with pytest.raises(DownslopeError, match="holds no study"):
        downslope.open_study(tmp_path)


def test_training_from_python_is_the_commands_own(things, tmp_path):
    """The same bits as `downslope train` leaves; the same call again finds it finished."""
    from downslope.cli.main import main

    words = ["--train.epochs", "1", "--model.hidden", "[8]", "--data.batch_size", "256", "--title", json.dumps(HOSTILE)]
    assert main(["train", "digits", *words, "--out", str(tmp_path / "by-command"), "--quiet"]) == 0
    name, run = "model.safetensors", things["run"]
    assert (run.path / name).read_bytes() == (tmp_path / "by-command" / name).read_bytes()
    assert downslope.train(run.recipe(), run.path, quiet=True).path == run.path


def test_an_interrupt_saves_and_raises(tmp_path):
    """A notebook's interrupt is a SIGINT: the run is saved where it was, and is there to go on with."""
    small = [("train.epochs", "100000"), ("model.hidden", "[8]"), ("data.batch_size", "256")]
    log = tmp_path / "run" / "log.jsonl"

    def interrupt_once_it_runs():
        while not (log.exists() and log.stat().st_size > 0):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=interrupt_once_it_runs, daemon=True)
    watcher.start()
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        downslope.train(downslope.load_recipe(overrides=small), tmp_path / "run", quiet=True)
    run = downslope.open_run(tmp_path / "run")
    assert run.last().step > 0
    assert "downslope" in run._repr_html_()


def test_a_study_from_python_is_the_commands_own(tmp_path):
    """The same `best.toml`; what is returned shows the study's page, and is opened again; a part of it shows a part."""
    pytest.importorskip("optuna")
    from downslope.cli.main import main

    small = ["--model.hidden", "[8]", "--data.batch_size", "256", "--train.epochs", "2"]
    search = {"sgd.lr": "log(0.01, 1)"}
    recipe = downslope.load_recipe(overrides=list(zip((w[2:] for w in small[::2]), small[1::2], strict=True)))
    study = downslope.tune(recipe, tmp_path / "study", trials=2, seeds=1, search=search)
    line = "sgd.lr = log(0.01, 1)"
    told = ["--trials", "2", "--seeds", "1", "--search", line, "--quiet", "--out", str(tmp_path / "command" / "study")]
    assert main(["tune", "digits", *small, *told]) == 0
    for name in ("best.toml", "study.json", "study.html"):
        assert (study.folder / name).read_bytes() == (tmp_path / "command" / "study" / name).read_bytes()
    left = [{one.name for one in path.iterdir()} for path in (study.folder, tmp_path / "command" / "study")]
    assert left[0] == left[1]
    assert "best-trials.html" in left[0]
    again = downslope.open_study(tmp_path / "study")
    assert "All trials, the best first" in again._repr_html_()
    assert Seen(again._repr_html_()).references
    with pytest.raises(DownslopeError, match="another study"):
        downslope.tune(recipe, tmp_path / "study", trials=3, seeds=1, search=search)
