"""Percentages are written in one way, "97.22 %", by one function: in the terminal, on pages and in the documents."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_no_source_formats_a_percentage_by_itself():
    """Python's own format `%` writes 40.0%; `percent_text` is the one place for a share."""
    for path in sorted((ROOT / "src" / "downslope").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                spec = ast.unparse(node.format_spec)
                assert "%" not in spec, f"{path.relative_to(ROOT)}, line {node.lineno}: {spec}"


def test_no_document_writes_a_percentage_without_its_blank():
    """But for the words of somebody else, in quotation marks, and for code."""
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]):
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = re.sub(r"`[^`]*`|\"[^\"]*\"", "", text)
        assert not re.findall(r".{0,40}\d%.{0,20}", text), path.name
