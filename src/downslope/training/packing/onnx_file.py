"""A program of `torch.export` as an ONNX file, which says of itself what it is, and takes words as words."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import torch

import downslope
from downslope.core.errors import MissingDependencyError
from downslope.training.packing.packed import PackError, as_texts
from downslope.training.packing.raw_inputs import RawInput
from downslope.training.packing.table_cells import MISSING

_UNKNOWN = -2
"""What the graph makes of a word that the run has not seen."""

_MOST_BYTES = 2**31 - 2**24
"""An ONNX file is one message of protobuf, which ends at 2 GiB; some room for the graph."""


def write_onnx(program: torch.export.ExportedProgram, raw: tuple[RawInput, ...], facts: dict[str, Any]) -> bytes:
    """Return an ONNX file.

    Args:
        program: The program.
        raw: Its inputs.
        facts: What the file is to say of itself.

    Raises:
        MissingDependencyError: If onnx or onnxscript is not installed.
        PackError: If it has an operation that ONNX lacks, or is too large.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  # torch's exporter needs it, and says so less clearly
    except ImportError as error:
        raise MissingDependencyError(
            f'an ONNX file needs {error.name or "onnx"}, which is not installed. Run: pip install "downslope[pack]"'
        ) from None
    size = sum(value.numel() * value.element_size() for value in program.state_dict.values())
    if size > _MOST_BYTES:
        raise PackError(f"--to onnx: the weights have {size:,} bytes, and an ONNX file at most 2 GiB. Use --to export.")
    names = [one.name for one in raw]
    with quiet():
        try:
            made = torch.onnx.export(program, (), dynamo=True, verbose=False, input_names=names)
        except Exception as error:  # the exporter wraps whatever a conversion raises
            raise PackError(f"--to onnx: torch's exporter cannot write this model: {first_line(error)}.") from error
    assert made is not None  # noqa: S101  # it is a program, unless it was told to write a file
    model: Any = made.model_proto
    outputs = [output["name"] for output in facts["outputs"]]
    _rename(model, dict(zip([output.name for output in model.graph.output], outputs, strict=True)))
    _name_batch(model)
    for one in raw:
        if one.words:
            _take_words(model, one)
    model.producer_name, model.producer_version = "downslope", downslope.__version__
    model.doc_string = facts["title"]
    versions = {**facts["versions"], "onnx": onnx.__version__}
    texts = as_texts({**facts, "versions": versions, "inputs": [one.facts(as_text=True) for one in raw]})
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, texts)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise PackError(f"--to onnx: what torch's exporter wrote is not valid: {first_line(error)}.") from error
    return model.SerializeToString(deterministic=True)


def run_onnx(data: bytes, raw: tuple[RawInput, ...], batches: list[tuple[torch.Tensor, ...]]) -> Any:
    """Return what onnxruntime makes of each batch, arrays by name; None if it is not installed.

    Raises:
        PackError: If it cannot run the file.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about its own optimisations
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        found: list[dict[str, Any]] = []
        for batch in batches:
            given = {one.name: _as_given(one, value) for one, value in zip(raw, batch, strict=True)}
            found.append(dict(zip(names, session.run(names, given), strict=True)))
    except Exception as error:  # its errors are made by pybind, and have no common type that is public
        raise PackError(f"--to onnx: onnxruntime cannot run what was written: {first_line(error)}.") from error
    return found


def _as_given(raw: RawInput, values: torch.Tensor) -> Any:
    if not raw.words:
        return values.numpy()
    rows = [
        [words[code] if 0 <= code < len(words) else "" for words, code in zip(raw.words, row, strict=True)]
        for row in values.tolist()
    ]
    return np.array(rows, dtype=object).reshape(values.shape)


def _rename(model: Any, names: Mapping[str, str]) -> None:
    for node in model.graph.node:
        for place in (node.input, node.output):
            place[:] = [names.get(name, name) for name in place]
    for value in (*model.graph.output, *model.graph.value_info):
        value.name = names.get(value.name, value.name)


def _name_batch(model: Any) -> None:
    """Call the first size of inputs and outputs "batch": torch gives it a name that is another each time."""
    symbol = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param == symbol:
                size.dim_param = "batch"


def _take_words(model: Any, raw: RawInput) -> None:
    """Let an input of indices be one of words: a table for each column turns one into the other."""
    from onnx import TensorProto, helper, numpy_helper

    codes = f"{raw.name}_as_indices"
    for node in model.graph.node:
        node.input[:] = [codes if name == raw.name else name for name in node.input]
    nodes: list[Any] = []
    for place, words in enumerate(raw.words):
        at = f"{raw.name}_column_{place}"
        index = numpy_helper.from_array(np.array([place]), f"{at}_place")
        model.graph.initializer.append(index)
        table = {"keys_strings": ["", *words], "values_int64s": [MISSING, *range(len(words))]}
        nodes += [
            helper.make_node("Gather", [raw.name, index.name], [at], axis=1),
            helper.make_node(
                "LabelEncoder", [at], [f"{at}_index"], domain="ai.onnx.ml", default_int64=_UNKNOWN, **table
            ),
        ]
    columns = [f"{raw.name}_column_{place}_index" for place in range(len(raw.words))]
    nodes.append(helper.make_node("Concat", columns, [codes], axis=1))
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *kept])
    given = next(value for value in model.graph.input if value.name == raw.name)
    given.type.tensor_type.elem_type = TensorProto.STRING
    if all(one.domain != "ai.onnx.ml" for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what torch's exporters print and warn of their own inner ways off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, with its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
