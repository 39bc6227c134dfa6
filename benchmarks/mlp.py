"""One epoch of a multi-layer perceptron on MNIST, beside PyTorch and JAX.

Dense layers of 64, 64 and 10 on the 784 numbers of an image: batch 32, Adam, shuffled, mean loss
and accuracy kept. PyTorch runs eagerly, with fused Adam and no data loader in the way. In JAX the
epoch is one compiled program, its batches a scan; compiling it is not timed. Peers that are not
installed are left out. Rounds are interleaved; the medians count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _epochs, _here
from ._models import MLP, Network
from ._timing import Result, import_jax

ROUNDS = 5
RATE, BETA_1, BETA_2, EPSILON = 0.001, 0.9, 0.999, 1e-7  # Adam's, as in Keras


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    _epochs.add_arguments(parser, MLP)


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print seconds and ratio."""
    others: dict[str, _epochs.Train] = {}
    if jax := import_jax(options.threads):
        others["jax"] = lambda *what: in_jax(jax, *what)
    return _epochs.compare(MLP, options, others)


def in_jax(jax: Any, network: Network, x: Any, y: Any, batch_size: int) -> Callable[[], object]:
    """An epoch in JAX on rows x (N, D) with labels y (N,)."""
    jnp, tree = jax.numpy, jax.tree_util.tree_map
    images, labels = jnp.asarray(x), jnp.asarray(y, jnp.int32)
    weights = [jnp.asarray(weight) for weight in _here.build(network).get_weights()]
    full, rest = divmod(len(x), batch_size)

    def loss_of(weights: Any, rows: Any, wanted: Any) -> Any:
        for i in range(0, len(weights), 2):
            rows = (jax.nn.relu(rows) if i else rows) @ weights[i] + weights[i + 1]
        likely = jnp.take_along_axis(jax.nn.log_softmax(rows), wanted[:, None], axis=1)
        return -likely.mean(), (rows.argmax(1) == wanted).sum()

    def step(state: Any, part: Any, images: Any, labels: Any) -> Any:
        weights, m, v, t, total, right = state
        (loss, hits), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            weights, images[part], labels[part]
        )
        t = t + 1
        rate = RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        m = tree(lambda m, g: m + (g - m) * (1 - BETA_1), m, gradients)
        v = tree(lambda v, g: v + (g * g - v) * (1 - BETA_2), v, gradients)
        weights = tree(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), weights, m, v)
        return weights, m, v, t, total + loss * len(part), right + hits

    def epoch(state: Any, order: Any, images: Any, labels: Any) -> Any:
        batches = order[: full * batch_size].reshape(full, batch_size)
        state = (*state, jnp.float32(0), jnp.int32(0))
        state, _ = jax.lax.scan(
            lambda s, part: (step(s, part, images, labels), None), state, batches
        )
        if rest:
            state = step(state, order[full * batch_size :], images, labels)
        *state, total, right = state
        return tuple(state), total / len(order), right / len(order)

    random = np.random.default_rng(0)

    def draw() -> Any:
        return random.permutation(len(x)).astype(np.int32)

    zeros = [tree(jnp.zeros_like, weights) for _ in range(2)]
    state = (weights, *zeros, jnp.float32(0))
    compiled = jax.jit(epoch, donate_argnums=0).lower(state, draw(), images, labels).compile()

    def run_epoch() -> float:
        nonlocal state
        state, loss, accuracy = compiled(state, draw(), images, labels)
        return float(loss + accuracy)

    return run_epoch
