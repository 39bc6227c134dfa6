"""The outputs of the text's LeNet, for 10,000 images and for one, beside PyTorch.

Many images go at the batch size that suits each contender best, tried before: seconds an image.
One image is a call of its own: the median of many calls. Both have the same weights and give
probabilities; PyTorch runs with channels_last, in inference mode, its images prepared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any, TypeAlias

import numpy as np

import micrograd_ext
from micrograd_ext.utils import set_random_seed

from . import _here, _mnist, _torch
from ._models import LENET, normalised
from ._timing import OURS, Result, duration, import_torch, interleave, line

ROUNDS = 7
CALLS = 100  # with one image, in each round

#: Given so many images and a batch size: the probabilities.
Predict: TypeAlias = Callable[[int, int], Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    parser.add_argument(
        "--batch-sizes", type=int, nargs="+", default=[32, 64, 128, 256, 512, 1024], help="to try"
    )
    _mnist.add_arguments(parser)


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print a line for many images and one for a single image."""
    set_random_seed(0)
    micrograd_ext.set_num_threads(options.threads)
    micrograd_ext.show_config()
    x, _ = _mnist.load(options, train=False)
    x = normalised(x, LENET)
    model = _here.build(LENET)
    contenders: dict[str, Predict] = {
        OURS: lambda count, size: model.predict(x[:count], batch_size=size, verbose=0)
    }
    if torch := import_torch(options.threads):
        contenders["torch"] = in_torch(torch, model, x)
    results = [
        many(contenders, len(x), options.batch_sizes, options.rounds),
        single(contenders, options.rounds),
    ]
    for result in results:
        print(line(result))
    return results


def in_torch(torch: Any, model: Any, x: Any) -> Predict:
    """What predicts in PyTorch, with the model's weights."""
    network = _torch.build(torch, LENET).eval()
    _torch.copy_weights(torch, network, model.get_weights())
    images = _torch.feedable(torch, x)

    def predict(count: int, size: int) -> Any:
        with torch.inference_mode():
            parts = [network(part).softmax(1) for part in images[:count].split(size)]
            return torch.cat(parts)

    few = min(len(x), 100)
    expected = model.predict(x[:few], verbose=0)
    np.testing.assert_allclose(predict(few, few).numpy(), expected, rtol=1e-3, atol=1e-5)
    return predict


def many(contenders: Mapping[str, Predict], count: int, sizes: list[int], rounds: int) -> Result:
    """Seconds an image of `count`, each contender at its best batch size."""
    calls: dict[str, Callable[[], object]] = {}
    for name, predict in contenders.items():
        tries = {str(size): partial(predict, count, size) for size in sizes}
        found = {size: min(s) for size, s in interleave(tries, 2, warm=True, pause=0).items()}
        best = min(found, key=found.__getitem__)
        tried = ", ".join(f"{size}: {duration(s / count)}" for size, s in found.items())
        print(f"{name:14} by batch size: {tried}")
        calls[name] = tries[best]
    seconds = interleave(calls, rounds, warm=True)
    return Result(
        f"{LENET.name}, an image of {count:,}", {n: median(s) / count for n, s in seconds.items()}
    )


def single(contenders: Mapping[str, Predict], rounds: int) -> Result:
    """Seconds of a call with one image."""
    found: dict[str, list[float]] = {name: [] for name in contenders}

    def block(name: str) -> None:
        for _ in range(CALLS):
            start = time.perf_counter()
            contenders[name](1, 1)
            found[name].append(time.perf_counter() - start)

    interleave({name: partial(block, name) for name in contenders}, rounds)
    return Result(f"{LENET.name}, one image", {name: median(s) for name, s in found.items()})
