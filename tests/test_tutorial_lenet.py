"""Which lenet a tutorial under lenet run imports, and in which Pythons it finds the stand-ins.

These differ between installations: `scripts/test_wheel.sh` runs them on an installed wheel, too.
"""

from pathlib import Path

import pytest

from lenet import tutorial
from lenet.tutorial.other_name import lenet_itself
from tutorial_process import lenet_run, out, write

THEIRS = """\
data = recipes = "theirs"
class LeNet5:
    size = 5
"""
TRAIN = """\
import pickle
import lenet
from lenet import LeNet5
from d2l import torch as d2l
animator = d2l.Animator(xlabel="epoch")
for epoch in range(2):
    animator.add(epoch, (1.0,))
assert type(pickle.loads(pickle.dumps(LeNet5()))) is LeNet5
net = d2l.torch.nn.Sequential(d2l.torch.nn.Flatten(), d2l.torch.nn.Linear(784, 10))
print(LeNet5.size, LeNet5.__module__, lenet.data, d2l.__name__)
"""


@pytest.mark.slow
def test_a_lenet_beside_the_script_is_what_it_imports(in_tmp: Path) -> None:
    pytest.importorskip("torch")
    write(in_tmp / "lenet.py", THEIRS)
    write(in_tmp / "train.py", TRAIN)
    assert out("train.py") == "5 lenet theirs lenet_itself.d2l\n"
    write(in_tmp / "package" / "lenet" / "__init__.py", THEIRS)
    write(in_tmp / "package" / "t.py", "import lenet\nprint(lenet.LeNet5.size, lenet.data)\n")
    assert out("package/t.py") == "5 theirs\n"


@pytest.mark.slow
def test_a_lenet_elsewhere_on_the_path_is_found(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(in_tmp / "models" / "lenet.py", THEIRS)
    say = "from lenet import LeNet5\nprint(LeNet5.size)\n"
    write(in_tmp / "a" / "t.py", f"import sys\nsys.path.append('models')\n{say}")
    write(in_tmp / "b" / "t.py", say)
    write(in_tmp / "c" / "lenet" / "model.py", THEIRS)  # no __init__.py
    write(in_tmp / "c" / "t.py", say.replace("lenet", "lenet.model"))
    assert out("a/t.py") == "5\n"
    assert out("c/t.py") == "5\n"
    monkeypatch.setenv("PYTHONPATH", "models")  # of which the lenet command knows nothing yet
    found = tutorial.run(tutorial.read(in_tmp / "b" / "t.py"), record=True, quiet=True)
    assert found.outputs[0].text == "5\n"


@pytest.mark.slow
def test_where_there_is_none_lenet_is_ours(in_tmp: Path) -> None:
    ours = (
        "import lenet\nfrom lenet.network import zoo\n"
        "print(lenet.build('lenet').name, zoo.__name__)\n"
    )
    write(in_tmp / "lenet.py", ours)  # the tutorial itself
    assert out("lenet.py") == "lenet lenet.network.zoo\n"
    write(in_tmp / "b" / "lenet" / "picture.txt", "")  # a folder of pictures
    write(in_tmp / "b" / "t.py", f"import sys\nsys.path.append('nowhere')\n{ours}")
    assert out("b/t.py") == "lenet lenet_itself.network.zoo\n"


@pytest.mark.slow
def test_names_of_the_standard_library_beside_it_are_not_in_our_way(in_tmp: Path) -> None:
    for name in ("types", "random", "json", "dataclasses", "numpy", "cells", "record", "lenet"):
        write(in_tmp / f"{name}.py", "raise SystemExit('not ours')\n")
    write(in_tmp / "t.py", "print('fine')\n")
    assert out("t.py", "--seed", "1") == "fine\n"


def test_whose_lenet_it_is(tmp_path: Path) -> None:
    ours = Path(tutorial.__file__).parents[1]
    (tmp_path / "pictures" / "lenet").mkdir(parents=True)
    file = write(tmp_path / "mine" / "lenet.py", "")
    folders = [str(tmp_path / "pictures"), str(ours.parent)]
    assert lenet_itself.theirs(folders, ours=ours) is None
    found = lenet_itself.theirs([*folders, str(tmp_path / "mine")], ours=ours)
    assert found is not None
    assert found.origin == str(file)
    assert lenet_itself.theirs([str(tmp_path / "mine")], ours=ours, but=file) is None


@pytest.mark.slow
@pytest.mark.parametrize("beside", ["lenet.py", "nothing.py"])
def test_pythons_that_a_tutorial_starts_find_the_stand_ins(beside: str, in_tmp: Path) -> None:
    write(in_tmp / beside, "size = 5\n")
    write(
        in_tmp / "other.py",
        "import torchvision.transforms as T\nfrom d2l import torch as d2l\n"
        "import d2lzh_pytorch, lenet\nprint(T.Pad(2).padding, d2l.__name__.partition('.')[2],\n"
        "    hasattr(lenet, 'size'), d2l is getattr(lenet, 'd2l', d2l))\n",
    )
    start = (
        "import subprocess, sys\n"
        "print(subprocess.run([sys.executable, {}], capture_output=True, text=True).stdout)\n"
    )
    write(in_tmp / "t.py", start.format("'other.py'"))
    assert out("t.py") == f"2 d2l {beside == 'lenet.py'} True\n\n"
    # an installed one is preferred
    write(in_tmp / "packages" / "torchvision.py", "print('the real one')\n")
    code = "import sys; sys.path.append('packages'); import torchvision"
    write(in_tmp / "u.py", start.format(f"'-c', {code!r}"))
    assert out("u.py") == "the real one\n\n"


# --- on the native engine ----------------------------------------------------------------------

TRAINS = """\
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, 20), nn.Linear(20, 3)

    def forward(self, x):
        return self.fc2(torch.sigmoid(self.fc1(x.flatten(1))))

torch.manual_seed(0)
net = Net()
optimizer = torch.optim.Adam(net.parameters())
for step in range(20):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(torch.rand(8, 1, 8, 8)), torch.randint(3, (8,))).backward()
    optimizer.step()
print(net)
print([round(number, 3) for number in parameters_to_vector(net.parameters())[::50].tolist()])
"""


@pytest.mark.slow
def test_what_a_script_trains_runs_in_the_engine(in_tmp: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("lenet._native")
    write(in_tmp / "t.py", TRAINS)
    plain, fast = lenet_run("t.py"), lenet_run("t.py", "--accelerate")
    said = "lenet: accelerated: net (Net): forward and backward of this network"
    assert (fast.returncode, fast.stdout) == (0, plain.stdout)
    assert said in fast.stderr
    assert "accelerated" not in plain.stderr
    off = lenet_run("t.py", "--accelerate", LENET_ACCELERATE="0")
    assert off.stdout == plain.stdout
    assert "lenet: --accelerate changes nothing: LENET_ACCELERATE is 0" in off.stderr

    write(in_tmp / "beside" / "lenet" / "__init__.py", "")  # we have another name then
    write(in_tmp / "beside" / "t.py", TRAINS)
    fast = lenet_run("beside/t.py", "--accelerate")
    assert (fast.returncode, fast.stdout) == (0, plain.stdout)
    assert said in fast.stderr


@pytest.mark.slow
def test_a_script_that_trains_nothing_says_so(in_tmp: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("lenet._native")
    write(in_tmp / "t.py", "print(1)\n")
    done = lenet_run("t.py", "--accelerate")
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert "lenet: --accelerate changed nothing: no optimizer of PyTorch's" in done.stderr
