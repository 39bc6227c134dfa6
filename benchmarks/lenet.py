"""One epoch of LeNet on MNIST, beside PyTorch.

Both train the text's network on the same images: batch 64, Adam, shuffled, mean loss and accuracy
kept. PyTorch runs as a careful user would have it: channels_last, fused Adam, no data loader in
the way. Without PyTorch only this package is timed. Rounds are interleaved; the medians count.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import micrograd_ext
from micrograd_ext.datasets import mnist
from micrograd_ext.utils import set_random_seed, to_categorical

from ._timing import OURS, Result, import_torch, interleave, line

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demos"))
from mnist_lenet import lenet

ROUNDS = 3


def here(x: Any, y: Any, batch_size: int) -> Callable[[], object]:
    """An epoch in this package."""
    model, labels = lenet(), to_categorical(y, 10)
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return lambda: model.fit(x, labels, batch_size=batch_size, verbose=0)


def in_torch(torch: Any, x: Any, y: Any, batch_size: int) -> Callable[[], object]:
    """An epoch in PyTorch."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(y.astype(np.int64))

    def epoch() -> float:
        total, right = torch.zeros(()), torch.zeros(())
        for part in torch.randperm(len(images)).split(batch_size):
            optimizer.zero_grad(set_to_none=True)
            scores = model(images[part])
            loss = nn.functional.cross_entropy(scores, labels[part])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(part)
            right += (scores.argmax(1) == labels[part]).sum()
        return float(total + right)

    return epoch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    parser.add_argument("--images", type=int, help="use only so many training images")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=micrograd_ext.get_num_threads())
    parser.add_argument("--data", metavar="FOLDER", help="where the MNIST files are")


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print seconds and ratio."""
    set_random_seed(0)
    micrograd_ext.set_num_threads(options.threads)
    micrograd_ext.show_config()
    (x, y), _ = mnist.load_data(options.data)
    x, y = x[: options.images, ..., np.newaxis].astype(np.float32) / 255, y[: options.images]
    epochs = {OURS: here(x, y, options.batch_size)}
    if torch := import_torch(options.threads):
        epochs["torch"] = in_torch(torch, x, y, options.batch_size)
    print(f"One epoch: {len(x):,} images, batch {options.batch_size}, {options.threads} threads")
    seconds = interleave(epochs, options.rounds)
    for name, found in seconds.items():
        print(f"{name:14} rounds: {', '.join(f'{s:.2f}' for s in found)}")
    result = Result("LeNet epoch", {name: median(found) for name, found in seconds.items()})
    print(line(result))
    return [result]
