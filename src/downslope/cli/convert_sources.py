"""What ``downslope convert`` reads: files of each framework, our own runs, and the settings that go with them.

The formats are read by `converting/`, and by `torch/` and `jax/` where a file needs the framework.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from downslope.cli.arguments import UsageError
from downslope.converting.formats import format_of
from downslope.converting.snapshot import Snapshot
from downslope.core.errors import StateError
from downslope.core.groups import assign_groups
from downslope.core.parameter_names import without_wrappers
from downslope.core.schedule_free import refuse_schedule_free
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import Settings
from downslope.core.shown import shown
from downslope.core.tables import Source, decode, to_table
from downslope.recipe.load import load_recipe
from downslope.recipe.overrides import Override, apply_overrides
from downslope.systems.configurations import read_configuration


def read_source(path: Path, convention: str, optimizer: str | None = None, order: str | None = None) -> Snapshot:
    """Return what a file or run folder holds.

    Args:
        path: The file, whose content says its format, or the folder.
        convention: Whose state it is.
        optimizer: Which optimizer of several: its number, or where it is.
        order: "model" or "place", for PyTorch's optimizers that were made without names.

    Raises:
        StateError: If it is damaged or holds no optimizer state.
        UsageError: If an option does not fit its format.
    """
    try:
        return _read(path, convention, optimizer, order)
    except RecursionError:
        raise StateError(f"{shown(path)}: is nested too deep to be read.") from None
    except MemoryError:
        raise StateError(f"{shown(path)}: there is not enough memory to read it.") from None


def _read(path: Path, convention: str, optimizer: str | None, order: str | None) -> Snapshot:
    if path.is_dir():
        kind = "orbax" if looks_like_orbax(path) else "run"
    else:
        kind = format_of(path)
    if order is not None and kind != "torch":
        raise UsageError(f"convert: --order is for PyTorch's optimizers without names; {shown(path)} is none.")
    if kind == "torch":
        from downslope.torch.state_files import read_state_file

        return read_state_file(path, convention, optimizer=optimizer, order=order)
    if kind == "msgpack":
        from downslope.jax.state_files import read_msgpack

        return read_msgpack(path, convention, optimizer)
    if kind == "orbax":
        from downslope.jax.state_files import read_orbax

        return read_orbax(path, convention, optimizer)
    if optimizer not in {None, "0"}:
        raise UsageError(f"convert: {shown(path)} holds one optimizer; leave --optimizer out.")
    if kind == "run":
        return _read_run(path, convention)
    if kind == "safetensors":
        from downslope.converting.tensor_files import read_tensors

        return read_tensors(path, convention)
    from downslope.converting.keras_files import read_keras

    if convention not in {"keras", "downslope.keras"}:
        raise UsageError(f"convert: {shown(path.name)} is Keras's; use --from keras, not --from {convention}.")
    return read_keras(path, convention).snapshot


def looks_like_orbax(folder: Path) -> bool:
    """Return whether a folder is one that orbax wrote: a tree, a step with trees in it, or several steps."""
    return any(next(folder.glob(f"{depth}_METADATA"), None) is not None for depth in ("", "*/", "*/*/"))


def _read_run(folder: Path, convention: str) -> Snapshot:
    from downslope.cli.run_folders import find_run_folder

    find_run_folder(folder)
    if convention != "downslope":
        raise UsageError(f"convert: {shown(folder)} is a run of ours; use --from downslope, not --from {convention}.")
    from downslope.torch.state_files import as_array, decoded_velocity, settings_of_group
    from downslope.training.folder.run_folder import RunFolder
    from downslope.training.run.state import AVERAGE_OF, SCALES_OF

    checkpoint = RunFolder(folder).last()
    notes: list[str] = []
    velocity: dict[str, Any] = {}
    settings: dict[str, Settings] = {}
    average: dict[str, Any] = {}
    saved = checkpoint.tensors["optimizer"]
    averaged = checkpoint.tensors.get("ema", {}) if checkpoint.manifest["state"].get("ema_updates") else {}
    for group in checkpoint.manifest["state"]["optimizer"]:
        for name in group["param_names"]:
            tensor, scales = saved.get(name), saved.get(SCALES_OF + name)
            if tensor is not None and scales is not None:
                tensor = decoded_velocity(name, tensor, scales, notes)
            velocity[name] = None if tensor is None else as_array(tensor, name, notes)
            settings[name] = settings_of_group(folder, group, convention)
            if name in averaged:  # of narrow weights it is kept wide beside
                average[name] = as_array(saved.get(AVERAGE_OF + name, averaged[name]), name, notes)
    model = checkpoint.tensors["model"]
    bare = zip(without_wrappers(model), model.values(), strict=True)  # as the optimizer's names are
    return Snapshot(
        what=f"{shown(folder)}, {checkpoint.folder.name} (our own run)",
        convention="downslope",
        velocity=velocity,
        params={n: as_array(t, n, notes) for n, t in bare if t.is_floating_point() or t.is_complex()},
        step=checkpoint.step,
        settings=settings,
        notes=tuple(dict.fromkeys(notes)),
        average=average,
    )


def chosen_settings(snapshot: Snapshot, arguments: Any) -> Settings | dict[str, Settings]:
    """Return the settings of the source: of --config, else the file's own, with the overrides laid over them.

    Raises:
        DownslopeError: If nothing says them, or a value is not allowed.
    """
    overrides: list[Override] = arguments.overrides
    found: Settings | dict[str, Settings] | None = snapshot.settings
    if arguments.config is not None:
        found = _of_config(arguments.config, snapshot)
    if found is None and not overrides:
        raise StateError(
            f"{snapshot.what} does not say the settings of the run. Give them, for example --sgd.lr 0.1 "
            "--sgd.momentum 0.9, or --config with a recipe, a Caffe solver or a Keras configuration."
        )
    if isinstance(found, dict):
        known = {one: _resolved(_overridden(one, overrides), arguments) for one in dict.fromkeys(found.values())}
        return {name: known[one] for name, one in found.items()}
    return _resolved(_overridden(found, overrides), arguments)


def _of_config(path: Path, snapshot: Snapshot) -> Settings | dict[str, Settings]:
    if path.suffix != ".toml":
        return read_configuration(path)
    recipe = load_recipe(path)
    if not recipe.groups:
        return recipe.sgd
    shapes = {
        name: array.shape for name, array in {**snapshot.velocity, **snapshot.params}.items() if array is not None
    }
    assigned = assign_groups(recipe.groups, shapes)
    of_group = [*(group.apply(recipe.sgd) for group in recipe.groups), recipe.sgd]
    return {name: own for own, names in zip(of_group, assigned, strict=True) for name in names}


def _overridden(settings: Settings | None, overrides: Iterable[Override]) -> Settings:
    overrides = tuple(overrides)
    if not overrides and settings is not None:
        return settings
    table = {"sgd": {} if settings is None else to_table(settings)}
    source = Source("the settings", tuple(path for path, _ in overrides))
    return decode(Settings, apply_overrides(table, overrides)["sgd"], source, ("sgd",))


def _resolved(settings: Settings, arguments: Any) -> Settings:
    refuse_schedule_free(
        settings, "convert has velocities to write, and what this keeps is none. Load its state as it is."
    )
    in_epochs = [
        name
        for name in ("lr", "momentum", "weight_decay")
        if isinstance(value := getattr(settings, name), Schedule) and value.in_epochs()
    ]
    if not in_epochs:
        return settings
    if arguments.steps_per_epoch is None:
        raise UsageError(f"convert: the schedule of {in_epochs[0]} is in epochs; give --steps-per-epoch.")
    return settings.in_steps(arguments.steps_per_epoch)
