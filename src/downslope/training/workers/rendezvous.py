"""Which of several workers this process is and where they meet, by the environment that torchrun or Slurm sets.

It loads no framework.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from downslope.core.errors import DownslopeError, RecipeError

TIMEOUT = 600.0
"""Seconds that a worker waits for another one, unless told otherwise."""

_FIRST_PORT = 20_000
_PORTS = 20_000


class RendezvousError(DownslopeError):
    """The environment does not say which of several workers this process is."""


@dataclass(frozen=True, kw_only=True)
class Rendezvous:
    """Which of several workers this process is, and where they meet.

    Attributes:
        rank: Its number, 0-based; worker 0 writes the run folder.
        size: How many there are.
        address: Name or address of the machine of worker 0, or None where they meet in a file.
        port: Port on that machine.
        file: File in which the workers of one machine meet, or None.
        started_by: "torchrun", "Slurm" or "--workers".
    """

    rank: int
    size: int
    address: str | None = None
    port: int = 0
    file: str | None = None
    started_by: str = "torchrun"


@dataclass(frozen=True)
class LocalPlace:
    """Which of the workers of one machine this process is.

    Attributes:
        rank: Its number among them, 0-based.
        size: How many there are.
        is_assigned: Whether a scheduler may show each worker devices of its own.
    """

    rank: int = 0
    size: int = 1
    is_assigned: bool = False


def find_rendezvous(workers: int | None = None, environment: Mapping[str, str] | None = None) -> Rendezvous | None:
    """Return this process's place among the workers that torchrun or Slurm started, or None if it is alone.

    Args:
        workers: How many workers this process is to start itself, or None.
        environment: Variables by name; None for this process's own.

    Raises:
        RendezvousError: If a variable is missing, or is no number that it may be; or if there are several workers and
            each is to start more.

    Example:
        >>> slurm = {"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "77", "SLURM_NODELIST": "gpu[07-10],b1"}
        >>> place = find_rendezvous(environment=slurm)
        >>> place.rank, place.size, place.address, place.port
        (3, 8, 'gpu07', 20077)
    """
    variables = os.environ if environment is None else environment
    place = None
    if "WORLD_SIZE" in variables or "RANK" in variables:
        place = _from_torchrun(variables)
    elif "SLURM_PROCID" in variables and "SLURM_NTASKS" in variables:
        place = _from_slurm(variables)
    if place is not None and workers is not None and workers != 1:
        raise RendezvousError(
            f"--workers {workers} is for one machine, and {place.started_by} says that there are {place.size} workers "
            "already. Leave --workers out, or start the command once, and by itself."
        )
    return place


def local_place(size: int, environment: Mapping[str, str] | None = None) -> LocalPlace:
    """Return which of the workers of this machine this process is, of so many workers in all.

    Example:
        >>> local_place(8, {"SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "4"})
        LocalPlace(rank=1, size=4, is_assigned=True)
    """
    variables = os.environ if environment is None else environment
    if size == 1:
        return LocalPlace()
    if "LOCAL_RANK" in variables:
        return LocalPlace(_told(variables, "LOCAL_RANK", 0), _told(variables, "LOCAL_WORLD_SIZE", size))
    rank = _told(variables, "SLURM_LOCALID", 0)
    return LocalPlace(rank, _told(variables, "SLURM_NTASKS_PER_NODE", size), is_assigned=True)


def _told(variables: Mapping[str, str], name: str, otherwise: int) -> int:
    text = variables.get(name, "")
    return int(text) if text.isdecimal() else otherwise


def check_number(shards: int, accumulate: int, size: int) -> None:
    """Raise unless the leaves of a step can be shared evenly by some number of workers.

    Raises:
        RecipeError: If they cannot; the message says which numbers can.
    """
    leaves = shards * accumulate
    if leaves % size == 0:
        return
    allowed = [str(number) for number in range(1, leaves + 1) if leaves % number == 0]
    numbers = f"{', '.join(allowed[:-1])} or {allowed[-1]} workers" if len(allowed) > 1 else "1 worker"
    parts = f"train.shards = {shards}"
    if accumulate > 1:
        parts += f" times train.accumulate = {accumulate} is {leaves} parts a step"
    raise RecipeError(
        f"{size} workers cannot share a step evenly: {parts}, which {numbers} can. Use such a number, or begin a new "
        f"run with --train.shards {size}; shards fix a run's arithmetic, so a run that exists keeps them."
    )


def gone_file(folder: Path, rank: int) -> Path:
    """Return the file whose existence says that a worker of this machine has died.

    Args:
        folder: Where the workers' meeting file lies.
        rank: The worker.
    """
    return folder / f"{rank}.gone"


def first_host(nodes: str) -> str:
    """Return the first host of a list of them as Slurm writes it.

    Example:
        >>> first_host("rack[2-3]node[005-008,011],login1")
        'rack2node005'
    """
    depth, end = 0, len(nodes)
    for index, character in enumerate(nodes):
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            end = index
            break
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", nodes[:end])


def _from_torchrun(variables: Mapping[str, str]) -> Rendezvous | None:
    size = _number(variables, "WORLD_SIZE", 1, "torchrun sets it, and RANK with it")
    rank = _number(variables, "RANK", 0, "torchrun sets it, and WORLD_SIZE with it")
    _check(rank, size, "RANK", "WORLD_SIZE")
    if size == 1:
        return None
    if not variables.get("MASTER_ADDR"):
        raise RendezvousError(
            "WORLD_SIZE is set, but MASTER_ADDR is not: it must name the machine of worker 0. Start the workers with "
            "torchrun, which sets it, or with --workers; or unset WORLD_SIZE and RANK to train alone."
        )
    port = _number(variables, "MASTER_PORT", 1, "torchrun sets it")
    return Rendezvous(rank=rank, size=size, address=variables["MASTER_ADDR"], port=port)


def _from_slurm(variables: Mapping[str, str]) -> Rendezvous | None:
    size = _number(variables, "SLURM_NTASKS", 1, "srun sets it")
    rank = _number(variables, "SLURM_PROCID", 0, "srun sets it")
    _check(rank, size, "SLURM_PROCID", "SLURM_NTASKS")
    if size == 1:
        return None
    nodes = (
        variables.get("SLURM_STEP_NODELIST") or variables.get("SLURM_NODELIST") or variables.get("SLURM_JOB_NODELIST")
    )
    address = variables.get("MASTER_ADDR") or (first_host(nodes) if nodes else None)
    if address is None:
        raise RendezvousError(
            f"Slurm says that this is worker {rank} of {size}, but neither MASTER_ADDR nor SLURM_NODELIST says on "
            "which machine worker 0 is. Start the workers with srun, or set MASTER_ADDR."
        )
    if "MASTER_PORT" in variables:
        port = _number(variables, "MASTER_PORT", 1, "any free port above 1023")
    else:  # the same for all of a job, another for other jobs on the machine
        port = _FIRST_PORT + _number(variables, "SLURM_JOB_ID", 0, "srun sets it; or set MASTER_PORT") % _PORTS
    return Rendezvous(rank=rank, size=size, address=address, port=port, started_by="Slurm")


def _number(variables: Mapping[str, str], name: str, low: int, source: str) -> int:
    text = variables.get(name, "")
    if not (text.isascii() and text.isdecimal() and int(text) >= low):
        got = f"got {text!r}" if name in variables else "it is not set"
        raise RendezvousError(f"the environment variable {name} must be an integer >= {low}; {got}: {source}.")
    return int(text)


def _check(rank: int, size: int, rank_name: str, size_name: str) -> None:
    if rank >= size:
        raise RendezvousError(f"{rank_name} must be less than {size_name}; got {rank} of {size}.")
