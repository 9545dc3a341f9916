"""``downslope pack``: a trained run written as one file, once it has answered as `predict` does."""

from __future__ import annotations

import io
import json
import math
import shlex
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

import downslope
from downslope.core.errors import DownslopeError
from downslope.training.data.dataset import Examples
from downslope.training.data.rows import in_memory
from downslope.training.folder.durable import write_file
from downslope.training.folder.run_folder import EMA
from downslope.training.packing.onnx_file import first_line, quiet, run_onnx, write_onnx
from downslope.training.packing.packed import Packed, PackError, describe
from downslope.training.run.randomness import derive_seed
from downslope.training.use.evaluate import TrainedRun, open_run
from downslope.training.use.predict import compute_outputs, predict_examples

Target = Literal["onnx", "export"]
SUFFIXES: dict[Target, str] = {"onnx": ".onnx", "export": ".pt2"}
FACTS = "about.json"
"""What the facts are called among the extra files of a program of `torch.export`."""

_CHECKED = 64
_TOLERANCE = 1e-4
"""How far an answer may be from that of `predict`, of the largest there is or of 1: float32 summed in another order."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was packed.

    Attributes:
        path: The file.
        size: Its bytes.
        facts: What it says of itself.
        checked_by: What ran it, with its version; "" if nothing here could.
        examples: On how many examples.
        apart: The largest difference from `predict`, of the largest answer or of 1.
        notes: What a person should know.
    """

    path: Path
    size: int
    facts: dict[str, Any]
    checked_by: str
    examples: int
    apart: float
    notes: tuple[str, ...]


def pack_run(run: str | Path, to: Target, out: Path | None = None, *, checkpoint: str = "last") -> Written:
    """Write a trained run, its preprocessing and the names of its classes as one file.

    Args:
        run: The run folder.
        to: "onnx", or "export" for a program of `torch.export`.
        out: The file; None for `model.onnx` or `model.pt2` in the run folder.
        checkpoint: As in `evaluate_run`.

    Raises:
        CheckpointError: As in `evaluate_run`.
        MissingDependencyError: If what writes the file is not installed.
        PackError: If the model cannot be written so, or what was written answers otherwise than the run.
    """
    opened = open_run(run, checkpoint)
    if opened.dataset.one_logit or opened.dataset.labels:
        raise PackError(
            "packed are one class by a logit each, or numbers; this run learned by train.loss = "
            f"'{opened.recipe.train.loss}', one logit for two classes or for each label. Use predict, or its weights."
        )
    packed = Packed(opened).eval()
    inputs, notes = _examples(opened, packed)
    wanted = _answers(opened, Examples(inputs=inputs))
    # one example and several: whatever the batch, the file must take it
    batches = [tuple(raw[part] for raw in packed.preprocessing.invert(inputs)) for part in _parts(len(inputs))]
    with torch.no_grad():
        facts = describe(opened, packed, packed(*batches[0]))
    program = _export(packed, batches[-1])
    path = Path(run) / f"model{SUFFIXES[to]}" if out is None else out
    found: list[dict[str, Any]] | None
    if to == "onnx":
        data = write_onnx(program, packed.preprocessing.inputs, facts)
        found = run_onnx(data, packed.preprocessing.inputs, batches)
        checker = _version_of("onnxruntime") if found is not None else ""
    else:
        data = _save(program, facts)
        found, checker = _run_program(data, batches), f"torch {torch.__version__}"
    apart = 0.0 if found is None else _compare(opened, wanted, found)
    if opened.weights.ema is not None:
        file = opened.weights.origin / EMA if opened.weights.origin.is_dir() else opened.weights.origin.with_name(EMA)
        averaged = (
            f"packed are the weights that predict takes; for their average: --checkpoint {shlex.quote(str(file))}"
        )
        notes = (*notes, averaged)
    write_file(path, data)
    return Written(
        path=path,
        size=len(data),
        facts=facts,
        checked_by=checker,
        examples=len(inputs),
        apart=apart,
        notes=(*opened.notes, *notes),
    )


def _parts(count: int) -> list[slice]:
    return [slice(0, 1), slice(1, count)] if count > 2 else [slice(0, count)]


def _examples(opened: TrainedRun, packed: Packed) -> tuple[Tensor, tuple[str, ...]]:
    """Return held-out inputs to check by; where the data are gone, some that are made up."""
    try:
        _, examples, notes = opened.held_out()
        inputs = in_memory(examples.first(_CHECKED).inputs)
        if len(inputs):
            return inputs, notes
        why = "there is none that the model can be given"
    except DownslopeError as error:
        why = str(error).rstrip(".")
    generator = torch.Generator().manual_seed(derive_seed(opened.recipe.seed, "pack") >> 1)
    raw = packed.preprocessing.make_up(opened.dataset, _CHECKED, generator)
    return packed.preprocessing(*raw), (f"checked on made-up examples, since those held out cannot be had: {why}",)


def _answers(opened: TrainedRun, examples: Examples) -> dict[str, Tensor]:
    """Return what `predict` answers, NaN where it has no answer; and the outputs that it is made of."""
    rows = predict_examples(opened, examples)
    outputs = compute_outputs(opened, examples.inputs)
    key, name = ("value", "values") if opened.dataset.classes is None else ("probabilities", "probabilities")
    if key not in rows[0]:
        raise PackError(f"packed are one class or numbers an example; predict answers here with {', '.join(rows[0])}.")
    told = next((row[key] for row in rows if row[key] is not None), float("nan"))
    nothing = torch.full_like(torch.tensor(told, dtype=torch.float64), float("nan"))
    answers = [nothing if row[key] is None else torch.tensor(row[key], dtype=torch.float64) for row in rows]
    found = {name: torch.stack(answers)}
    return found if name == "values" else {"logits": outputs, **found}


def _export(packed: Packed, batch: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    size = torch.export.Dim("batch")
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(packed, batch, dynamic_shapes={"raw": tuple({0: size} for _ in batch)})
    except Exception as error:
        raise PackError(
            f"torch.export cannot follow the model: {first_line(error)}{_where(error)} A forward pass must be "
            "operations on tensors for any number of examples: no branch on a tensor's numbers (torch.where chooses "
            "among them), no size of a batch written down, nothing computed by NumPy."
        ) from error


def _where(error: BaseException) -> str:
    """Return the line of a person's own code, or of a library with models, in which torch gave up."""
    ours = [str(Path(module.__file__ or "").parent) for module in (torch, downslope)]
    chain: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in chain:
        chain.append(found)
        found = found.__cause__ or found.__context__
    for one in chain:
        for frame in reversed(traceback.extract_tb(one.__traceback__)):
            if not frame.filename.startswith((*ours, "<")):
                return f" ({frame.filename}, line {frame.lineno})."
    return "."


def _save(program: torch.export.ExportedProgram, facts: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with quiet():
        torch.export.save(program, file, extra_files={FACTS: json.dumps(facts, ensure_ascii=False, indent=1)})
    return file.getvalue()


def _run_program(data: bytes, batches: list[tuple[Tensor, ...]]) -> list[dict[str, Any]]:
    with torch.no_grad(), quiet():
        module = torch.export.load(io.BytesIO(data)).module()
        return [{name: value.numpy() for name, value in module(*batch).items()} for batch in batches]


def _compare(opened: TrainedRun, wanted: dict[str, Tensor], found: list[dict[str, Any]]) -> float:
    """Return how far answers are from those wanted at most; raise if that is too far."""
    scale = opened.dataset.target_scale
    worst = 0.0
    for name, right in wanted.items():
        got = torch.cat([torch.from_numpy(batch[name]) for batch in found]).double()
        right = right.double()  # noqa: PLW2901
        if scale is not None:  # in the model's own numbers, or a large mean would hide a difference
            got, right = ((one - scale[0]) / scale[1] for one in (got, right))  # noqa: PLW2901
        if got.shape != right.shape:
            raise PackError(f"the file gives `{name}` of shape {tuple(got.shape)}, and predict {tuple(right.shape)}.")
        known = right.isfinite()
        largest = max(1.0, float(right[known].abs().max())) if known.any() else 1.0
        gap = (got - right).abs()[known] / largest
        apart = float(gap.max()) if len(gap) else 0.0
        if not apart <= _TOLERANCE or not torch.equal(got.isfinite(), known):
            told = f"{apart:.2g} of the largest" if math.isfinite(apart) else "in what is a finite number"
            raise PackError(
                f"nothing was written: the file's `{name}` differ from what predict answers by {told}; at most "
                f"{_TOLERANCE:g} is rounding. Does the model draw random numbers, or keep what it saw in its forward "
                "pass? Then no file can answer as it does."
            )
        worst = max(worst, apart)
    return worst


def _version_of(package: str) -> str:
    from importlib import metadata

    return f"{package} {metadata.version(package)}"
