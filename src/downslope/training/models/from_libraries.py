"""Models of other libraries: "timm:NAME", and "hf:FOLDER" for the configuration of a model of transformers.

Weights begin as the library draws them after the recipe's seed. Nothing is downloaded: pretrained weights are a
.safetensors file of one's own (`train.start_from`), and code that a configuration names is not run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from downslope.core.errors import DataError, MissingDependencyError, did_you_mean
from downslope.core.files import MIB, read_text
from downslope.core.paths import expand_home
from downslope.core.shown import shown
from downslope.training.data.numpy_files import first_line
from downslope.training.models.heads import advise_on_rows, check_inputs
from downslope.training.user_code import FAILURES, describe, refuse_hidden

if TYPE_CHECKING:
    from downslope.recipe.schema import Model
    from downslope.training.data import Dataset

_IMAGES = "(examples, channels, height, width)"
_CONFIG = "config.json"


def build(model: Model, dataset: Dataset) -> nn.Module:
    """Return the model that "timm:NAME" or "hf:FOLDER" names, with as many outputs as the data have classes.

    Raises:
        MissingDependencyError: If the library is not installed.
        DataError: If the library has no such model, or it does not fit the data.
    """
    library, _, name = model.name.partition(":")
    refuse_hidden(model.name, model.hidden, "what the library's own function takes")
    return (_of_timm if library == "timm" else _of_transformers)(name, model, dataset)


def _of_timm(name: str, model: Model, dataset: Dataset) -> nn.Module:
    timm = _import("timm", "timm")
    options = dict(model.options)
    options.pop("weights", None)  # which `run/starting.py` takes
    if options.get("pretrained"):
        raise DataError(
            "model.options.pretrained: would download weights. Give a file of yours: train.start_from = "
            '"resnet18.safetensors".'
        )
    if not timm.is_model(name):
        known = timm.list_models()
        raise DataError(f"model.name = '{shown(model.name)}': timm has no such model.{did_you_mean(name, known)}")
    check_inputs(model.name, dataset, _IMAGES, (4,))
    given = {"num_classes": _outputs(model, dataset), "in_chans": dataset.train_inputs.shape[1], **options}
    return _make(lambda: timm.create_model(name, pretrained=False, **given), model)


class Logits(nn.Module):
    """A model of transformers as one from a tensor to logits.

    Attributes:
        network: The model.
        config_text: Its configuration, as the file holds it.
    """

    def __init__(self, network: nn.Module, config_text: str) -> None:
        super().__init__()
        self.network = network
        self.config_text = config_text
        self._takes_numbers = bool(getattr(network, "main_input_name", "") == "pixel_values")
        self._padding: int | None = getattr(getattr(network, "config", None), "pad_token_id", None)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits, shape (examples, classes), of images or of the indices of tokens."""
        if self._takes_numbers:
            return self.network(pixel_values=inputs).logits
        mask = None if self._padding is None else (inputs != self._padding).long()
        return self.network(input_ids=inputs, attention_mask=mask).logits


def _of_transformers(folder: str, model: Model, dataset: Dataset) -> nn.Module:
    transformers = _import("transformers", "hf")
    text = dataset.model_config or _read_config(folder, model)
    place = f"model.name = '{shown(model.name)}'"
    try:
        table = json.loads(text)
    except ValueError as error:
        raise DataError(f"{place}: its {_CONFIG} is no JSON: {first_line(error)}.") from None
    if not isinstance(table, dict) or not isinstance(table.get("model_type"), str):
        raise DataError(f"{place}: its {_CONFIG} names no `model_type`: it is no configuration of transformers.")
    if "auto_map" in table:
        raise DataError(f"{place}: its {_CONFIG} names code of its own (`auto_map`), which is not run.")
    if table["model_type"] not in transformers.CONFIG_MAPPING:
        known = list(transformers.CONFIG_MAPPING)
        raise DataError(
            f"{place}: transformers has no {table['model_type']!r}.{did_you_mean(table['model_type'], known)}"
        )
    numbers = dataset.train_inputs.dtype.is_floating_point
    kind = transformers.AutoModelForImageClassification if numbers else transformers.AutoModelForSequenceClassification

    def make() -> nn.Module:
        config = transformers.CONFIG_MAPPING[table["model_type"]].from_dict({**table, **model.options})
        config.num_labels = _outputs(model, dataset)
        return kind.from_config(config)

    return Logits(_make(make, model), text)


def _read_config(folder: str, model: Model) -> str:
    path = expand_home(folder, DataError, "model.name")
    file = path if path.suffix == ".json" else Path(path, _CONFIG)
    try:
        return read_text(file, DataError, limit=MIB)
    except OSError as error:
        raise DataError(
            f"model.name = '{shown(model.name)}': {shown(file)}: {error.strerror}. Give the folder of a configuration, "
            "as `config.save_pretrained(folder)` writes it; nothing is downloaded."
        ) from None


def _outputs(model: Model, dataset: Dataset) -> int:
    """Return how many numbers the model puts out for an example."""
    shape = tuple(dataset.train_targets.shape[1:])
    if dataset.labels:
        return len(dataset.labels)
    if dataset.logits is None or shape:
        raise DataError(
            f"model `{shown(model.name)}`: classifies one label an example; got targets of shape "
            f"{tuple(dataset.train_targets.shape)}.{advise_on_rows(shape)} "
            "Wrap it in a function of your own for another task."
        )
    return dataset.logits


def _import(library: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(library)
    except FAILURES as error:
        if isinstance(error, ModuleNotFoundError) and error.name == library:
            raise MissingDependencyError(
                f"models of {library} need the package {library}, which is not installed. "
                f'Run: pip install "downslope[{extra}]"'
            ) from None
        raise DataError(
            f"the package {library} is installed but cannot be imported: {describe(error)}. Often torchvision is "
            "another build than torch: install both from the same place, as pytorch.org says, and try "
            f'`python -c "import {library}"`.'
        ) from error


def _make(make: Callable[[], nn.Module], model: Model) -> nn.Module:
    try:
        return make()
    except FAILURES as error:
        raise DataError(f"model.name = '{shown(model.name)}': the library raised {describe(error)}") from error
