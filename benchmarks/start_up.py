"""How long `import downslope` and the commands about text take, beside Python itself and `import torch`.

Each is a process of its own, measured by the processor's time that it took; minimum and median of several rounds, the
contenders in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

CASES = {
    "python alone": ["-c", "pass"],
    "import downslope": ["-c", "import downslope"],
    "import downslope.torch": ["-c", "import downslope.torch"],
    "import torch": ["-c", "import torch"],
    "downslope --help": ["-m", "downslope", "--help"],
    "downslope read": ["-m", "downslope", "read", "lr 0.1, momentum 0.9, 90 epochs"],
    "downslope explain": ["-m", "downslope", "explain", "recipes/digits.toml"],
    "downslope export": ["-m", "downslope", "export", "recipes/digits.toml", "--to", "keras"],
    "downslope compare": ["-m", "downslope", "compare", "recipes/digits.toml", "recipes/digits-plain-sgd.toml"],
}


def seconds(words: list[str]) -> float:
    """Return the processor's time of a process."""
    before = os.times()
    done = subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=False)  # noqa: S603 -- our own words
    after = os.times()
    if done.returncode not in {0, 1}:
        raise SystemExit(f"{words} ended with {done.returncode}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print the table, and write the samples if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    samples: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(arguments.rounds):
        for name, words in CASES.items():
            samples[name].append(seconds(words))
    print(f"{'processor time, ms':<26}{'minimum':>9}{'median':>9}")
    for name, found in samples.items():
        print(f"{name:<26}{1e3 * min(found):>9.0f}{1e3 * statistics.median(found):>9.0f}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(samples, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
