"""The activations that every engine computes, for tests that try each of them."""

from lenet.network.layers import LAYER_TYPES, Activation, Of1998

COMPUTED: dict[str, Activation] = {
    name: cls()
    for name, cls in LAYER_TYPES.items()
    if issubclass(cls, Activation) and not issubclass(cls, Of1998)
}
