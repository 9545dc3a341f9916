"""Error rates of the final weights by the length of what they were given: whether what was learned goes on.

What lives here: one search over the held-out sequences, where some are longer than any learned from. What does not: the
rates over the steps (`panels.py`), and how they are counted (`sequences/`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from downslope.training.folder.run_folder import MODEL
from downslope.training.report.data import RunData
from downslope.training.report.numbers import Number, accuracy

if TYPE_CHECKING:
    from downslope.training.data import Dataset


@dataclass(frozen=True)
class Lengths:
    """What the page shows of lengths.

    Attributes:
        rates: What the metrics are called.
        rows: For each length its name, how many examples have it, its metrics, and whether it is longer than any
            learned from.
    """

    rates: list[str]
    rows: list[tuple[str, int, list[Number], bool]]


def look_at_lengths(run: RunData, data: Dataset | None = None) -> Lengths | str | None:
    """Return the error rates of the final weights by length.

    Args:
        run: The run.
        data: Its data where they are at hand; None to read them.

    Returns:
        The rates; a sentence that says why they cannot be had; or None if no input is longer than those learned from.
    """
    if not any(name.startswith("longer_") for name in run.rates):
        return None
    if not (run.folder.path / MODEL).exists():
        return "The run has no final weights yet, so their error rates by length are not known."
    try:
        import torch

        from downslope.training.run.task import build_objective
        from downslope.training.use.evaluate import open_run

        opened = open_run(run.folder.path, str(run.folder.path / MODEL))
        dataset, _, _ = opened.held_out(data)
        with torch.inference_mode():
            found = build_objective(run.recipe, dataset).rate_held_out(opened.model).by_length
    except Exception as error:  # noqa: BLE001  # files may be gone or of another version; the page is of what there is
        text = str(error).strip().splitlines()
        return f"The error rates by length cannot be had: {text[0] if text else type(error).__name__}"
    return Lengths(
        rates=[name.replace("_", " ") for name in found[0].rates],
        rows=[
            (
                str(one.shortest) if one.shortest == one.longest else f"{one.shortest}\N{EN DASH}{one.longest}",
                one.examples,
                [accuracy(rate) for rate in one.rates.values()],
                one.longer,
            )
            for one in found
        ],
    )
