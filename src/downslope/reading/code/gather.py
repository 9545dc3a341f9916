"""From what a program makes to the fields of a recipe."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import replace
from typing import Any

from downslope.reading.arithmetic import is_number
from downslope.reading.code.calls import field_of
from downslope.reading.code.interpreter import Interpreter
from downslope.reading.code.optimizers import Optimizer, chain_settings, find_optimizers, from_parts, is_loop
from downslope.reading.code.others import find_others
from downslope.reading.code.rates import plan_rate
from downslope.reading.code.recognise import nice
from downslope.reading.code.schedules import PER_STEP, Schedules, framework_of, reason
from downslope.reading.code.tree import ADJUSTS, falls_if_measured, written_rates
from downslope.reading.code.values import Made, PerEpoch, Ref, Unknown, Value, number, numbers, words_of
from downslope.reading.code.written import from_words
from downslope.reading.configuration.names import concepts_of
from downslope.reading.configuration.shapes import amount
from downslope.reading.findings import Found
from downslope.reading.plan import Plan, complete
from downslope.reading.reading import ADAMS, APEX, BY_UNIT, DAMPENED, ONLY_LOWER, Field
from downslope.reading.remarks import shown

_LONGEST_WORDS = 200
_STEPS = 1000
"""The first milestone that counts steps where nothing says what is counted."""
_TIMES = frozenset({"milestones", "times"})
_NUMBERED = re.compile(r"(?:lr_?)?(?:decay|drop|milestone|boundary)_?(?:step|epoch|iter)?_?\d|lr_?(?:step|epoch)_?\d")
_RANGES = {
    "sgd.momentum": (0.0, 1.0), "sgd.dampening": (0.0, 1.0000001), "sgd.nu": (0.0, 1.0000001),
    "sgd.trust_coefficient": (1e-9, 1e6), "sgd.adaptive_clip": (1e-9, 1e3),
    "sgd.weight_decay": (0.0, 1e3), "data.batch_size": (1, 1e8),
    "train.label_smoothing": (1e-9, 1.0), "train.ema": (0.5, 1.0), "train.accumulate": (2, 1e6),
    "data.augment.mixup": (1e-9, 1e3), "data.augment.cutmix": (1e-9, 1e3), "data.augment.erase": (1e-9, 1.0000001),
    "data.augment.crop": (1, 1e4), "data.augment.size": (1, 1e5),
    "train.epochs": (1e-9, 1e12), "train.steps": (1, 1e15), "train.clip_norm": (1e-12, 1e9),
}  # fmt: skip
_BESIDE = ("data.augment.", "train.label_smoothing", "train.accumulate", "train.ema")
"""Fields that follow from names and calls which are nearly, not always, what a recipe calls so."""
_HELD_OUT = re.compile(r"test|val(?!ue)|valid|eval|dev_", re.IGNORECASE)
_FOR_TRAINING = re.compile(r"train", re.IGNORECASE)
_CLIPS = {
    "clip_grad_norm_": (1, "max_norm"), "clip_grad_norm": (1, "max_norm"), "clip_gradients_by_norm": (1, "clip_norm"),
    "clip_by_global_norm": (-1, "max_norm clip_norm"), "clip_gradients": (1, "gradient_clip_val max_norm"),
    "GradientClipping": (0, "threshold"), "GradientClipByGlobalNorm": (0, "clip_norm"),
    "ClipGradByGlobalNorm": (0, "clip_norm"), "clip_global_norm": (1, "max_norm"),
}  # fmt: skip
_CLIPS_EACH = {"adaptive_clip_grad": (1, "clip_factor"), "adaptive_grad_clip": (0, "clipping")}
"""Calls of adaptive clipping, which go by units of a weight: the place and the name of its share."""
_OF_UNITS = {
    "adaptive_clip_grad": {"eps": (2, 1e-3), "norm_type": (3, 2.0)},
    "adaptive_grad_clip": {"eps": (1, 1e-3), "axis": (2, None)},
}
"""Their other arguments: the place of each and its value, which is what a recipe has."""
_CLIPS_ALL = re.compile(r"^(?=.*clip)(?=.*norm)(?=.*(?:global|grad))", re.IGNORECASE)
"""Names of calls that clip all gradients together by their norm."""

_FITS = {
    "epochs": "train.epochs", "nb_epoch": "train.epochs", "max_epochs": "train.epochs", "num_epoch": "train.epochs",
    "num_train_epochs": "train.epochs", "n_epochs": "train.epochs", "max_steps": "train.steps",
    "num_epochs": "train.epochs", "max_iter": "train.epochs",
}  # fmt: skip
_GIVES_BATCHES = re.compile(r"[Ll]oaders?\b|[Dd]ata_?[Bb]unch|DataBlock|\bfrom_\w+$")
_BEGINNING = words_of("multistep exponential cosine polynomial linear inverse")
FITTING = words_of(
    "fit fit_generator fit_one_cycle Trainer TrainingArguments Seq2SeqTrainingArguments train TrainSpec "
    "StandardUpdater fit_dataloader "
    "MLPClassifier MLPRegressor SGDClassifier SGDRegressor NeuralNetClassifier NeuralNetRegressor "
    "TrainingConfig EpochBasedTrainLoop IterBasedTrainLoop"
)
_BY_PLACE = {"fit_one_cycle": "train.epochs", "fine_tune": "train.epochs"}


class Gathering:
    """Puts fields together.

    Args:
        on: The interpreter, when it has gone through the program.
        framework: Whose optimizers the program imports, or "".
    """

    def __init__(self, on: Interpreter, framework: str) -> None:
        """Begin with nothing found."""
        self.on, self.framework = on, framework
        self.found = Found()
        self.named = dict(on.named)
        for name, value in {**on.options, **on.parsed.attributes}.items():
            path = field_of(name) or ("lr.times" if _TIMES.intersection(concepts_of(name)) else "")
            told = from_words(value) if path == "lr.milestones" and isinstance(value.data, str) else value
            if path and _fits(path, told):
                self.named.setdefault(path, told)
        self.named = {**on.usual, **self.named}
        numbered = sorted((name, value) for name, value in on.options.items() if _NUMBERED.fullmatch(name))
        times = [value for _, value in numbered]
        if len(times) > 1 and all(is_number(one.data) for one in times):
            start, end = min(one.start for one in times), max(one.end for one in times)
            self.named.setdefault("lr.milestones", Value(times, start, end, literal=True))

    def go(self) -> Found:
        """Return what the program says."""
        one = self._optimizer()
        self._length()
        self._batch()
        self._clip()
        found = self.found.fields.get("train.epochs")
        epochs = found.value if found is not None else number(self.named.get("train.epochs"))
        if epochs is not None:  # which a function of the rate may take from elsewhere
            for node in (node for top in self.on.program.body for node in ast.walk(top) if isinstance(node, ast.Name)):
                if node.id not in self.on.globals.names and field_of(node.id) == "train.epochs":
                    self.on.globals.names[node.id] = Value(epochs)
        schedules = Schedules(self.on, self.found.framework, epochs)
        plan = plan_rate(self.on, one, schedules, self.named.get("sgd.lr"), epochs)
        self.found.remarks += [remark for remark in schedules.remarks if remark not in self.found.remarks]
        given = one.settings.get("lr") if one is not None else None
        unclear: list[str] = []
        if plan is None:
            plan = self._named_plan(one) or (self._written_plan() if one is None else None)
            unclear += [self.words(given)[0]] if given is not None and given.start >= 0 and plan is not None else []
        constant = plan is not None and plan.kind == "constant"
        if constant and not schedules.unrecognised:
            plan = self._warmed(plan)
        if constant:
            unclear += [self.words(lr)[0] or "lr" for lr in (one.again[:1] if one is not None else [])]
            outside = next((made for made in self.on.made if made.inside and ADJUSTS.search(made.name)), None)
            unclear += [self.on.program.text[outside.start : outside.end][:120]] if outside is not None else []
        if plan is not None and plan.then is not None and plan.then.kind == "constant" and unclear:
            plan.then.goes_on = True
        constant = plan is not None and plan.kind == "constant"  # without a warmup
        for words in unclear:
            self.found.remarks.append(("rate_unrecognised", {"words": words}))
        measured = any(name == "rate_if_measured" for name, _ in self.found.remarks)
        if plan is not None:
            self._begin(plan)
            if constant and (unclear or schedules.unrecognised):
                self.put("sgd.lr", plan.fields.get("value"), "implied", marks=("rate_unrecognised",))
            elif constant and measured:
                self.put("sgd.lr", plan.fields.get("value"), marks=("rate_if_measured",))
            else:
                self.found.fields |= complete(self._told("sgd.lr", plan), self.found.fields, self.say)
        self._plateau()
        if one is not None:
            self._groups(one, schedules)
        self._names_alone(one)
        self._others(one)
        self._conditions()
        return self.found

    def _begin(self, plan: Plan) -> None:
        """Let a schedule begin at the rate that a name says, where it is not seen what it begins with."""
        lr, last = self.named.get("sgd.lr"), plan.then or plan
        if lr is not None and lr.literal and last.kind in _BEGINNING and "initial" not in last.fields:
            last.fields["initial"] = Value(lr.data, lr.start, lr.end)
        if last.kind == "multistep" and "times" not in last.fields:
            last.put("times", self.named.get("lr.milestones") or self.named.get("lr.times"))

    # putting

    def say(self, what: str, **values: object) -> None:
        """Remark on something."""
        self.found.remarks.append((what, values))

    def put(self, path: str, value: Value | None, provenance: str = "", marks: tuple[str, ...] = ()) -> None:
        """Set a field from a value, unless it is set or the value cannot be."""
        found = self.field(path, value, provenance, marks)
        if found is not None:
            self.found.fields.setdefault(path, found)

    def field(self, path: str, value: Value | None, provenance: str = "", marks: tuple[str, ...] = ()) -> Field | None:
        """Return the field that a value is, or None if it cannot be."""
        if value is None or not _fits(path, value):
            if value is not None and is_number(value.data) and path in _RANGES:
                self.say("out_of_range", path=path, value=shown(value.data))
            return None
        words, start, end = self.words(value)
        if not provenance:
            provenance = "stated" if value.literal and (words or value.file) else "implied"
        if value.doubt:
            marks = (*marks, "conditional")
            self.say("conditional", path=path, words=words)
        return Field(_plain(path, value), provenance, words, start, end, value.file, marks)  # type: ignore[arg-type]

    def words(self, value: Value) -> tuple[str, int, int]:
        """Return a value's words with their place."""
        if value.words or value.file:
            return value.words, value.start, value.end
        if value.start < 0 or value.end <= value.start:
            return "", -1, -1
        end = min(value.end, value.start + _LONGEST_WORDS) if not value.literal else value.end
        return self.on.program.text[value.start : end], value.start, end

    def _told(self, root: str, plan: Plan) -> Plan:
        """Return a plan of values as one of fields."""
        if plan.early:
            self.say("rate_early")
        if plan.goes_on:
            told = plan.fields.get("schedule") or plan.fields["value"]
            self.say("rate_unrecognised", words=self.words(told)[0][:120] or "lr")
            found = self.field(root, plan.fields.get("value"), "implied", ("rate_unrecognised",))
            return Plan("constant").put("value", found)
        rival = any(name == "another" and values["path"] == "sgd.lr" for name, values in self.found.remarks)
        told = replace(plan, fields={}, then=self._told(f"{root}.then", plan.then) if plan.then is not None else None)
        for name, value in plan.fields.items():
            if name == "schedule":
                words, start, end = self.words(value)
                told.put(name, Field(plan.kind, "stated" if words else "implied", words, start, end))
            elif name in {"unit", "staircase", "restart"} and value.start >= 0 and not value.literal:
                told.put(name, self.field(f"{root}.{name}", reason(value.data, "as the program counts")))
            else:
                path = root if name == "value" else f"{root}.{name}"
                marks = ("two_optimizers",) if rival and path == "sgd.lr" else ()
                told.put(name, self.field(path, value, marks=marks))
        told.put("schedule", Field(plan.kind, "implied") if plan.kind != "constant" else None)
        return told

    # the optimizer

    def _optimizer(self) -> Optimizer | None:
        found = find_optimizers(self.on, self.framework)
        parts = from_parts(self.on)
        found = [parts, *found] if parts is not None and not any(one.framework == "optax" for one in found) else found
        self.found.framework = self.framework
        if not found:
            self._penalty(self.framework)
            return None
        found = self._compiled(found)
        least = found[0].made.doubt
        first = [one for one in found if one.made.doubt == least]
        plain = [one for one in first if one.name in {"sgd", "sgdw"}]
        one = plain[0] if plain and (least or plain[0] is first[0] or len(first) > 1) else first[0]
        chain_settings(one, self.on)
        for name in ("lr", "momentum", "weight_decay", "nesterov"):
            told, given = self.named.get(f"sgd.{name}"), one.settings.get(name)
            if told is not None and given is not None and isinstance(given.data, Unknown | Ref):
                one.settings[name] = Value(told.data, told.start, told.end)  # of that name, though not seen to be it
        names = list(dict.fromkeys(other.name for other in [one, *first]))
        if len(names) > 1:
            self.found.remarks.append(("two_optimizers", {"names": ", ".join(names)}))
        self.found.optimizer = "sgd" if one.name == "sgdw" else one.name
        self.found.framework = one.framework or self.framework
        rivals = [other for other in first if other is not one and other.name == one.name]
        for name in ("momentum", "nesterov", "dampening", "nu", "weight_decay", "clip"):
            path = "train.clip_norm" if name == "clip" else f"sgd.{name}"
            value = one.settings.get(name)
            marks = ("two_optimizers",) if any(_differ(value, other.settings.get(name)) for other in rivals) else ()
            if name != "weight_decay" or not self._decay_mask(value):
                self.put(path, value, marks=marks)
        momentum = self.found.fields.get("sgd.momentum")
        if one.made.name.lower() == "qhm" and momentum is not None:
            self.put("sgd.dampening", reason(momentum.value, DAMPENED))
            self.put("sgd.undampened_first_step", reason(False, DAMPENED))
        self._trust(one)
        inside = one.settings.get("lr_in_velocity")
        if inside is not None and inside.data is True:
            self.put("sgd.lr_in_velocity", inside)
        if any(_differ(one.settings.get("lr"), other.settings.get("lr")) for other in rivals):
            other = next(other for other in rivals if _differ(one.settings.get("lr"), other.settings.get("lr")))
            words = self.on.program.text[other.made.start : other.made.end][:_LONGEST_WORDS]
            self.found.remarks.append(("another", {"path": "sgd.lr", "words": words}))
        if self.found.optimizer not in {"sgd", ""}:
            for name in ("beta1", "beta2", "eps"):
                self.put(f"{'adam' if one.name in ADAMS else one.name}.{name}", one.settings.get(name))
            if one.name == "rmsprop":
                self.put("rmsprop.decay", one.settings.get("rho"))
        self._decay(one)
        return one

    def _trust(self, one: Optimizer) -> None:
        """Put the trust ratio of LARS, where its coefficient is given, and of Apex's LARC, which goes around SGD."""
        around = next((made for made in self.on.made if made.name == "LARC"), None)
        trust, clip = one.settings.get("trust") if one.name == "lars" else None, one.settings.get("trust_clip")
        if around is not None and self.found.optimizer in {"sgd", "larc"}:
            trust = around.argument("trust_coefficient", 1) or reason(0.02, APEX)
            clip = around.argument("clip", 2) or reason(True, ONLY_LOWER)
        if trust is not None and is_number(trust.data):
            self.found.optimizer = "sgd"
            self.put("sgd.trust_coefficient", trust)
            self.found.remarks += [("other_trust", {})] if self.found.framework in {"timm", "optax"} else []
            if clip is not None and clip.data is True:
                self.put("sgd.trust_clip", clip)

    def _compiled(self, found: list[Optimizer]) -> list[Optimizer]:
        """Return the optimizers that are given to something, where some are and others are only made."""
        given = [made.argument("optimizer", 0) for made in self.on.made if made.name == "compile"]
        given += [made.kwargs["optimizer"] for made in self.on.made if "optimizer" in made.kwargs]
        places = {one.data.start for one in given if one is not None and isinstance(one.data, Made)}
        places |= {made.start for made in self.on.made if made.name == "compile"}
        kept = [one for one in found if one.made.start in places] or found
        for other in (one.made for one in found if one not in kept):
            for path, value in list(self.named.items()):
                if other.start <= value.start < other.end:
                    del self.named[path]
        return kept

    def _decay_mask(self, value: Value | None) -> bool:
        return value is not None and not is_number(value.data)

    def _decay(self, one: Optimizer) -> None:
        """Put how weight decay works in this framework."""
        penalized = one.framework in {"tensorflow", "flax", "optax", "lasagne"}
        if penalized or (one.framework == "keras" and one.name == "sgd"):
            self._penalty(one.framework)
        field = self.found.fields.get("sgd.weight_decay")
        if field is None or self.found.optimizer not in {"sgd", "lars"}:
            return
        if one.name == "sgdw" or getattr(one.settings.get("weight_decay_type"), "data", "") == "direct":
            self.put("sgd.decay", reason("decoupled", "SGDW decays apart from the gradient"))
        elif "decay" in one.settings and one.settings["decay"].data in {"coupled", "decoupled"}:
            self.put("sgd.decay", one.settings["decay"])
        elif one.framework == "keras" and "weight_decay" in one.settings:
            self.put("sgd.decay", reason("decoupled", "the weight_decay of Keras's optimizers is decoupled"))
            self.found.remarks.append(("keras_decoupled", {}))
        elif field.value != 0:
            self.put("sgd.decay", reason("coupled", "weight decay with SGD is an L2 penalty unless said otherwise"))

    def _penalty(self, framework: str) -> None:
        """Put the weight decay of penalties in the model or the loss, where the optimizer is given none."""
        if "sgd.weight_decay" in self.found.fields:
            return
        for made in self.on.made:  # TensorFlow's own is half the squared norm, as a weight decay is
            coefficient = made.argument("scale", 0) if made.name == "l2_regularizer" else None
            if coefficient is not None and is_number(coefficient.data):
                self.put("sgd.weight_decay", coefficient)
        penalties = [made for made in self.on.made if made.name in {"l2", "L2"} and (made.args or made.kwargs)]
        values = [next(iter([*made.args, *made.kwargs.values()])) for made in penalties]
        values = [value for value in values if is_number(value.data)]
        if values and len({value.data for value in values}) == 1 and framework in {"keras", "tensorflow", ""}:
            doubled = nice(2 * values[0].data)
            self.put("sgd.weight_decay", Value(doubled, penalties[0].start, penalties[0].end))
            self.found.remarks.append(("keras_l2", {"value": shown(values[0].data), "doubled": shown(doubled)}))
        elif not values and self.found.optimizer and "sgd.weight_decay" in self.named:
            self.put("sgd.weight_decay", self.named["sgd.weight_decay"])

    # data and length

    def _length(self) -> None:
        choices: list[tuple[float, int, str, Value]] = []
        for order, length in enumerate(self.on.lengths):
            value, path = length.value, f"train.{'epochs' if length.unit == 'epoch' else 'steps'}"
            if isinstance(value.data, PerEpoch) and not value.data.steps:
                whole = next((one for one in value.sources.values() if one.data == value.data.epochs), None)
                value, path = whole or Value(nice(value.data.epochs), value.start, value.end), "train.epochs"
            if is_number(value.data) and value.data > 0:
                choices.append((length.doubt * 2 + (path == "train.steps"), order, path, value))
        for order, made in enumerate(self.on.made):
            choices += [
                (made.doubt * 2 - 1 + bool(_HELD_OUT.search(made.bound)), order, path, value)
                for path, value in self._fitted(made)
            ]
        size = self.on.globals.names.get("epoch_size") or self.on.options.get("epoch_size")
        if self.found.framework == "mindspore" and size is not None and is_number(size.data):
            choices.append((self.on.doubt + 9, 0, "train.epochs", size))  # its word for how many there are
        for *_, path, value in sorted(choices, key=lambda choice: choice[:2]):
            if "train.epochs" not in self.found.fields and "train.steps" not in self.found.fields:
                self.put(path, value)

    def _fitted(self, made: Made) -> list[tuple[str, Value]]:
        """Return the lengths of training that a call says."""
        found: list[tuple[str, Value]] = []
        most = made.kwargs.get("max_steps") if made.name.endswith("TrainingArguments") else None
        if most is not None and is_number(most.data) and most.data > 0:
            return [("train.steps", most)]  # instead of the epochs
        if made.name == "Trainer" and len(made.args) > 1 and isinstance(made.args[1].data, list | tuple):  # Chainer's
            pair = made.args[1].data
            if len(pair) == 2 and str(pair[1].data) in {"epoch", "iteration"}:
                found.append((f"train.{'epochs' if pair[1].data == 'epoch' else 'steps'}", pair[0]))
        if is_loop(made):
            return [("train.epochs", made.args[1])]
        if made.name not in FITTING and made.name not in _BY_PLACE:
            return found
        if made.name.startswith("fit") and self.on.program.text[made.start : made.start + 5].startswith("learn"):
            found += [("train.epochs", one) for one in made.args[:1]]  # of fastai
        if ((made.name == "train" and self.found.framework == "mindspore") or made.name in _BY_PLACE) and made.args:
            found.append(("train.epochs", made.args[0]))
        if made.name == "train" and self.found.framework == "mindspore" and "epoch" in made.kwargs:
            found.append(("train.epochs", made.kwargs["epoch"]))
        if made.name == "train" and "steps" in made.kwargs:
            found.append(("train.steps", made.kwargs["steps"]))
        counted, unit = amount(made.kwargs["max_duration"].data) if "max_duration" in made.kwargs else (None, "")
        if unit in {"epoch", "step"}:  # Composer's "90ep"
            found.append((f"train.{unit}s", made.kwargs["max_duration"].but(counted)))
        for name, path in _FITS.items():
            if name in made.kwargs and not (name == "max_iter" and made.name.startswith("Neural")):
                found.append((path, made.kwargs[name]))
        return [(path, value) for path, value in found if is_number(value.data) and value.data > 0]

    def _batch(self) -> None:
        choices: list[tuple[int, int, Value, tuple[str, ...]]] = []
        for order, made in enumerate(self.on.made):
            value, marks = self._batch_of(made)
            if value is None or not is_number(value.data):
                continue
            first = self.on.program.text[made.start : made.end][:400]
            around = f"{made.bound} {first}"
            rank = 0 if _FOR_TRAINING.search(around) else 1
            held_out = _HELD_OUT.search(made.bound) and not _FOR_TRAINING.search(made.bound)
            if (made.name in FITTING or _GIVES_BATCHES.search(made.name)) and not held_out:
                rank = 0
            elif held_out or (rank and _HELD_OUT.search(around)):
                rank = 5
            choices.append((rank + made.doubt, order, value, marks))
        for rank, _, value, marks in sorted(choices, key=lambda choice: choice[:2]):
            if rank < 5:
                if marks:
                    self.found.remarks.append(("per_device", {"value": shown(value.data)}))
                self.put("data.batch_size", value, marks=marks)
                break

    def _batch_of(self, made: Made) -> tuple[Value | None, tuple[str, ...]]:
        lowered = made.name.lower()
        if is_loop(made):
            return made.args[2], ()
        for name in ("per_device_train_batch_size", "per_gpu_train_batch_size"):
            if name in made.kwargs:
                return made.kwargs[name], ("per_device",)
        if "bs" in made.kwargs and _GIVES_BATCHES.search(made.path):
            return made.kwargs["bs"], ()
        if made.name in {"train", "fit"} and "batch" in made.kwargs:
            return made.kwargs["batch"], ()
        for name in ("batch_size", "train_batch_size", "batch_size_train"):
            if name in made.kwargs and not lowered.startswith(("predict", "evaluate")):
                return made.kwargs[name], ()
        if lowered in {"dataloader", "serialiterator", "multiprocessiterator", "multithreaditerator"}:
            return made.argument("batch_size", 1), ()
        if made.name == "batch" and made.args:
            return made.args[-1] if framework_of(made.path) == "paddle" or (
                len(made.args) == 2 and not is_number(made.args[0].data)
            ) else made.args[0], ()
        if made.name == "fit" and len(made.args) > 2:
            return made.args[2], ()
        if made.name in {"BatchSampler", "DistributedBatchSampler"} and len(made.args) > 1:
            return made.args[1], ()
        return None, ()

    def _clip(self) -> None:
        for made in self.on.made:
            if made.name in _CLIPS_EACH:
                place, keyword = _CLIPS_EACH[made.name]
                given = made.argument(keyword, place)
                if given is not None and is_number(given.data):
                    self.put("sgd.adaptive_clip", given)
                    self.put("sgd.adaptive_clip_by", reason("unit", BY_UNIT))
                    others = [made.argument(name, at) for name, (at, own) in _OF_UNITS[made.name].items()]
                    usual = [own for _, own in _OF_UNITS[made.name].values()]
                    if any(one is not None and one.data != own for one, own in zip(others, usual, strict=True)):
                        self.found.remarks.append(("other_units", {}))
            elif made.name in _CLIPS:
                place, names = _CLIPS[made.name]
                given = next((made.kwargs[name] for name in names.split() if name in made.kwargs), None)
                if given is None and made.args and -len(made.args) <= place < len(made.args):
                    given = made.args[place]
                if given is not None and is_number(given.data):
                    self.put("train.clip_norm", given)
            elif _CLIPS_ALL.search(made.name) and (numeric := [one for one in made.args if number(one)]):
                self.put("train.clip_norm", numeric[0])
            elif made.name in FITTING:
                given = made.kwargs.get("gradient_clip_val") or made.kwargs.get("max_grad_norm")
                if given is not None and number(given):
                    self.put("train.clip_norm", given)

    # the rest

    def _plateau(self) -> None:
        for made in self.on.made:
            if made.name not in {"ReduceLROnPlateau", "ReduceOnPlateau", "reduce_on_plateau"}:
                continue
            keras = "monitor" in made.kwargs or self.found.framework == "keras"
            names = ["monitor", "factor", "patience"] if keras else ["optimizer", "mode", "factor", "patience"]
            given = {**dict(zip(names, made.args, strict=False)), **made.kwargs}
            why = (
                "the default of torch's ReduceLROnPlateau" if not keras else "the default of Keras's ReduceLROnPlateau"
            )
            self.put("train.plateau.factor", given.get("factor") or reason(0.1, why))
            self.put("train.plateau.patience", given.get("patience") or reason(10, why))
            watched = f"{getattr(given.get('monitor'), 'data', '')} {getattr(given.get('mode'), 'data', '')}"
            said = given.get("monitor") or given.get("mode")
            metric = "accuracy" if "acc" in watched or "max" in watched else "loss"
            self.put(
                "train.plateau.metric", Value(metric, said.start, said.end) if said is not None else reason("loss", why)
            )
            self.put("train.plateau.min_lr", given.get("min_lr"))
            self.found.remarks.append(("plateau", {}))
            return
        falls = falls_if_measured(self.on.program.body)
        if falls is not None:
            change, metric = falls
            by = self.on.evaluate(change.value if isinstance(change, ast.AugAssign) else change.right, self.on.globals)
            divided = isinstance(change.op, ast.Div)
            if is_number(by.data) and by.data and 0 < (factor := 1 / by.data if divided else by.data) < 1:
                start, end = self.on.program.place(change)
                self.put("train.plateau.factor", Value(nice(factor), start, end))
                self.put("train.plateau.metric", Value(metric, start, end) if metric else None)
                self.found.remarks.append(("plateau", {}))

    def _groups(self, one: Optimizer, schedules: Schedules) -> None:
        groups = [*one.groups, *self._rules()]
        index = 0
        for pattern, own, value in groups:
            words, start, end = self.words(Value(None, value.start, value.end))
            if not pattern:
                self.found.remarks.append(("group_unknown", {"words": words}))
                continue
            self.found.fields[f"groups.{index}.match"] = Field(pattern, "implied", words, start, end)
            for name, setting in own.items():
                plan = schedules.of(setting) if isinstance(setting.data, Made) else None
                begun = (plan.fields.get("initial") or plan.fields.get("value")) if plan is not None else setting
                changes = plan is not None and plan.kind != "constant"
                self.put(f"groups.{index}.{name}", begun, marks=("constant_group",) if changes else ())
            self.found.remarks.append(("own_group", {"match": pattern}))
            index += 1

    def _rules(self) -> list[tuple[str, dict[str, Value], Value]]:
        """Return Chainer's rules for single parameters."""
        found: list[tuple[str, dict[str, Value], Value]] = []
        for made in self.on.made:
            if (
                made.name.endswith("Rule")
                and made.kwargs.keys() & {"lr", "momentum"}
                and made.start not in {v.start for *_, v in found}
            ):
                own = {
                    name: made.kwargs[name]
                    for name in ("lr", "momentum")
                    if name in made.kwargs and is_number(made.kwargs[name].data)
                }
                found.append((made.notes.get("pattern", ""), own, Value(None, made.start, made.end)))
        return found

    def _named_plan(self, one: Optimizer | None) -> Plan | None:
        """Return the schedule that names of variables and keywords say, where nothing else tells of the rate."""
        lr, times, factor = (self.named.get(name) for name in ("sgd.lr", "lr.milestones", "lr.factor"))
        times = times or (self.named.get("lr.times") if factor is not None else None)
        plan = None
        if times is not None:
            known = numbers(times)
            late = min(known or [0]) >= _STEPS
            unit = reason("step", PER_STEP) if late else reason("epoch", "counted in epochs")
            kind = "multistep" if known else "exponential"
            if known or (factor is not None and is_number(times.data) and "epochs" in self.words(times)[0].lower()):
                plan = (
                    Plan(kind, {"schedule": Value(kind, times.start, times.end)}).put("initial", lr).put("unit", unit)
                )
                plan.put("times" if known else "every", times).put("factor" if known else "rate", factor)
                plan.put("staircase", None if known else reason(True, "it drops at once"))
        if plan is None and lr is not None and (one is None or not number(one.settings.get("lr"))):
            plan = Plan("constant", {"value": lr})
        return self._warmed(plan)

    def _warmed(self, plan: Plan | None) -> Plan | None:
        """Return a plan after the warmup that names of variables and keywords say."""
        for name, unit in (("epochs", "epoch"), ("steps", "step")):
            duration = self.named.get(f"lr.warmup_{name}")
            if plan is not None and duration is not None and (number(duration) or 0) > 0:
                place = duration.start, duration.end
                fields = {"schedule": Value("warmup", *place), "duration": duration, "unit": Value(unit, *place)}
                return Plan("warmup", fields, then=plan).put("start", self.named.get("lr.warmup_start"))
        return plan

    def _written_plan(self) -> Plan | None:
        """Return the one rate of steps that the program writes out itself."""
        rates = [self.on.evaluate(node, self.on.globals) for node in written_rates(self.on.program.body)]
        known = {one.data for one in rates}
        if len(known) == 1 and is_number(rates[0].data) and 0 < rates[0].data <= 1:
            return Plan("constant", {"value": rates[0]})
        return None

    def _names_alone(self, one: Optimizer | None) -> None:
        """Put what only a variable's name says."""
        for path, value in self.named.items():
            if path.startswith("lr.") or path == "sgd.lr":
                continue
            if path.startswith("sgd.") and one is not None:
                continue
            if (path == "train.steps" and "train.epochs" in self.found.fields) or (
                path == "train.epochs" and "train.steps" in self.found.fields
            ):
                continue
            if path == "train.clip_norm" and (one is not None or path in self.found.fields):
                continue
            if _fits(path, value):
                self.put(path, value, "implied" if path.startswith(_BESIDE) else "")

    def _others(self, one: Optimizer | None) -> None:
        """Put what calls say of data and training beside the optimizer."""
        doubt = one.made.doubt if one is not None else min((made.doubt for made in self.on.made), default=0)
        augmented = {path for path, _ in find_others(self.on, doubt)}
        for path, value in find_others(self.on, doubt):
            if not (path == "data.augment.crop" and "data.augment.resized_crop" in augmented):
                self.put(path, value, "" if path == "train.ema" else "implied")

    def _conditions(self) -> None:
        """Remark on what holds under another setting than the default."""
        for node in list(self.on.skipped.values())[:8]:
            start, _ = self.on.program.place(node)
            last = next((one for one in ast.walk(node) if isinstance(one, ast.Assign | ast.AugAssign)), node.body[-1])
            words = " ".join(self.on.program.text[start : self.on.program.place(last)[1]].split())[:_LONGEST_WORDS]
            self.found.remarks.append(("otherwise", {"words": words}))


def _differ(one: Value | None, other: Value | None) -> bool:
    return (
        one is not None
        and other is not None
        and is_number(one.data)
        and is_number(other.data)
        and one.data != other.data
    )


_FLAGS = frozenset(
    {"nesterov", "staircase", "restart", "flip", "trivial", "lr_in_velocity", "undampened_first_step", "trust_clip"}
)


def _fits(path: str, value: Value) -> bool:
    """Return whether a value is of the field's type and in its range."""
    data = value.data
    name = path.rsplit(".", 1)[-1]
    if name in {"times", "levels", "mean", "deviation", "resized_crop", "milestones"}:
        return numbers(value) is not None
    if name in _FLAGS:
        return isinstance(data, bool)
    if name in {"schedule", "unit", "shape", "decay", "metric", "precision", "adaptive_clip_by"} and isinstance(
        data, str
    ):
        return True
    if not is_number(data) or not math.isfinite(data):
        return False
    low, high = _RANGES.get(path, (-1e300, 1e300))
    if path in {"data.batch_size", "train.steps"} and not float(data).is_integer():
        return False
    return low <= data < high and (name not in {"lr", "initial", "final", "start", "peak"} or 0 <= data < 1e9)


_COUNTS = frozenset({"batch_size", "steps", "patience", "crop", "size", "accumulate"})


def _plain(path: str, value: Value) -> Any:
    data, name = value.data, path.rsplit(".", 1)[-1]
    if isinstance(data, list | tuple):
        return [_number(item.data, name) for item in data]
    return _number(data, name) if is_number(data) else data


def _number(data: Any, name: str) -> Any:
    if name in {"epochs", "every", "duration", "times"} | _COUNTS:
        return int(data) if float(data).is_integer() else float(data)
    return float(data)
