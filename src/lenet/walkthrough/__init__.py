"""Pooling and convolution number by number, as ``lenet explain`` shows them."""

from lenet.walkthrough.steps import (
    Walkthrough,
    WalkthroughError,
    convolution,
    counted,
    parse,
    pooling,
)

__all__ = ["Walkthrough", "WalkthroughError", "convolution", "counted", "parse", "pooling"]
