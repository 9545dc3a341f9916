"""State files that declare more than they have, lead elsewhere or never end: one message, and no memory taken."""

import io
import json
import os
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from downslope.cli.convert_sources import read_source
from downslope.converting.keras_files import Layer, name_momentums
from downslope.converting.parameter_map import read_table
from downslope.core.bounds import RATIO, SLACK, check_unpacked, most_unpacked, read_whole
from downslope.core.errors import DownslopeError
from downslope.systems.configurations import read_configuration

HUGE = 10**12
"""Bytes that nothing here may ever take."""
MOST = 150 * 2**20
"""Bytes of Python's own allocations, NumPy's among them, that a refusal may take."""


def refused(path, convention="keras", *, measured=False):
    """Return the message with which a file is refused; if measured, having taken little memory."""
    if measured:
        tracemalloc.start()
    try:
        with pytest.raises(DownslopeError) as caught:
            read_source(path, convention)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    return str(caught.value)


def test_the_bound():
    """256 MiB, and 32 bytes for each that the file has."""
    assert (most_unpacked(0), most_unpacked(10)) == (2**28, 2**28 + 320) == (SLACK, SLACK + 10 * RATIO)
    check_unpacked("a", most_unpacked(10), 10)
    with pytest.raises(DownslopeError, match="declares 268,435,777 bytes of content and has 10"):
        check_unpacked("a", most_unpacked(10) + 1, 10)


def test_a_file_larger_than_memory_is_not_read(tmp_path):
    """A file with a hole of eight terabytes takes no place on the disk, and would take all memory."""
    path = tmp_path / "hole.safetensors"
    with path.open("wb") as file:
        file.truncate(2**43)
    with pytest.raises(DownslopeError, match="of memory are free"):
        read_whole(path)


def weights(datasets, **options):
    """Return the bytes of a weights file with these datasets: arrays, or shapes of float32."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, content in {
            "optimizer/vars/0": np.int64(3),
            "optimizer/vars/1": np.float32(0.125),
            **datasets,
        }.items():
            if isinstance(content, tuple):
                file.create_dataset(name, content, np.float32, **options)
            else:
                file[name] = content
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"chunks": (2**20,), "compression": "gzip"}, {"chunks": (2**29,)}])
@pytest.mark.parametrize("is_archive", [True, False])
def test_an_hdf5_shape_without_data(options, is_archive, tmp_path):
    """A few kilobytes that declare terabytes, packed or not, alone or in a `.keras` file."""
    path = tmp_path / ("a.keras" if is_archive else "a.weights.h5")
    data = weights({"optimizer/vars/2": (HUGE // 4,)}, **options)
    path.write_bytes(data)
    if is_archive:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "{}")
            archive.writestr("model.weights.h5", data)
    assert "declares 1,000,000,000," in refused(path, measured=True)


def test_many_small_shapes_are_added_up(tmp_path):
    """None of them is too large by itself."""
    path = tmp_path / "a.weights.h5"
    path.write_bytes(weights({f"layers/dense/vars/{i}": (2**25,) for i in range(3)}))  # 128 MiB each
    assert "declares 402,653,196 bytes" in refused(path, measured=True)


def zipped(path, members, **options):
    """Write an archive with these members, packed."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        warnings.simplefilter("ignore")  # of two members of one name
        for name, data in members:
            archive.writestr(name, data)


@pytest.mark.parametrize(("name", "inside"), [("a.keras", "model.weights.h5"), ("a.pt", "archive/data.pkl")])
def test_a_zip_member_that_unpacks_to_much(name, inside, tmp_path):
    """Its declared size is added to the others' before anything is unpacked."""
    zipped(tmp_path / name, [("config.json" if name == "a.keras" else "archive/version", "{}"), (inside, b"\0" * 3000)])
    data = (tmp_path / name).read_bytes()
    assert data.count((3000).to_bytes(4, "little")) == 2  # beside the member, and in the directory
    (tmp_path / name).write_bytes(data.replace((3000).to_bytes(4, "little"), (2**31).to_bytes(4, "little")))
    message = refused(tmp_path / name, "keras" if name == "a.keras" else "torch", measured=True)
    assert "declares 2,147,483,650 bytes of content and has" in message


def test_a_zip_member_that_lies_about_its_size(tmp_path):
    """It gives what it declares and no more, and its checksum does not fit then."""
    path = tmp_path / "a.keras"
    zipped(path, [("config.json", "{}"), ("model.weights.h5", b"\0" * 5_000_000)])
    data = path.read_bytes().replace((5_000_000).to_bytes(4, "little"), (64).to_bytes(4, "little"))
    path.write_bytes(data)
    assert "damaged" in refused(path)


@pytest.mark.parametrize("name", ["a.keras", "a.pt"])
def test_two_members_of_one_name(name, tmp_path):
    """Which one is meant would depend on who reads."""
    inside = "config.json" if name == "a.keras" else "archive/data.pkl"
    zipped(tmp_path / name, [("model.weights.h5", b""), (inside, "{}"), (inside, "[]")])
    assert f"it has two members called '{inside}'" in refused(tmp_path / name, "torch")


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"config":{"layers":['])
def test_json_nested_very_deep(opening, tmp_path):
    """In a model's configuration, a safetensors header, an optimizer's configuration."""
    deep = opening * 100_000
    zipped(tmp_path / "a.keras", [("config.json", deep), ("model.weights.h5", weights({}))])
    (tmp_path / "a.safetensors").write_bytes(len(deep).to_bytes(8, "little") + deep.encode())
    (tmp_path / "b.safetensors").write_bytes(len(deep + " ").to_bytes(8, "little") + b"{" + deep.encode())
    (tmp_path / "optimizer_config.json").write_text(deep)
    for name in ("a.keras", "a.safetensors", "b.safetensors"):
        assert "a." in refused(tmp_path / name, "keras") or "damaged" in refused(tmp_path / name, "keras")
    with pytest.raises(DownslopeError, match=r"optimizer_config\.json"):
        read_configuration(tmp_path / "optimizer_config.json")


def test_hdf5_that_leads_elsewhere(tmp_path):
    """External and soft links, virtual datasets, groups that hold themselves: refused, nothing else is opened."""
    import h5py

    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.arange(3.0)
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "x", shape=(3,))
    path = tmp_path / "a.weights.h5"

    def linked(file):
        file["layers/dense/vars"] = h5py.ExternalLink(str(secret), "/")

    def soft(file):
        file["optimizer/vars/2"] = h5py.SoftLink("/optimizer/vars/1")

    def virtual(file):
        file.create_virtual_dataset("optimizer/vars/2", layout)

    def circle(file):
        file["optimizer/again"] = file["optimizer"]

    for add, message in (
        (linked, "layers/dense/vars is a link"),
        (soft, "optimizer/vars/2 is a link"),
        (virtual, "optimizer/vars/2 refers to another file"),
        (circle, "its groups lead in a circle"),
    ):
        path.write_bytes(weights({}))
        with h5py.File(path, "r+") as file:
            add(file)
        assert message in refused(path)


@pytest.mark.parametrize(
    "content", ["text", [b"a", b"b"], np.array([(1, 2.0)], "i4,f4")], ids=["text", "bytes", "pair"]
)
def test_hdf5_with_other_things_than_numbers(content, tmp_path):
    """Strings and tables: named, with what they are."""
    (tmp_path / "a.weights.h5").write_bytes(weights({"optimizer/vars/2": content}))
    assert "optimizer/vars/2 must hold numbers; got" in refused(tmp_path / "a.weights.h5")


def test_an_older_whole_model_is_named(tmp_path):
    """Keras's one-file HDF5 of whole models keeps its state elsewhere."""
    (tmp_path / "a.h5").write_bytes(weights({"model_weights/dense/kernel": np.ones(2)}))
    assert "is a whole model in one .h5 file" in refused(tmp_path / "a.h5")


@pytest.mark.parametrize("kind", ["FIFO", "device", "folder", "socket"])
@pytest.mark.parametrize("ending", [".pt", ".safetensors", ".msgpack", ".keras", ".weights.h5", ""])
def test_what_is_no_file_is_not_waited_for(kind, ending, tmp_path):
    """Whatever it is called; nor as a map, or as a configuration."""
    import socket

    path = tmp_path / f"x{ending}"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
        assert refused(path, "downslope")
        return
    else:
        os.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    assert f"is a {kind}" in refused(path, "optax")
    for read in (lambda: read_table([str(path)]), lambda: read_configuration(path)):
        with pytest.raises(DownslopeError, match=f"is a {kind}"):
            read()


def tensors_of_torch():
    """Return tensors that are no array, by what the message must say."""
    import torch

    return {
        'on the device "meta"': torch.empty(2, 3, device="meta"),
        "torch.sparse_coo": torch.eye(3).to_sparse(),
        "torch.sparse_csr": torch.eye(3).to_sparse_csr(),
        "quantised": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "torch.float8_e4m3fn": torch.ones(3).to(torch.float8_e4m3fn),
        "torch.int64": torch.ones(3, dtype=torch.int64),
        "bytes of content and has": torch.ones(1).expand(10**9),
        "list": [1.0, 2.0],
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensors_that_are_no_array(tmp_path):
    """Each is said in one message; an expanded one would be gigabytes once it is written."""
    import torch

    for message, tensor in tensors_of_torch().items():
        state = {
            "state": {0: {"momentum_buffer": tensor}},
            "param_groups": [{"params": [0], "lr": 0.1, "momentum": 0.9}],
        }
        torch.save(state, tmp_path / "a.pt")
        assert message in refused(tmp_path / "a.pt", "torch")


@pytest.mark.parametrize("place", ["lr", "params", "param_names", "extra"])
def test_lists_nested_very_deep_in_a_pickle(place, tmp_path):
    """One error, wherever they are; where they have no meaning, none."""
    import torch

    group = {"params": [0], "lr": 0.1, "momentum": 0.9} | ({place: "DEEP"} if place != "extra" else {})
    content = {"optimizer": {"state": {}, "param_groups": [group]}, "extra": "DEEP" if place == "extra" else 0}
    torch.save(content, tmp_path / "good.pt")
    text, deep = b"X\x04\x00\x00\x00DEEP", b"]" * 10_000 + b"a" * 9_999  # 10,000 empty lists, each put into the former
    with zipfile.ZipFile(tmp_path / "good.pt") as old, zipfile.ZipFile(tmp_path / "a.pt", "w") as new:
        for item in old.namelist():
            new.writestr(item, old.read(item).replace(text, deep))
    if place in {"extra", "param_names"}:
        assert read_source(tmp_path / "a.pt", "torch").velocity == {"0": None}
    else:
        assert "a.pt" in refused(tmp_path / "a.pt", "torch")


@pytest.mark.parametrize("name", ["version", "data.pkl", "data/0", "byteorder"])
def test_members_of_torch_that_are_exchanged(name, tmp_path):
    """A member with another's content is an error, not a crash."""
    import torch

    param = torch.nn.Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    optimizer = torch.optim.SGD([param], lr=0.1, momentum=0.9)
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt") as old, zipfile.ZipFile(tmp_path / "a.pt", "w") as new:
        for item in old.namelist():
            new.writestr(item, b"not this" if item.partition("/")[2] == name else old.read(item))
    said = "holds more than tensors" if name == "data.pkl" else "damaged, or not what its name says"
    assert f"a.pt: {said}" in refused(tmp_path / "a.pt", "torch")


def test_msgpack_that_is_no_tree(tmp_path, monkeypatch):
    """Nested deeper than any model, or with more entries than any has parameters."""
    monkeypatch.setattr("downslope.converting.trees._MOST", 1000)
    path = tmp_path / "a.msgpack"
    for content in (
        b"\x91" * 100_000 + b"\xc0",
        b"\x81\xa1a" * 900 + b"\xc0",
        b"\xdd\x00\x00\x10\x00" + b"\x01" * 4096,
    ):
        path.write_bytes(content)
        assert "a.msgpack: " in refused(path, "optax")


def test_messages_show_names_escaped_and_short(tmp_path):
    """A name from a file does not reach the terminal as it is."""
    name = "w\x1b[31m" + "x" * 100_000
    save_file({f"velocity.{name}": np.ones(2, np.int32)}, tmp_path / "a.safetensors")
    message = refused(tmp_path / "a.safetensors", "torch")
    assert "\x1b" not in message
    assert len(message) < 1000


def test_an_order_of_layers_is_found_however_many_there_are():
    """Two thousand layers in a row; and where orders are too many to look at, names are left out."""
    chain = [Layer.of(f"dense_{i}", f"dense_{i}", ["vars/0"], [(2, 2)]) for i in range(2000)]
    assert name_momentums(chain, [(2, 2)] * 2000, certain=True)[-1] == "dense_1999/kernel"
    mixed = [Layer.of(f"{k}_{i}", f"{k}_{i}", ["vars/0"], [(2, 2)]) for k in "abcdefgh" for i in range(6)]
    assert name_momentums(mixed, [(2, 2)] * 47 + [(3, 3)], certain=False)[0] == "momentum/0"


def test_a_solver_is_read_in_time_that_its_length_allows():
    """Lines are counted once: 20,000 of them, the last of which is wrong."""
    from downslope.core.errors import SettingsError
    from downslope.systems.configurations import parse_solver

    with pytest.raises(SettingsError, match="line 20001"):
        parse_solver("a: 1\n" * 20_000 + "%")
    with pytest.raises(SettingsError, match="is no number that a solver has"):
        parse_solver("base_lr: " + "9" * 100_000)


def test_a_configuration_with_odd_values_is_one_error(tmp_path):
    """Tables where numbers should be, names that are none, schedules that lack what they need."""
    for config in (
        {"learning_rate": {"class_name": "ExponentialDecay", "config": {}}, "momentum": 0.9},
        {"learning_rate": {"class_name": ["a"], "config": {}}},
        {"learning_rate": {"class_name": "PiecewiseConstantDecay", "config": {"boundaries": 3, "values": 4}}},
        {"learning_rate": [0.1]},
        {"learning_rate": 0.1, "momentum": {"a": 1}},
        {"class_name": ["SGD"], "config": []},
    ):
        (tmp_path / "a.json").write_text(json.dumps(config))
        with pytest.raises(DownslopeError, match=r"a\.json"):
            read_configuration(tmp_path / "a.json")
