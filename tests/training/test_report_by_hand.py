"""The report's plots in a real browser: what pointer, keyboard, switches, zoom and links show is what the log says."""

from __future__ import annotations

import csv
import io
import math

import pytest

from browser import CHROMIUM, ask
from training.report_runs import build_run, evaluation_rows, in_order, step_rows

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from downslope.core.number_text import percent_text
from downslope.training.report import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the page with"),
]
STEPS, HELD_OUT = step_rows(299), evaluation_rows(299)

HANDS = """
const at = (id) => page.getElementById(id), svg = (key) => at("live-" + key);
const figure = (key) => page.querySelector(`figure[data-chart="${key}"]`);
const box = (key) => svg(key).getBoundingClientRect();
// where a value lies on a chart's lower axis, told by its ticks
const pixel = (key, value) => {
  const number = (t) => [Number(t.textContent.replace("k", "e3")), Number(t.getAttribute("x"))];
  const ticks = [...svg(key).querySelectorAll(".tick.x")].map(number);
  const [a, b] = [ticks[0], ticks.at(-1)], scale = box(key).width / svg(key).viewBox.baseVal.width;
  return box(key).left + scale * (a[1] + ((value - a[0]) / (b[0] - a[0])) * (b[1] - a[1]));
};
const point = (key, kind, x, more) => svg(key).dispatchEvent(new w.PointerEvent(kind,
  { clientX: x, clientY: box(key).top + 60, button: 0, pointerType: "mouse", bubbles: true, ...more }));
const press = (key, name) => {
  svg(key).focus();
  svg(key).dispatchEvent(new w.KeyboardEvent("keydown", { key: name }));
};
const tip = (key) => figure(key).querySelector(".tip");
const told = (key) => (tip(key).hidden ? null : [tip(key).querySelector(".where").textContent,
  ...[...tip(key).querySelectorAll(".row")].map((row) => [...row.children].map((part) => part.textContent).slice(1))]);
const ticks = (key, axis) => [...svg(key).querySelectorAll(".tick." + axis)].map((t) => t.textContent);
const lines = (key) => svg(key).querySelectorAll("path.line").length;
const drag = (key, from, to) => { const [a, b] = [pixel(key, from), pixel(key, to)];
  point(key, "pointerdown", a); point(key, "pointermove", (a + b) / 2); point(key, "pointerup", b); };
const button = (text) => [...page.querySelectorAll(".tools button")].find((one) => one.textContent === text);
const saved = async (key) => { let kept; w.URL.createObjectURL = (blob) => ((kept = blob), "#kept");
  w.HTMLAnchorElement.prototype.click = () => {}; figure(key).querySelector(".csv").click(); return kept.text(); };
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a finished run of 299 steps."""
    folder = tmp_path_factory.mktemp("by-hand")
    return write_report([build_run(folder / "first")], folder / "page.html")


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """The page of three runs whose epochs have different lengths."""
    folder = tmp_path_factory.mktemp("by-hand-several")
    short = in_order(step_rows(200, per_epoch=46, lr=0.05), evaluation_rows(200, per_epoch=46))
    runs = [
        build_run(folder / "first"),
        build_run(
            folder / "second", count=200, rows=short, overrides=[("data.batch_size", "32")],
            facts={"steps_per_epoch": 46, "total_steps": 200},
        ),
        build_run(folder / "third", rows=step_rows(30)),
    ]  # fmt: skip
    return write_report(runs, folder / "page.html")


def mean_around(step, name="loss", window=7):
    """Return the mean over a window, as the plot without scripts draws it."""
    values = [row[name] for row in STEPS]
    reach = min(step, window // 2)
    after = min(reach, len(values) - 1 - step)
    part = values[step - reach : step + after + 1]
    return sum(part) / len(part)


def exponential(step, horizon, name="loss"):
    """Return the mean of all values so far, each by its age."""
    weights = [math.exp((row["step"] - step) / horizon) for row in STEPS[: step + 1]]
    return sum(w * row[name] for w, row in zip(weights, STEPS, strict=False)) / sum(weights)


@pytest.mark.parametrize("dark", [False, True])
def test_values_by_pointer_and_keyboard(page, dark):
    """At step 100 the mean, the step's own value, and the evaluation of step 91, which is nearest; keys walk on."""
    script = (
        HANDS
        + """
    const seen = {};
    seen.width = [page.documentElement.scrollWidth, Math.max(...[...page.querySelectorAll("svg.plot, figure, button")]
      .map((one) => one.getBoundingClientRect().right))];
    const look = (one) => w.getComputedStyle(one);
    seen.colours = [look(page.documentElement).backgroundColor, look(svg("loss").querySelector("path.line")).stroke];
    point("loss", "pointermove", pixel("loss", 100));
    seen.hover = told("loss");
    seen.inside = tip("loss").getBoundingClientRect().right;
    seen.others = svg("grad_norm").querySelectorAll(".cross line").length;
    point("loss", "pointerleave", 0);
    seen.left = told("loss");
    seen.keys = ["Home", "ArrowRight", "End", "ArrowLeft"].map((key) => { press("loss", key); return told("loss"); });
    press("loss", "PageDown");
    seen.page = told("loss")[0];
    seen.aloud = tip("loss").getAttribute("aria-live");
    seen.focus = page.activeElement === svg("loss");
    seen.requests = w.performance.getEntriesByType("resource").length;
    return seen;
    """
    )
    found, console = ask(page, (1280, 400), script, dark=dark)
    assert console == []
    for width, seen in zip((1280, 400), found, strict=True):
        assert max(seen["width"]) <= width
        assert seen["colours"] == (
            ["rgb(22, 22, 20)", "rgb(88, 180, 234)"] if dark else ["rgb(255, 255, 248)", "rgb(0, 114, 178)"]
        )
        where, train, held_out = seen["hover"]
        assert where == "step 100 · epoch 4.391"
        assert train[0] == "train"
        assert float(train[1]) == pytest.approx(mean_around(100), rel=1e-4)
        assert float(train[2].removeprefix("this step ")) == pytest.approx(STEPS[100]["loss"], rel=1e-4)
        assert held_out[0] == "held-out"
        assert float(held_out[1]) == pytest.approx(HELD_OUT[3]["loss"], rel=1e-4)
        assert held_out[2] == "at 91"
        assert seen["inside"] <= width
        assert seen["others"] == 1
        assert seen["left"] is None
        assert [told[0].split(" ·")[0] for told in seen["keys"]] == ["step 0", "step 1", "step 298", "step 297"]
        assert float(seen["keys"][2][1][1]) == pytest.approx(mean_around(298), rel=1e-4)
        assert seen["page"].startswith("step 267")
        assert seen["aloud"] == "polite"
        assert seen["focus"]
        assert seen["requests"] == 0


def test_switches_scales_zoom_units_and_reset(page):
    """Each changes what is drawn and the address; undone, the address is empty again."""
    script = (
        HANDS
        + """
    const seen = {}, hash = () => w.location.hash, key = figure("loss").querySelectorAll("button.key")[1];
    const drawn = () => [lines("loss"), ticks("loss", "x").join(), ticks("loss", "y").join()], first = drawn();
    key.click();
    seen.hidden = [lines("loss"), key.getAttribute("aria-pressed"), hash()];
    point("loss", "pointermove", pixel("loss", 100));
    seen.rows = told("loss").length;
    key.click();
    figure("loss").querySelector(".scale").click();
    const scale = figure("loss").querySelector(".scale");
    seen.scale = [scale.textContent, hash(), ticks("loss", "y").join() !== first[2]];
    press("loss", "l");
    drag("loss", 100, 200);
    seen.zoom = [hash(), ticks("loss", "x"), ticks("lr", "x")];
    press("loss", "Home");
    seen.home = told("loss")[0];
    press("loss", "+");
    seen.closer = hash();
    press("loss", "0");
    drag("grad_norm", 0, 50);
    button("show all").click();
    seen.whole = [hash(), drawn().join() === first.join()];
    button("epoch").click();
    seen.epoch = [hash(), ticks("loss", "x").at(-1), svg("loss").querySelector(".name").textContent];
    drag("loss", 2, 6);
    button("examples").click();
    seen.examples = [hash().split("&")[0], ...hash().split("zoom=")[1].split("~").map(Number)];
    const slider = page.querySelector(".tools input");
    slider.value = 12; slider.dispatchEvent(new w.Event("input"));
    seen.smooth = [hash().match(/smooth=([\\d.]+)/)[1] * 1, page.querySelector(".tools output").textContent,
      figure("accuracy").querySelectorAll("path.faint").length];
    button("show all").click(); button("step").click();
    point("loss", "pointermove", pixel("loss", 150));
    seen.ema = told("loss")[1];
    slider.value = 0; slider.dispatchEvent(new w.Event("input"));
    point("loss", "pointermove", pixel("loss", 150));
    seen.raw = told("loss")[1];
    button("reset").click();
    seen.end = [hash(), button("reset").disabled, lines("loss")];
    return seen;
    """
    )
    [seen], console = ask(page, (1280,), script)
    assert console == []
    assert seen["hidden"] == [1, "false", "#hide=loss.1"]
    assert seen["rows"] == 2
    assert seen["scale"] == ["linear", "#log.loss=0", True]
    address, of_loss, of_lr = seen["zoom"]
    low, high = map(float, address.removeprefix("#zoom=").split("~"))
    assert (low, high) == (pytest.approx(100, abs=1), pytest.approx(200, abs=1))
    assert of_loss == of_lr
    assert all(low <= float(tick) <= high for tick in of_loss)
    assert seen["home"].startswith(("step 100 ", "step 101 "))
    closer = [float(edge) for edge in seen["closer"].removeprefix("#zoom=").split("~")]
    assert closer[1] - closer[0] == pytest.approx((high - low) / 2, rel=0.02)
    assert seen["whole"] == ["", True]
    assert seen["epoch"] == ["#x=epoch", "12", "epoch"]
    assert seen["examples"] == ["#x=examples", pytest.approx(2 * 1437, rel=0.02), pytest.approx(6 * 1437, rel=0.02)]
    horizon, told, faint = seen["smooth"]
    assert told == f"over {horizon:g} steps"
    assert faint == 1
    assert float(seen["ema"][1]) == pytest.approx(exponential(150, horizon), rel=1e-4)
    assert float(seen["raw"][1]) == pytest.approx(STEPS[150]["loss"], rel=1e-4)
    assert len(seen["raw"]) == 2
    assert seen["end"] == ["", True, 2]


def test_a_link_shows_what_was_seen(page):
    """Units, smoothing, zoom, scale and switches come from the address; nonsense in it is left alone."""
    script = (
        HANDS
        + """
    return [w.location.hash, svg("loss").querySelector(".name").textContent, ticks("loss", "x"), lines("loss"),
      figure("loss").querySelector(".scale").textContent, page.querySelector(".tools output").textContent];
    """
    )
    address = "#x=epoch&smooth=20&zoom=2~6&log.loss=0&hide=loss.1"
    [seen], console = ask(page, (1280,), script, address=address)
    assert console == []
    assert seen == [address, "epoch", ["2", "3", "4", "5", "6"], 1, "linear", "over 20 steps"]
    nonsense = "#x=inches&smooth=-3&zoom=9~1&zoom.there=1~2&log.nothing=1&hide=x.1,%3Cb%3E"
    [seen], console = ask(page, (1280,), script, address=nonsense)
    assert console == []
    assert seen[1:4] == ["step", ["0", "50", "100", "150", "200", "250", "300"], 2]
    assert seen[5] == "running mean"


def test_the_file_of_a_plot_has_the_logs_numbers(page, several):
    """To the last digit, with epochs and examples done; of several runs a column each."""
    [text], console = ask(page, (1280,), HANDS + "return saved('loss');")
    assert console == []
    rows = list(csv.DictReader(io.StringIO(text)))
    held_out = {row["step"]: row["loss"] for row in HELD_OUT}
    assert len(rows) == 299
    for row, step in zip(rows, STEPS, strict=True):
        assert int(row["step"]) == step["step"]
        assert float(row["train"]) == step["loss"]
        assert row["held-out"] == ("" if step["step"] not in held_out else repr(held_out[step["step"]]))
    assert (float(rows[22]["epoch"]), rows[22]["examples"]) == (1.0, "1437")
    assert rows[0]["examples"] == "64"
    [text], _ = ask(several, (1280,), HANDS + "return saved('loss-train');")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][0] == "step"
    column = rows[0].index("second")
    values = [row[column] for row in rows[1:]]
    assert [float(value) for value in values[:200]] == [row["loss"] for row in step_rows(200)]
    assert set(values[200:]) == {""}


def test_several_runs_by_epochs(several):
    """Runs of different batches meet at the same epoch; one that ended is silent; one switch hides it everywhere."""
    script = (
        HANDS
        + """
    const seen = {};
    seen.scroll = page.documentElement.scrollWidth;
    button("epoch").click();
    point("loss-train", "pointermove", pixel("loss-train", 4));
    seen.four = told("loss-train");
    point("loss-train", "pointermove", pixel("loss-train", 10));
    seen.ten = told("loss-train");
    const keys = [...page.querySelectorAll("button.key")];
    seen.keys = keys.map((one) => one.textContent.trim());
    keys[0].click();
    seen.lines = ["loss-train", "lr", "weight_norm"].map(lines);
    keys[0].click();
    keys[2].dispatchEvent(new w.MouseEvent("click", { shiftKey: true }));
    seen.alone = [lines("loss-train"), w.location.hash.includes("hide=run.")];
    const first = page.querySelector(".results tbody th"), table = first.closest(".table");
    const before = first.getBoundingClientRect().left;
    table.scrollLeft = 80;
    seen.pinned = first.getBoundingClientRect().left - before;
    return seen;
    """
    )
    found, console = ask(several, (1280, 400), script)
    assert console == []
    for width, seen in zip((1280, 400), found, strict=True):
        assert seen["scroll"] <= width
        assert seen["four"][0] == "epoch 4"
        names = [row[0] for row in seen["four"][1:]]
        assert {"first", "second"} == set(names)
        by_name = {row[0]: row for row in seen["four"][1:]}
        assert float(by_name["first"][2].removeprefix("this step ")) == pytest.approx(STEPS[91]["loss"], rel=1e-4)
        assert float(by_name["second"][2].removeprefix("this step ")) == pytest.approx(STEPS[183]["loss"], rel=1e-4)
        assert [row[0] for row in seen["ten"][1:]] == ["first"]
        assert sorted(seen["keys"]) == ["first", "second", "third"]
        assert seen["lines"] == [2, 2, 2]
        assert seen["alone"] == [1, True]
        assert seen["pinned"] == 0


@pytest.mark.parametrize("count", [1, 3])
def test_the_axis_of_few_steps_has_whole_ones(tmp_path, count):
    """Of one step it goes from 0 to 1, as drawn beforehand; of three it has no half ones."""
    page = write_report([build_run(tmp_path / "run", rows=step_rows(count))], tmp_path / "page.html")
    found, _ = ask(page, [1000], HANDS + 'return ticks("loss", "x");')
    assert found == [[str(step) for step in range(max(count, 2))]]


def test_a_share_is_written_as_beforehand(page):
    """1/32 is 3.12 % in the script's charts too, as on the rest of the page, and so is every share of some batch."""
    shares = [
        count / size
        for size in (8, 32, 64, 100, 128, 360, 800, 20_000)
        for count in range(0, size + 1, 1 + size // 800)
    ]
    found, _ = ask(page, [400], f"return {shares}.map(w.percentText);")
    assert found == [[percent_text(share) for share in shares]]
    assert percent_text(1 / 32) == "3.12 %"


def test_nothing_else_may_run(page):
    """What somebody puts into a page neither runs nor loads; the page's own script does."""
    text = page.read_text(encoding="utf-8")
    evil = '<script>window.broken = 1</script><img src="x.png" onerror="window.broken = 2">'
    evil += '<b onclick="window.broken = 3">b</b>'
    other = page.with_name("other.html")
    other.write_text(text.replace("</footer>", f"{evil}</footer>"), encoding="utf-8")
    script = HANDS + "page.querySelector('footer b').click(); return [w.broken ?? null, lines('loss')];"
    [seen], console = ask(other, (1280,), script)
    assert seen == [None, 2]
    assert sum("Content Security Policy" in line for line in console) >= 2


def test_without_scripts_the_plots_stand_as_they_are(page):
    """In a frame that may not run scripts: every plot drawn beforehand, no idle button."""
    script = """
    const still = page.createElement("iframe");
    still.sandbox = "allow-same-origin"; still.width = 400; still.src = w.location.href;
    await new Promise((done) => { still.onload = done; page.body.append(still); });
    const inside = still.contentDocument, plots = [...inside.querySelectorAll("figure svg.plot")];
    return [inside.querySelectorAll(".live, button").length, inside.querySelector(".tools").offsetHeight, plots.length,
      plots.filter((one) => one.getBoundingClientRect().height > 150).length, inside.documentElement.scrollWidth];
    """
    loose = page.with_name("loose.html")
    loose.write_text("<body></body>", encoding="utf-8")
    script = script.replace("w.location.href", f'"{page.name}"')
    [[live, bar, plots, tall, width]], _ = ask(loose, (1280,), script)
    assert (live, bar) == (0, 0)
    assert plots == tall == 6
    assert width <= 400
