"""Who may import whom, what start-up loads, and the public names."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import lenet

SOURCE = Path(lenet.__file__).parent

# Each module with those of ours that it may import; DESIGN's layers, bottom first.
ALLOWED: dict[str, set[str]] = {
    "files": set(),
    "untrusted": set(),
    "picture_files": {"files"},
    "scratch": set(),
    "download": set(),
    "names": set(),
    "installing": set(),
    "architecture": set(),
    "optimization": {"names", "untrusted"},
    "run_info": {"architecture", "untrusted"},
    "idx": {"files"},
    "idx_folder": {"files", "idx"},
    "data": {"download", "files", "idx", "idx_folder", "names"},
    "arrays": {"data", "idx"},
    "parameters": {"architecture", "names"},
    "zoo": {"architecture", "names"},
    "weights": {"architecture", "files", "parameters", "untrusted"},
    "engines": {"_native", "architecture", "installing", "names", "optimization", "parameters"},
    "translation": {"architecture", "engines", "optimization", "parameters"},
    "acceleration": {"architecture", "engines", "optimization", "parameters", "translation"},
    "torch": {"acceleration", "architecture", "engines", "parameters", "translation"},
    "layer_text": {"architecture", "names", "untrusted"},
    "recipes": {
        *("architecture", "files", "layer_text", "names", "optimization", "untrusted", "zoo"),
    },
    "defaults": {"data", "recipes"},
    "diagnosis": {"architecture", "data", "engines", "optimization", "parameters"},
    "verdict": {"diagnosis", "engines", "optimization", "parameters"},
    "training": {"data", "diagnosis", "engines", "optimization", "parameters"},
    "checkpoints": {"files", "parameters", "training", "untrusted", "weights"},
    "runs": {
        *("architecture", "checkpoints", "engines", "files", "parameters"),
        *("recipes", "run_info", "training", "untrusted", "weights"),
    },
    "snapshots": {"files", "parameters", "runs", "training", "weights"},
    "inspection": {"architecture", "parameters", "zoo"},
    "figures": {"data", "files", "text_width", "training"},
    "text_width": set(),
    "tensor_text": set(),
    "maps": {"figures", "text_width"},
    "mistake_figures": {"data", "evaluation", "figures", "text_width"},
    "convolution_kernels": {"architecture", "figures", "maps", "parameters", "tensor_text"},
    "parameter_statistics": {"architecture", "figures", "maps", "parameters", "tensor_text"},
    "diagrams": {"architecture"},
    "explanations": {"architecture", "inspection", "parameters", "text_width"},
    "feature_maps": {
        *("architecture", "data", "engines", "evaluation", "explanations", "figures"),
        *("maps", "optimization", "parameters", "picture_files", "text_width"),
    },
    "looking": {
        *(
            "architecture",
            "arrays",
            "convolution_kernels",
            "data",
            "diagrams",
            "engines",
            "evaluation",
        ),
        *("explanations", "feature_maps", "figures", "files", "mistake_figures", "optimization"),
        *("parameter_statistics", "parameters", "runs", "zoo"),
    },
    "evaluation": {"architecture", "data", "engines", "optimization", "parameters"},
    "terminal_plot": {"figures", "training"},
    "live": {"figures", "optimization", "terminal_plot", "training"},
    "experiments": {
        *("architecture", "arrays", "data", "defaults", "engines", "figures", "layer_text"),
        *("live", "optimization", "recipes", "runs", "snapshots", "training", "verdict", "zoo"),
    },
    "benchmark": {
        *("_native", "architecture", "data", "engines", "installing", "names"),
        *("optimization", "parameters"),
        *("runs", "torch", "zoo"),
    },
    "memory_loader": {"data"},
    "plotting": {"live"},
    "text_plot": {"terminal_plot"},
    "growing_curves": {"figures", "files", "live", "plotting", "text_plot"},
    "animation": {"growing_curves", "plotting"},
    "module_training": {
        *("architecture", "data", "engines", "files", "memory_loader", "optimization"),
        *("parameters", "torch", "training", "translation", "weights"),
    },
    "d2l": {
        *("animation", "data", "engines", "growing_curves", "memory_loader", "module_training"),
        "plotting",
    },
    "doctor": {"_native", "data", "engines", "installing", "runs", "zoo"},
    "compare": {"figures", "inspection", "recipes", "runs", "terminal_plot", "zoo"},
    "reproduction": {"experiments", "files", "recipes", "runs"},
    "walkthrough": {"explanations", "figures", "files", "maps", "scratch", "text_width"},
    "tutorial": {
        *("__version__", "d2l", "data", "download", "engines", "files", "idx", "installing"),
    },
    "export": {
        *("architecture", "data", "evaluation", "explanations", "looking", "parameters"),
        *("runs", "weights"),
    },
    "server": {
        *("__version__", "architecture", "checkpoints", "data", "defaults", "diagnosis", "engines"),
        *(
            "evaluation",
            "experiments",
            "explanations",
            "export",
            "files",
            "installing",
            "layer_text",
            "optimization",
        ),
        *("parameters", "recipes", "runs", "snapshots", "training", "untrusted", "weights"),
        "zoo",
    },
    "listing": set(),
    "completion": {"data", "engines", "optimization", "recipes", "zoo"},
    "cli": {"*"},
    "__main__": {"cli"},
    "__init__": {"*"},
}


def module_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def our_imports(path: Path) -> set[str]:
    """The first-level modules of ours that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "lenet":
            names = [f"lenet.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("lenet.")}
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.stem)
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    module = module_of(path)
    allowed = ALLOWED[module]
    if "*" not in allowed:
        assert our_imports(path) - {module} <= allowed


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

    ours = loaded_by("import lenet.architecture") - loaded_by("pass")
    assert ours - set(s.stdlib_module_names) == {"lenet"}


def test_training_with_numpy_loads_no_torch_and_no_matplotlib_before_the_first_step() -> None:
    code = """
from lenet import data, engines, recipes, training, runs, experiments, zoo
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
        "Linear",
        "MaxPool2d",
        "Network",
        "Normalization",
        "ReLU",
        "Sigmoid",
        "Tanh",
        "accelerate",
        "begin",
        "build",
        "diagram",
        "evaluate",
        "explain",
        "features",
        "from_torch",
        "go_on",
        "kernels",
        "list_runs",
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
