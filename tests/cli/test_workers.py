"""Several workers by the real command line: --workers, torchrun, and Slurm's environment set by hand."""

import hashlib
import os
import socket
import subprocess
from pathlib import Path

import pytest
from command_line import command, fail, succeed

import warm
from downslope.core.errors import RecipeError
from downslope.training.workers.rendezvous import RendezvousError, check_number, find_rendezvous, first_host

TASKS = Path(__file__).parent.parent / "training"
"""Where the data lie that the runs here name."""

SHARED = ["--data.name", "training_tasks:blobs", "--model.hidden", "[16]", "--train.shards", "2", "--train.steps", "30"]
RUN = ["-m", "downslope", "train", *SHARED, "--timeout", "300"]


def free_port():
    """Return a port that nobody uses just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def hashes(folder):
    """Return the hashes of a run's weights and log."""
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("model.safetensors", "log.jsonl")]


@pytest.mark.slow
def test_every_way_to_start_workers_gives_the_same_bits(tmp_path, monkeypatch, capsys):
    """One process, --workers 2, torchrun and two tasks of Slurm: the same weights and log, said once."""
    monkeypatch.chdir(TASKS)
    succeed(["train", *SHARED, "--out", tmp_path / "one"], capsys)  # this process is the one
    done = command("train", *SHARED, "--workers", "2", "--out", str(tmp_path / "workers"), cwd=TASKS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished    30 of 30 steps") == 1
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    done = warm.run(*torchrun, *RUN, "--out", str(tmp_path / "torchrun"), cwd=TASKS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished    30 of 30 steps") == 1
    slurm = {**os.environ, "SLURM_NTASKS": "2", "SLURM_NODELIST": "localhost", "MASTER_PORT": free_port()}
    tasks = [
        warm.Running(
            [*RUN, "--out", str(tmp_path / "slurm")],
            env={**slurm, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=TASKS,
        )
        for rank in range(2)
    ]
    printed = [task.communicate(timeout=600) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], printed
    assert printed[1][0] == ""
    found = {name: hashes(tmp_path / name) for name in ("one", "workers", "torchrun", "slurm")}
    print(found)
    assert all(other == found["one"] for other in found.values())


def test_a_number_of_workers_that_cannot_share(capsys, tmp_path):
    """The message says which numbers can."""
    said = fail(["train", "--train.shards", "6", "--workers", "4", "--out", tmp_path / "run"], capsys)
    assert said.startswith("4 workers cannot share a step evenly: train.shards = 6, which 1, 2, 3 or 6 workers can.")
    said = fail(["train", "--workers", "2", "--out", tmp_path / "run"], capsys)
    assert "train.shards = 1, which 1 worker can" in said
    assert "--train.shards 2" in said
    assert not (tmp_path / "run").exists()
    check_number(2, 3, 6)
    with pytest.raises(
        RecipeError, match=r"train\.shards = 2 times train\.accumulate = 3 is 6 parts a step, which 1, 2"
    ):
        check_number(2, 3, 4)


@pytest.mark.parametrize("words", [["--workers", "0"], ["--workers", "two"], ["--timeout", "0"], ["--timeout", "nan"]])
def test_numbers_that_are_none(words, capsys):
    """Zero workers or no seconds are refused."""
    assert words[0] in fail(["train", *words], capsys)


def test_workers_that_are_to_start_workers(capsys, monkeypatch):
    """Under torchrun or srun, --workers would start workers of workers."""
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_NODELIST", "a[1-4]")
    said = fail(["train", "--train.shards", "8", "--workers", "2"], capsys)
    assert said.startswith("--workers 2 is for one machine, and Slurm says that there are 4 workers already.")


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("node[01-16]", "node01"),
        ("node[3,5-7],other1", "node3"),
        ("rack[2-3]node[005-008]", "rack2node005"),
        ("gpu-[007]", "gpu-007"),
        ("a1-b[10-12].cluster,c", "a1-b10.cluster"),
    ],
)
def test_the_first_host_of_a_list(nodes, first):
    """As Slurm's own `scontrol show hostnames` would give it first."""
    assert first_host(nodes) == first


def test_places():
    """What torchrun and Slurm say, and nothing where there is one process or no launcher."""
    torchrun = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "h", "MASTER_PORT": "29500"}
    place = find_rendezvous(environment=torchrun)
    assert (place.rank, place.size, place.address, place.port, place.started_by) == (1, 2, "h", 29500, "torchrun")
    assert find_rendezvous(environment={}) is None
    assert find_rendezvous(environment={**torchrun, "WORLD_SIZE": "1", "RANK": "0"}) is None
    assert find_rendezvous(environment={"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}) is None
    slurm = {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "MASTER_ADDR": "m", "SLURM_JOB_ID": "40003"}
    place = find_rendezvous(environment=slurm)
    assert (place.address, place.port) == ("m", 20_003)
    assert find_rendezvous(1, environment=torchrun).size == 2


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RANK": "0"}, "WORLD_SIZE must be an integer >= 1; it is not set"),
        ({"WORLD_SIZE": "2", "RANK": "x"}, "RANK must be an integer >= 0; got 'x'"),
        ({"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "h"}, "RANK must be less than WORLD_SIZE; got 2 of 2"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR is not"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "h"}, "MASTER_PORT must be an integer >= 1"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, "neither MASTER_ADDR nor SLURM_NODELIST"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_NODELIST": "a"}, "SLURM_JOB_ID must be an integer"),
    ],
)
def test_an_environment_that_says_too_little(variables, words):
    """The message names the variable."""
    with pytest.raises(RendezvousError, match=words):
        find_rendezvous(environment=variables)
