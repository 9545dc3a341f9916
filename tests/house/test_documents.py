"""The documents: their Python runs, their TOML is decoded, their commands are parsed, their links lead somewhere."""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import json
import re
import tomllib
from dataclasses import MISSING, fields, is_dataclass
from importlib.util import find_spec
from typing import Any

import pytest

from downslope.cli.arguments import CommandParser
from downslope.cli.main import COMMANDS, main
from downslope.core.groups import Group
from downslope.core.schedule_free import ScheduleFree
from downslope.core.schedules import SCHEDULES
from downslope.core.settings import Settings
from downslope.core.tables import Source, decode, to_table
from downslope.recipe import schema
from downslope.recipe.load import load_recipe
from downslope.recipe.overrides import recipe_paths
from house.documents import DOCUMENTS, anchors, blocks, links, shell_lines
from house.source_tree import PROJECT, ROOT, relative

PYTHON = [
    pytest.param(b, id=str(b), marks=[pytest.mark.slow] if "runs/" in b.text else [])
    for b in blocks("python")
    if b.path.parent.name != "guests"  # tests/guests runs these, where the guests are installed
]
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder with `runs/digits`, trained for one epoch and packed."""
    folder = tmp_path_factory.mktemp("trained")
    targets = ("export", *(["onnx"] if find_spec("onnxruntime") else []))
    packs = [["pack", "runs/digits", "--to", to] for to in targets]
    commands = [["train", "--train.epochs", "1", "--out", "runs/digits"], *packs]
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert [main(words) for words in commands] == [0] * len(commands)
    return folder


def promised_output(code):
    """Return what a block's comments say its prints print: those on a print's line, or on the lines after it."""
    lines = code.splitlines()
    promised = []
    for node in ast.parse(code).body:
        if isinstance(node, ast.Expr) and ast.unparse(node).startswith("print("):
            same_line = lines[node.end_lineno - 1][node.end_col_offset :].strip()
            after = [same_line] if same_line else []
            for line in lines[node.end_lineno :]:
                if same_line or not line.startswith("#"):
                    break
                after.append(line)
            promised.append("\n".join(line.removeprefix("#").removeprefix(" ") for line in after))
    return promised


PRINTED = {}
"""What blocks printed, by their code without comments: a Chinese page has the English one's, which runs once."""


@pytest.mark.parametrize("block", PYTHON)
def test_python_runs_and_prints_what_it_says(block, request, tmp_path, monkeypatch):
    """Each block runs by itself, in an empty folder, and prints what its comments promise."""
    if "onnxruntime" in block.text:
        pytest.importorskip("onnxruntime")
    code = ast.dump(ast.parse(block.text))
    if code not in PRINTED:
        monkeypatch.chdir(request.getfixturevalue("trained") if "runs/" in block.text else tmp_path)
        PRINTED[code] = printed_by(block)
    printed, promised = PRINTED[code], promised_output(block.text)
    assert len(printed) == len(promised)
    for text, promise in zip(printed, promised, strict=True):
        assert not promise or text == promise


def printed_by(block):
    """Run a block and return what it prints."""
    printed = []

    def keep(*values):
        stream = io.StringIO()
        print(*values, file=stream)
        printed.append(stream.getvalue().rstrip("\n"))

    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(block.text, str(block), "exec"), {"__name__": "__main__", "print": keep})  # noqa: S102
    return printed


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_is_a_recipe_or_a_part_of_one(block):
    """Each block decodes, by itself or laid over the default recipe."""
    table = tomllib.loads(block.text)
    whole = to_table(load_recipe())
    if "train" in table:
        whole.pop("train")
    for name, value in table.items():
        whole[name] = {**whole[name], **value} if isinstance(value, dict) and name in whole else value
    decode(schema.Recipe, whole, Source(str(block)))


class Parsed(Exception):  # noqa: N818 - no error: it ends a command once its words are read
    """Carries what a command's parser made of its words."""


@pytest.mark.parametrize(("place", "words"), shell_lines(), ids=[place for place, _ in shell_lines()])
def test_commands_exist(place, words, monkeypatch):
    """Each command line is one that works: its target, options, recipe and files exist."""
    if words[0] == "torchrun":
        from torch.distributed.run import parse_args

        parse_args(words[1:])
        words = words[words.index("downslope") :]
    program, *rest = words
    if program == "make":
        assert {word for word in rest if "=" not in word} <= MAKE_TARGETS
    elif program == "downslope":
        monkeypatch.chdir(ROOT)
        read = CommandParser.read

        def stop_after_reading(parser, words):
            raise Parsed(read(parser, words))

        monkeypatch.setattr(CommandParser, "read", stop_after_reading)
        monkeypatch.setenv("DOWNSLOPE_TRACEBACK", "1")
        with pytest.raises(Parsed) as stopped:
            main(rest)
        arguments = vars(stopped.value.args[0])
        if "recipe" in arguments:
            load_recipe(arguments["recipe"], arguments["overrides"])
    elif program == "pip":
        for extra in re.findall(r"(?:\.|\bdownslope)\[(\w+)\]", " ".join(rest)):
            assert extra in PROJECT["optional-dependencies"], place
        assert all((ROOT / word).exists() for flag, word in itertools.pairwise(rest) if flag == "-c")
    else:
        assert words in (
            ["python3", "-m", "venv", ".venv"],
            [".", ".venv/bin/activate"],
            [".venv/bin/pre-commit", "install"],
        ), f"{place}: nobody has tried this command"


def test_links_lead_somewhere():
    """Every link within the project leads to a file, and to a heading of it if it names one."""
    for path, link in ((document, link) for document in DOCUMENTS for link in links(document)):
        if re.match(r"https?://", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{relative(path)}: {link}"
        assert not anchor or anchor in anchors(file), f"{relative(path)}: {link}"


@pytest.mark.parametrize("page", ["README", "docs/what-works", "docs/where-it-comes-from"])
def test_both_languages_say_the_same(page):
    """The Chinese page has the same code, the same links and as many rows of tables as the English one."""
    english, chinese = ROOT / f"{page}.md", ROOT / f"{page}.zh-CN.md"

    def code(path):
        return [
            re.sub(r"\s+#.*| --lang \w+", "", b.text)
            for kind in ("python", "toml", "sh")
            for b in blocks(kind)
            if b.path == path
        ]

    def rows(path):
        return [line.count("|") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]

    assert code(english) == code(chinese)
    assert rows(english) == rows(chinese)
    assert {link for link in links(english) if not link.endswith(".zh-CN.md")} <= set(links(chinese))


def test_chinese_pages_show_what_the_english_ones_do():
    """Each lies under the English one's name, each of the two leads to the other, and its code is the English one's."""
    everything = [block for kind in ("python", "toml", "sh") for block in blocks(kind)]

    def code(path):
        return [re.sub(r"[ ]+#.*", "", block.text) for block in everything if block.path == path]

    def leads_to(path):
        return {(path.parent / link.partition("#")[0]).resolve() for link in links(path)}

    pages = sorted((ROOT / "docs/zh").rglob("*.md"))
    assert {"getting-started", "reading", "explain", "training", "data"} <= {page.stem for page in pages}
    for page in pages:
        english = ROOT / "docs" / page.relative_to(ROOT / "docs/zh")
        assert english in leads_to(page), relative(page)
        assert page in leads_to(english), relative(english)
        unknown = [text for text in code(page) if text not in code(english)]
        assert not unknown, f"{relative(page)}: the English page has no such code:\n{unknown[0]}"


def test_what_works_names_every_command():
    """The table of what works names every command that there is, and none of them as missing."""
    lines = (ROOT / "docs/what-works.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if "|" in line]
    works = {word for row in rows if row[2].strip().startswith("yes") for word in re.findall(r"`(\w+)`", row[1])}
    missing = {word for row in rows if row[2].strip() == "not yet" for word in re.findall(r"`(\w+)`", row[1])}
    assert set(COMMANDS) <= works
    assert not set(COMMANDS) & missing


def documented_keys():
    """Return key -> default from the tables of docs/recipe.md."""
    text = (ROOT / "docs/recipe.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([\w.]+)` \| `?(.*?)`? \|", text, flags=re.MULTILINE))


def defaults(table: Any, prefix: str) -> dict[str, str]:
    """Return key -> default, as docs/recipe.md writes it, of a table's keys."""
    found = {}
    for field in fields(table):
        value = field.default if field.default is not MISSING else field.default_factory
        value = value() if callable(value) else value
        if is_dataclass(value) or field.name in {
            "sgd",
            "train",
            "groups",
            "augment",
            "early_stop",
            "plateau",
            "spike",
            "tune",
        }:
            continue
        if value is MISSING or (prefix == "sgd." and field.name == "lr"):
            text = "required"
        elif value is None:
            text = "off"
        elif isinstance(value, str):
            text = f'"{value}"'
        else:
            text = str(value).lower() if isinstance(value, bool) else repr(list(value) if value == () else value)
        found[f"{prefix}{field.name}"] = text
    return found


def test_every_key_of_a_recipe_is_documented():
    """docs/recipe.md has each key with its true default, and no key that does not exist."""
    expected = {
        **defaults(schema.Recipe, ""),
        **defaults(schema.Data, "data."),
        **defaults(schema.Augment, "data.augment."),
        **defaults(schema.Model, "model."),
        **defaults(ScheduleFree, "sgd."),
        **defaults(Settings, "sgd."),
        "sgd.schedule_free": "false",
        **defaults(Group, "groups."),
        **defaults(schema.Train, "train."),
        **defaults(schema.EarlyStop, "train.early_stop."),
        **defaults(schema.Plateau, "train.plateau."),
        **defaults(schema.Spike, "train.spike."),
        **defaults(schema.Checkpoint, "checkpoint."),
        **defaults(schema.Log, "log."),
        **defaults(schema.Tune, "tune."),
    }
    assert documented_keys() == expected
    assert set(recipe_paths()) - {"groups"} <= set(expected)


def test_every_recipe_file_is_in_the_table():
    """docs/recipe.md lists the recipes that there are."""
    listed = {link for link in links(ROOT / "docs/recipe.md") if link.endswith(".toml")}
    assert listed == {f"../recipes/{path.name}" for path in (ROOT / "recipes").glob("*.toml")}


def test_every_schedule_is_documented():
    """docs/schedules.md has a heading, the word and every field of each schedule, with its default."""
    text = (ROOT / "docs/schedules.md").read_text(encoding="utf-8")
    for name, schedule in SCHEDULES.items():
        section = re.search(rf"^## {schedule.__name__}\n\n(`{name}`:.*?)\n\n", text, flags=re.MULTILINE | re.DOTALL)
        assert section, f"docs/schedules.md lacks {schedule.__name__}"
        for field in fields(schedule):
            default = json.dumps(field.default, default=str)
            if field.default is MISSING or field.name == "unit":
                words = f"`{field.name}`"
            elif field.default is None:
                words = f"`{field.name}` (off)"
            else:
                words = f"`{field.name} = {default}`"
            assert words in section.group(1), f"docs/schedules.md, {schedule.__name__}: {words}"
