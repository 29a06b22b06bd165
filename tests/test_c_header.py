"""The C header: the same numbers as the engines, compiled with every warning an error."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lenet
from activations import COMPUTED
from lenet import data
from lenet.data.preparation import Preparation
from lenet.network.architecture import Network, Normalization, trace_layers
from lenet.network.layers import (
    GELU,
    RBF,
    ArchitectureError,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Subsample,
    Tanh,
)
from lenet.network.parameters import initialize
from lenet.ship.c import compiled, header, quantized
from lenet.ship.c.plan import arena, stages
from lenet.ship.checking import ParityError
from lenet.ship.model import Model
from lenet.training.calibration import Calibration, known, probabilities

pytestmark = pytest.mark.skipif(compiled.compiler() is None, reason="no C compiler is here")

CORTEX_M4 = Path(__file__).parent / "cortex_m4"
SEED = np.random.default_rng(7)
PLAIN = Normalization()
CALIBRATED = Calibration(1.3, 0.5, 100)


def model_of(
    layers: tuple[Layer, ...],
    shape: tuple[int, int, int] = (1, 12, 12),
    normalization: Normalization = PLAIN,
    calibration: Calibration = CALIBRATED,
    classes: int = 4,
) -> Model:
    """A network with first weights, and a layer at its end that gives the classes."""
    *_, last = trace_layers(shape, layers)
    end: tuple[Layer, ...] = () if len(last.output_shape) == 1 else (Flatten(),)
    (features,) = trace_layers(shape, (*layers, *end))[-1].output_shape
    names = tuple(f"class {n}" for n in range(classes))
    if not isinstance(layers[-1], RBF):
        end += (Linear(features, classes),)
    network = Network("a-net", shape, (*layers, *end), names, normalization)
    preparation = Preparation(*shape)
    parameters = initialize(network, "xavier", 3)
    for values in parameters.values():  # also where a table has no kernel: it must not count
        values += 0.01
    return Model(network, parameters, preparation, calibration, "runs/a", 1)


def noise(model: Model, count: int = 40) -> np.ndarray:
    return SEED.integers(0, 256, (count, *model.network.input_shape), np.uint8)


def built(tmp_path: Path, model: Model) -> compiled.Compiled:
    path = tmp_path / "net.h"
    path.write_text(header.write(model, path.name, noise(model, 3)), encoding="ascii")
    return compiled.load(path, ("-O0",))


CONV_SIGMOID_AVG = (Conv2d(1, 3, 5, padding=2), Sigmoid(), AvgPool2d(2))
NETWORKS = {
    "sigmoid": (*CONV_SIGMOID_AVG, Conv2d(3, 4, 3), Sigmoid(), AvgPool2d(2)),
    "relu-max": (Conv2d(1, 3, 3), ReLU(), MaxPool2d(2), Conv2d(3, 4, 2, stride=2), ReLU()),
    "pooled before": (Conv2d(1, 3, 3), AvgPool2d(2), Tanh(), Dropout(), Flatten(), Linear(75, 9)),
    "overlapping": (Conv2d(1, 2, 3), Tanh(), MaxPool2d(3, stride=2, padding=1), AvgPool2d(2, 1)),
    "dense": (Flatten(), Linear(144, 11), Sigmoid(), Linear(11, 7), ReLU(), Tanh()),
    "two activations": (Conv2d(1, 2, 3, padding=1), ReLU(), Sigmoid(), AvgPool2d(3, padding=1)),
    "relu-average": (Conv2d(1, 2, 8), ReLU(), AvgPool2d(2), ReLU()),
    "wide windows": (Conv2d(1, 2, 5, stride=2, padding=2), ReLU(), AvgPool2d(2, stride=3)),
    "leaky": (
        Conv2d(1, 2, 3),
        LeakyReLU(0.23456),
        MaxPool2d(2),
        Flatten(),
        Linear(50, 8),
        LeakyReLU(),
    ),
    "gelu": (Conv2d(1, 2, 3), GELU(), MaxPool2d(2), Conv2d(2, 3, 2), GELU(), AvgPool2d(2)),
    "silu": (Conv2d(1, 2, 3), SiLU(), MaxPool2d(2), Conv2d(2, 3, 2), AvgPool2d(2), SiLU()),
    "subsampled": (
        Conv2d(1, 3, 3),
        ScaledTanh(),
        Subsample(3),
        ScaledTanh(-1.2, 0.5),
        Conv2d(3, 4, 3, padding=1, connections=((0,), (2, 0), (1, 2), (0, 1, 2))),
        Subsample(4),
        ScaledTanh(),
        Flatten(),
        Linear(16, 9),
        ScaledTanh(),
        RBF(9, 4),
    ),
    "a bias a unit": (
        Subsample(1),
        Conv2d(1, 4, 3, 2, 1, bias_size=3),
        ScaledTanh(),
        Conv2d(4, 3, 1, 1, 0, ((1, 3), (0,), (2, 1)), bias_size=3),
        MaxPool2d(2, 1),
        Sigmoid(),
    ),
    "pooled twice": (Conv2d(1, 2, 3), MaxPool2d(2), AvgPool2d(2), ReLU()),
}
# Every other one with a normalization: a compiler takes its time.
CASES = [
    (layers, Normalization((0.31,), (0.29,)) if number % 2 else PLAIN)
    for number, layers in enumerate(NETWORKS.values())
]


@pytest.mark.parametrize(("layers", "normalization"), CASES, ids=NETWORKS)
def test_float32_is_what_the_engines_compute(
    tmp_path: Path, layers: tuple[Layer, ...], normalization: Normalization
) -> None:
    model = model_of(layers, normalization=normalization)
    code = built(tmp_path, model)
    pictures = noise(model)
    expected = model.logits(pictures)
    answers = code(pictures)
    np.testing.assert_allclose(answers.logits, expected, atol=1e-5)
    np.testing.assert_allclose(
        answers.probabilities, probabilities(expected, model.calibration), atol=1e-6
    )
    is_known = known(answers.logits, model.calibration)
    np.testing.assert_array_equal(answers.found >= 0, is_known)
    np.testing.assert_array_equal(answers.found[is_known], expected.argmax(1)[is_known])
    assert code.self_test() == 0


@pytest.mark.parametrize(("layers", "normalization"), CASES, ids=NETWORKS)
def test_int8_in_c_is_int8_in_numpy_and_near_float32(
    tmp_path: Path, layers: tuple[Layer, ...], normalization: Normalization
) -> None:
    model = model_of(layers, normalization=normalization)
    pictures = noise(model, 60)
    small = quantized.quantize(model.network, model.parameters, pictures)
    path = tmp_path / "net.h"
    path.write_text(header.write(model, path.name, pictures[:3], small), encoding="ascii")
    code = compiled.load(path, ("-O0",))
    logits = code(pictures).logits
    np.testing.assert_array_equal(logits, small.logits(pictures))
    expected = model.logits(pictures)
    spread = np.abs(expected - expected.mean(0)).max()
    assert np.abs(logits - expected).max() < 0.15 * max(spread, 0.3)
    assert code.self_test() == 0


def test_colours_have_a_normalization_each(tmp_path: Path) -> None:
    normalization = Normalization((0.49, 0.48, 0.12), (0.2, 0.25, 0.3))
    for layers in ((Conv2d(3, 4, 3, padding=1), ReLU(), MaxPool2d(2)), (Flatten(), Linear(192, 6))):
        model = model_of(layers, (3, 8, 8), normalization)
        pictures = noise(model)
        expected = model.logits(pictures)
        np.testing.assert_allclose(built(tmp_path, model)(pictures).logits, expected, atol=1e-5)
        small = quantized.quantize(model.network, model.parameters, pictures)
        rough = small.logits(pictures)
        assert np.abs(rough - expected).max() < 0.15 * np.abs(expected).max()
        path = tmp_path / "small.h"
        path.write_text(header.write(model, path.name, pictures[:2], small), encoding="ascii")
        np.testing.assert_array_equal(compiled.load(path, ("-O0",))(pictures).logits, rough)


@st.composite
def networks(draw: st.DrawFn) -> tuple[tuple[Layer, ...], tuple[int, int, int]]:
    """Chains of the layers that have C code, on small pictures."""
    channels, size = draw(st.sampled_from([1, 2])), draw(st.integers(7, 11))
    shape = (channels, size, size + draw(st.integers(0, 2)))
    layers: tuple[Layer, ...] = ()
    for _ in range(draw(st.integers(1, 4))):
        channels, *sizes = trace_layers(shape, layers)[-1].output_shape if layers else shape
        most = min(4, *sizes)
        k = draw(st.integers(1, most))
        step = draw(st.integers(1, 3))
        layer: Layer = draw(
            st.sampled_from(
                [
                    Conv2d(channels, draw(st.integers(1, 3)), k, step, draw(st.integers(0, 2))),
                    AvgPool2d(k, step, draw(st.integers(0, k // 2))),
                    MaxPool2d(k, step, draw(st.integers(0, k // 2))),
                    Dropout(),
                    Subsample(channels, k),
                    ScaledTanh(),
                    *COMPUTED.values(),
                ]
            )
        )
        layers += (layer,)
    return layers, shape


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(networks())
def test_any_chain_of_layers(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: tuple[tuple[Layer, ...], tuple[int, int, int]],
) -> None:
    layers, shape = drawn
    model = model_of(layers, shape, Normalization((0.2,), (0.5,)))
    pictures = noise(model, 5)
    folder = tmp_path_factory.mktemp("c")
    np.testing.assert_allclose(
        built(folder, model)(pictures).logits, model.logits(pictures), atol=2e-5, rtol=1e-4
    )
    try:
        small = quantized.quantize(model.network, model.parameters, pictures)
    except ArchitectureError:  # see test_what_has_no_c_code_is_refused
        return
    path = folder / "small.h"
    path.write_text(header.write(model, path.name, pictures[:2], small), encoding="ascii")
    code = compiled.load(path, ("-O0",))
    np.testing.assert_array_equal(code(pictures).logits, small.logits(pictures))


def test_the_pooling_is_part_of_the_convolution_before_it() -> None:
    network = lenet.build("lenet")
    planned = stages(network)
    assert [len(stage.rows) for stage in planned] == [3, 3, 2, 2, 1]
    assert [stage.pooled_first for stage in planned[:2]] == [False, False]
    assert arena(planned).size == 6 * 14 * 14 + 16 * 5 * 5
    # the largest of four sigmoids is one sigmoid
    assert stages(lenet.build("lenet-max"))[0].pooled_first


def test_no_stage_writes_over_what_it_reads() -> None:
    for layers in NETWORKS.values():
        planned = stages(model_of(layers).network)
        place = arena(planned)
        source: range | None = None
        for stage, at in zip(planned, place.outputs, strict=True):
            size = int(np.prod(stage.output_shape))
            written = None if at is None else range(at, at + size)
            assert written is None or written.stop <= place.size
            if source is not None and written is not None and not stage.in_place:
                assert source.stop <= written.start or written.stop <= source.start
            source = written


def test_names_are_names_in_c(tmp_path: Path) -> None:
    assert header.prefix_of("int") == "int"  # int_predict is no keyword
    assert header.c_string('a"b\\??/猫') == '"a\\042b\\134\\077\\077/\\347\\214\\253"'
    model = model_of((Flatten(),))
    odd = Network("*/ 1/0; /* ??/", (1, 12, 12), model.network.layers, ('"', "*/", "猫 ??!", "\\n"))
    odd_model = Model(odd, model.parameters, model.preparation, Calibration(), "*/ x", 1)
    assert built(tmp_path, odd_model)(noise(odd_model)).found.min() >= 0


def test_what_has_no_c_code_is_refused(tmp_path: Path) -> None:
    pooled = model_of((MaxPool2d(2),))
    with pytest.raises(ArchitectureError, match="begins with MaxPool2d"):
        quantized.quantize(pooled.network, pooled.parameters, noise(pooled))
    codes = Network("far", (1, 3, 3), (Flatten(), RBF(9, 6), Linear(6, 3)), ("a", "b", "c"))
    with pytest.raises(ArchitectureError, match=r"begins with RBF, which has no int8 code"):
        quantized.quantized_stages(codes)
    codes = replace(codes, layers=(Flatten(), Linear(9, 5), RBF(5, 6), Linear(6, 3)))
    with pytest.raises(ArchitectureError, match=r"layer 2 \(RBF\).* at the end alone"):
        quantized.quantized_stages(codes)
    broken = model_of((Flatten(),))
    broken.parameters["1.bias"][0] = np.nan
    with pytest.raises(ValueError, match=r"1\.bias holds values that are not finite"):
        header.write(broken, "x.h", noise(broken))
    (tmp_path / "x.h").write_text("int x;")
    with pytest.raises(compiled.CompileError, match="not a header that lenet export wrote"):
        compiled.load(tmp_path / "x.h")
    sound = model_of((Flatten(),))
    text = header.write(sound, "x.h", noise(sound))
    with pytest.raises(ParityError, match="differ by"):
        compiled.check(text, noise(sound, 3), np.zeros((3, 4), np.float32))


def lenet_header(tmp_path: Path, int8: bool) -> Path:
    """LeNet's header, with weights that were not trained: size and speed are the same."""
    network = lenet.build("lenet")
    parameters = initialize(network, "xavier", 0)
    pictures = data.bundled().test.images
    model = Model(network, parameters, Preparation(1, 28, 28), Calibration(), "run", 1)
    small = quantized.quantize(network, parameters, pictures[:50]) if int8 else None
    path = tmp_path / "lenet.h"
    path.write_text(header.write(model, path.name, pictures[:4], small), encoding="ascii")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("command", ["gcc", "clang"])
@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
def test_every_compiler_takes_it(tmp_path: Path, command: str, int8: bool) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not here")
    path = lenet_header(tmp_path, int8)
    assert compiled.load(path, ("-O2",), command).self_test() == 0
    source = tmp_path / "main.c"
    source.write_text(header.example(lenet.build("lenet"), path.name), encoding="ascii")
    program = tmp_path / "main"
    compiled.run(command, *compiled.FLAGS, str(source), "-o", str(program))
    names = set(lenet.build("lenet").classes)
    assert compiled.run(str(program)).strip() in names


@pytest.mark.slow
def test_the_arduino_sketch_of_the_docs_compiles_as_cpp(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
    sketch = re.search(r"```cpp\n(.*?)```", page, re.DOTALL)
    assert sketch is not None
    lenet_header(tmp_path, int8=True)
    (tmp_path / "Arduino.h").write_text(
        "#include <cstdint>\n#include <cstddef>\n"
        "struct Port { void begin(long); std::size_t readBytes(char *, std::size_t);\n"
        "void println(const char *); };\nextern Port Serial;\n"
    )
    source = tmp_path / "sketch.cpp"
    source.write_text('#include "Arduino.h"\n' + sketch[1])
    flags = ("-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1")
    compiled.run("g++", *flags, "-c", str(source), "-o", str(tmp_path / "sketch.o"))


def m4(tmp_path: Path, path: Path, *options: str, source: Path = CORTEX_M4 / "startup.c") -> Path:
    """A program for a Cortex-M4 with an FPU, linked."""
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not here")
    target = tmp_path / "m4.elf"
    machine = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
    compiled.run(
        "arm-none-eabi-gcc", *compiled.FLAGS, *machine, *options,
        "-nostartfiles", "-specs=nosys.specs", f'-DHEADER="{path}"', "-DPREFIX=lenet",
        str(source), "-T", str(CORTEX_M4 / "memory.ld"), "-Wl,--gc-sections", "-o", str(target),
    )  # fmt: skip
    return target


@pytest.mark.slow
@pytest.mark.parametrize(("optimize", "flash"), [("-Os", 66_000), ("-O2", 66_400)])
def test_lenet_in_int8_fits_a_microcontroller(tmp_path: Path, optimize: str, flash: int) -> None:
    path = lenet_header(tmp_path, int8=True)
    program = m4(tmp_path, path, optimize, "-DPICTURE_BYTES=784")
    line = compiled.run("arm-none-eabi-size", str(program)).splitlines()[1]
    text, initialised, zeroed = map(int, line.split()[:3])
    assert text + initialised <= flash  # flash, the startup code with it
    assert initialised + zeroed <= 2_500  # RAM, with the picture's 784 bytes


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
def test_a_cortex_m4_computes_the_same(tmp_path: Path, int8: bool) -> None:
    path = lenet_header(tmp_path, int8)
    program = m4(tmp_path, path, "-O2", "-DLENET_SELF_TEST", "-DCOUNT")
    said = compiled.run(
        "qemu-system-arm", "-M", "mps2-an386", "-icount", "shift=0",
        "-semihosting-config", "enable=on,target=native", "-nographic", "-monitor", "none",
        "-serial", "none", "-kernel", str(program),
    )  # fmt: skip
    assert "wrong 0" in said
    instructions = int(said.split("instructions ")[1].split()[0])
    print(f"{'int8' if int8 else 'float32'}: {instructions:,} instructions a picture")
    assert 416_520 < instructions < (2_000_000 if int8 else 3_000_000)  # once every product
