"""MNIST for the benchmarks, and the options they share."""

from __future__ import annotations

import argparse
from typing import Any

import micrograd_ext
from micrograd_ext.datasets import mnist


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which images, how many threads."""
    parser.add_argument("--images", type=int, help="use only so many images")
    parser.add_argument("--threads", type=int, default=micrograd_ext.get_num_threads())
    parser.add_argument("--data", metavar="FOLDER", help="where the MNIST files are")


def load(options: argparse.Namespace, train: bool = True) -> tuple[Any, Any]:
    """The images (N, 28, 28) and labels (N,) to train on, or those to test on: bytes."""
    x, y = mnist.load_data(options.data)[0 if train else 1]
    return x[: options.images], y[: options.images]
