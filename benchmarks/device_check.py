"""Try everything that computes on a device, on one that is there, in some minutes: what holds, and how fast it is.

    PYTHONPATH=src python3 benchmarks/device_check.py
    PYTHONPATH=src python3 benchmarks/device_check.py --device cpu --quick      # the script itself, anywhere
    PYTHONPATH=src python3 benchmarks/device_check.py --only step loops         # some sections

It needs no network. Each section is on its own: one that fails is reported with its traceback, and the others still
run. `device_check.json` and `device_check.md` in the folder of --out are written after each section, so that nothing is
lost where the time runs out. Exit code 1 says that a section failed.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch
from device_sections import kernels, steps, training  # noqa: F401  whose sections are run in this order
from device_sections.check import BEGAN, ROOT, SECTIONS, Check, Found, say


def table_of(results: Found) -> str:
    """Return what was measured as a page of Markdown."""
    about = results.get("machine", {}).get("found", {})
    name = about.get("describes", {}).get("device_name", about.get("processor", ""))
    software = about.get("describes", {}).get("device_software", "")
    lines = [f"{name}; torch {about.get('torch')}, {software}; Python {about.get('python')}.", ""]
    timed = results.get("step", {}).get("found") or {}
    if timed:
        contenders = list(dict.fromkeys(name for table in timed.values() for name in table))
        lines += ["A step alone: milliseconds on the device (and until the host is free), MiB beside the tensors:", ""]
        lines += [f"| | {' | '.join(timed)} |", "|---|" + "---:|" * len(timed)]
        for contender in contenders:
            cells = [_step_cell(timed[size].get(contender, {})) for size in timed]
            lines.append(f"| {contender} | {' | '.join(cells)} |")
        lines.append("")
    speeds = results.get("precision", {}).get("found") or {}
    if speeds:
        lines += ["A convolutional network, by precision:", ""]
        lines += ["| | ms a step | examples/s | peak MiB | loss |", "|---|---:|---:|---:|---:|"]
        lines += [
            f"| {name} | {row['step_ms']} | {row['examples_per_s']:,} | {row['peak_MiB']} | {row['loss']:.4f} |"
            for name, row in speeds.items()
        ]
        lines.append("")
    for kind, table in (results.get("loops", {}).get("found") or {}).items():
        lines += [f"Whole steps, {kind}:", "", "| | ms a step | ms until the host is free |", "|---|---:|---:|"]
        rows = [(name, row) for name, row in table.items() if isinstance(row, dict)]
        lines += [f"| {name} | {row['step_ms']} | {row['host_ms']} |" for name, row in rows]
        lines.append("")
    lines += ["| section | outcome | seconds |", "|---|---|---:|"]
    lines += [f"| {name} | {row['outcome']} | {row['seconds']} |" for name, row in results.items() if "outcome" in row]
    return "\n".join(lines) + "\n"


def _step_cell(row: Found) -> str:
    if "device_ms" not in row:
        return "failed" if row else ""
    extra = "" if row["extra_MiB"] is None else f", {row['extra_MiB']:g}"
    return f"{row['device_ms']:g} ({row['host_ms']:g}){extra}"


def main() -> int:
    """Run the sections, and return the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--device", default="auto", help="what is tried (default: torch's accelerator)")
    parser.add_argument("--quick", action="store_true", help="few steps of little: to see that the script runs")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="these sections alone")
    parser.add_argument("--seconds", type=float, default=450.0, help="after so many no further section begins")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="where the results go")
    arguments = parser.parse_args()
    faulthandler.enable()
    faulthandler.dump_traceback_later(arguments.seconds + 60, exit=False)
    arguments.out.mkdir(parents=True, exist_ok=True)
    from downslope.training.device import find_device

    results: Found = {}
    with tempfile.TemporaryDirectory(prefix="device-check-") as scratch:
        check = Check(find_device(arguments.device), arguments.quick, Path(scratch))
        say(f"device {check.device}, torch {torch.__version__}")
        for name in arguments.only or SECTIONS:
            if time.monotonic() - BEGAN > arguments.seconds:
                results[name] = {"outcome": "not run: the time was up", "seconds": 0}
                check.failures.append(f"{name}: not run, the time was up")
                continue
            say(f"{name}: {(SECTIONS[name].__doc__ or '').strip()}")
            began, before = time.monotonic(), len(check.failures)
            found: Found | None = None
            trace = ""
            try:
                found = SECTIONS[name](check)
            except Exception:  # noqa: BLE001  whatever it is, it is reported, and the others still run
                trace = traceback.format_exc()
                check.failures.append(f"{name}: {trace.strip().splitlines()[-1]}")
                print(trace, flush=True)
            failed = check.failures[before:]
            outcome = "raised" if trace else f"{len(failed)} did not hold" if failed else "held"
            seconds = round(time.monotonic() - began, 1)
            results[name] = {"outcome": outcome, "seconds": seconds, "failures": failed, "trace": trace, "found": found}
            say(f"{name}: {outcome}, {seconds} s")
            with contextlib.suppress(Exception):
                if not check.is_host:
                    check.wait()
            _write(arguments.out, results, check.failures)
    faulthandler.cancel_dump_traceback_later()
    say(f"{len(check.failures)} failures" if check.failures else "all of it holds")
    for failure in check.failures:
        print(f"  - {failure[:1000]}", flush=True)
    return 1 if check.failures else 0


def _write(out: Path, results: Found, failures: Sequence[str]) -> None:
    text = json.dumps({"failures": list(failures), **results}, indent=1, default=str)
    (out / "device_check.json").write_text(text + "\n", encoding="utf-8")
    try:
        (out / "device_check.md").write_text(table_of(results), encoding="utf-8")
    except Exception:  # noqa: BLE001  the table is made from the JSON, which has all
        print(traceback.format_exc(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
