"""The pages of docs/guests: their Python runs, one block after the other, where the guest is installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from house.documents import blocks

PAGES = Path(__file__).parents[2] / "docs" / "guests"
NEEDED = {
    "accelerate": ["accelerate"],
    "ddp": [],
    "equinox": ["equinox"],
    "fastai": ["fastai"],
    "flax": ["flax"],
    "haiku": ["haiku"],
    "ignite": ["ignite"],
    "keras": ["keras"],
    "lightning": ["lightning.pytorch"],
    "optax": ["optax"],
    "skorch": ["skorch"],
    "timm": ["timm"],
    "transformers": ["transformers", "accelerate"],
}
"""Page -> what it imports."""


@pytest.mark.parametrize(
    "page", sorted(path.stem for path in PAGES.glob("*.md") if path.stem not in {"index", "peers"})
)
def test_page(page, tmp_path, monkeypatch):
    """What is there to copy can be copied."""
    for package in NEEDED[page]:
        pytest.importorskip(package, reason=f"{package} is not installed", exc_type=ImportError)
    if page == "keras" and "KERAS_BACKEND" not in os.environ:
        pytest.skip("KERAS_BACKEND does not say which backend to load; `make guests` does")
    if page in {"accelerate", "transformers"}:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    found = [block for block in blocks("python") if block.path == PAGES / f"{page}.md"]
    assert found
    for block in found:
        exec(compile(block.text, str(block), "exec"), names)  # noqa: S102
