"""One training as tables are written: LaTeX, HTML, Markdown, spreadsheets, lists; across or down; names in any language."""

from __future__ import annotations

import random

import pytest

from downslope import read
from downslope.reading.bars import as_bars
from draws import draws
from reading.rows import same

NAMES = {
    "sgd.lr": ["Learning rate", "Initial learning rate", "lr", "Base LR", "learning_rate", "学习率", "初始学习率"],
    "sgd.momentum": ["Momentum", "momentum", "动量", "SGD momentum", "Momentum coefficient"],
    "sgd.weight_decay": ["Weight decay", "weight_decay", "权重衰减", "wd", "Weight Decay Rate"],
    "data.batch_size": ["Batch size", "batch_size", "批大小", "Mini-batch size", "批次大小", "Batch Size"],
    "train.epochs": ["Epochs", "epochs", "Number of epochs", "训练轮数", "Training epochs", "轮数", "max_epochs"],
}
VALUES = {
    "sgd.lr": {"0.02": 0.02, "1e-2": 0.01, "$10^{-2}$": 0.01, "2 × 10⁻²": 0.02},
    "sgd.momentum": {"0.8": 0.8},
    "sgd.weight_decay": {"0.0003": 0.0003, "3e-4": 0.0003, "$3\\times10^{-4}$": 0.0003},
    "data.batch_size": {"48": 48},
    "train.epochs": {"70": 70},
}
OTHERS = [("Dropout", "0.4"), ("Image size", "224"), ("Seed", "42"), ("Hidden units", "512"), ("Activation", "ReLU")]


def across(rows, between, end="\n", rule=""):
    """Return names in a row, and values in the next."""
    return f"{between.join(name for name, _ in rows)}{end}{rule}{between.join(value for _, value in rows)}{end}"


def down(rows, line):
    """Return a line for each name and its value."""
    return "\n".join(line.format(name, value) for name, value in rows)


FORMS = {
    "LaTeX, down": lambda rows: "\\begin{tabular}{lc}\n\\hline\n" + down(rows, "{} & {} \\\\") + "\n\\end{tabular}",
    "LaTeX, across": lambda rows: (
        "\\begin{tabular}{"
        + "c" * len(rows)
        + "}\n\\toprule\n"
        + across(rows, " & ", " \\\\ ", "\\midrule\n")
        + "\n\\bottomrule\n\\end{tabular}"
    ),
    "LaTeX, bold": lambda rows: (
        "\\begin{tabular}{|l|c|}\n\\hline\n\\textbf{Parameter} & \\textbf{Value} \\\\ \\hline\n"
        + down(rows, "{} & {} \\\\ \\hline")
        + "\n\\end{tabular}"
    ),
    "HTML, down": lambda rows: f"<table>{down(rows, '<tr><td>{}</td><td>{}</td></tr>')}</table>",
    "HTML, across": lambda rows: (
        '<table class="x">\n<thead>\n<tr><th>'
        + "</th><th>".join(name for name, _ in rows)
        + "</th></tr>\n</thead>\n<tbody>\n<tr><td>"
        + "</td><td>".join(value for _, value in rows)
        + "</td></tr>\n</tbody>\n</table>"
    ),
    "Markdown, down": lambda rows: "| Name | Value |\n|---|---|\n" + down(rows, "| {} | {} |"),
    "Markdown, across": lambda rows: "| " + across(rows, " | ", " |\n", f"{'|---' * len(rows)}|\n| ").rstrip("\n"),
    "commas, across": lambda rows: across(rows, ","),
    "tabs, across": lambda rows: across(rows, "\t"),
    "lines in turn": lambda rows: down(rows, "{}\n{}"),
    "list": lambda rows: down(rows, "- {}: {}"),
    "bold list": lambda rows: down(rows, "- **{}**: {}"),
    "numbered list": lambda rows: "\n".join(f"{at}. {name}: {value}" for at, (name, value) in enumerate(rows, 1)),
    "Chinese clauses": lambda rows: "；".join(f"{name}：{value}" for name, value in rows) + "。",
    "equations": lambda rows: ", ".join(f"{name} = {value}" for name, value in rows),
    "parentheses": lambda rows: ", ".join(f"{name} ({value})" for name, value in rows),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(form):
    """All settings, whatever stands beside them, and no others."""
    for seed in range(draws(6)):
        choose = random.Random(f"{form} {seed}")
        paths = choose.sample(list(VALUES), choose.choice([4, 5]))
        written = {path: choose.choice(list(VALUES[path])) for path in paths}
        rows = [(choose.choice(NAMES[path]), text) for path, text in written.items()]
        rows += choose.sample(OTHERS, choose.choice([0, 1, 2]))
        choose.shuffle(rows)
        text = choose.choice(["", "Training settings:\n\n", "训练超参数如下表所示。\n\n"])
        text += FORMS[form]([("Optimizer", "SGD"), *rows])
        fields = {path: one for path, one in read(text)[0].fields.items() if path in VALUES}
        found = {path: one.value for path, one in fields.items() if one.provenance == "stated"}
        wanted = {path: VALUES[path][chosen] for path, chosen in written.items()}
        assert found.keys() == wanted.keys(), text
        assert all(same(found[path], value) for path, value in wanted.items()), text
        assert all(one.words == text[one.start : one.end] for one in fields.values() if one.start >= 0), text


@pytest.mark.parametrize(
    "text",
    [
        r"\begin{tabular}{l|c@{\hspace{2pt}}}a & b \\[2pt] \hline 1 & 2 \\ \cmidrule(lr){1-2} \multicolumn{2}{c}{x} \\ \end{tabular}",
        r"\begin{tabular}{ll} a & b \end{tabular} \begin{table}\begin{tabularx}{\linewidth}{XX} c & d \\ \end{tabularx}",
        "<TABLE><TR><TD>a</TD>\n<TD>b</TD></TR></TABLE> <table></table> <table><tr><td>",
        "<table>" + "<tr><td>a</td><td>b</td></tr>" * 50 + "</table>",
        "\\begin{tabular}" + "{" * 300 + "&" * 300,
    ],
)
def test_bars_are_as_long_as_what_they_stand_for(text):
    """So that a place in the one is the place in the other; text outside of tables is as it was."""
    barred = as_bars(text)
    assert len(barred) == len(text)
    assert as_bars(f"lr & 0.1 \\\\ {text}").startswith("lr & 0.1 \\\\ ")


@pytest.mark.parametrize(
    "piece", ["\\begin{tabular}", "<table>", "<table><tr>", "a,b,c\n", "{", "<td ", "\\hline ", "x\n1\n"]
)
def test_work_is_linear(piece):
    """Of a text that begins many tables, and ends none."""
    read(piece * (60_000 // len(piece)))
