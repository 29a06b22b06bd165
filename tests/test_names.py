"""Names that people type: which known one is meant, which is near, and which is another name."""

import pytest

from lenet.names import did_you_mean, known_as

NETWORKS = ("lenet", "lenet-max", "lenet-relu", "mlp", "linear", "lenet5", "lenet1", "lenet1989")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("lenet", "lenet"), ("LeNet", "lenet"), ("LENET_MAX", "lenet-max"), ("MLP", "mlp")),
        *(("lente", None), ("", None), ("lenet ", None)),
    ],
)
def test_case_and_hyphens_are_no_mistake(typed: str, meant: str | None) -> None:
    assert known_as(typed, NETWORKS) == meant


def test_a_name_that_may_mean_two_means_none() -> None:
    assert known_as("A-B", ["a-b", "a_b"]) is None
    assert known_as("a_b", ["a-b", "a_b"]) == "a_b"


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        *(("lente", "lenet"), ("lenett", "lenet"), ("lnet", "lenet"), ("lenet-5", "lenet5")),
        *(("Lenet-MXA", "lenet-max"), ("lenetrelu", "lenet-relu"), ("lenet-re", "lenet-relu")),
    ],
)
def test_slips_have_a_neighbour(typed: str, near: str) -> None:
    assert did_you_mean(typed, NETWORKS) == f"did you mean {near}? "


@pytest.mark.parametrize(
    "typed", ["resnet18", "alexnet", "vgg", "densenet", "mobilenet", "cnn", "", " ", "x" * 10_000]
)
def test_other_names_have_none(typed: str) -> None:
    assert did_you_mean(typed, NETWORKS) == ""
