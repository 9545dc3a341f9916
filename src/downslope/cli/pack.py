"""``downslope pack``: a trained run as one file that needs no Downslope."""

from __future__ import annotations

from collections.abc import Sequence

from downslope.cli.arguments import CommandParser, written_file
from downslope.cli.evaluate import add_checkpoint_option, after
from downslope.cli.loading import load_torch
from downslope.cli.run_folders import add_trust_option, find_trusted_run
from downslope.cli.streams import print_notes
from downslope.cli.tables import count_of
from downslope.core.shown import shown
from downslope.language import tell

_TARGETS = {"onnx": ".onnx", "export": ".pt2"}


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code."""
    parser = CommandParser(
        "pack",
        needed=("--to",),
        summary=(
            "Write a trained run as one file that needs no Downslope: the model with its preprocessing, from pixels\n"
            "or the cells of a table to the probability of each class or a number in the target's own unit, and what\n"
            "it takes, gives and was trained by. onnx is for any runtime of ONNX, export a program of torch.export.\n"
            "The file is run on held-out examples, and written only if it answers as `downslope predict` does."
        ),
        example="downslope pack runs/digits --to onnx --out digits.onnx",
    )
    parser.add_argument("run", metavar="RUN", help="run folder, finished or not")
    parser.add_argument("--to", choices=list(_TARGETS), help="onnx, or export for a program of torch.export (.pt2)")
    parser.add_argument(
        "--out", metavar="FILE", type=written_file, help="the file to write (default: RUN/model.onnx or RUN/model.pt2)"
    )
    add_checkpoint_option(parser)
    add_trust_option(parser)
    arguments = parser.read(words)
    if arguments.to is None:
        parser.error(f"--to is missing: give one of {', '.join(_TARGETS)}")
    out, suffix = arguments.out, _TARGETS[arguments.to]
    if out is not None and out.suffix.lower() != suffix and out.exists():
        parser.error(f"--out {shown(out)}: exists, and is no {suffix}, which would be written. Give another name")
    run = find_trusted_run(arguments.run, trust=arguments.trust)
    load_torch()
    from downslope.training.packing.pack import pack_run

    written = pack_run(run, arguments.to, arguments.out, checkpoint=arguments.checkpoint)
    facts = written.facts
    print_notes(written.notes)
    tell(f"packed      {shown(str(facts['checkpoint']))}{after(facts['step'])}")
    for number, one in enumerate(facts["inputs"]):
        tell(f"{'takes' if not number else '':<11} {_form(one)}: {shown(one['meaning'], 400)}")
    for one in facts["preprocessing"]:
        tell(f"            {shown(one, 400)}")
    for number, one in enumerate(facts["outputs"]):
        tell(f"{'gives' if not number else '':<11} {_form(one)}: {one['meaning']}")
    tell(f"checked     {_checked(written.checked_by, written.examples, written.apart)}")
    tell(f"written     {shown(written.path, 1000)}, {written.size:,} bytes")
    return 0


def _form(one: dict[str, object]) -> str:
    sizes = one["shape"]
    shape = ", ".join(map(str, sizes)) if isinstance(sizes, list) else ""
    return f"{one['name']} ({shape}) {one['dtype']}"


def _checked(by: str, examples: int, apart: float) -> str:
    if not by:
        return 'not checked: onnxruntime is not installed. pip install "downslope[pack]" brings it'
    return f"by {by} on {count_of(examples, 'example')}: answers as predict does, within {apart:.1g} of the largest"
