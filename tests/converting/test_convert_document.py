"""docs/convert.md: its table has the facts of every row."""

import re
from pathlib import Path

from downslope.converting.parameter_map import LAYOUTS
from downslope.systems.table import CONVENTIONS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "convert.md").read_text(encoding="utf-8")


def lines():
    """Return the cells of each line of the table, by the name of the convention."""
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| `")
    ]
    return {cells[0].strip("`"): cells for cells in found if len(cells) == 9}


def test_every_convention_is_documented():
    """Where lr stands, the sign, the ways of weight decay, Nesterov, the first step, the key and the source."""
    assert set(lines()) == set(CONVENTIONS)
    for name, (_, title, place, stored, decay, nesterov, first, key, source) in lines().items():
        row = CONVENTIONS[name]
        meanings = [meaning for argument in row.arguments for meaning in argument.choices.values()]
        sets = {argument.sets for argument in row.arguments} | {field for meaning in meanings for field in meaning}
        assert title == row.title
        assert place == ("either" if "lr_in_velocity" in sets else "inside" if row.lr_in_velocity else "outside")
        assert stored == ("-v" if row.velocity_sign < 0 else "v")
        assert nesterov == ("yes" if "nesterov" in sets else "no")
        dampens = bool(sets & {"dampening", "unit_gain"})
        assert first == ("-" if not dampens else "undampened" if row.undampened_first_step else "dampened")
        assert (key.strip("`"), source) == (row.state_key, row.source)
        own = {a.decay or row.decay for a in row.arguments if a.sets == "weight_decay"}
        own |= {meaning["decay"] for meaning in meanings if "decay" in meaning}
        assert set(decay.split(", ")) == ({"any"} if "decay" in sets and not meanings else own)


def test_every_layout_is_documented():
    """The words of --map."""
    assert set(LAYOUTS) - {"same"} <= set(re.findall(r"`(\w+)`", TEXT))
