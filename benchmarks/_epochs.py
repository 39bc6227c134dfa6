"""Epochs of a network beside its peers: what `lenet`, `lenet5` and `mlp` have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, TypeAlias

import micrograd_ext
from micrograd_ext.utils import set_random_seed

from . import _here, _mnist, _torch
from ._models import Network, normalised
from ._timing import OURS, Result, import_torch, interleave, line

#: Given the network, images, labels and batch size: what trains an epoch.
Train: TypeAlias = Callable[[Network, Any, Any, int], Callable[[], object]]


def add_arguments(parser: argparse.ArgumentParser, network: Network) -> None:
    """Options of all of them."""
    parser.add_argument("--batch-size", type=int, default=network.batch_size)
    _mnist.add_arguments(parser)


def compare(
    network: Network, options: argparse.Namespace, others: Mapping[str, Train] | None = None
) -> list[Result]:
    """Time here, PyTorch, and others; print seconds and ratio."""
    set_random_seed(0)
    micrograd_ext.set_num_threads(options.threads)
    micrograd_ext.show_config()
    x, y = _mnist.load(options)
    what = (network, normalised(x, network), y, options.batch_size)
    epochs = {OURS: _here.train(*what)}
    if torch := import_torch(options.threads):
        epochs["torch"] = _torch.train(torch, *what)
    epochs |= {name: train(*what) for name, train in (others or {}).items()}
    print(f"One epoch: {len(x):,} images, batch {options.batch_size}, {options.threads} threads")
    seconds = interleave(epochs, options.rounds)
    for name, found in seconds.items():
        print(f"{name:14} rounds: {', '.join(f'{s:.2f}' for s in found)}")
    result = Result(f"{network.name} epoch", {name: median(s) for name, s in seconds.items()})
    print(line(result))
    return [result]
