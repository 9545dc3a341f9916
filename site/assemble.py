"""Lay out the site's pages in build/site-source, from the documents as they stand; `make site` calls it.

Every document, recipe, example and public name gets its page: what is new appears by itself. A link to a file that is
no page becomes one to its source, where pyproject.toml names a repository, and plain text elsewhere.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/site-source"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = PROJECT.get("urls", {}).get("Source", "")

# The sections of the site and their pages, each by the document's name; a document that stands nowhere joins Guides.
SECTIONS: dict[str, list[str]] = {
    "Guides": [
        "training",
        "data",
        "seq2seq",
        "packing",
        "scale",
        "reading",
        "explain",
        "compare",
        "export",
        "convert",
        "notebooks",
        "assistants",
    ],
    "Optimizer": ["optimizer", "schedules"],
    "Recipes": ["recipe"],
    "Guests": [],
    "Theory": ["glossary"],
    "Reference": [],
    "Results": ["performance", "results"],
    "Project": ["versions", "architecture", "releasing"],
}
ELSEWHERE = {"package", "getting-started"}  # the index's page, which repeats the README; a tab of its own
FROM_ROOT = {"README": "index", "CONTRIBUTING": "contributing", "CHANGELOG": "changelog", "SECURITY": "security",
             "CODE_OF_CONDUCT": "code-of-conduct"}  # fmt: skip
DOORS = {"downslope": "downslope/__init__.py", "downslope.torch": "downslope/torch/__init__.py",
         "downslope.jax": "downslope/jax/__init__.py", "downslope.keras": "downslope/keras/__init__.py",
         "downslope.theory": "downslope/theory/__init__.py"}  # fmt: skip
MODULES = ["downslope.numpy", "downslope.kernel", "downslope.core.errors"]
CHINESE = {"指南": ["reading", "explain", "training", "data", "tuning", "schedules"]}


def main() -> None:
    """Write both languages' sources and configurations."""
    shutil.rmtree(BUILD, ignore_errors=True)
    places = {ROOT / f"docs/{path.name}": f"{path.stem}.md" for path in (ROOT / "docs").glob("*.md")}
    places |= {path: f"guests/{path.name}" for path in (ROOT / "docs/guests").glob("*.md")}
    places |= {ROOT / f"{name}.md": f"{page}.md" for name, page in FROM_ROOT.items()}
    places |= {path: f"recipes/{path.stem}.md" for path in (ROOT / "recipes").glob("*.toml")}
    places |= {path: f"examples/{path.stem}.md" for path in (ROOT / "examples").glob("*.py")}
    places |= {path: f"examples/{path.stem}.md" for path in (ROOT / "examples").glob("*.ipynb")}
    places |= {path: f"measured/{path.stem}.md" for path in (ROOT / "benchmarks/results").glob("*.txt")}
    places |= {ROOT / "recipes": "recipes/index.md", ROOT / "examples": "examples/index.md"}
    places = {path: page for path, page in places.items() if path.exists() and path.stem != "package"}
    zh = {ROOT / "README.zh-CN.md": "zh/index.md"}
    zh |= {path: f"zh/{path.relative_to(ROOT / 'docs/zh').as_posix()}" for path in (ROOT / "docs/zh").rglob("*.md")}
    everything = places | zh

    english, chinese = BUILD / "en", BUILD / "zh"
    for folder in (english, chinese):
        shutil.copytree(ROOT / "docs/images", folder / "images")
        shutil.copy(ROOT / "site/style.css", folder)
        shutil.copy(ROOT / "site/favicon.svg", folder / "images")
    for path, page in everything.items():
        folder, local = (chinese, page.removeprefix("zh/")) if path in zh else (english, page)
        alone = local in {"index.md", "getting-started.md"}  # a tab of its own, with nothing beside it
        write(folder / local, ("---\nhide: [navigation]\n---\n\n" if alone else "") + page_of(path, page, everything))
    reference = reference_pages(english)
    write(english / "theory.md", theory_page())
    configure("en", english, english_nav(places, reference))
    configure("zh", chinese, chinese_nav(zh))


def write(path: Path, text: str) -> None:
    """Write a page, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def page_of(path: Path, page: str, places: dict[Path, str]) -> str:
    """Return a document as the site has it, a recipe or an example as its page, a folder as the list of these."""
    if path.is_dir():
        files = sorted(other for other in places if other.parent == path)
        rows = [f"| [{file.stem}]({posixpath.basename(places[file])}) | {first_words(file)} |" for file in files]
        return "\n".join([f"# {path.name.capitalize()}", "", "| name | what it is |", "|---|---|", *rows, ""])
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return relinked(text, path, page, places)
    if path.suffix == ".txt":
        return f"# Measured: {path.stem.replace('_', ' ')}\n\n```text\n{text.rstrip()}\n```\n"
    if path.suffix == ".ipynb":
        return notebook_page(text)
    language = {".toml": "toml", ".py": "python"}[path.suffix]
    title = tomllib.loads(text).get("title", path.stem) if path.suffix == ".toml" else path.stem.replace("_", " ")
    use = f"downslope train {path.stem}" if path.suffix == ".toml" else f"python examples/{path.name}"
    return f"# {title}\n\n```sh\n{use}\n```\n\n```{language}\n{text.rstrip()}\n```\n"


def notebook_page(text: str) -> str:
    """Return a notebook as a page: its cells and their outputs, as Markdown where they have it."""
    parts: list[str] = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = {kind: "".join(lines) for kind, lines in output.get("data", {}).items()}
            plain = "".join(output.get("text", "")) or data.get("text/plain", "")
            shown = data.get("text/markdown") or re.sub(r"\n\s*\n+", "\n", data.get("text/html", ""))
            parts.append(shown or f"```text\n{plain.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def first_words(file: Path) -> str:
    """Return what a recipe or an example calls itself."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".toml":
        return tomllib.loads(text).get("title", "")
    if file.suffix == ".ipynb":
        return "".join(json.loads(text)["cells"][0]["source"]).partition("\n")[0].removeprefix("# ")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", flags=re.MULTILINE | re.DOTALL)
_HAN_LINE_END = re.compile("(?<=[\u3000-\u9fff\uff00-\uffef])\\n *(?=[\u3000-\u9fff\uff00-\uffef])")  # no blank there
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def relinked(text: str, path: Path, page: str, places: dict[Path, str]) -> str:
    """Return a document with its links led to the site's pages."""

    def lead(match: re.Match[str]) -> str:
        picture, words, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        place, _, anchor = target.partition("#")
        file = (path.parent / place).resolve()
        if file.is_relative_to(ROOT / "docs/images"):
            there = f"{'zh/' if page.startswith('zh/') else ''}images/{file.name}"
        elif file in places:
            there = places[file]
        elif file.parent == ROOT / "benchmarks" or file == ROOT / "benchmarks/results":
            there = "performance.md"
        elif SOURCE:
            return f"[{words}]({SOURCE}/blob/main/{file.relative_to(ROOT).as_posix()})"
        else:
            return words
        # the two languages are two sites: from one to the other an address, within one a file, which is checked
        if page.startswith("zh/") == there.startswith("zh/"):
            link = posixpath.relpath(there, posixpath.dirname(page) or ".")
        else:
            up = "../" * (page.removesuffix("index.md").removesuffix(".md").rstrip("/").count("/") + 1)
            up = up if page != "index.md" else "./"
            link = f"{up}{there.removesuffix('index.md').removesuffix('.md').rstrip('/')}/".replace("//", "/")
            return f'<a href="{link}{"#" + anchor if anchor else ""}">{words}</a>'
        return f"{picture}[{words}]({link}{'#' + anchor if anchor else ''})"

    parts = _CODE.split(text)  # every second one is code; a link's words may hold some, so links are sought around it
    kept = list(parts[1::2])
    marked = "".join(part if i % 2 == 0 else f"\0{i // 2}\0" for i, part in enumerate(parts))
    marked = _LINK.sub(lead, _HAN_LINE_END.sub("", marked))
    return re.sub(r"\0(\d+)\0", lambda match: kept[int(match[1])], marked)


def public(file: Path) -> list[str]:
    """Return a module's `__all__`, read and not run."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    raise SystemExit(f"{file}: has no __all__")


def reference_pages(folder: Path) -> list[str]:
    """Write a page for each front door, with every public name; return their names."""
    sys.path.insert(0, str(ROOT / "src"))
    from downslope.core import schedules

    pages = {
        name: [
            f"{name}.{one}.{one}"
            if (ROOT / "src" / file).with_name(f"{one}.py").exists() and name != "downslope.theory"
            else f"{name}.{one}"
            for one in public(ROOT / "src" / file)
        ]
        for name, file in DOORS.items()
    }  # fmt: skip - a function of the name of its module is asked for within it
    pages["downslope"] = [name for name in pages["downslope"] if not name.endswith(("kernel", "schedules", "__"))]
    pages["downslope.schedules"] = [
        f"{getattr(schedules, name).__module__}.{name}" for name in schedules.__all__ if name != "SCHEDULES"
    ]
    pages |= {name: [name] for name in MODULES}
    order = ["downslope", "downslope.torch", "downslope.numpy", "downslope.jax", "downslope.keras",
             "downslope.schedules", "downslope.kernel", "downslope.theory", "downslope.core.errors"]  # fmt: skip
    for name in order:
        title = name.replace("core.", "")
        lines = [f"# `{title}`", ""]
        for one in pages[name]:
            whole = one in MODULES
            lines += [f"::: {one}"]
            lines += ["    options:", "      show_root_heading: false", "      heading_level: 2"] if whole else []
            lines += [""]
        write(folder / f"reference/{title}.md", "\n".join(lines))
    return [name.replace("core.", "") for name in order]


def theory_page() -> str:
    """Return the page of all formulas, each with its condition and source."""
    from downslope.theory import FORMULAS

    lines = [
        "# Formulas",
        "",
        "What `downslope explain` says rests on these. Each is a function of",
        "[downslope.theory](reference/downslope.theory.md); tests hold it against the update rule itself.",
        "The words are those of the [glossary](glossary.md).",
    ]
    for one in FORMULAS.values():
        lines += [
            "",
            f"## {one.name.replace('_', ' ')}",
            "",
            f"```text\n{one.equation.replace('; ', chr(10))}\n```",
            "",
        ]
        lines += [f"Holds {one.valid}.".replace("..", "."), "", f"*Source: {one.source}*"]
    return "\n".join([*lines, ""])


def english_nav(places: dict[Path, str], reference: list[str]) -> list[Any]:
    """Return the order of the English pages."""
    documents = {path.stem for path in places if path.parent == ROOT / "docs"}
    listed = {name for names in SECTIONS.values() for name in names} | ELSEWHERE
    sections: dict[str, list[Any]] = {name: [f"{one}.md" for one in pages] for name, pages in SECTIONS.items()}
    sections["Guides"] += [f"{name}.md" for name in sorted(documents - listed)]
    sections["Guides"].append({"Examples": under("examples", places)})
    sections["Recipes"].append({"All recipes": under("recipes", places)})
    sections["Guests"] = under("guests", places)
    sections["Theory"].insert(0, "theory.md")
    sections["Reference"] = [{name: f"reference/{name}.md"} for name in reference]
    sections["Results"].append({"As measured": under("measured", places)})
    sections["Project"] += [page for page in ("contributing.md", "changelog.md", "security.md", "code-of-conduct.md")
                            if page in places.values()]  # fmt: skip
    return [{"Home": "index.md"}, {"Start": "getting-started.md"},
            *({name: pages} for name, pages in sections.items() if pages)]  # fmt: skip


def under(folder: str, places: dict[Path, str]) -> list[str]:
    """Return the pages in a folder, its index first."""
    return sorted(
        (page for page in places.values() if page.startswith(f"{folder}/")),
        key=lambda page: (not page.endswith("/index.md"), page),
    )


def chinese_nav(zh: dict[Path, str]) -> list[Any]:
    """Return the order of the Chinese pages."""
    pages = {page.removeprefix("zh/") for page in zh.values()}
    guides = [f"{name}.md" for names in CHINESE.values() for name in names]
    listed = [page for page in guides if page in pages]
    rest = sorted(
        pages - {"index.md", "getting-started.md", *guides}, key=lambda page: (not page.endswith("index.md"), page)
    )
    return [{"首页": "index.md"}, {"快速上手": "getting-started.md"}, {next(iter(CHINESE)): [*listed, *rest]}]


def configure(language: str, folder: Path, nav: list[Any]) -> None:
    """Write the configuration of one language's site."""
    config = yaml.safe_load((ROOT / "site/mkdocs.yml").read_text(encoding="utf-8"))
    is_chinese = language == "zh"
    config |= {
        "docs_dir": str(folder),
        "site_dir": str(ROOT / "build/site" / ("zh" if is_chinese else "")),
        "site_description": PROJECT["description"],
        "nav": nav,
        "copyright": PROJECT["license"],
        "extra": {"alternate": [
            {"name": "English", "link": "../" if is_chinese else "./", "lang": "en"},
            {"name": "简体中文", "link": "./" if is_chinese else "./zh/", "lang": "zh"},
        ]},
        "plugins": [{"search": {"lang": "zh" if is_chinese else "en"}}],
    }  # fmt: skip
    if SOURCE:
        config |= {"repo_url": SOURCE, "repo_name": "Downslope"}
    if is_chinese:
        config["theme"]["language"] = "zh"
        for palette, name in zip(config["theme"]["palette"], ("浅色", "深色", "跟随系统"), strict=True):
            palette["toggle"]["name"] = name
    else:
        config["plugins"].append({"mkdocstrings": {"handlers": {"python": {
            "paths": [str(ROOT / "src")],
            "options": {
                "docstring_style": "google", "heading_level": 2, "show_root_heading": True, "show_source": False,
                "show_root_full_path": False, "show_signature_annotations": True, "separate_signature": True,
                "signature_crossrefs": True, "line_length": 88, "members_order": "source", "filters": ["!^_"],
                "merge_init_into_class": True, "show_symbol_type_heading": True, "show_symbol_type_toc": True,
                "extensions": [f"{ROOT}/site/docstrings.py"], "docstring_section_style": "list", "show_bases": False,
            },
        }}}})  # fmt: skip
    config["markdown_extensions"] = [
        {"toc": one["toc"] | {"slugify": "@SLUGIFY@"}} if isinstance(one, dict) and "toc" in one else one
        for one in config["markdown_extensions"]
    ]
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    slugify = "!!python/object/apply:pymdownx.slugs.slugify {kwds: {case: lower}}"
    (BUILD / f"{language}.yml").write_text(text.replace("'@SLUGIFY@'", slugify), encoding="utf-8")


if __name__ == "__main__":
    main()
