"""The optimizers that a program makes: which, with which settings, and for which parameters others."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from downslope.reading.arithmetic import is_number
from downslope.reading.code.calls import DEFAULTS, NAMED_BY_WORD, NESTEROV, SETTING_OF, SIGNATURES, optimizer_of
from downslope.reading.code.interpreter import Interpreter
from downslope.reading.code.library import PARTIAL
from downslope.reading.code.recognise import nice
from downslope.reading.code.schedules import framework_of, reason
from downslope.reading.code.values import Made, Namespace, Ref, Unknown, Value, is_known, number, words_of

_LOWER = frozenset({"optax", "jax", "lasagne", "mxnet", "paddle"})
_BIASES = re.compile(r"(?:^|_)(?:no_?decay|no_?wd|nodecay|norm|bn|nd|without_decay|wo_decay)", re.IGNORECASE)

_REST = re.compile(
    r"(?:\w*_)?(?:decay|decayed|wd)(?:_params|_parameters)?|weights?(?:_params)?|pg1|(?:others?|rest|remaining)(?:_?params|_?parameters)?|"
    r"base_?param\w*|(?:not|non|no|without|except)_(?!decay|wd|bias|norm|bn|grad)\w+"
)
_MODULE = re.compile(
    r"(backbone|head|encoder|decoder|classifier|classification_head|fc|neck|embeddings?|transformer|features|aux\w*|"
    r"resnet|bert|vit|cnn|trunk|stem|projector|predictor)(?:_?layers?)?_?(?:params|parameters|weights|vars)?"
)


@dataclass
class Optimizer:
    """An optimizer of a program.

    Attributes:
        made: The call.
        name: Ours: "sgd", "adam", ...; "" where a word that is not known chooses it.
        framework: Whose it is.
        settings: What it was given, by our names: "lr", "momentum", ...
        again: Other learning rates with which it is made again.
        groups: (pattern of names or "", what they are given) of parameters that are given something else.
    """

    made: Made
    name: str
    framework: str
    settings: dict[str, Value] = field(default_factory=dict[str, Value])
    again: list[Value] = field(default_factory=list[Value])
    groups: list[tuple[str, dict[str, Value], Value]] = field(default_factory=list[tuple[str, dict[str, Value], Value]])


def find_optimizers(on: Interpreter, framework: str) -> list[Optimizer]:
    """Return the optimizers of a program, those of unknown conditions last, each call once."""
    found: dict[int, Optimizer] = {}
    for made in on.made:
        one = _optimizer(made, framework)
        if one is None:
            continue
        first = found.setdefault(made.start, one)
        lr = one.settings.get("lr")
        if first is not one and lr is not None and lr.data != getattr(first.settings.get("lr"), "data", None):
            first.again.append(lr)
    return sorted(found.values(), key=lambda one: one.made.doubt)


def _optimizer(made: Made, framework: str) -> Optimizer | None:
    lowered = made.name.lower()
    own = framework_of(made.path) or framework
    if lowered in NAMED_BY_WORD or made.name in {"fit", "compile", "TrainingArguments", "Seq2SeqTrainingArguments"}:
        return _by_word(made, own)
    if made.name in PARTIAL and made.args and made.kwargs and isinstance(made.args[0].data, Ref):
        path = made.args[0].data.path
        made = replace(made, path=path, name=path.rpartition(".")[2], args=made.args[1:], doubt=made.doubt + 1)
        lowered = made.name.lower()
    if made.name in _LINEAR:
        return _of_linear(made)
    name = optimizer_of(made.name)
    if not name or (made.name.islower() and own not in _LOWER and not (made.kwargs.keys() & SETTING_OF.keys())):
        return None
    if made.name.islower() and lowered == "momentum" and own not in _LOWER and "mass" not in made.kwargs:
        return None
    if not own and ("decay" in made.kwargs or "learning_rate" in made.kwargs) and lowered == "sgd":
        own = "keras"
    one = Optimizer(made, name, own)
    _take(one, lowered)
    default = DEFAULTS.get(f"{own}.{lowered}") or DEFAULTS.get(lowered)
    if default is not None:
        one.settings.setdefault("momentum", reason(default, f"the default of {made.name}"))
    if lowered in NESTEROV:
        one.settings.setdefault("nesterov", reason(True, f"{made.name} is Nesterov's form"))
    return one


def is_loop(made: Made) -> bool:
    """Whether a call of SGD trains a network: `net.SGD(data, epochs, mini_batch_size, eta)` of Nielsen's book."""
    if made.name != "SGD" or "." not in made.path or len(made.args) < 4 or framework_of(made.path):
        return False
    data, *counts, eta = made.args[:4]
    whole = all(isinstance(one.data, int) and not isinstance(one.data, bool) and one.data >= 1 for one in counts)
    return (
        whole
        and not is_number(data.data)
        and is_number(eta.data)
        and eta.data > 0
        and not made.kwargs.keys() & SETTING_OF.keys()
    )


_LINEAR = words_of("SGDClassifier SGDRegressor")


def _of_linear(made: Made) -> Optimizer:
    """Return the SGD of scikit-learn's linear models, whose rate is `eta0` where it stays the same."""
    told = {key: value for key, value in made.kwargs.items() if is_number(value.data)}
    still = getattr(made.kwargs.get("learning_rate"), "data", "") == "constant"
    squared = getattr(made.kwargs.get("penalty"), "data", "l2") == "l2"
    pairs = (("lr", "eta0", still), ("weight_decay", "alpha", squared))
    return Optimizer(made, "sgd", "", {name: told[key] for name, key, holds in pairs if holds and key in told})


def _take(one: Optimizer, lowered: str) -> None:
    made = one.made
    system = (
        "keras"
        if one.framework == "tensorflow" and "decay" not in lowered and "optimizer" not in lowered
        else one.framework
    )
    if is_loop(made):
        one.settings["lr"] = made.args[3]
        return
    names = (SIGNATURES.get(f"{system}.{lowered}") or SIGNATURES.get(lowered) or "params lr").split()
    args = list(made.args)
    if names[0] in {"params", "loss"} and args and is_number(args[0].data):
        names = [name for name in names if name not in {"params", "loss"}]  # written without them, as people do
    given = {SETTING_OF.get(name, name): arg for name, arg in zip(names, args, strict=False)}
    for keyword, value in made.kwargs.items():
        if keyword == "eta" and made.kwargs.keys() & {"lr", "learning_rate"}:
            given["trust"] = value  # the coefficient of LARS
        elif keyword == "decay" and lowered in {"rmspropoptimizer", "rmsprop"}:
            given["rho"] = value
        else:
            given[SETTING_OF.get(keyword, keyword)] = value
    _settle(one, given)


def _settle(one: Optimizer, given: dict[str, Value]) -> None:
    """Take over settings, those inside of other calls among them."""
    settings = one.settings
    for name, value in given.items():
        if value.data is None:
            continue
        if name == "betas" and isinstance(value.data, list | tuple) and len(value.data) == 2:
            settings["beta1"], settings["beta2"] = value.data
        elif name in {"regularization", "weight_decay"} and isinstance(value.data, Made):
            coefficient = next(iter([*value.data.args[:1], *value.data.kwargs.values()]), None)
            if "L1" not in value.data.name and coefficient is not None:
                settings["weight_decay"] = coefficient
        elif name == "clip" and isinstance(value.data, Made):
            if "Norm" in value.data.name and value.data.args:
                settings["clip"] = value.data.args[0]
        else:
            settings[name] = value
    parameters = next((given[name] for name in ("params", "parameters", "model_params") if name in given), None)
    if parameters is not None and isinstance(parameters.data, list | tuple):
        _take_groups(one, parameters)
    for item in given["groups"].data if "groups" in given and isinstance(given["groups"].data, list | tuple) else ():
        if isinstance(item.data, Made) and isinstance(getattr(item.data.kwargs.get("match"), "data", None), str):
            own = {key: value for key, value in item.data.kwargs.items() if key in {"lr", "weight_decay", "momentum"}}
            one.groups.append((item.data.kwargs["match"].data, own, Value(None, item.data.start, item.data.end)))


def _by_word(made: Made, framework: str) -> Optimizer | None:
    """Return an optimizer that a word names: gluon's Trainer, timm's create_optimizer, `optimizer="sgd"`."""
    words = [
        value
        for value in [
            *made.args[:2],
            *(made.kwargs.get(k) for k in ("optimizer", "opt", "optim", "optimizer_name", "solver", "update")),
        ]
        if value
    ]
    tables = [
        value.data.attributes for value in [*made.args, *made.kwargs.values()] if isinstance(value.data, Namespace)
    ]
    tables += [
        inner.data.attributes
        for value in [*made.args, *made.kwargs.values()] if isinstance(value.data, Made)
        for inner in [*value.data.args, *value.data.kwargs.values()] if isinstance(inner.data, Namespace)
    ]  # fmt: skip
    if made.name.startswith("create_optimizer"):
        words += [table[key] for table in tables for key in ("opt", "optimizer") if key in table]
    if made.name.startswith("NeuralNet"):  # of skorch and nolearn
        words += [Value(one.data.path.rpartition(".")[2]) for one in words if isinstance(one.data, Ref)]
    named = next((word for word in words if isinstance(word.data, str) and optimizer_of(word.data)), None)
    if named is None:
        if made.name.endswith("TrainingArguments") and made.kwargs.keys() & {"learning_rate", "weight_decay"}:
            one = Optimizer(made, "adamw", "transformers")
            _settle(one, {SETTING_OF[key]: value for key, value in made.kwargs.items() if key in SETTING_OF})
            return one
        return None
    one = Optimizer(made, optimizer_of(named.data), "timm" if made.name.startswith("create_optimizer") else framework)
    given = {key.removeprefix("optimizer__").removeprefix("update_"): value for key, value in made.kwargs.items()}
    for value in [*made.args, made.kwargs.get("optimizer_params")]:
        if value is not None and isinstance(value.data, dict):
            given.update({str(key): item for key, item in value.data.items()})
        elif value is not None and isinstance(value.data, list | tuple):  # (("learning_rate", 0.1), ...)
            pairs = [item.data for item in value.data if isinstance(item.data, list | tuple) and len(item.data) == 2]
            given.update({str(key.data): item for key, item in pairs})
    if made.name.startswith("create_optimizer"):
        for table in tables:
            given.update({key: table[key] for key in table if key in SETTING_OF and key not in given})
        if named.data.lower() == "sgd":
            given["nesterov"] = reason(True, "timm's name sgd means Nesterov momentum")
    elif named.data.lower() in NESTEROV:
        given["nesterov"] = Value(True, named.start, named.end, literal=True)
    _settle(one, {SETTING_OF[key]: value for key, value in given.items() if key in SETTING_OF})
    if made.name in {"compile", "fit"} and "lr" not in one.settings and framework == "keras":
        one.settings.clear()
    return one


# Groups


def _take_groups(one: Optimizer, parameters: Value) -> None:
    """Take what dictionaries of parameters set for these alone."""
    usual = {key: plain for key, plain in one.settings.items() if key in {"lr", "weight_decay", "momentum"}}
    groups = sorted(
        parameters.data[:30],
        key=lambda item: (
            "pattern" in item.data and item.data["pattern"].data[:1] != "!" if isinstance(item.data, dict) else False
        ),
    )
    for item in groups:  # the rest first, which others are compared with
        table = item.data
        if not isinstance(table, dict) or "params" not in table:
            continue
        own = {
            SETTING_OF.get(str(key), str(key)): value
            for key, value in table.items()
            if key not in {"params", "name", "names", "pattern", "params_name"}
        }
        own = {
            key: value
            for key, value in own.items()
            if key in {"lr", "weight_decay", "momentum"}
            and (is_number(value.data) or (key == "lr" and isinstance(value.data, Made)))
        }
        pattern, main = _by_name(table["params_name"].data) if "params_name" in table else ("", False)
        if not pattern and not main:
            pattern, main = _pattern(table["params"])
        if "pattern" in table and table["pattern"].data:
            pattern, main = table["pattern"].data, table["pattern"].data.startswith("!")
        if main and not any(key in usual and number(usual[key]) not in {0, number(own[key])} for key in own):
            for key, value in own.items():
                if key not in usual or number(usual[key]) == 0:
                    one.settings[key] = usual[key] = value
            continue
        differ = {key: value for key, value in own.items() if key not in usual or value.data != usual[key].data}
        if differ:
            one.groups.append((pattern, differ, item))


def _pattern(parameters: Value) -> tuple[str, bool]:
    """Return which names the parameters of a group have, "" if that is unknown, and whether they are the rest."""
    data = parameters.data
    path = data.hint if isinstance(data, Unknown) else data.path if isinstance(data, Ref) else ""
    if isinstance(data, Made):
        path = data.path if data.name in {"parameters", "named_parameters", "trainable_params"} else data.bound or ""
    if isinstance(data, list | tuple) and len(data) == 1:
        return _pattern(data[0])
    names = path.removesuffix(".parameters").removesuffix(".trainable_params").split(".")
    pattern, main = _by_name(names[-1])
    if pattern or main:
        return pattern, main
    tail = [name for name in names[1:] if name not in {"module", "parameters", "params"}]
    return (f"{'.'.join(tail)}.*" if tail and names[0] != "itertools" else ""), False


def _by_name(name: str) -> tuple[str, bool]:
    """Return which parameters a variable's name means, and whether it means the rest."""
    if _BIASES.search(name):
        return "@bias_and_norm", False
    if "bias" in name.lower():
        return "*.bias", False
    module = _MODULE.fullmatch(name.lower())
    return (f"{module.group(1)}.*", False) if module else ("", bool(_REST.fullmatch(name.lower())))


def chain_settings(one: Optimizer, on: Interpreter) -> None:
    """Add what stands beside an optimizer in optax's chain, or is hooked to it in Chainer."""
    for made in on.made:
        first = next(iter([*made.args, *made.kwargs.values()]), None)
        if first is None or not is_number(first.data):
            continue
        if made.name == "add_decayed_weights":
            links = next((chain.args for chain in on.made if chain.name == "chain" and _place(chain, made) > 0), [])
            before = [getattr(link.data, "name", "") for link in links if link.start < made.start]
            one.name = "sgdw" if one.name == "sgd" and "trace" in before else one.name  # added after the velocity
            one.settings.setdefault("weight_decay", made.kwargs.get("weight_decay") or first)
        elif made.name == "WeightDecay" and one.framework in {"chainer", ""}:
            one.settings.setdefault("weight_decay", made.kwargs.get("rate") or first)


def _place(chain: Made, made: Made) -> int:
    """Return which of a chain's links a call is, -1 if it is none."""
    return next((place for place, arg in enumerate(chain.args) if arg.data is made), -1)


def from_parts(on: Interpreter) -> Optimizer | None:
    """Return the SGD that optax's trace and scale make together."""
    by_name = {made.name: made for made in on.made if framework_of(made.path) == "optax"}
    if "chain" not in by_name or not by_name.keys() & {"trace", "scale", "scale_by_schedule", "scale_by_learning_rate"}:
        return None
    if any(
        name.startswith("scale_by_") and name not in {"scale_by_schedule", "scale_by_learning_rate"} for name in by_name
    ):
        return None
    one = Optimizer(by_name["chain"], "sgd", "optax")
    trace = by_name.get("trace")
    if trace is not None:
        momentum = trace.argument("decay", 0)
        one.settings.update({"momentum": momentum} if momentum is not None else {})
        one.settings.update({"nesterov": trace.kwargs["nesterov"]} if "nesterov" in trace.kwargs else {})
    for name in ("scale_by_learning_rate", "scale_by_schedule", "scale"):
        given = by_name[name].argument("step_size", 0) if name in by_name else None
        if given is not None and is_known(given.data) and is_number(given.data):
            lr = given if given.data > 0 else Value(nice(-given.data), given.start, given.end)
            one.settings.setdefault("lr", lr)
        elif given is not None:
            one.settings.setdefault("lr", given)
    return one
