"""The picture of attention: which input symbols each output symbol was written from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from downslope.core.errors import DataError, MissingDependencyError, one_of

_FORMATS = (".png", ".svg", ".pdf")


def draw_attention(path: Path, weights: Tensor, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Draw attention weights as a picture.

    Args:
        path: A .png, .svg or .pdf file.
        weights: Shape (outputs, inputs), each row summing to 1.
        inputs: Input symbols.
        outputs: Output symbols.

    Raises:
        DataError: If the file has another ending, or cannot be written.
        MissingDependencyError: If matplotlib is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise DataError(f"--attention: {str(path)!r} must end in {one_of(_FORMATS)}.")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            'drawing needs matplotlib, which is not installed. Run: pip install "downslope[plot]"'
        ) from None
    width, height = 1.6 + 0.42 * len(inputs), 1.2 + 0.42 * len(outputs)
    figure = Figure(figsize=(max(3.2, width), max(2.6, height)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(weights.double().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.set_xticks(range(len(inputs)), inputs)
    axes.set_yticks(range(len(outputs)), outputs)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_ylabel("written")
    axes.set_xlabel("read")
    axes.xaxis.set_label_position("top")
    for row, line in enumerate(weights.tolist()):
        for column, weight in enumerate(line):
            if weight >= 0.1:
                color = "white" if weight > 0.6 else "black"
                axes.text(column, row, f"{weight:.1f}".lstrip("0"), ha="center", va="center", fontsize=7, color=color)
    figure.colorbar(image, ax=axes, shrink=0.8, label="attention")
    try:
        figure.savefig(path, dpi=160)
    except OSError as error:
        raise DataError(f"--attention: {path} cannot be written: {error.strerror or error}.") from None
