"""Tables for the recipes table-imbalanced and table-prices, from a seed: customers of whom few leave, prices of houses.

python examples/make_tables.py customers > customers.csv
downslope train table-imbalanced --data.path customers.csv --data.options.target outcome
python examples/make_tables.py houses > houses.csv
downslope train table-prices --data.path houses.csv --data.options.target price
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator

import numpy as np

OUTCOMES, SHARES = ("leaves", "pauses", "stays"), (0.03, 0.07, 0.9)


def make_customers(count: int = 2000, seed: int = 0) -> Iterator[list[object]]:
    """Yield customers who mostly stay; the few who pause or leave have called more, and paid later."""
    draw = np.random.default_rng(seed)
    yield ["months", "calls", "days_late", "outcome"]
    for outcome in draw.choice(3, count, p=SHARES):
        months = round(draw.gamma(4, 6 + 3 * outcome), 1)
        calls = int(draw.poisson((5, 3, 1.5)[outcome]))
        late = round(draw.normal((8, 5, 1)[outcome], 4), 1)
        yield [months, calls, late, OUTCOMES[outcome]]


def make_houses(count: int = 1000, seed: int = 0) -> Iterator[list[object]]:
    """Yield houses whose price grows with their size and falls with age and distance; a few are sold far above it."""
    draw = np.random.default_rng(seed)
    yield ["area", "rooms", "age", "distance", "price"]
    for _ in range(count):
        area = draw.gamma(12, 10)
        rooms = max(1, round(area / 25 + draw.normal(0, 0.7)))
        age, distance = draw.uniform(0, 90), draw.exponential(8)
        price = (40_000 + 2_600 * area + 9_000 * rooms) * np.exp(-0.004 * age - 0.03 * distance)
        price *= np.exp(draw.normal(0, 0.08)) * (2.5 if draw.random() < 0.02 else 1)
        yield [round(area, 1), rooms, round(age), round(distance, 1), round(price, -2)]


def main(name: str = "customers") -> None:
    """Print a table as CSV."""
    tables = {"customers": make_customers, "houses": make_houses}
    if name not in tables:
        raise SystemExit(f"there is no table {name!r}; use customers or houses")
    csv.writer(sys.stdout, lineterminator="\n").writerows(tables[name]())


if __name__ == "__main__":
    main(*sys.argv[1:])
