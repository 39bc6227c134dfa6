"""One epoch of LeNet on MNIST, beside PyTorch.

Both train the text's network on the same images: batch 64, Adam, shuffled, mean loss and accuracy
kept. PyTorch runs as a careful user would have it: channels_last, fused Adam, no data loader in
the way. Without PyTorch only this package is timed. Rounds are interleaved; the medians count.
"""

from __future__ import annotations

import argparse

from . import _epochs
from ._models import LENET
from ._timing import Result

ROUNDS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    _epochs.add_arguments(parser, LENET)


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print seconds and ratio."""
    return _epochs.compare(LENET, options)
