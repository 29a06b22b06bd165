"""The kernels of a network: every number, which exist, and their picture."""

import numpy as np
import pytest

from lenet.looking import convolution_kernels
from lenet.looking.convolution_kernels import NoKernelsError, kernels
from lenet.network import zoo
from lenet.network.parameters import initialize

LENET = zoo.build("lenet")


def test_every_number_is_printed_as_in_tutorial_004() -> None:
    parameters = initialize(LENET, "xavier", 0)
    parameters["0.weight"][:] = np.arange(150, dtype=np.float32).reshape(6, 1, 5, 5) / 64 - 1
    first, second = str(kernels(LENET, parameters)).split("conv layer 2 ")
    lines = first.splitlines()
    assert lines[0] == "conv layer 1 kernels shape: (6, 1, 5, 5)"
    assert lines[1] == "tensor([[[[-1.0000, -0.9844, -0.9688, -0.9531, -0.9375],"
    assert lines[2] == "          [-0.9219, -0.9062, -0.8906, -0.8750, -0.8594],"
    assert lines[6:8] == ["", ""]
    assert lines[-1] == "          [ 1.2656,  1.2812,  1.2969,  1.3125,  1.3281]]]])"
    assert second.startswith("kernels shape: (16, 6, 5, 5)\ntensor([[[[")
    assert second.count(".") == 2_400
    assert max(map(len, second.splitlines())) <= 80


def test_json_has_the_numbers_themselves() -> None:
    parameters = initialize(LENET, "xavier", 0)
    first, second = convolution_kernels.to_json(kernels(LENET, parameters))
    assert (first["layer"], second["layer"], second["stage"]) == (0, 3, "C3")
    assert np.array_equal(np.array(second["weights"], np.float32), parameters["3.weight"])


def test_kernels_that_do_not_exist_are_told_from_zeros() -> None:
    network = zoo.build("lenet5")
    found = kernels(network, initialize(network, "lecun", 0))
    assert found.banks[1].connected.sum() == 60
    assert not found.banks[1].weights[~found.banks[1].connected].any()
    assert "(36 of these kernels do not exist and stay zero)" in str(found)


def test_a_network_without_convolutions_is_told_what_else_to_ask_for() -> None:
    network = zoo.build("mlp")
    with pytest.raises(NoKernelsError, match=r"'mlp' has no convolutions.*--parameters"):
        kernels(network, initialize(network, "torch", 0))


def test_a_notebook_shows_a_png() -> None:
    found = kernels(LENET, initialize(LENET, "xavier", 0))
    assert found._repr_png_().startswith(b"\x89PNG")
    assert found._repr_png_() == found._repr_png_()
