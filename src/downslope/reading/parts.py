"""The parts of an input by kind: prose, code, configuration, command lines.

What a whole input is, its name and its lines tell; what is mixed (a README with blocks of code, a question with a
command in it) is cut at the lines where the kind changes.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from dataclasses import replace
from functools import lru_cache
from itertools import groupby, pairwise

from downslope.reading.decorated import find_runs
from downslope.reading.findings import Kind, Part
from downslope.reading.languages import tell_language

_FORMATS = {
    "py": "python", "python": "python", "pyi": "python", "py3": "python", "pycon": "python", "ipynb": "notebook",
    "yaml": "yaml", "yml": "yaml", "toml": "toml", "json": "json", "jsonc": "json", "json5": "json", "jsonl": "json",
    "jsonnet": "json", "libsonnet": "json", "ini": "ini", "conf": "ini", "properties": "ini", "env": "ini",
    "cfg": "ini", "prototxt": "prototxt", "pbtxt": "prototxt", "textproto": "prototxt", "config": "prototxt",
    "sh": "shell", "bash": "shell", "zsh": "shell", "shell": "shell", "console": "shell", "bat": "shell",
    "lua": "program", "m": "program", "matlab": "program", "jl": "program", "julia": "program", "r": "program",
    "cpp": "program", "cc": "program", "c++": "program", "h": "program", "java": "program", "js": "program",
    "javascript": "program", "ts": "program", "rs": "program", "rust": "program", "cs": "program",
    "slurm": "shell", "sbatch": "shell", "cmd": "shell", "shell-session": "shell", "powershell": "shell",
}  # fmt: skip
"""The ending of a file's name, or the name of a fenced block's language -> its format."""

_LAUNCHERS = (
    r"(?:[\w.${}~/-]*/python[\d.]*|python[\d.]*|ipython|torchrun|accelerate|deepspeed|horovodrun|mpirun|srun|sbatch|bash|sh|uv|poetry|pipenv|"
    r"conda|th|qlua|\$\{?\w{1,40}\}?(?:/[\w./-]+)?|fairseq-train|fairseq-hydra-train|caffe|darknet|yolo|lightning|paddle|paddlenlp|mim|onmt_train|allennlp|"
    r"spacy|docker|podman|kubectl|ssh|screen|singularity|apptainer|qsub|bsub|nohup|sudo|time|env|exec|xvfb-run|composer|tune|"
    r"[\w./~-]*\.(?:sh|py|exe)|\.{0,2}/[\w./-]+|[\w/.-]+/(?:train|caffe|darknet))"
)
_VARIABLES = r"(?:(?:export|set|env)\s+)?(?:[A-Za-z_]\w*=(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"']*(?<!,))\s+){0,20}"
_SCRIPT = re.compile(
    r"^[ \t]*(?:>>> |In \[\d+\]: |(?:import|from) [\w.]+|def \w+\(|class \w+[(:]|"
    r"for \w+ in |[\w.]+ = [\w.]+\(|[a-z]\w*\.\w+\(|\w+ = \{[ \t]*$)",
    re.MULTILINE,
)
"""A line of a program, of which the whole need not be today's Python."""
_COMMAND = re.compile(rf"\s*(?:[\w@:~.\-\[\]()]{{0,60}}[$%>❯#]\s+|!\s?)?{_VARIABLES}{_LAUNCHERS}(?=\s|$)")
_PROMPT = re.compile(r"\s*(?:\$(?=\s+[\w./])|❯|!(?=\w))\s?\S")
_DOTTED = r"[A-Z][A-Z\d_]*(?:\.[A-Z\d_]+)+ +[^\s=:]"
_FLAGGED = re.compile(rf"(?<!\S)(?:--?[A-Za-z][\w.-]*(?:=|\s|$|\\)|[A-Za-z_][\w.]*=\S|{_DOTTED})")
_FLAGS_ALONE = re.compile(rf"\s*(?:--?[A-Za-z][\w.-]*(?:[= ]\s*\S|\s*(?:\\?\n|$))|{_DOTTED})")
_SHELL = re.compile(
    r"\s*(?:(?:for|while|until|if|case)\b.*(?:;\s*(?:do|then)|\bin\b.*)?$|do\b|done\b|then\b|fi\b|else$|elif\b|esac\b|export\s|cd\s|"
    r"mkdir\s|echo\s|set\s[-+]|source\s|module\s|rm\s|cp\s|wget\s|unzip\s|pip3?\s|git\s|[A-Za-z_]\w*=(?:\S*|\"[^\"]*\"|'[^']*'|\$\(.*\))\s*(?:#.*)?$)"
)
_KEY = re.compile(
    r"\s*(?:-\s+|\*\s+(?=\w+\.[\w.]+:))*[\"']?(?:\+{0,2}|~)[A-Za-z_][\w./\[\]-]*[\"']?[ \t]{0,30}:"
    r"(?:\s+(?P<value>\S.*)|\s*$)"
)
_ASSIGNED = re.compile(r"\s*[\"']?[A-Za-z_][\w.-]*[\"']?\s*=(?!=)\s*(?P<value>\S.*)?$")
_TIGHT = re.compile(r"\s*[a-z_]+:[\d.\"']")
_SECTION = re.compile(r"\s*\[\[?[\w.\- :\"']+\]\]?\s*(?:[#;].*)?$")
_BLOCK = re.compile(r"\s*[A-Za-z_]\w*\s*(?P<colon>:)?\s*\{")
_COMMENT = re.compile(r"\s*(?:#(?!\s*#)|;|//)(?!\w+/)|\s*#+\s*$")
_ITEM = re.compile(r"\s*-\s+\S|\s+\d{1,9}\s?:\s+\S|\s*[\]})]+[,;]?\s*$|\s*\}[\s}]*\w+:\s")
_ELIDED = re.compile(r"\s*(?:\.{3,6}|…+)\s*(?:#|$)")
"""A line that stands for others which are left out."""

_LETTERED = re.compile(r"^\s*[a-z\d]{1,2}[.)]\s+(?=\w+\s?=)")
_CODE = re.compile(
    r"\s*(?:(?:import|from)\s+[\w.]+|(?:async\s+)?def\s+\w+\s*\(|class\s+\w+|"
    r"(?:if|for|while|with|elif)\s.{1,200}:\s*(?:#.*)?$|"
    r"(?:else|try|finally)\s*:|return\b|@\w|print\s*\(|>>>\s|"
    r"[\w.\[\]'\"*, ]{1,100}\s*[-+*/]?=(?!=)\s*\S|[\w.]+\(.*\)?\s*$|"
    r"[\"'{\[(].*[,({\[:]\s*(?:#.*)?$|[\])}]+[,)\]}]*\s*(?:#.*)?$|pass$|[\w.*'\"()\[\]/ -]{1,80},\s*(?:#.*)?$)"
)
_SENTENCE = re.compile(r"(?<![A-Za-z,'])(?:[A-Za-z,']{1,40}\s{1,8}){6}|[\u4e00-\u9fff]{8}|[.?!。？！]\s{0,8}$")
_FENCE = re.compile(r"^[ \t>]*(?P<mark>```+|~~~+)[ \t]*\{?\.?(?P<language>[\w+-]*)[^\n`]*$", re.MULTILINE)
_PYTHON = re.compile(
    r"^[ \t]*(?:\w+ = (?:\w+\.)+[A-Z]\w+\(|(?:from [\w.]+ )?import \w+[^;]*$|for \w+ in \w+\(.*:$)", re.MULTILINE
)
_NUMERIC = r"[\[(]?[+-]?\.?\d(?:[\w.+-]*\w)?[\])]?(?:,\s?[+-]?\.?\d(?:[\w.+-]*\w)?[\])]?){0,50}"
_NUMBERS = rf"(?>{_NUMERIC})(?=[\s,.;:)\]}}，。；）`\"']|$)"
_FLAG_VALUE = (
    rf"(?:=|[ \t]+|[ \t]*\\?\n[ \t]*)(?:{_NUMBERS}(?:[ \t]+{_NUMBERS}){{0,50}}|\"[^\"\n]{{0,200}}\"|'[^'\n]{{0,200}}'|"
    r"(?<==)[^\s,;]{0,99}[^\s,;.]|(?!(?:and|or|with|for|to|in|is|then|but|on|at|as)\b)"
    r"[A-Za-z_][\w./-]{0,60}(?=\s*(?:$|[,.;)，。；）\\]|\s--?[A-Za-z])))?"
)
_PAIR = (
    rf"[A-Za-z]\w{{0,60}}(?:\s?[=:]\s?|\s)(?:{_NUMBERS}|[Tt]rue|[Ff]alse|[\"'][\w.-]{{1,40}}[\"'])"
    r"(?=\s*(?:[,;.)\]}，。；）\n]|and\b|$))"
)
_APART = re.compile(
    r"`(?P<quoted>[^`\n]{8,2000})`|"
    rf"(?P<flags>(?<![\w/.\-`])--?[A-Za-z][\w.-]{{0,60}}(?:{_FLAG_VALUE})"
    rf"(?:\s{{1,9}}--?[A-Za-z][\w.-]{{0,60}}(?:{_FLAG_VALUE})){{0,100}})|"
    r"(?P<call>(?<![\w.])(?<!class )(?:[A-Za-z_]\w{0,40}\.){0,5}"
    r"(?:SGD[A-Z]?|\w{0,20}Momentum|Nesterov|NAG|Adam[A-Z]?|RMSprop|RMSProp|LARS|"
    r"\w{1,30}Optimizer|\w{1,30}LR|ReduceLROn\w{1,20}|\w{1,20}Decay|\w{1,20}_decay|piecewise_constant\w{0,10}|Dense|Conv2D)\()|"
    rf"(?P<pairs>(?<![\w.\-]){_PAIR}(?:\s*[,;，；]\s*(?:and\s+)?|\s+and\s+){_PAIR}(?:(?:\s*[,;，；]\s*(?:and\s+)?|\s+and\s+){_PAIR}){{0,60}})"
)
"""What stands in a sentence and is none: quoted commands, runs of flags, calls, runs of pairs."""

_PARAMETER = re.compile(
    r"\s*\w{1,40}\s?:\s?[A-Za-z][\w.]{0,40}(?:\[[^\n=]{0,60}\])?(?: \| None)?\s?=\s?\S.*[,)]\s*(?:#.*)?$"
)
"""A parameter of a function, with its type and its default."""

_ITEM_OF_CALL = re.compile(r"\s*(?:\w{1,60}\s?=(?!=)|([\"'])\w[\w.-]{0,60}\1\s?:).*[,{(\[]\s*(?:#.*)?$")
"""A line of a dictionary, or of a call with keywords."""

_JSON_LINE = re.compile(r"\s*(?:\"[\w.$ /-]{1,80}\"\s*:.*|[\[\]{}, ]+|(?:\"[^\"]*\"|[\d.eE+-]+),?)\s*")
"""A line of JSON, of which the beginning may be missing."""

_SNAKE = re.compile(r"[A-Za-z]_[A-Za-z]+_[A-Za-z]")
_FLAGS_IN_CODE = re.compile(
    r"(?<!parse_args\()\[[^\[\]]{0,400}[\"']--[A-Za-z][\w-]*[\"'][^\[\]]{0,2000}\]|"
    r"(?<=[\"'])[^\"'\n]{0,200}\.(?:py|sh)\s[^\"'\n]{0,500}(?=[\"'])"
)
"""A command that a program runs: a list of words with flags, or one text."""

_QUOTED = re.compile(r"[\"'#][^\"'\n]{20}")
_SIGNATURE = re.compile(r"\b(?:class|def)\s[\w.]*\([^()\n]*$")
_TRUTH = re.compile(r"[=:]\s?(?:True|False)\b")
_SURE_FLAG = re.compile(r"(?:^|\s)(?:--[A-Za-z]{2}|-(?:b|lr|wd|bs)\s+[\d.])")
_HEREDOC = re.compile(r"<<-?\s*[\"']?(?P<end>\w+)[\"']?(?P<rest>[^\n]*)\n")
_WRITTEN_TO = re.compile(r">{1,2}\s*[\"']?([^\s\"'|;&<]+)|tee\s+(?:-a\s+)?[\"']?([^\s\"'|;&<]+)")
_DARKNET = re.compile(
    r"^[ \t]*(?:\[(?:net|network|convolutional|yolo|region)\]|burn_in\s*=|max_batches\s*=|subdivisions\s*=|"
    r"policy\s*=\s*(?:steps|poly)\b)",
    re.MULTILINE,
)
_SOLVER = re.compile(
    r"^(?:base_lr|solver_type|solver_mode|snapshot_prefix|stepvalue|stepsize|test_iter)\s*:", re.MULTILINE
)
_PROSE_AFTER = re.compile(r"[,，;；]\s*[A-Za-z\u4e00-\u9fff]|\s[A-Za-z]\w*\s+[A-Za-z]\w*(?:\s|$)")
"""What tells a sentence that begins with flags from a command."""

_LOOKED_AT = 20_000
"""Characters whose lines tell what a whole input is."""

_WIDEST = 600
"""Characters of a line that tell what it is."""

_PARSED = 150_000
"""Characters of the longest text that is parsed to see whether it is Python."""

_CUT = 100_000
"""Characters of mixed input that are cut into parts; what stands behind them is prose."""

_MOST = 300
"""Parts that prose is cut into; what follows the last is prose."""


def split(text: str, name: str = "") -> list[Part]:
    r"""Return the parts of an input, in order; together they hold every character that is no fence or blank.

    Args:
        text: An input of any kind.
        name: Of its file, or "".

    Example:
        >>> [(part.kind, part.format) for part in split("We train with:\n```sh\npython train.py --lr 0.1\n```\n")]
        [('prose', ''), ('command', 'shell')]
    """
    if not text.strip():
        return []
    text = _without_marks(text)
    ending = name.lower().rpartition(".")[2] if "." in name else ""
    whole = _by_name(text, ending) if ending in _FORMATS else tell(text)
    cut = _next_file(text, whole)
    if cut:
        parts = [*_parts(whole or "python", text[:cut], 0, name), *_parts(tell(text[cut:]), text[cut:], cut, name)]
    else:
        parts = _parts(whole, text, 0, name)
    return [piece for part in parts for piece in _told(part)]


def _without_marks(text: str) -> str:
    """Return a configuration every line of which is a comment with blanks for its marks; other texts as they are."""
    lines = [line for line in text[:_LOOKED_AT].splitlines() if line.strip()]
    if len(lines) < 3 or not all(line.lstrip().startswith("#") for line in lines):
        return text
    bare = _MARK.sub(r"\1 ", text)
    return bare if tell(bare) in _FORMATS_OF_KEYS else text


_MARK = re.compile(r"^([ \t]*)#", re.MULTILINE)
_FORMATS_OF_KEYS = frozenset({"yaml", "prototxt", "toml", "ini", "darknet", "dictionary", "json"})


def _unquoted(words: str) -> str:
    return re.sub(r"[\[\]\"',]", " ", words)


def _told(part: Part) -> list[Part]:
    """Return a program in parts, if all that it says of a training stands in sentences that it writes down."""
    if part.format not in {"python", "dictionary", ""}:
        return [part]
    flags = next((one for one in _FLAGS_IN_CODE.finditer(part.text) if _SURE_FLAG.search(_unquoted(one[0]))), None)
    if flags is not None:
        found = [replace(part, text=part.text[: flags.start()]), replace(part, text=part.text[flags.end() :])]
        found[1] = replace(found[1], start=part.start + flags.end())
        given = Part("command", "shell", _unquoted(flags[0]), part.start + flags.start(), part.name)
        return [found[0], given, found[1]]
    if part.kind == "prose" or not _QUOTED.search(part.text):
        return [part]
    from downslope.reading.code.looks import sentences_in

    found: list[Part] = []
    here = 0
    for start, end in sentences_in(part.text):
        found.append(replace(part, text=part.text[here:start], start=part.start + here))
        found.append(Part("prose", "", part.text[start:end], part.start + start, part.name))
        here = end
    return [*found, replace(part, text=part.text[here:], start=part.start + here)]


def _parts(whole: str, text: str, start: int, name: str) -> list[Part]:
    """Return the parts of a text that is of one kind, or mixed."""
    if whole == "shell":
        return _heredocs(Part("command", "shell", text, start, name))
    return [_part(whole, text, start, name)] if whole else _mixed(text, start, name)


def _next_file(text: str, whole: str) -> int:
    """Return where a script or a program begins that stands behind another in one input; 0 where none does."""
    begins = {"shell": r"^(?:#!|(?:import|from) \w)", "python": r"^#!", "": r"^#!"}.get(whole)
    mark = re.compile(begins, re.MULTILINE).search(text, 2) if begins else None
    if mark is None or (whole == "shell" and "<<" in text[: mark.start()]):  # a file that the script writes
        return 0
    told = whole == "python" or _python(text[mark.start() :] if whole else text[: mark.start()])
    return mark.start() if told else 0


def _part(form: str, text: str, start: int, name: str = "") -> Part:
    kind: Kind = "code" if form in {"python", "notebook"} else "command" if form == "shell" else "configuration"
    return Part(kind if form else "prose", form, text, start, name)


def _by_name(text: str, ending: str) -> str:
    form = _FORMATS[ending]
    if form == "python":
        return _python(text) or form
    if form == "ini" and _DARKNET.search(text):
        return "darknet"
    if form == "prototxt" and ending == "config":
        told = tell(text)
        return told if told in {"json", "toml", "ini"} else form
    if form == "ini" and ending in {"cfg", "conf"} and not any(map(_assigned, text[:_LOOKED_AT].splitlines())):
        return tell(text)
    return form


def tell(text: str) -> str:
    r"""Return the format of a text that is of one kind throughout; "" if it is prose, or mixed.

    Example:
        >>> tell("lr: 0.1\nmomentum: 0.9"), tell("x = f(3)"), tell("[a]\nb = 1"), tell("we train for 90 epochs")
        ('yaml', 'python', 'toml', '')
    """
    head = text[:_LOOKED_AT]
    if _FENCE.search(head) and not head.lstrip().startswith(("{", "#!")):
        return ""
    first = head.lstrip()[:1]
    if first == "{" and '"cell_type"' in head and '"cells"' in text:
        return "notebook"
    lines = [
        _LETTERED.sub("", line[:_WIDEST]) for line in head.splitlines() if line.strip() and not _ELIDED.match(line)
    ]
    if len(text) > _LOOKED_AT and len(lines) > 1:
        lines.pop()
    if _is_script(head, lines):
        return "shell"
    if _SOLVER.search(head) and all(map(_of_solver, lines)) and not re.search(r":\s*\[", head):
        return "prototxt"
    if _DARKNET.search(head) and all(_COMMENT.match(one) or _SECTION.match(one) or _assigned(one) for one in lines):
        return "darknet"
    if (
        first in "{["
        and re.match(r"\s*[{\[]\s*(?:\"|//|/\*|[{\[\]}]|\w+\s*:|\w+\([^)\n]{0,200}\)\s*::)", head)
        and _closed(text)
    ):
        return "json"
    if sum(bool(_PARAMETER.match(line)) for line in lines) >= max(2, len(lines) // 3):
        return "python"
    ended = sum(line.rstrip().endswith(";") for line in lines) * 2 > len(lines)
    if tell_language(head) and (not _python(text) or ended or "trainingOptions(" in head):
        return "program"
    told = _told_by_lines(lines)
    if sum(bool(_ITEM_OF_CALL.match(line)) for line in lines) > 1:
        from downslope.reading.configuration.dictionaries import ends_in_comma, is_piece

        if is_piece(text) and (ends_in_comma(text) or not _python(text)):
            return "dictionary"
    if told in {"toml", "ini", "yaml", "prototxt"} and not (told == "toml" and not any(map(_SECTION.match, lines))):
        return told
    found = _python(text)
    if not found and first == '"' and '":' in head and all(map(_JSON_LINE.fullmatch, lines)):
        return "json"
    if found or not _SCRIPT.search(head) or "```" in text:
        return found or told
    from downslope.reading.code.looks import looks_like_python as looks_like_pieces

    return "python" if looks_like_pieces(text) else told


def _closed(text: str) -> bool:
    last = text.rstrip()[-1:]
    return last in {"}", "]"} or text.count("\n") > 2


def _assigned(line: str) -> re.Match[str] | None:
    return _ASSIGNED.match(line)


def _of_solver(line: str) -> bool:
    return any(one.match(line) for one in (_COMMENT, _KEY, _BLOCK, _ITEM, _TIGHT))


_NOTE = re.compile(r"\s*- (?:[^\s:#{\[\"']+ ){2,}[^\n:]*\d[^\n:]*$|\s*- (?:[^\s:#{\[\"']+ ){3,}[^\n:]*$")
"""An item of a list that is a note in words: "- Adam, lr=1e-3, step LR /10 at epochs 30 and 45"."""


def _told_by_lines(lines: list[str]) -> str:
    """Return "yaml", "toml", "ini" or "prototxt" where nearly all lines have that shape."""
    if any(_holds(one, two) for one, two in pairwise(lines)):  # tables in tables, which no heading stands between
        lines = [line for line in lines if not line.lstrip().startswith("##")]
    comments = sum(bool(_COMMENT.match(line)) or line.strip() in {"---", "..."} for line in lines)
    sections = sum(bool(_SECTION.match(line)) for line in lines)
    keys = [match for line in lines if (match := _KEY.match(line))]
    assigned = sum(bool(_assigned(line)) for line in lines)
    blocks = sum(bool(_BLOCK.match(line)) for line in lines)
    items = sum(bool(_ITEM.match(line)) and not _KEY.match(line) for line in lines)
    unlike_yaml = any(one["colon"] is None for line in lines if (one := _BLOCK.match(line)))
    unlike_yaml = unlike_yaml or any(  # there commas part what stands in braces
        one.rstrip().endswith("{") and _BLOCK.match(one) and _KEY.match(two) and two.rstrip()[-1] not in ",{"
        for one, two in pairwise(lines)
    )
    told = len(lines) - comments
    if sections and assigned + len(keys) and sections + assigned + len(keys) + items >= 0.7 * told:
        return "toml" if not any("%" in line or ":" in line.split("=")[0] for line in lines[:50]) else "ini"
    if unlike_yaml and len(keys) + blocks + items >= 0.9 * told and not any(";" in line for line in lines[:50]):
        return "prototxt"
    if assigned >= 2 and assigned + items >= 0.9 * told:
        return "toml"
    if sum(bool(_NOTE.match(line)) for line in lines) > max(1, 0.5 * items):
        return ""
    wordy = sum(bool(_SENTENCE.search(_plain(match["value"] or ""))) for match in keys)
    if len(keys) >= 2 and wordy <= 0.2 * len(keys) and len(keys) + items >= 0.7 * told and _nested_well(lines):
        return "yaml"
    return ""


def _holds(line: str, following: str) -> bool:
    """Whether a key without a value has a key under it."""
    key, deeper = _KEY.match(line), len(following) - len(following.lstrip())
    return (
        key is not None and not key["value"] and deeper > len(line) - len(line.lstrip()) and bool(_KEY.match(following))
    )


def _plain(value: str) -> str:
    """Return a value without its comment; quoted words are no sentence."""
    return "" if value[:1] in "\"'{[#" else value.partition(" #")[0]


def _nested_well(lines: list[str]) -> bool:
    """Whether what is no key and no item stands deeper than a key before it: a long value, or a list over lines."""
    depth = 0
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if _KEY.match(line):
            depth = indent
        elif not (_COMMENT.match(line) or _ITEM.match(line) or indent > depth or line.strip() in {"---", "..."}):
            return line.lstrip()[:2] in {"{{", "{%"}
    return True


def _is_script(head: str, lines: list[str]) -> bool:
    if re.match(r"#!.*\b(?:ba|z|da|k)?sh\b", head):
        return True
    joined = re.sub(r"\\[ \t]*\n", " ", head)
    commands = shell = 0
    lines_of_it = [line[:_WIDEST] for line in joined.splitlines() if line.strip()]
    told = [line for line in lines_of_it if not _COMMENT.match(line)] or list(filter(_is_command, lines_of_it))
    launched = False
    for line in told:
        plain = line.rpartition(" do ")[2]  # of a loop on one line
        if _is_command(plain) or (_FLAGS_ALONE.match(line) and (commands or not _PROSE_AFTER.search(line))):
            commands += 1
        elif _SHELL.match(line) or _COMMAND.match(line):
            shell += 1
            launched = launched or bool(_COMMAND.match(line)) or line.startswith(("export ", "source "))
    return (bool(commands) or (launched and "=" in joined)) and commands + shell == len(told) and bool(lines)


def _is_command(line: str) -> bool:
    """Whether a line (its continuations joined) starts a program and gives it something."""
    if _PROMPT.match(line):
        return True
    return bool(_COMMAND.match(line) and _FLAGGED.search(line)) and not re.match(
        r"\s*(?:time|env|exec)\s+\w+\s+\w+\s", line
    )


def looks_like_python(text: str) -> bool:
    """Whether a text is Python that does something: assigns, calls, imports or defines."""
    return bool(_python(text))


@lru_cache(maxsize=4)
def _python(text: str) -> str:
    """Return "python", "dictionary" for Python that only gives names values without computing any, or ""."""
    if len(text) > _PARSED:
        return "python" if _DEFINES.search(text, 0, _LOOKED_AT) else ""
    tree = _parse(text)
    if tree is None or not any(map(_does_something, tree.body)) or any(map(_is_bullet, tree.body)):
        return ""
    allowed = (ast.Assign, ast.AnnAssign, ast.Expr, ast.Delete, ast.With, ast.Import, ast.ImportFrom)
    if not all(isinstance(one, allowed) for one in tree.body):
        return "python"
    assigned = any(isinstance(one, ast.Assign | ast.AnnAssign) or _is_dictionary(one) for one in tree.body)
    nodes = list(ast.walk(tree))
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    sums = [node for node in nodes if isinstance(node, ast.BinOp)]
    typed = any(isinstance(node, ast.keyword) and node.arg == "type" for node in nodes)  # tables of OpenMMLab
    if any(isinstance(side, ast.Name) for node in sums for side in (node.left, node.right)) and not typed:
        return "python"
    plain = all(isinstance(called, ast.Name) and called.id in _BUILDERS for called in calls)
    if not assigned or not plain:
        return "python"
    from downslope.reading.code.tree import formulas, written_rates

    return "python" if written_rates(tree.body) or formulas(tree.body) else "dictionary"


_DEFINES = re.compile(r"^(?:import|from|def|class)[ \t]", re.MULTILINE)
_BUILDERS = frozenset(
    ["dict", "list", "tuple", "set", "float", "int", "len", "range", "read_base", "str", "round", "min", "max", "abs"]
)


def _does_something(statement: ast.stmt) -> bool:
    """Whether a statement is more than words that happen to be Python, as `lr: 0.1` and `a, b` are."""
    if isinstance(statement, ast.AnnAssign):
        return statement.value is not None
    return not isinstance(statement, ast.Expr) or isinstance(statement.value, ast.Call | ast.Dict | ast.Await)


def _is_bullet(statement: ast.stmt) -> bool:
    """Whether a statement is an item of a list with a star, as `* lr = 0.1`: Python takes none."""
    told = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "value", None)
    return isinstance(told, ast.Starred)


def _is_dictionary(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Dict)


def _parse(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# Mixed input

_SETTINGS = frozenset({"yaml", "json", "toml", "dictionary"})
_PAIRED = re.compile(r"\s*(['\"])[\w .-]{1,40}\1\s*:\s*[^\s{\[]")
"""A line of a dictionary, of which the comma may be missing."""


def _mixed(text: str, start: int, name: str) -> list[Part]:
    """Return the parts of prose with other things in it: fenced blocks, then runs of lines, then quoted commands."""
    parts: list[Part] = []
    here = 0
    fences = list(_FENCE.finditer(text, 0, _CUT))
    place = 0
    while place < len(fences) and len(parts) < _MOST:
        opening = fences[place]
        after = place + 1
        while after < len(fences) and (fences[after]["mark"][0] != opening["mark"][0] or fences[after]["language"]):
            after += 1
        closing = fences[after] if after < len(fences) else None
        inner_end = closing.start() if closing else len(text)
        parts += _lines(text[here : opening.start()], start + here, name)
        inner = text[opening.end() + 1 : inner_end]
        parts += _fenced(inner, opening["language"].lower(), start + opening.end() + 1, name)
        here = closing.end() if closing else len(text)
        place = after + 1
    return [*parts, *_lines(text[here:], start + here, name)]


def _fenced(text: str, language: str, start: int, name: str) -> list[Part]:
    if not text.strip():
        return []
    form = _by_name(text, language) if language in _FORMATS else tell(text)
    form = "python" if form == "shell" and _PYTHON.search(text) else form  # under a wrong label
    if form in {"shell", ""} or (form == "python" and not _python(text)):  # settings are fenced as these, too
        told = tell(text) if form else ""
        lines = [line for line in text.splitlines() if line.strip() and not _COMMENT.match(line)]
        paired = sum(bool(_PAIRED.match(line)) for line in lines)
        form = told if told in _SETTINGS else "yaml" if paired > max(1, 0.8 * len(lines)) else form
    if form == "shell":
        return _heredocs(Part("command", "shell", text, start, name))
    return [_part(form, text, start, name)] if form else _lines(text, start, name)


_SPREAD = re.compile(
    r"^[^\n,\t]{1,40}(?:[,\t][^\n,\t]{1,40}){2,40}\n[^\n,\t]{0,40}(?:[,\t][^\n,\t]{0,40}){2,40}$", re.MULTILINE
)
"""What may be two lines of a spreadsheet."""


def _lines(text: str, start: int, name: str) -> list[Part]:
    """Return the parts of a text without fences: settings with something around them, and what is between these."""
    parts: list[Part] = []
    here = 0
    if "|" in text or _SPREAD.search(text[:_CUT]):
        from downslope.reading.configuration.tables import find_tables

        for begun, end in find_tables(text[:_CUT]):
            parts += _lines(text[here:begun], start + here, name) if here < begun else []
            parts.append(_part("table", text[begun:end], start + begun, name))
            here = end
        if parts:
            return [*parts, *_lines(text[here:], start + here, name)]
    for begun, settings in find_runs(text[:_CUT]):
        form = "darknet" if _DARKNET.search(settings) else "dictionary" if "dict(" in settings else "toml"
        parts += [*_runs(text[here:begun], start + here, name), _part(form, settings, start + begun, name)]
        here = begun + len(settings)
    return [*parts, *_runs(text[here:], start + here, name)]


def _runs(text: str, start: int, name: str) -> list[Part]:
    """Return the parts of a text: runs of lines of one kind."""
    parts: list[Part] = []
    place = begun = 0
    for foreign, group in groupby(_classified(text[:_CUT]), key=lambda one: one[1] != "prose"):
        run = [line for line, _ in group]
        chunk = "".join(run)
        form = tell(chunk) if foreign and chunk.strip() else ""
        if form and len(parts) < _MOST and (form == "shell" or len(chunk.strip().splitlines()) >= 2):
            parts += _prose(text[begun:place], start + begun, name)
            made = _part(form, chunk, start + place, name)
            parts += _heredocs(made) if form == "shell" else [made]
            begun = place + len(chunk)
        place += len(chunk)
    return [*parts, *_prose(text[begun:], start + begun, name)]


def _classified(text: str) -> list[tuple[str, str]]:
    """Return each line with its class; blank lines and comments go with what stands before and after."""
    lines = text.splitlines(keepends=True)
    classes: list[str] = []
    continued = False
    for line in lines:
        told = _class(line[:_WIDEST], classes[-1] if classes else "prose", continued=continued)
        continued = told == "command" and line.rstrip().endswith("\\")
        classes.append(told)
    for places in (range(len(lines)), range(len(lines) - 1, -1, -1)):
        last = "prose"
        for place in places:
            if classes[place] == "open" and last == "prose":
                classes[place] = "prose"
            last = classes[place]
    return list(zip(lines, classes, strict=True))


def _class(line: str, before: str, *, continued: bool) -> str:
    if continued or _is_command(line):
        return "command"
    if before == "command" and _FLAGS_ALONE.match(line):
        return "command"
    if not line.strip() or _COMMENT.match(line):
        return "open"
    key = _KEY.match(line)
    if key and not _SENTENCE.search(_plain(key["value"] or "")):
        return "pair"
    if _SENTENCE.search(line.partition("#")[0]) and not re.search(r"[=({\[]\s*\S*$|^\s{4}", line):
        return "prose"
    return "code" if _CODE.match(line) or _SECTION.match(line) or _SHELL.match(line) or _BLOCK.match(line) else "prose"


def _prose(text: str, start: int, name: str) -> list[Part]:
    """Return prose, with the commands, flags, calls and pairs that stand in it as parts of their own."""
    parts: list[Part] = []
    here = open_calls = 0
    for match in _APART.finditer(text):
        if len(parts) > _MOST or open_calls > _MOST:
            break
        form, first, last = _foreign(text, match)
        open_calls += not last
        if form and match.start() >= here:
            if text[here : match.start()].strip():
                parts.append(Part("prose", "", text[here : match.start()], start + here, name))
            parts.append(_part(form, text[first:last], start + first, name))
            here = max(match.end(), last)
    return [*parts, Part("prose", "", text[here:], start + here, name)] if text[here:].strip() else parts


def _foreign(text: str, match: re.Match[str]) -> tuple[str, int, int]:
    """Return the format of what stands in a sentence, "" if it belongs there, and its first and last place."""
    kind = match.lastgroup or ""
    first, last = match.span(kind)
    words = match[kind]
    if kind == "call":
        last = _call_end(text, last - 1)
        return ("python" if last and looks_like_python(text[first:last]) else ""), first, last
    sure = {
        "quoted": _is_command(words)
        or (_FLAGS_ALONE.match(words) and len(_FLAGGED.findall(words)) >= 2)
        or re.fullmatch(r"--[A-Za-z][\w-]*(?:[ =][\d.e-]+){2,}", words),
        "flags": _SURE_FLAG.search(words),
        "pairs": _SNAKE.search(words)
        or (_TRUTH.search(words) and not _SIGNATURE.search(text[max(first - 200, 0) : first])),
    }
    if kind in {"quoted", "flags"} and _OVERRIDES.search(text[max(first - 20, 0) : last + 8]):
        return "", first, last
    if kind == "pairs" and _PHRASED.search(text, max(first - 12, 0), first):
        return "", first, last  # "with learning rate = 0.01, momentum = 0.9 and nesterov = True"
    return ("pairs" if kind == "pairs" else "shell") if sure[kind] else "", first, last


_OVERRIDES = re.compile(r"覆盖|重写|(?:可|可以|也能|能)用[`\s]{0,2}--|\boverrid")
"""Words around flags that would change what a text says."""

_PHRASED = re.compile(r"\b(?:learning|weight|batch|step|decay|initial) $", re.IGNORECASE)
"""The first word of a name of two, before a key that is only its second."""


def _call_end(text: str, opening: int) -> int:
    """Return the place after the bracket that closes the one at `opening`; 0 if it is too far away."""
    depth = 0
    for place in range(opening, min(len(text), opening + 500)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if not depth:
            return place + 1
    return 0


def _heredocs(part: Part) -> list[Part]:
    """Return a script with the files that it writes, `cat > config.yaml <<EOF`, cut out of it."""
    found: list[Part] = []
    here, text = 0, part.text
    for opening in _HEREDOC.finditer(text):
        if opening.start() < here or len(found) > _MOST:
            continue
        closing = re.compile(rf"^[ \t]*{opening['end']}[ \t]*$", re.MULTILINE).search(text, opening.end())
        if closing is None:
            break
        line = text[text.rfind("\n", 0, opening.start()) + 1 : opening.start()] + " " + opening["rest"]
        target = _WRITTEN_TO.search(line)
        name = (target.group(1) or target.group(2)) if target else ("x.py" if "python" in line else "")
        found.append(replace(part, text=text[here : opening.end()], start=part.start + here))
        inner = split(text[opening.end() : closing.start()], name)
        found += [replace(one, start=part.start + opening.end() + one.start, name=part.name) for one in inner]
        here = closing.end()
    return [*found, replace(part, text=text[here:], start=part.start + here)] if text[here:].strip() else found
