"""The numbers, sentences and tables of a report, as plain rows of text."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from downslope.core.errors import CheckpointError
from downslope.core.number_text import duration_text, number_text
from downslope.core.schedules import Schedule
from downslope.core.tables import to_table
from downslope.recipe.measures import grows, is_share, title_of
from downslope.training.folder.checkpoint import read_manifest
from downslope.training.folder.events import Session
from downslope.training.report.data import RunData, metrics_of_several
from downslope.training.report.numbers import Number, accuracy, loss, size_text, whole

_SHOWN = 12
"""How many of what may be very many (skipped steps, plateaus) are listed."""


@dataclass(frozen=True)
class Headline:
    """One of the numbers at the top of the page.

    Attributes:
        label: What it is.
        value: The number.
        note: What else is to be said, a phrase.
        best: What the best value was and when it was reached: words, the value, words.
    """

    label: str
    value: Number
    note: str = ""
    best: tuple[str, Number | None, str] | None = None


def headlines(run: RunData) -> list[Headline]:
    """Return the headline numbers of a run; what is not known is left out."""
    found: list[Headline] = []
    rates = [(rate, False) for rate in run.rates]
    # Where a run writes sequences, its accuracy is that of single symbols with the true ones before them: no headline.
    usual = ("rmse", "mae", "r2", *(["macro_f1"] if "micro_f1" in run.metrics else []), *run.recipe.watched.values())
    others = dict.fromkeys(
        name for name in usual if name in run.metrics and name not in {"accuracy", "loss", *run.rates}
    )
    numbers = [(name, grows(name)) for name in others]
    for name, largest in (*(rates or [("accuracy", True)]), *numbers, ("loss", False)):
        write = accuracy if is_share(name) else loss
        series = run.held_out[name]
        last, best = series.last(), series.best(largest=largest)
        if last is not None and best is not None:
            examples = run.facts.get("data", {}).get("held_out_examples")
            right = examples and not run.facts["data"].get("labels")  # whose accuracy is of each label
            parts = [f"{round(last[0] * examples)} of {examples} right"] if name == "accuracy" and right else []
            parts += [_after(last[1])] if last[1] + 1 < run.steps_done else []
            if last == best:
                reached = ("its best", None, "")
            elif last[0] == best[0]:
                reached = (f"best {_after(best[1])}", None, "")
            else:
                reached = ("best", write(best[0]), f", {_after(best[1])}")
            found.append(Headline(f"held-out {title_of(name)}", write(last[0]), ", ".join(parts), reached))
    last = run.train["loss"].last()
    if last is not None:
        found.append(Headline("training loss", loss(last[0]), f"last batch, step {whole(last[1])} (from 0)"))
    epochs = f"{number_text(round(run.steps_done / run.steps_per_epoch, 2))} epochs" if run.steps_per_epoch else ""
    planned = f"of {whole(run.total_steps)}; " if run.total_steps and run.total_steps != run.steps_done else ""
    found.append(Headline("steps", Number(whole(run.steps_done), run.steps_done), planned + epochs))
    if run.facts.get("parameters"):
        tensors = len(run.facts["parameters"])
        note = f"in {tensors} {'tensor' if tensors == 1 else 'tensors'}"
        found.append(Headline("parameters", Number(whole(run.parameter_count), run.parameter_count), note))
    time = wall_time(run.sessions)
    if time is not None:
        count, (seconds, complete) = len(run.sessions), time
        note = f"{'' if complete else 'at least, '}in {count} {'process' if count == 1 else 'processes'}"
        found.append(Headline("wall time", Number(duration_text(seconds)), note))
    return found


def _after(step: int) -> str:
    """Return when an evaluation was, by the steps taken, as the terminal and `list` count: `step` is the last one's."""
    return "after 1 step" if step == 0 else f"after {whole(step + 1)} steps"


def story(found: Sequence[Session]) -> list[str]:
    """Return what happened by the clock, a sentence for each process in their order."""
    sentences: list[str] = []
    for index, session in enumerate(found):
        anew = " anew" if index else ""
        begin = f"Started{anew}" if session.opening == "start" else f"Resumed {_at(session.steps[0])}"
        if session.ending == "finish":
            end = f"and finished {_at(session.last_step)}"
        elif session.ending == "signal":
            end = f"and stopped by a signal {_at(session.last_step)}, with a checkpoint"
        elif session.ending == "fail":
            end = f"and failed {_at(session.last_step)}: {(session.error or '').rstrip('.')}"
        elif index == len(found) - 1:
            end = f"and last heard of {_at(session.last_step)}: still running, or killed"
        else:
            end = f"and killed without a word, last heard of {_at(session.last_step)}"
        sentences.append(f"{begin} {end}.")
    return sentences


def wall_time(found: Sequence[Session]) -> tuple[float, bool] | None:
    """Return the seconds of all processes, or None if no event carries a time, and whether these are all.

    Of a process that ended without a word only a part is known.
    """
    if not any(session.times for session in found):
        return None
    return sum(session.seconds for session in found), all(session.ending for session in found)


def _at(step: int | None) -> str:
    return "at a step unknown" if step is None else f"at step {whole(step)}"


def settings(run: RunData) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the resolved recipe by table: (table, rows of (key, value)); groups and title stand elsewhere."""
    tables: dict[str, list[tuple[str, str]]] = {}
    for path, value in flatten(to_table(run.recipe)):
        table, _, key = path.partition(".")
        if table not in {"title", "source", "groups"}:
            tables.setdefault(table if key else "", []).append((key or table, value))
    order = ["sgd", "train", "data", "model", "checkpoint", "log", ""]
    return [(name, tables[name]) for name in sorted(tables, key=order.index)]


def groups(run: RunData) -> list[dict[str, Any]]:
    """Return the parameter groups: match, changes (pairs) and parameters (pairs of name and shape), in order."""
    shapes: Mapping[str, Sequence[int]] = run.facts.get("parameters", {})
    listed: list[Mapping[str, Any]] = run.facts.get("groups") or [{"match": None, "parameters": list(shapes)}]
    frozen: Sequence[str] = run.facts.get("frozen", ())
    listed = [*listed, {"match": None, "parameters": frozen, "frozen": True}] if frozen else listed
    changes = [flatten({k: v for k, v in to_table(group).items() if k != "match"}) for group in run.recipe.groups]
    return [
        {
            "match": None if row.get("match") is None else _text(row["match"]),
            "frozen": row.get("frozen", False),
            "changes": list(changes[index]) if row.get("match") is not None and index < len(changes) else [],
            "parameters": [
                (name, " \N{MULTIPLICATION SIGN} ".join(map(str, shapes.get(name, ()))) or "scalar")
                for name in row.get("parameters", [])
            ],
        }
        for index, row in enumerate(listed)
    ]


def start(run: RunData) -> list[tuple[str, str]]:
    """Return what the run took of other weights before its first step, as rows of (what, value); none if nothing."""
    told: Mapping[str, Any] = run.facts.get("start") or {}
    if not told:
        return []
    steps = "" if told["step"] is None else f", after {whole(told['step'])} steps"
    taken, parameters, (tensors, numbers) = told["taken"], told["parameters"], told["of"]
    other = [f"{name} ({there} there, {here} here)" for name, (there, here) in told["other"].items()]
    rows = [
        ("weights of", f"{told['origin']}{steps}"),
        ("checksum", told["checksum"]),
        ("taken", f"{taken} of {tensors} tensors, {parameters:,} of {numbers:,} parameters"),
        ("names", told["names"]),
        ("of another shape, so new", ", ".join(other)),
        ("not there, so new", ", ".join(told["new"])),
        ("new by train.start_without", ", ".join(told["without"])),
        ("there and not here", ", ".join(told["left"])),
        *(("note", note) for note in told["notes"]),
    ]
    return [(name, _text(value)) for name, value in rows if value]


def environment(run: RunData) -> list[tuple[str, str]]:
    """Return where the run ran, as rows of (what, value)."""
    table = {"downslope": run.facts.get("downslope", "not known"), **run.facts.get("environment", {})}
    return list(flatten(table))


def events(run: RunData) -> list[dict[str, str]]:
    """Return the wall-clock events, a row each; checkpoints in a row make one."""
    rows: list[dict[str, str]] = []
    saved: list[Mapping[str, Any]] = []

    def add_saved() -> None:
        if saved:
            text = "checkpoint" if len(saved) == 1 else f"{len(saved)} checkpoints, the last:"
            rows.append({**_moment(saved[-1]), "event": text})
            saved.clear()

    for event in run.events:
        if event.get("event") == "checkpoint":
            saved.append(event)
            continue
        add_saved()
        details = {key: value for key, value in event.items() if key not in ("time", "step")}
        what = str(details.pop("event", ""))
        if what == "signal" and isinstance(details.get("signal"), int):
            what = f"signal {signal.Signals(details.pop('signal')).name}"
        rows.append(
            {**_moment(event), "event": ", ".join([what, *(f"{key} {value}" for key, value in flatten(details))])}
        )
    add_saved()
    return rows


def checkpoints(run: RunData) -> list[dict[str, str]]:
    """Return the checkpoints that lie in the run folder: name, step, size and whether its manifest verifies."""
    rows: list[dict[str, str]] = []
    for folder in run.folder.checkpoints():
        try:
            step = whole(read_manifest(folder)["step"])
            told = "complete"
        except CheckpointError as error:
            step, told = "\N{EN DASH}", str(error)
        size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        rows.append({"name": folder.name, "step": step, "size": size_text(size), "state": told})
    return rows


def skipped(run: RunData) -> tuple[int, str]:
    """Return how many steps were skipped because a gradient was not finite, and which: "100-129, 140"."""
    return _ranges(run.log.skipped(spikes=False))


def spikes(run: RunData) -> tuple[int, str]:
    """Return how many steps were skipped because the loss leapt up, and which."""
    return _ranges(run.log.skipped(spikes=True))


def rewinds(run: RunData) -> str:
    """Return how often training went back to a checkpoint, why, and what it left out; "" if never."""
    texts = [
        f"at step {whole(row['step'])}, where {'the loss leapt up' if 'bound' in row else 'a gradient was not finite'},"
        f" to the checkpoint of step {whole(row['to'])}"
        for row in run.kind("rewind")
    ]
    return _some(texts, "; ")


def _some(texts: Sequence[str], between: str = ", ") -> str:
    """Return the first texts, and whether there are more."""
    return between.join([*texts[:_SHOWN], *(["and more"] if len(texts) > _SHOWN else [])])


def _ranges(steps: Sequence[int]) -> tuple[int, str]:
    ranges: list[list[int]] = []
    for step in steps:
        if ranges and step == ranges[-1][1] + 1:
            ranges[-1][1] = step
        else:
            ranges.append([step, step])
    texts = [whole(low) if low == high else f"{whole(low)}\N{EN DASH}{whole(high)}" for low, high in ranges]
    return len(steps), _some(texts)


def plateaus(run: RunData) -> str:
    """Return when the learning rate was reduced on a plateau, and to what; "" if never."""
    return _some([f"to {_text(row.get('lr'))} after step {whole(row['step'])}" for row in run.kind("plateau")])


def differences(runs: Sequence[RunData]) -> list[tuple[str, list[str | None]]]:
    """Return the settings and facts in which runs differ, as rows of (path, value for each run; None if not set)."""
    found: list[tuple[str, list[str | None]]] = []
    recipes = [{key: value for key, value in to_table(run.recipe).items() if value != []} for run in runs]
    for tables in ([dict(flatten(recipe)) for recipe in recipes], [_facts(run) for run in runs]):
        for path in dict.fromkeys(path for table in tables for path in table):
            values = [table.get(path) for table in tables]
            if len(set(values)) > 1:
                found.append((path, values))
    return found


def result_columns(runs: Sequence[RunData]) -> list[str]:
    """Return the names of the metrics that results of several runs are told by: each that one of the runs measured.

    The accuracy of a run that writes sequences is that of single symbols with the true ones before them: no result.
    """
    right = any("accuracy" in run.metrics and not run.rates for run in runs)
    found = [name for name in metrics_of_several(runs) if name != "accuracy" or right]
    first = [name for name in found if name.endswith("_error_rate")] + [name for name in found if name == "accuracy"]
    return [*first, *(name for name in found if name not in first)]


def best_first(runs: Sequence[RunData]) -> list[RunData]:
    """Return several runs by the best value of the first of their metrics; those without one last, as given."""
    name = _leading(runs)
    if not name:
        return list(runs)
    found = [(run, _best(run, name)) for run in runs]
    known = [pair for pair in found if pair[1] is not None]
    known.sort(key=lambda pair: -(pair[1] or 0.0) if grows(name) else (pair[1] or 0.0))
    return [run for run, _ in known] + [run for run, value in found if value is None]


def sorted_by(runs: Sequence[RunData]) -> str:
    """Return by what several runs are sorted, in words; "" if by nothing."""
    name = _leading(runs)
    return f"the best held-out {title_of(name)}" if name else ""


def _leading(runs: Sequence[RunData]) -> str:
    """Return the metric by which runs are ranked: of unlike losses none is the better."""
    alike = len({run.recipe.train.loss for run in runs}) == 1
    names = [name for name in result_columns(runs) if name != "loss" or alike]
    return names[0] if names else ""


def _best(run: RunData, name: str) -> float | None:
    if name not in run.metrics or (name == "accuracy" and run.rates):
        return None
    best = run.held_out[name].best(largest=grows(name))
    return best and best[0]


def results(runs: Sequence[RunData]) -> list[dict[str, Any]]:
    """Return the final numbers of several runs, a row each, with what is best among them marked."""
    rows: list[dict[str, Any]] = []
    columns = result_columns(runs)
    for run in runs:
        row: dict[str, Any] = {"name": run.name, "title": run.recipe.title, "steps": whole(run.steps_done)}
        time = wall_time(run.sessions)
        row["time"] = f"{'' if time[1] else 'at least '}{duration_text(time[0])}" if time else "\N{EN DASH}"
        row["state"] = state(run)
        for name in columns:
            write = accuracy if is_share(name) else loss
            series = run.held_out[name] if name in run.metrics and (name != "accuracy" or not run.rates) else None
            last, best = (series.last(), series.best(largest=grows(name))) if series else (None, None)
            row[f"last_{name}"], row[f"best_{name}"] = last and write(last[0]), best and write(best[0])
            row[f"best_{name}_step"] = best and whole(best[1] + 1)
        end = run.train["loss"].last()
        row["train_loss"] = end and loss(end[0])
        rows.append(row)
    alike = len({run.recipe.train.loss for run in runs}) == 1  # of two kinds of loss, none is the better
    for name in columns:
        better = max if grows(name) else min
        for column in (f"last_{name}", f"best_{name}"):
            known = [row[column].exact for row in rows if row[column] and (name != "loss" or alike)]
            for row in rows:
                row[f"{column}_leads"] = bool(len(known) > 1 and row[column]) and row[column].exact == better(known)
    return rows


def state(run: RunData) -> str:
    """Return in a word or two how far the run came."""
    if run.finished:
        return "stopped early" if run.stop_reason else "finished"
    return "unfinished" if run.error is None else "failed"


def describe(value: float | Schedule) -> str:
    """Return a number or a schedule in words."""
    if not isinstance(value, Schedule):
        return number_text(value)
    return _text(to_table(value))


def flatten(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value of nested tables as (dotted path, text); a schedule is one value.

    Example:
        >>> list(flatten({"a": {"b": 1, "c": [2, 3]}, "d": True}))
        [('a.b', '1'), ('a.c', '2, 3'), ('d', 'true')]
    """
    for key, value in table.items():
        whole_path = f"{path}{key}"
        if isinstance(value, Mapping) and "schedule" not in value:
            yield from flatten(cast("Mapping[str, Any]", value), f"{whole_path}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            items = cast("list[Mapping[str, Any]]", value)
            yield from flatten({str(index): item for index, item in enumerate(items)}, f"{whole_path}.")
        else:
            yield whole_path, _text(value)


def _facts(run: RunData) -> dict[str, str]:
    facts = {key: run.facts.get(key) for key in ("environment", "data", "steps_per_epoch", "total_steps")}
    return dict(flatten({key: value for key, value in facts.items() if value is not None}))


def _moment(event: Mapping[str, Any]) -> dict[str, str]:
    time = str(event.get("time", ""))
    # fractions of a second tell people nothing here; the exact time stays on the page for programs
    shown = re.sub(r"(\d)T(\d\d:\d\d:\d\d)[.\d]*(?:\+00:00|Z)$", r"\1 \2", time)
    step = whole(event["step"]) if isinstance(event.get("step"), int) else "\N{EN DASH}"
    return {"time": time, "shown": shown, "step": step}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value) if float(f"{value:.6g}") == value else repr(value)
    if isinstance(value, Mapping):
        table = dict(cast("Mapping[str, Any]", value))
        name, unit = table.pop("schedule", None), table.pop("unit", None)
        words = [key if item is True else f"{key} {_text(item)}" for key, item in table.items() if item is not False]
        inside = ", ".join([*words, *([f"in {unit}s"] if unit else [])])
        return f"{name}: {inside}" if name else f"{{{inside}}}"
    if isinstance(value, list | tuple):
        return (
            ", ".join(f"({_text(v)})" if isinstance(v, dict) else _text(v) for v in cast("list[Any]", value)) or "none"
        )
    return "none" if value is None else str(value) or '""'
