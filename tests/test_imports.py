"""Who may import whom, what start-up loads, and the public names."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lenet

SOURCE = Path(lenet.__file__).parent

# The rooms in layers: a file imports rooms of lower lines, and siblings in its own room.
LAYERS = (
    {"files", "language", "system", "names", "untrusted", "_native", "__version__"},
    {"installing", "machine", "web"},
    {"processes", "clusters"},
    {"network", "data", "optimization"},
    {"engines"},
    {"training", "torch"},
    {"drawing"},
    {"runs"},
    {"looking", "d2l", "scratch", "sweeps"},
    {"walkthrough", "ship"},
    {"tutorial", "lab", "serve", "benchmark", "doctor", "estimator"},
    {"cli"},
    {"__main__", "__init__"},
)
LAYER = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}


def our_imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, anywhere in it, as dotted names after ``lenet``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("lenet.") for name in found if name.startswith("lenet.")}


def is_own_init(name: str, folder: Path) -> bool:
    """Whether the import takes something from the ``__init__`` of the importing file's room."""
    within = name.removeprefix(f"{folder.name}.").split(".")[0]
    return name.startswith(f"{folder.name}.") and not any(
        (folder / f"{within}{kind}").exists() for kind in ("", ".py")
    )


def test_a_file_imports_lower_rooms_and_siblings_alone() -> None:
    wrong = [fault for path in sorted(SOURCE.rglob("*.py")) for fault in faults(path)]
    assert wrong == []


def faults(path: Path) -> Iterator[str]:
    """What a file imports that it may not."""
    room, *inside = path.relative_to(SOURCE).parts
    room = room.removesuffix(".py")
    for name in our_imports(path):
        other = name.split(".")[0]
        if other != room:
            if LAYER[other] >= LAYER[room]:
                yield f"{path.name} in {room} imports {name}"
        elif len(inside) == 1 and inside != ["__init__.py"] and is_own_init(name, SOURCE / room):
            yield f"{path.name} in {room} imports {name}"


def loaded_by(code: str) -> set[str]:
    """The top-level modules that are loaded after ``code`` ran in a fresh interpreter."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in json.loads(result.stdout.splitlines()[-1])}


def test_import_lenet_loads_nothing_heavy() -> None:
    heavy = {"numpy", "torch", "matplotlib", "fastapi", "rich", "typer", "safetensors"}
    assert not loaded_by("import lenet") & heavy


def test_help_loads_neither_numpy_nor_torch_nor_matplotlib() -> None:
    code = "from lenet.cli import run\nassert run(['--help']) == 0"
    assert not loaded_by(code) & {"numpy", "torch", "matplotlib", "PIL", "safetensors"}


def test_architecture_needs_the_standard_library_alone() -> None:
    import sys as s

    ours = loaded_by("import lenet.network.architecture") - loaded_by("pass")
    assert ours - set(s.stdlib_module_names) == {"lenet"}


def test_training_with_numpy_loads_no_torch_and_no_matplotlib_before_the_first_step() -> None:
    code = """
from lenet import data, engines, training, runs
from lenet.training import recipes
from lenet.runs import experiments
from lenet.network import zoo
network = zoo.build("lenet")
engines.make(engines.choose("auto", network, "cpu"), network, *[
    getattr(recipes.load("d2l").settings, name) for name in ("optimizer", "objective")])
"""
    assert not loaded_by(code) & {"torch", "matplotlib"}


def test_the_doctor_and_the_benchmarks_own_process_load_no_torch() -> None:
    code = "from lenet import benchmark, doctor\ndoctor.examine()\nbenchmark.plan()"
    assert not loaded_by(code) & {"torch", "matplotlib"}


def test_without_pytorch_every_name_is_there_and_a_call_says_what_is_missing() -> None:
    code = """
import sys, inspect, pydoc
sys.modules["torch"] = None  # what Python itself takes for "cannot be imported"
import lenet
assert {"accelerate", "from_torch", "to_torch"} <= {name for name, _ in inspect.getmembers(lenet)}
assert "accelerate" in pydoc.render_doc(lenet, renderer=pydoc.plaintext)
assert hasattr(lenet, "accelerate") and not hasattr(lenet, "acclerate")
for function in (lenet.accelerate, lenet.from_torch, lenet.to_torch):
    try:
        function(None)
    except ImportError as error:
        assert "needs PyTorch" in str(error) and "pip install" in str(error), error
    else:
        raise AssertionError("a call did not say that PyTorch is missing")
"""
    loaded_by(code)


def test_public_names() -> None:
    assert sorted(lenet.__all__) == [
        "AvgPool2d",
        "Conv2d",
        "Dropout",
        "Flatten",
        "GELU",
        "LeakyReLU",
        "Linear",
        "MaxPool2d",
        "Network",
        "Normalization",
        "ReLU",
        "SiLU",
        "Sigmoid",
        "Tanh",
        "accelerate",
        "begin",
        "build",
        "diagram",
        "evaluate",
        "explain",
        "features",
        "find_learning_rate",
        "from_torch",
        "go_on",
        "kernels",
        "list_runs",
        "load",
        "load_data",
        "load_model",
        "load_recipe",
        "read_run",
        "statistics",
        "to_torch",
        "trace",
        "train",
    ]
    for name in lenet.__all__:
        assert getattr(lenet, name) is not None
    assert set(lenet.__all__) <= set(dir(lenet))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lenet.nothing
