"""What answers `import torchvision` or `import d2l` in a Python that a tutorial starts itself.

`subprocess.run([sys.executable, "other.py"])` knows nothing of `lenet run`, but it inherits
PYTHONPATH, at whose end the tutorial's process puts this folder. Nothing happens until one of the
names is imported; then the stand-ins are put in place, and the import is made again.
"""

import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent


def answer(name: str) -> None:
    """Make the module of that name what it is in the tutorial's process, or what is installed."""
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]
    sys.path.append(str(HERE.parent / "other_name"))
    with suppress(ImportError):  # another Python, which lacks what we need
        # under our other name: `lenet` may be a file of the tutorial's, or is found to be ours
        import_module("lenet_itself.tutorial.stand_ins").install_quietly()
    sys.modules.pop(name, None)
    import_module(name)
