"""Error rates by the length of the input: whether what was learned goes on where nothing was learned from."""

import json

import pytest
from sequence_runs import REVERSE, edits, reverse, train

from downslope.cli.main import main
from downslope.training.report.answers import look_at_lengths
from downslope.training.report.data import read_runs
from downslope.training.report.page import write_report
from downslope.training.report.transcripts import look_at_transcripts
from training.report_reader import Page

RATES = ("symbol_error_rate", "sequence_error_rate")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run on words of 3 to 5 letters that is also rated on 6 and 7, and on an average of its weights."""
    folder = tmp_path_factory.mktemp("lengths") / "run"
    train(reverse(train__ema="0.5", train__epochs="2"), folder)
    return folder


def told(capsys, *words):
    """Return what a command prints."""
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_each_length_is_rated_by_itself(run, capsys):
    """Counted once more from the predictions: lengths, examples, both rates; longer ones are said to be longer."""
    found = json.loads(told(capsys, "evaluate", run, "--json"))
    rows = json.loads(told(capsys, "predict", run, "--json", "--count", "1000"))["predictions"]
    expected = []
    for length in sorted({len(row["input"]) for row in rows}):
        own = [row for row in rows if len(row["input"]) == length]
        wrong = [edits(row["output"], row["targets"][0]) for row in own]
        expected.append(
            {
                "shortest": length,
                "longest": length,
                "longer": length > 5,
                "examples": len(own),
                "symbol_error_rate": pytest.approx(sum(wrong) / (length * len(own)), rel=1e-12),
                "sequence_error_rate": pytest.approx(sum(map(bool, wrong)) / len(own), rel=1e-12),
            }
        )
    assert found["by_length"] == expected
    assert [row["shortest"] for row in expected] == [3, 4, 5, 6, 7]
    assert sum(row["examples"] for row in expected) == found["examples"]


@pytest.mark.parametrize("prefix", ["", "ema_"])
def test_the_combined_rates_are_those_of_the_lengths_together(run, capsys, prefix):
    """Weighted by their symbols or examples, the lengths learned from give one rate, the longer ones the other."""
    found = json.loads(told(capsys, "evaluate", run, "--json"))
    for longer, name in ((False, ""), (True, "longer_")):
        rows = [row for row in found[f"{prefix}by_length"] if row["longer"] == longer]
        for rate in RATES:
            weights = [row["examples"] * (row["shortest"] if rate == RATES[0] else 1) for row in rows]
            mean = sum(weight * row[rate] for weight, row in zip(weights, rows, strict=True)) / sum(weights)
            assert found[f"{prefix}{name}{rate}"] == pytest.approx(mean, rel=1e-12)


def test_the_terminal_and_the_page_show_a_table(run, capsys, tmp_path):
    """A line for each length, the same in both; the page leaves it out where nothing is longer."""
    by_length = json.loads(told(capsys, "evaluate", run, "--json"))["by_length"]
    lines = told(capsys, "evaluate", run).splitlines()
    assert lines[3].split() == ["length", "examples", "symbol", "error", "rate", "sequence", "error", "rate"]
    page = Page(write_report([run], tmp_path / "page.html").read_text(encoding="utf-8"))
    (table,) = [table for table in page.tables if table[0][0] == "length"]
    assert not page.unbalanced
    for row, line, shown in zip(by_length, lines[4:], table[1:], strict=True):
        rates = [f"{100 * row[rate]:.2f}" for rate in RATES]
        first, second = rates
        more = ["longer"] if row["longer"] else []
        assert line.split() == [str(row["shortest"]), str(row["examples"]), first, "%", second, "%", *more]
        assert shown[:2] == [str(row["shortest"]), str(row["examples"])]
        assert [cell.replace("\N{NARROW NO-BREAK SPACE}%", "") for cell in shown[2:4]] == rates
        assert shown[4] == ("longer than any learned from" if row["longer"] else "")


def test_the_page_shows_what_is_written_and_its_attention(run, capsys, tmp_path):
    """The surest mistakes first, as `predict` writes them; each place's attention over the input is 1 in all."""
    rows = json.loads(told(capsys, "predict", run, "--json", "--count", "256"))["predictions"]
    wrong = sorted((row for row in rows if row["output"] not in row["targets"]), key=lambda row: -row["probability"])
    assert len(wrong) > 4
    (read,) = read_runs([run])
    found = look_at_transcripts(read)
    assert (found.read, found.mistakes) == (len(rows), len(wrong))
    assert len(found.shown) == 6 or len(rows) == len(wrong)
    for one, row in zip(found.shown[:4], wrong, strict=False):
        assert ("".join(one.given), one.answer, one.targets) == (row["input"], row["output"], row["targets"])
        assert one.probability == pytest.approx(row["probability"], rel=1e-4)
    for one in found.shown:
        assert len(one.attention) == len(one.written)
        for place in one.attention:
            assert len(place) == len(one.given)
            assert sum(place) == pytest.approx(1, abs=1e-5)
    page = Page(write_report([run], tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not page.unbalanced
    assert f"Of the first {len(rows)} held-out sequences the final weights get {len(wrong)} wrong." in page.text
    (table,) = [table for table in page.tables if table[0] == ["", *found.shown[0].given]][:1]
    assert [row[0] for row in table[1:]] == found.shown[0].written


def test_where_nothing_is_longer_there_is_no_table(capsys, tmp_path):
    """Then the rates of all lengths are the only ones, in the evaluation and on the page."""
    (tmp_path / "r.toml").write_text(REVERSE.replace("longest_held_out = 7", "longest_held_out = 5"), encoding="utf-8")
    told(capsys, "train", tmp_path / "r.toml", "--out", tmp_path / "run", "--train.epochs", "1", "--quiet")
    found = json.loads(told(capsys, "evaluate", tmp_path / "run", "--json"))
    assert "by_length" not in found
    assert not any(name.startswith("longer_") for name in found)
    assert "Error rates by length" not in (tmp_path / "run/report.html").read_text(encoding="utf-8")


def test_the_page_says_what_it_cannot_show(run):
    """Without final weights, or with damaged ones, there is a sentence in the table's place."""
    weights = run / "model.safetensors"
    kept = weights.read_bytes()
    (read,) = read_runs([run])
    try:
        weights.unlink()
        assert look_at_lengths(read) == (
            "The run has no final weights yet, so their error rates by length are not known."
        )
        weights.write_bytes(b"none")
        assert look_at_lengths(read).startswith("The error rates by length cannot be had: ")
    finally:
        weights.write_bytes(kept)
