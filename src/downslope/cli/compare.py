"""``downslope compare``: whether two ways of training are one update rule, and if not, where they part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from downslope.cli.arguments import CommandParser, count
from downslope.comparing import Comparison, compare, fields_shown
from downslope.core.tables import to_table
from downslope.language import tell

_WIDE = 100
"""A field's two values stand on a line of their own each where together they are wider than this."""


def execute(words: Sequence[str]) -> int:
    """Run the command on the words after its name, and return the exit code: 1 with --exit-code if the two differ."""
    parser = CommandParser(
        "compare",
        summary=(
            "Say whether two ways of training are one update rule, by their update matrices over the whole "
            "schedule; if\n"
            "not, at which step they part, by how much, which field is the cause, and what would make them equal. "
            "Each is\n"
            "a recipe file, a sentence in quotes, a Caffe solver, or arguments in any convention."
        ),
        example=(
            'downslope compare "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)" \\\n'
            '                    "keras: SGD(learning_rate=0.1, momentum=0.9, weight_decay=5e-4)"'
        ),
    )
    parser.add_argument("a", metavar="A", help="a recipe file, a sentence, or arguments")
    parser.add_argument("b", metavar="B", help="the other")
    parser.add_argument("--steps", metavar="N", type=count, help="steps to compare (default: the longer training)")
    parser.add_argument("--steps-per-epoch", metavar="N", type=count, help="for schedules in epochs")
    parser.add_argument("--examples", metavar="N", type=count, help="training examples, from which it follows")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 where the two differ, as diff does")
    arguments = parser.read(words)
    if arguments.steps_per_epoch is not None and arguments.examples is not None:
        parser.error("give --steps-per-epoch or --examples, not both")
    found = compare(
        arguments.a,
        arguments.b,
        steps=arguments.steps,
        steps_per_epoch=arguments.steps_per_epoch,
        examples=arguments.examples,
    )
    if arguments.json:
        table = asdict(found) | {name: to_table(getattr(found, name)) for name in ("settings_a", "settings_b")}
        print(json.dumps(table, ensure_ascii=False, indent=2))
    else:
        tell(page(found))
    return 1 if arguments.exit_code and not found.same else 0


def page(found: Comparison) -> str:
    """Return a comparison as text for a terminal."""
    lines = [f"A: {found.a}", f"B: {found.b}", "", _verdict(found)]
    if found.params is not None and found.params[0] != found.params[1]:
        a, b = found.params
        lines.append(f"  Begun at 1, with the gradient 1 at every step, param is then {a:.10g} in A and {b:.10g} in B.")
    if found.values is not None and found.coefficient in {"param", "grad"}:
        a, b = (value + 0.0 for value in found.values)  # without the sign of a -0.0
        lines.append(f"  To param that step adds {a:.10g} times {found.coefficient} in A, {b:.10g} times in B.")
    elif found.values is not None and found.scale is not None and not found.only_first:
        a, b = (value + 0.0 for value in found.values)
        lines.append(f"  To param that step adds {a:.10g} times A's velocity in A; in B, what is {b:.10g} times it.")
    if found.causes:
        lines += ["", f"Because of: {', '.join(found.causes)}"]
        shown = fields_shown(found)
        width = max((len(name) for name, _, _ in shown), default=0)
        for name, a, b in shown:
            mark = "*" if name in found.causes else " "
            line = f"  {mark} {name:<{width}}  A: {a}   B: {b}"
            under = " " * (width + 6)
            lines += [line] if len(line) <= _WIDE else [f"  {mark} {name:<{width}}  A: {a}", f"{under}B: {b}"]
    for heading, items in (("To make them equal", found.suggestions), ("To know", found.remarks)):
        if items:
            lines += ["", f"{heading}:", *(f"  - {item}" for item in items)]
    return "\n".join(lines)


def _verdict(found: Comparison) -> str:
    if found.same:
        scale = "" if found.scale in {None, 1.0} else f" (velocity of B = {found.scale:.6g} times that of A)"
        return f"The same rule{scale}: at every step, up to step {found.compared_until}."
    if found.first_step is None:
        return "Not the same training: the rules are the same, but for other parameters."
    if found.only_first:
        return "Not the same rule: their first steps differ. From the second on they are one" + (
            f" (velocity of B = {found.scale:.6g} times that of A)." if found.scale not in {None, 1.0} else "."
        )
    ordinal = "the very first" if found.first_step == 0 else f"the {_ordinal(found.first_step + 1)}"
    return f"Not the same rule: they part at step {found.first_step}, {ordinal}."


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
