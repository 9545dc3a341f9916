"""The architecture: which way imports point, what an import costs, and what does not belong in the source."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from downslope.cli.main import COMMANDS
from house.source_tree import MODULES, PACKAGE, ROOT, facts, relative
from work import modules_loaded_by

ROOMS = {
    "core": 0,
    "schedules": 0,
    "systems": 1,
    "converting": 2,
    "kernel": 1,
    "numpy": 3,
    "torch": 3,
    "jax": 3,
    "keras": 3,
    "recipe": 4,
    "theory": 4,
    "plot": 4,
    "exporting": 5,
    "reading": 6,
    "comparing": 7,
    "explaining": 7,
    "training": 8,
    "cli": 9,
    "__main__": 9,
}
FRONT_DOORS = {"numpy", "torch", "jax", "keras"}
FRAMEWORKS = {"torch", "jax", "jaxlib", "optax", "flax", "tensorflow", "keras"}
HEAVY = FRAMEWORKS | {"sklearn", "scipy", "matplotlib", "pandas"}
LONGEST = 700


def room_of(path):
    """Return the room of a file: its folder below the package, or its own name; None for the package itself."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return None if first == "__init__" else first


def loaded_by(code):
    """Return the names of all modules that a fresh interpreter has loaded after running `code`."""
    script = f"import sys\n{code}\nimport json\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_every_room_is_known():
    """A new room has a place in the order before it has code."""
    assert {room for path in MODULES if (room := room_of(path))} <= set(ROOMS)


def test_imports_point_one_way():
    """Imports go from a room to those of a lower number, deferred ones too."""
    for path in MODULES:
        room = room_of(path)
        for name in facts(path).imports if room else ():
            parts = name.split(".")
            if parts[0] != "downslope" or len(parts) == 1 or parts[1] not in ROOMS:
                assert parts[0] != "downslope" or parts[1:2] in ([], ["__version__"]), (
                    f"{relative(path)} imports {name} from the package itself; import it from its own room"
                )
                continue
            target = parts[1]
            assert ROOMS[target] <= ROOMS[room], f"{relative(path)} ({room}) imports {name}, which stands to its right"
            if target in FRONT_DOORS and room in FRONT_DOORS:
                assert target == room, f"{relative(path)}: one front door does not go through another ({name})"


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
    assert not {name.split(".")[0] for name in loaded_by(f"import downslope.cli.{command}")} & heavy


def test_importing_downslope_loads_no_framework():
    """`import downslope` loads neither a framework nor NumPy, and none of its own rooms."""
    before, after = loaded_by(""), loaded_by("import downslope")
    assert not {name.split(".")[0] for name in after} & (HEAVY | {"numpy", "msgspec", "tomli_w"})
    assert {name for name in after - before if name.startswith("downslope")} == {"downslope"}


@pytest.mark.parametrize("door", sorted(FRONT_DOORS))
def test_a_front_door_loads_no_recipe(door):
    """An optimizer alone needs no recipe, nor the packages that read and write one."""
    loaded = loaded_by(f"import downslope.{door}")
    assert not {name.split(".")[0] for name in loaded} & {"msgspec", "tomli_w"}
    assert not any(name.startswith("downslope.recipe") for name in loaded)


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (["--help"], 50),
        (["train", "--help"], 180),
        (["read", "lr 0.1"], 170),
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
    assert not {name.split(".")[0] for name in loaded_by(code)} & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", "--print-config"]], ids=" ".join)
def test_a_command_without_training_loads_no_framework(arguments):
    """Asking for help or for the resolved recipe starts no framework."""
    code = (
        "from downslope.cli.main import main\n"
        f"sys.argv = ['downslope', *{arguments!r}]\n"
        "try:\n    code = main()\nexcept SystemExit as stop:\n    code = stop.code\n"
        "assert not code, code\n"
    )
    assert not {name.split(".")[0] for name in loaded_by(code)} & HEAVY


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
    "cli/streams.py": "the null device",
    "cli/export.py": "it writes",
    "converting/snapshot.py": "it writes",
    "recipe/known.py": "files of the package",
    "explaining/language.py": "files of the package",
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
