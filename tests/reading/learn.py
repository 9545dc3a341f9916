"""Learn the weights of the second reading from the texts of these tests, as the rules read them: a minute.

    python tests/reading/learn.py

The texts are the strings in the files of this folder, whose readings the tests hold; the rules alone say what their
numbers are. The weights are those of a softmax regression, found by this project's own SGD with momentum and weight
decay, and rounded to bytes.
"""

import ast
import math
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

import downslope.reading
from downslope import read
from downslope.numpy import SGD
from downslope.reading.numbers import numbers_of
from downslope.reading.order import numbers_of as numbers_in
from downslope.reading.second_reading import BUCKETS, ROLES, WEIGHTS, Place, buckets_of, pack, role_of
from downslope.reading.text import normalise
from downslope.schedules import Cosine

STEPS, DECAY = 400, 1.2e-3
SHORTEST, LONGEST = 12, 5000


def texts():
    """Return the strings of the files of this folder, each once, in order; but for those that try what is learned."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name == "test_second_reading.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and SHORTEST <= len(text) <= LONGEST and any(map(str.isdigit, text)):
                found[text] = None
    return list(found)


def examples(text):
    """Yield (place, role) of the numbers of a text whose role is beyond doubt."""
    reading = read(text)[0]
    if not reading.fields:
        return
    whole = normalise(text)
    stated = [(one, role_of(path)) for path, one in reading.fields.items() if one.provenance == "stated"]
    for number in numbers_of(whole.plain):
        if math.isinf(number.value):
            continue
        place = whole.origin[number.start]
        here = {role for one, role in stated if one.start <= place < one.end and _is_of(number.value, one.value, role)}
        elsewhere = any(_is_of(number.value, one.value, role) for one, role in stated)
        if len(here) == 1:
            yield Place(number, whole, 0), here.pop() or "none"
        elif not here and not elsewhere:
            yield Place(number, whole, 0), "none"


def _is_of(number, value, role):
    given = numbers_in(value)
    if role == "factor":
        given += [1 - one for one in given] + [1 / one for one in given if one]
    return any(math.isclose(number, one, rel_tol=1e-6) for one in given)


def learn(rows, roles, decay):
    """Return the weights (buckets, roles) and biases of a softmax regression, by full-batch SGD with momentum."""
    ends = np.cumsum([0, *map(len, rows)])
    inputs = csr_matrix((np.ones(ends[-1], np.float32), np.concatenate(rows), ends), (len(rows), BUCKETS))
    wanted = np.eye(len(ROLES), dtype=np.float32)[[ROLES.index(role) for role in roles]]
    params = {"weights": np.zeros((BUCKETS, len(ROLES)), np.float32), "bias": np.zeros(len(ROLES), np.float32)}
    optimizer = SGD(params, lr=Cosine(0.3, 0.0, STEPS), momentum=0.9, nesterov=True, weight_decay=decay)
    for step in range(STEPS):
        scores = inputs @ params["weights"] + params["bias"]
        scores -= scores.max(1, keepdims=True)
        shares = np.exp(scores)
        shares /= shares.sum(1, keepdims=True)
        if step % 100 == 0 or step == STEPS - 1:
            loss = -np.log((shares * wanted).sum(1)).mean()
            print(f"step {step}: loss {loss:.4f}, right {(shares.argmax(1) == wanted.argmax(1)).mean():.2%}")
        error = (shares - wanted) / len(rows)
        optimizer.step({"weights": inputs.T @ error, "bias": error.sum(0)})
    return params["weights"], params["bias"]


def gather():
    """Return the buckets and the role of every number of the texts."""
    rows, roles = [], []
    second, downslope.reading.read_again = downslope.reading.read_again, lambda *_: []  # the rules alone teach
    try:
        for text in texts():
            for place, role in examples(text):
                rows.append(buckets_of(place))
                roles.append(role)
    finally:
        downslope.reading.read_again = second
    return rows, roles


def main():
    """Learn, and write the file."""
    rows, roles = gather()
    print(f"{len(rows):,} numbers: {dict(Counter(roles).most_common())}")
    weights, bias = learn(rows, roles, DECAY)
    units = np.abs(weights).max(0) / 127
    WEIGHTS.write_bytes(pack(np.rint(weights / units).astype(np.int8).tobytes(), units, bias))
    print(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
