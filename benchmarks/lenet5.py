"""One epoch of LeNet-5 on MNIST, beside PyTorch.

Convolutions of 6 and 16 filters, 5 x 5, the first one padded, each with ReLU and 2 x 2 max-pooling;
dense layers of 120, 84 and 10. Otherwise as `lenet`: batch 64, Adam, shuffled, loss and accuracy
kept; PyTorch with channels_last and fused Adam.
"""

from __future__ import annotations

import argparse

from . import _epochs
from ._models import LENET5
from ._timing import Result

ROUNDS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    _epochs.add_arguments(parser, LENET5)


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print seconds and ratio."""
    return _epochs.compare(LENET5, options)
