"""Programs in other languages than Python: what they plainly assign, declare and pass, by one table; never run."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby, pairwise

from downslope.reading.arithmetic import is_number
from downslope.reading.configuration.entries import MOST, Entry, as_number, listed
from downslope.reading.configuration.literals import bracket_end
from downslope.reading.configuration.settings import meanings
from downslope.reading.languages import LANGUAGES, tell_language
from downslope.reading.order import covering

_NUMBER = r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFlLdD]?(?![\w.])"
_VALUE = (
    rf"(?P<value>\([ \t]*{_NUMBER}[ \t]*\)|"
    rf"(?:\[|\{{|c\()\s*{_NUMBER}(?:[,;\s]+{_NUMBER})*\s*[\]}})]|{_NUMBER}|[\"'][^\"'\n]{{0,80}}[\"']|"
    r"[A-Za-z_]\w{0,60}(?![\w.(\[:]))(?![ \t]*[-*/+^])"
)
_ASSIGNED = (
    r"(?<![\w~!<>=])(?:\w{1,40}\.){0,5}(?P<key>[^\W\d]\w{0,60})(?:::\w+|:[ \t]?\w{1,20}(?=[ \t]*=))?"
    r"[ \t]*(?:=(?!=)|<-|:(?![:=]))[ \t]*(?:\((?=[\d.e-]+\)))?"
)
_BOUND = r"(?:;[ \t]*\w{1,20}[ \t]*<=?|[,:]|to|until|\.\.=?)[ \t]*"
_WAYS = [
    re.compile(way + _VALUE, re.MULTILINE)
    for way in (
        _ASSIGNED,
        r"\b\w{1,30}:option\([ \t]*[\"'](?P<key>-{0,2}\w+)[\"'][ \t]*,[ \t]*",
        r"[\"'](?P<key>\w{1,60})[\"'][ \t]*,[ \t]*",
        r"\bDEFINE_\w+\([ \t]*(?P<key>\w+),[ \t]*",
        r"\.set_?(?P<key>[A-Za-z]\w{0,60})\([ \t]*",
        r"#define[ \t]+(?P<key>\w+)[ \t]+",
        r"(?<=[)\s\w])(?P<built>\.)(?:with_)?(?P<key>[a-z]\w{0,40})\([ \t]*",
        r"\bfor\b[ \t(]{0,4}(?:\w{1,20} )?(?P<key>epochs?|ep)\b[ \t]*(?:=|in|<-)[ \t]*\w{1,20}[ \t]*" + _BOUND,
    )
]
"""How a key is given a value: assigned or named in a call, declared, paired, defined, built, counted up to."""

_BUILT = frozenset({"lr", "momentum", "weight_decay", "nesterov", "dampening", "batch", "epochs", "clip"})
"""What the methods that build options may set."""

_HELPED = re.compile(r"(?P<key>--\w{1,60})[^\n(]{0,120}\(default " + _VALUE)
_CALLED = re.compile(
    r"(?<!\w)(?<![)\s]\.)(?P<name>[mM]omentum|[dD]escent|[nN]esterovs?|[sS][gG][dD](?:Options)?|WeightDecay|Poly|trainingOptions)"
    r"(?:\[\w{1,20}\]|<\w{1,20}>|[ \t]+\w+|::new)?\([ \t]*"
    rf"(?P<one>{_NUMBER}|[\"']\w+[\"']|[^\W\d]\w*(?![\w.(\[:]|->))?(?:[ \t]*,[ \t]*(?P<two>{_NUMBER}))?"
)
_SCHEDULER = re.compile(r"\b\w{0,60}(?:[sS]cheduler|StepLR)\w{0,30}\(")
_PLACES = {
    "weightdecay": ("weight_decay",),
    "trainingoptions": ("optimizer",),
    "poly": ("power", "max_decay_steps"),
    "dlib": ("weight_decay", "momentum"),
}
"""What the arguments by place of a call mean, where they are not a rate and a momentum."""

_ROW = re.compile(rf"[{{\[]\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})(?:\s*,\s*{_NUMBER})*\s*,?\s*[}}\]]")


def read_program(text: str) -> list[Entry]:
    r"""Return the settings that a program gives names, options and known optimizers; of a name, what it was given.

    Example:
        >>> program = "cmd:option('-LR', 0.1, 'rate of 1')\nlocal t = {wd = 1e-4, n = 8 / 2} -- m = 5"
        >>> [(one.path, one.value) for one in read_program(program)]
        [(('-LR',), 0.1), (('wd',), 0.0001)]
    """
    begun = LANGUAGES.get(tell_language(text), ("//",))[0]
    comment = re.compile(rf"(\"[^\"\n]*\"|'[^'\n]*')|{begun}[^\n]*|/\*(?:[^*]|\*(?!/))*(?:\*/)?")
    clean = comment.sub(lambda match: match[0] if match[1] else re.sub(r"[^\n]", " ", match[0]), text)
    clean = re.sub(r"\.\.\.(?=[ \t]*\n)", "   ", clean)
    if tell_language(text) == "r":  # whose names have dots
        clean = re.sub(r"(?<=[A-Za-z])\.(?=[A-Za-z])", "_", clean)
        clean = re.sub(r"\bnum_round\b", "n_epochs ", clean) if "mx_" in clean else clean  # MXNet's
    matches = [*(match for way in _WAYS for match in way.finditer(clean)), *_HELPED.finditer(text)]
    matches = [m for m in matches if "built" not in m.re.groupindex or _BUILT.intersection(meanings(m["key"]))]
    found = [Entry((_bare(m["key"]),), _read(m["value"]), m.start("key"), m.end("value")) for m in matches]
    for match in _CALLED.finditer(clean):
        name = match["name"].lower()
        if match["name"] == "momentum" and match["two"] is None and clean[match.start() - 1 : match.start()] == ".":
            continue  # an option that is set
        if name == "poly":
            found.append(Entry(("lr_policy",), name, *match.span("name")))
        if name not in _PLACES:
            found.append(Entry(("optimizer", "name"), name.removesuffix("options"), *match.span("name")))
        if name == "sgd" and "dnn_trainer" in clean:
            name = "dlib"
        for key, group in zip(_PLACES.get(name, ("lr", "momentum")), ("one", "two"), strict=False):
            if match[group]:
                found.append(Entry((key,), _read(match[group]), *match.span(group)))
    calls = [
        (match.end() - 1, bracket_end(clean, match.end() - 1, match.end() + 2000))
        for match in _SCHEDULER.finditer(clean)
    ]
    inside = covering(calls)
    found = [replace(one, path=("lr_scheduler", *one.path)) if inside(*one.place) else one for one in found]
    if tell_language(text) == "lua" or "optim." in clean:  # Torch7's, which divides by 1 + decay * steps
        found += [replace(one, path=("lr_policy",), value="inverse") for one in found if _decays(one)]
    found = sorted([*found, *_regimes(clean)], key=lambda one: one.start)[:MOST]
    given = {one.path[-1].lstrip("-"): one for one in found if len(one.path) == 1 and not _is_name(one)}
    return [replace(given[one.value], path=one.path) if _is_name(one) and one.value in given else one for one in found]


def _decays(entry: Entry) -> bool:
    return entry.path[-1] == "learningRateDecay" and is_number(entry.value) and 1e-6 < entry.value < 0.1


def _is_name(entry: Entry) -> bool:
    """Whether an entry's value is a name, whose value and words are then its own."""
    return len(entry.path) == 1 and isinstance(entry.value, str)


def _bare(key: str) -> str:
    """Return a key without the k that constants of C++ begin with."""
    return key[1:] if re.match(r"k[A-Z][a-z]", key) else key


def _read(value: str) -> object:
    value = value.strip("() \t") if value[:1] == "(" else value
    if value[:1] in "[{" or value.startswith("c("):
        found = listed(re.sub(r"^c|[\[\]{}();]", " ", value))
        return found if isinstance(found, list) else [found]
    number = as_number(value.rstrip("dDfF"))
    return listed(value.strip("\"'")) if number is None else number


def _regimes(text: str) -> list[Entry]:
    """Return the rates of a table whose rows have a first time, a last, and the rate between them."""
    rows = [([float(match[n].rstrip("fFlLdD")) for n in (1, 2, 3)], *match.span()) for match in _ROW.finditer(text)]
    for follow, run in groupby(pairwise(rows), lambda pair: pair[0][0][1] + 1 == pair[1][0][0]):
        pairs = list(run)
        if follow:
            kept = [pairs[0][0], *(pair[1] for pair in pairs)]
            levels = [[times[0], times[2]] for times, *_ in kept]
            return [Entry(("lr_schedule",), levels, kept[0][1], kept[-1][2])]
    return []
