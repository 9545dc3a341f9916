"""The architecture: which way imports point, what an import costs, and what does not belong in the source."""

from __future__ import annotations

import graphlib
import re
import sys

import pytest

from downslope.cli.main import COMMANDS
from house.source_tree import MODULES, PACKAGE, ROOT, facts, module_name, relative
from work import modules_loaded_by

DOORS = {"numpy", "torch", "jax", "keras"}
MAY_IMPORT = {
    "core": set[str](),
    "language": {"core"},
    "schedules": {"core"},
    "kernel": {"core"},
    "systems": {"core"},
    "converting": {"core", "systems"},
    **{door: {"core", "kernel", "systems", "converting"} for door in DOORS},
    "recipe": {"core"},
    "theory": {"core"},
    "plot": {"core", "language"},
    "rescaling": {"core", "language", "recipe", "theory"},
    "exporting": {"core", "systems", "recipe", "theory"},
    "reading": {"core", "systems", "recipe", "theory", "exporting"},
    "comparing": {"core", "systems", "recipe", "theory", "exporting", "reading"},
    "lab": {"core", "plot"},
    "explaining": {"core", "language", "systems", "recipe", "theory", "exporting", "reading", "plot", "lab"},
    "training": {"core", "language", "kernel", "recipe", "theory", "plot", "torch"},
    "auditing": {"core", "language", "recipe", "theory", "reading", "explaining", "training"},
    "assistants": {
        "core",
        "systems",
        "recipe",
        "rescaling",
        "exporting",
        "reading",
        "comparing",
        "explaining",
        "auditing",
    },
    "notebooks": set[str](),
    "__main__": {"cli"},
}
MAY_IMPORT["notebooks"] = set(MAY_IMPORT) - DOORS - {"kernel", "assistants", "__main__"}
MAY_IMPORT["cli"] = set(MAY_IMPORT) - {"__main__"}
"""Room -> the rooms that it may import; docs/architecture.md draws it."""

FRAMEWORKS = {"torch", "jax", "jaxlib", "optax", "flax", "tensorflow", "keras"}
HEAVY = FRAMEWORKS | {"sklearn", "scipy", "matplotlib", "pandas"}
LONGEST = 700


def room_of(path):
    """Return the room of a file: its folder below the package, or its own name; None for the package itself."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return None if first == "__init__" else first


def test_imports_point_one_way():
    """A room imports those that it may, deferred ones too, and never the package itself; a new room is named first."""
    for path in MODULES:
        room = room_of(path)
        for name in facts(path).imports if room else ():
            package, *rooms = name.split(".")
            if package == "downslope" and rooms[:1] not in ([], ["__version__"]):
                assert rooms[0] in MAY_IMPORT[room] | {room}, f"{relative(path)} ({room}) imports {name}"


def test_no_import_circle():
    """No file imports itself by way of others, not even inside a function; annotations aside."""
    try:
        graphlib.TopologicalSorter({module_name(path): facts(path).runs for path in MODULES}).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_core_imports_only_numpy():
    """Core needs the standard library, NumPy and itself; and msgspec where it decodes JSON and tables."""
    for path in (PACKAGE / "core").rglob("*.py"):
        allowed = {"numpy", "msgspec"} if path.name in {"strict_json.py", "tables.py"} else {"numpy"}
        for name in facts(path).imports:
            first = name.split(".")[0]
            own = first == "downslope" and name.startswith("downslope.core")
            assert own or first in allowed or first in sys.stdlib_module_names, f"{relative(path)} imports {name}"


def test_no_framework_left_of_the_kernel():
    """Only the kernel, the front doors and what trains know that frameworks exist."""
    for path in MODULES:
        if room_of(path) not in {"kernel", "torch", "jax", "keras", "training", "cli", None}:
            assert not {name.split(".")[0] for name in facts(path).imports} & (HEAVY - {"matplotlib"}), relative(path)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_no_framework_before_its_work(command):
    """Loading a command's file loads nothing heavy: what needs a framework is imported where it is done."""
    heavy = HEAVY | {"tqdm", "jinja2", "safetensors"}
    assert not {name.split(".")[0] for name in modules_loaded_by(f"import downslope.cli.{command}")} & heavy


def test_importing_downslope_loads_no_framework():
    """`import downslope` loads neither a framework nor NumPy, and none of its own rooms."""
    loaded = modules_loaded_by("import downslope")
    assert not {name.split(".")[0] for name in loaded} & (HEAVY | {"numpy", "msgspec", "tomli_w"})
    assert {name for name in loaded if name.startswith("downslope")} == {"downslope"}


@pytest.mark.parametrize("door", sorted(DOORS))
def test_a_front_door_loads_no_recipe(door):
    """An optimizer alone needs no recipe, nor the packages that read and write one."""
    # Keras on JAX: what loads of ours is the same on each backend, and TensorFlow takes longest
    loaded = modules_loaded_by(f"import downslope.{door}", KERAS_BACKEND="jax")
    assert not {name.split(".")[0] for name in loaded} & {"msgspec", "tomli_w"}
    assert not any(name.startswith("downslope.recipe") for name in loaded)


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (["--help"], 50),
        (["train", "--help"], 180),
        (["read", "lr 0.1"], 185),
        (["explain", "recipes/digits.toml", "--curvature", "20"], 220),
        (["export", "recipes/digits.toml", "--to", "keras"], 180),
        (["compare", "recipes/digits.toml", "recipes/digits.toml"], 200),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_a_command_about_text_loads_little(words, most):
    """What decides how soon a command starts: it loads few modules, of the standard library and ours, nothing heavy.

    benchmarks/start_up.py measures the time.
    """
    loaded = modules_loaded_by(f"from downslope.cli.main import main\nassert main({words!r}) == 0")
    assert not {name.split(".")[0] for name in loaded} & (HEAVY | {"numpy", "jinja2", "safetensors"})
    assert len(loaded) <= most


def test_settings_and_recipes_load_no_framework():
    """What needs no framework loads none: settings, matrices, schedules, groups, recipes."""
    code = (
        "import downslope\n"
        "downslope.update_matrix(downslope.Settings(lr=downslope.schedules.Cosine(0.1, 0.0, 10), momentum=0.9))\n"
        "downslope.load_recipe()\n"
    )
    assert not {name.split(".")[0] for name in modules_loaded_by(code)} & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", "--print-config"]], ids=" ".join)
def test_a_command_without_training_loads_no_framework(arguments):
    """Asking for help or for the resolved recipe starts no framework."""
    code = (
        "from downslope.cli.main import main\n"
        f"sys.argv = ['downslope', *{arguments!r}]\n"
        "try:\n    code = main()\nexcept SystemExit as stop:\n    code = stop.code\n"
        "assert not code, code\n"
    )
    assert not {name.split(".")[0] for name in modules_loaded_by(code)} & HEAVY


def test_everything_public_has_a_docstring():
    """Every file, public class, function and method says what it is."""
    for path in MODULES:
        missing = [name or "the file itself" for name in facts(path).undocumented]
        assert not missing, relative(path)


def test_a_file_holds_one_idea():
    """A file above 700 lines surely holds two; below that, a whole idea is better read in one place."""
    for path in MODULES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST, relative(path)


def test_names_say_what_they_name():
    """No drawer of odds and ends, and no abbreviation where the field has a word."""
    vague = re.compile(r"utils?|helpers?|managers?|wd", flags=re.IGNORECASE)
    for path in MODULES:
        for name in [*path.relative_to(PACKAGE).with_suffix("").parts, *sorted(facts(path).names)]:
            words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
            assert not any(vague.fullmatch(word) for word in words), f"{relative(path)}: {name}"


def test_nothing_unpickles():
    """No file that we read can run code: no pickle, and torch.load only with weights_only=True."""
    unsafe = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    for path in MODULES:
        assert not {name.split(".")[0] for name in facts(path).imports} & unsafe, relative(path)
    for path in MODULES:
        for call in facts(path).calls:
            if call.called == "torch.load":
                assert call.keywords.get("weights_only") == "True", f"{relative(path)}:{call.line}"
            assert call.keywords.get("allow_pickle", "False") == "False", f"{relative(path)}:{call.line}"
            assert call.called not in {"eval", "exec", "torch.save"}, f"{relative(path)}:{call.line}"


OPENS_ITSELF = {
    "core/files.py": "it is the one place",
    "core/bounds.py": "/proc",
    "training/run/environment.py": "/proc",
    "training/folder/lock.py": "/proc, and the lock",
    "training/folder/durable.py": "it writes",
    "training/folder/trust.py": "it writes",
    "training/workers/launch.py": "it writes",
    "training/data/image_files.py": "the null device",
    "cli/main.py": "the null device",
    "cli/streams.py": "the null device, and files that it writes",
    "converting/snapshot.py": "it writes",
    "recipe/known.py": "files of the package",
    "explaining/language.py": "files of the package",
    "language/catalogue.py": "files of the package",
    "exporting/template.py": "files of the package",
    "plot/charts.py": "files of the package",
    "lab/page.py": "files of the package",
}


def test_files_are_read_through_one_door():
    """Whoever opens a file goes through core/files.py, which waits for no FIFO and knows sizes before it reads."""
    for path in MODULES:
        place = path.relative_to(PACKAGE).as_posix()
        calls = {call.called for call in facts(path).calls}
        opening = {
            call for call in calls if re.search(r"(^|\.)(read_text|read_bytes|open)$|^np\.load$|^h5py\.File$", call)
        }
        inside = {"Image.open", "archive.open", "archive.read", "h5py.File"}  # given what is open already
        if place in OPENS_ITSELF:
            continue
        assert not opening - inside - {"read_text"}, f"{place}: {opening - inside}; use downslope.core.files"


def test_no_registry_is_named():
    """Where packages come from is decided by the person's own configuration of pip."""
    for name in ("pyproject.toml", "Makefile", "constraints.txt", ".ci/run", ".pre-commit-config.yaml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"index-url|find-links|https?://", text), name
