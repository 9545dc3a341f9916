"""Files and several texts at once: what is opened, what is refused, and which part's value wins."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from downslope import read
from downslope.core.errors import MissingDependencyError, RecipeError
from downslope.reading.sources import gather, join

SCRIPT = """
import argparse, torch
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1, help="initial learning rate")
parser.add_argument("--epochs", type=int, default=90)
parser.add_argument("--batch-size", type=int, default=256)
parser.add_argument("--momentum", type=float, default=0.9)
args = parser.parse_args()
model = build()
optimizer = torch.optim.SGD(model.parameters(), args.lr, momentum=args.momentum, weight_decay=1e-4)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [30, 60], gamma=0.1)
for epoch in range(args.epochs):
    train(epoch, args.batch_size)
    scheduler.step()
"""
COMMAND = "python train.py --lr 0.4 --epochs 100 --batch-size 1024\n"


def values(readings):
    """Return path -> value of the first reading."""
    return {path: found.value for path, found in readings[0].fields.items()}


def test_a_script_and_its_command_line():
    """The flags override the script's defaults; a schedule stays whole, with the flag's initial rate."""
    fields = read([("train.py", SCRIPT), ("run.sh", COMMAND)])[0].fields
    wanted = {
        "sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.4, "sgd.lr.milestones": [30, 60], "sgd.lr.factor": 0.1,
        "sgd.momentum": 0.9, "sgd.weight_decay": 1e-4, "train.epochs": 100, "data.batch_size": 1024,
    }  # fmt: skip
    assert {path: fields[path].value for path in wanted} == wanted
    assert {path: fields[path].file for path in ("sgd.lr.initial", "sgd.lr.milestones", "sgd.momentum")} == {
        "sgd.lr.initial": "run.sh", "sgd.lr.milestones": "train.py", "sgd.momentum": "train.py",
    }  # fmt: skip
    texts = {"train.py": SCRIPT, "run.sh": COMMAND}
    for path, found in fields.items():
        if found.start >= 0:
            assert texts[found.file][found.start : found.end] == found.words, path


def test_the_order_of_the_files_does_not_matter():
    """The kind of a part decides, not its place."""
    pairs = [("train.py", SCRIPT), ("run.sh", COMMAND)]
    assert values(read(pairs)) == values(read(pairs[::-1]))


@pytest.mark.parametrize(
    ("first", "second", "value", "winner"),
    [
        ("lr: 0.1\nmomentum: 0.9\nepochs: 90\n", "python train.py --momentum 0.8 --nesterov", 0.8, "command line"),
        ("We train with SGD and a momentum of 0.95.", "momentum: 0.9\nlr: 0.1\nepochs: 90\n", 0.9, "configuration"),
        ("We train with SGD and a momentum of 0.95.", "opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)", 0.9, "code"),
        ("momentum: 0.8\nlr: 0.1\nepochs: 90\n", "opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)", 0.8, "configuration"),
    ],
)  # fmt: skip
def test_which_part_wins(first, second, value, winner):
    """Command line before configuration before code before prose; a remark says both values."""
    for pairs in ([("a", first), ("b", second)], [("b", second), ("a", first)]):
        reading = read(pairs, language="en")[0]
        assert reading.fields["sgd.momentum"].value == value
        assert any(remark.startswith(f"The {winner} says sgd.momentum = {value}") for remark in reading.remarks)


def test_prose_that_contradicts_is_marked():
    """Where the words say otherwise than the code, the value is marked; where a flag overrides a default, it is not."""
    code = "opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)"
    assert "competing" in read([("", "SGD with momentum 0.95."), ("a.py", code)])[0].fields["sgd.momentum"].marks
    assert "competing" not in read([("train.py", SCRIPT), ("run.sh", COMMAND)])[0].fields["sgd.lr.initial"].marks


def test_a_schedule_is_not_mixed_from_two_parts():
    """Fields of the learning rate come from the part that wins, its initial one from a flag that gives it."""
    prose = "The learning rate starts at 0.1 and is divided by 10 at epochs 30 and 60; SGD, 90 epochs."
    config = "lr_scheduler:\n  name: cosine\nepochs: 200\nlr: 0.05\nmomentum: 0.9\n"
    found = values(read([("", prose), ("c.yaml", config)]))
    assert found["sgd.lr.schedule"] == "cosine"
    assert found["sgd.lr.initial"] == 0.05
    assert "sgd.lr.milestones" not in found
    found = values(read([("", prose), ("", "python train.py --lr 0.4 --momentum 0.9")]))
    assert (found["sgd.lr.schedule"], found["sgd.lr.initial"], found["sgd.lr.milestones"]) == (
        "multistep",
        0.4,
        [30, 60],
    )


def test_a_mixed_text():
    """A README with its command in a fence: places lead to the words in the whole text."""
    text = f"# Training\n\nWe use SGD with momentum 0.9 and weight decay 5e-4.\n\n```sh\n{COMMAND}```\n\nThat takes a day.\n"
    fields = read(text)[0].fields
    assert {path: fields[path].value for path in ("sgd.momentum", "sgd.weight_decay", "sgd.lr", "train.epochs")} == {
        "sgd.momentum": 0.9, "sgd.weight_decay": 5e-4, "sgd.lr": 0.4, "train.epochs": 100,
    }  # fmt: skip
    for found in fields.values():
        assert found.start < 0 or text[found.start : found.end] == found.words


def test_the_language_is_that_of_the_text():
    """Remarks on Chinese words are Chinese; `language` decides otherwise."""
    assert read("学习率0.1，动量0.9")[0].remarks[0] == read("学习率0.1，动量0.9", language="zh")[0].remarks[0] != ""
    assert "not stated" in read("学习率0.1，动量0.9", language="en")[0].remarks[0]
    assert "not stated" in read("lr 0.1, momentum 0.9")[0].remarks[0]
    assert read("lr: 0.1  # 学习率\nmomentum: 0.9\n")[0].language == "en"


# Files


def test_paths(tmp_path):
    """A path, paths as strings, and pairs may be mixed."""
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "run.sh").write_text(COMMAND, encoding="utf-8")
    wanted = values(read([("train.py", SCRIPT), ("run.sh", COMMAND)]))
    assert values(read([tmp_path / "train.py", str(tmp_path / "run.sh")])) == wanted
    assert values(read([tmp_path / "train.py", ("run.sh", COMMAND)])) == wanted
    assert read(tmp_path / "train.py")[0].fields["sgd.momentum"].file == str(tmp_path / "train.py")
    assert read(SCRIPT, name="train.py")[0].fields["sgd.momentum"].file == "train.py"


def test_marks_and_line_ends(tmp_path):
    """A byte order mark and the line ends of Windows do no harm; pages of pdftotext are apart."""
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfSGD with\r\nmomentum 0.9\r\n\x0clearning rate 0.1")
    assert values(read(tmp_path / "a.txt"))["sgd.momentum"] == 0.9
    assert values(read(tmp_path / "a.txt"))["sgd.lr"] == 0.1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8 text, but binary: byte 8 is 0"),
        (b"lr 0.1 \xff", "not UTF-8 text (invalid start byte at byte 7)"),
        ("lr 0.1".encode("utf-16"), "binary"),
        (b"lr 0.1 " * 1_500_000, "longer than 10,000,000 bytes"),
        (b"%PDF-1.4 broken", "PDF"),
    ],
)
def test_what_is_no_text(data, message, tmp_path):
    """Binary files, other encodings, huge files and broken PDFs are named, with the reason."""
    (tmp_path / "input").write_bytes(data)
    with pytest.raises((RecipeError, MissingDependencyError)) as caught:
        read(tmp_path / "input")
    assert message in str(caught.value)
    assert str(tmp_path / "input") in str(caught.value)


def test_what_is_no_file(tmp_path):
    """A folder, a missing file and an impossible name are a person's mistakes."""
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "none", "No such file"),
        (Path("a\0b"), "no file can be called"),
    ):
        with pytest.raises(RecipeError, match=message):
            read(path)
        with pytest.raises(RecipeError, match=message):
            read([path])


@pytest.mark.parametrize("given", [5, None, b"lr", [], [3], [("a",)], [("a", 1)], [("a", "b", "c")], {"a": "b"}])
def test_what_is_no_text_at_all(given):
    """Anything else is told what it should be."""
    with pytest.raises(RecipeError, match="`text` must be a string"):
        read(given)


def test_a_pdf_without_pypdf(tmp_path, monkeypatch):
    """The message says how to install it, and what to do instead."""
    monkeypatch.setitem(sys.modules, "pypdf", None)
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4\n")
    with pytest.raises(MissingDependencyError, match=r'pip install "downslope\[pdf\]".*pdftotext paper\.pdf'):
        read(tmp_path / "paper.pdf")


def a_pdf(text):
    """Return a PDF of one page with lines of text, made by hand."""
    lines = " ".join(f"({line}) Tj T*" for line in text.split("\n"))
    stream = f"BT /F1 10 Tf 12 TL 50 700 Td {lines} ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{one}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return (data + end).encode("latin-1")


def test_a_pdf(tmp_path):
    """The text of a PDF is read, its places those in that text; one without text says so."""
    pytest.importorskip("pypdf")
    (tmp_path / "paper.pdf").write_bytes(
        a_pdf("We train by SGD with momentum 0.9,\na learning rate of 0.1 and weight decay 0.0005.")
    )
    reading = read(tmp_path / "paper.pdf")[0]
    assert {path: reading.fields[path].value for path in ("sgd.momentum", "sgd.lr", "sgd.weight_decay")} == {
        "sgd.momentum": 0.9, "sgd.lr": 0.1, "sgd.weight_decay": 0.0005,
    }  # fmt: skip
    (tmp_path / "scan.pdf").write_bytes(a_pdf(""))
    with pytest.raises(RecipeError, match="a PDF without text"):
        read(tmp_path / "scan.pdf")


def test_sources_keep_places():
    """Texts stand one after another, an empty line between; a place leads back to its text."""
    sources = join([("a", "one"), ("b", "two"), ("", "")])
    assert sources.text == "one\n\ntwo\n\n"
    assert sources.pieces() == [("a", 0, "one"), ("b", 5, "two"), ("", 10, "")]
    assert [sources.source_of(place) for place in (0, 2, 5, 7)] == [("a", 0), ("a", 0), ("b", 5), ("b", 5)]
    assert gather("x").names == ("",)
