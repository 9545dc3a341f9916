"""Loaders: the same bits for any number of them, one error where one fails, and none that outlives its trainer."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training_runs import fingerprints, run, tiny

import warm
from downslope.core.errors import DownslopeError
from downslope.training.data import load_data
from downslope.training.data.loaders import Loaders
from downslope.training.data.rows import Read, Rows, Source

HERE = Path(__file__).parent


def faulty(how, loaders, **overrides):
    """Return a recipe whose item 7 fails in some way."""
    data = f'{{ name = "lazy_datasets:Faulty", loaders = {loaders}, options = {{ how = "{how}" }} }}'
    return tiny(data=data, **overrides)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Return a folder of JPEGs of 64x48, one of them held upright by its camera, in two classes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(40):
        place = folder / "ab"[number % 2]
        place.mkdir(exist_ok=True)
        turned = number == 3
        small = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((48, 64) if turned else (64, 48))
        exif = Image.Exif()
        if turned:
            exif[0x0112] = 6
        image.save(place / f"{number:02}.jpg", exif=exif)
    return folder


def of_pictures(folder, **overrides):
    """Return a recipe on pictures that are decoded when needed."""
    options = ", ".join(
        f"{key} = {value}"
        for key, value in {"path": f'"{folder}"', "size": "[12, 16]", **overrides.pop("options", {})}.items()
    )
    return tiny(
        data=f'{{ name = "images", batch_size = 8, in_memory = false, options = {{ {options} }} }}',
        train__epochs="2",
        **overrides,
    )


def test_the_same_bits_for_any_number_of_loaders(tmp_path):
    """Processes, for items that draw anew in each epoch; interrupted and resumed with another number of them."""
    recipe = {
        count: tiny(data=f'{{ name = "lazy_datasets:Drawn", batch_size = 8, loaders = {count} }}', train__shards="2")
        for count in (0, 2)
    }
    run(recipe[0], tmp_path / "0")
    run(recipe[2], tmp_path / "2", at=7)
    _, said = run(recipe[0], tmp_path / "2")
    assert "resuming with a different recipe: data.loaders 2 -> 0" in said
    assert fingerprints(tmp_path / "0") == fingerprints(tmp_path / "2")


def test_the_same_pixels_for_any_number_of_threads(tmp_path, pictures):
    """And standardised ones, whose means are learned by a pass; the weights too after an interruption."""
    for count, at in ((0, None), (3, 4)):
        recipe = of_pictures(pictures, data__loaders=str(count), options={"standardize": "true"})
        run(recipe, tmp_path / str(count), at=at)
        run(recipe, tmp_path / str(count))
    assert fingerprints(tmp_path / "0") == fingerprints(tmp_path / "3")


def test_decoded_when_needed_are_the_pixels_of_memory(pictures):
    """Bit for bit, where nothing is decoded at a reduced scale; nearly, where it is."""
    held = load_data(of_pictures(pictures, data__in_memory="true"))
    whole = load_data(of_pictures(pictures, options={"reduced": "false"}))
    reduced = load_data(of_pictures(pictures))
    assert isinstance(reduced.train_inputs, Rows)
    assert whole.train_inputs[:].equal(held.train_inputs)
    assert whole.held_out_inputs[:].equal(held.held_out_inputs)
    assert whole.train_targets.equal(held.train_targets)
    assert not reduced.train_inputs[:].equal(held.train_inputs)
    torch.testing.assert_close(reduced.train_inputs[:], held.train_inputs, atol=0.05, rtol=0)
    assert load_data(of_pictures(pictures), reduced.fingerprint()).fingerprint() == reduced.fingerprint()


def test_what_changes_in_a_folder_is_another_fingerprint(pictures, tmp_path):
    """A name, a length, an image more; another time of the same file, or another place, is none."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", pictures, copy], check=True)
    then = load_data(of_pictures(pictures)).fingerprint()
    assert load_data(of_pictures(copy)).fingerprint() == then
    with (copy / "a" / "00.jpg").open("ab") as file:
        file.write(b"\0")
    changed = load_data(of_pictures(copy)).fingerprint()
    (copy / "a" / "02.jpg").rename(copy / "a" / "022.jpg")
    assert len({then, changed, load_data(of_pictures(copy)).fingerprint()}) == 3


def test_damaged_images_name_themselves_before_training(pictures, tmp_path):
    """All of them at once, by their headers and ends; a damage within is found by looking at pixels, or when met."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", pictures, copy], check=True)
    (copy / "a" / "04.jpg").write_bytes(b"no image")
    whole = (copy / "b" / "05.jpg").read_bytes()
    (copy / "b" / "05.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DownslopeError, match=r"2 images cannot be used:\n.*04.jpg: .*cannot identify.*\n.*05.jpg: "):
        load_data(of_pictures(copy))
    (copy / "a" / "04.jpg").unlink()
    with pytest.raises(DownslopeError, match=r"05.jpg: cannot be read as an image"):
        load_data(of_pictures(copy))
    (copy / "b" / "05.jpg").unlink()
    Image.open(pictures / "b" / "05.jpg").save(copy / "b" / "05.png")
    whole = (copy / "b" / "05.png").read_bytes()
    (copy / "b" / "05.png").write_bytes(whole[:1000] + whole[1040:])
    for options in ({"scan": '"off"'}, {}):
        recipe = of_pictures(copy, options=options, data__loaders="2")
        data = load_data(recipe)
        with pytest.raises(DownslopeError, match=r"05.png: cannot be read as an image"):
            data.train_inputs[:], data.held_out_inputs[:]
    with pytest.raises(DownslopeError, match=r"05.png: cannot be read as an image"):
        load_data(of_pictures(copy, options={"scan": '"pixels"'}))


# how item 7 fails, further overrides, and what is said
FAILS = {
    "raise": ({}, r"item 7 of it raised OSError: gone"),
    "die": ({}, r"item 7 of it: the loader process that read it has ended \(signal 9, Killed; perhaps for want of"),
    "hang": ({"data__loader_timeout": "2"}, r"item 7 of it: was not read within 2 seconds by a loader"),
}


@pytest.mark.parametrize("how", FAILS)
def test_a_loader_that_fails_names_the_item(how):
    """One error, and no process is left."""
    overrides, message = FAILS[how]
    with pytest.raises(DownslopeError, match=message):
        load_data(faulty(how, 1, **overrides))


class Slow(Source):
    """Counts what is read, and holds numbers."""

    def __init__(self):
        self.most = 0

    def __len__(self):
        return 100

    def describe(self, index):
        return f"number {index}"

    def read(self, indices, epoch, watch):
        self.most = max(self.most, *indices)
        return Read(torch.tensor(indices, dtype=torch.float32)[:, None] + epoch)


def test_what_is_read_ahead_is_bounded():
    """As many batches as there are loaders, the one that is taken and one more; what is no longer expected is left."""
    source = Slow()
    rows = Rows("it", Loaders(2, {"it": source}), (1,), torch.float32, np.arange(100))
    jobs = [(torch.arange(begin, begin + 10), 3) for begin in range(0, 100, 10)]
    rows.expect(jobs)
    assert len(rows._waiting) == 4
    assert rows.take(*jobs[0]).inputs[:, 0].tolist() == [number + 3.0 for number in range(10)]
    rows.expect(jobs[5:])
    assert rows.take(*jobs[1]).inputs[0, 0] == 13  # nobody was told of it
    assert rows.take(*jobs[9]).inputs[0, 0] == 93
    assert source.most <= 99
    rows.loaders.close()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_no_loader_outlives_its_trainer(tmp_path, sent):
    """Killed while an item hangs, or stopped while training goes on: its processes end."""
    marks, how = tmp_path / "marks", "hang" if sent == signal.SIGKILL else "wait"
    marks.mkdir()
    options = f'{{ how = "{how}", marks = "{marks}" }}'
    script = (
        "import sys; from training_runs import tiny; from downslope.training.run.plan import plan_run\n"
        "from pathlib import Path\nfrom downslope.training.run.train import train\n"
        "from downslope.training.view.console import PlainConsole\n"
        f"recipe = tiny(data='''{{ name = \"lazy_datasets:Faulty\", loaders = 1, options = {options} }}''', "
        "train__steps='1000000')\n"
        f"plan = plan_run(recipe, name='tiny', out=Path({str(tmp_path / 'run')!r}))\n"
        "done = train(plan, recipe, PlainConsole(seconds=0.0), report=False)\n"
        "sys.exit(128 + (done.signal or 0))\n"
    )
    trainer = warm.Running(["-c", script], cwd=HERE)
    wait_for(lambda: len(list(marks.iterdir())) == 2)
    loaders = [int(mark.name) for mark in marks.iterdir() if int(mark.name) != trainer.pid]
    if sent != signal.SIGKILL:
        wait_for((tmp_path / "run" / "log.jsonl").exists)
        for loader in loaders:
            os.kill(loader, sent)  # as a whole group is told to end: the trainer saves first, and needs them
    trainer.send_signal(sent)
    assert trainer.wait(60) == (-sent if sent == signal.SIGKILL else 128 + sent)
    wait_for(lambda: not any(map(is_alive, loaders)))


def wait_for(found):
    """Wait until something is so."""
    until = time.monotonic() + 60
    while not found():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_alive(process):
    """Return whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
