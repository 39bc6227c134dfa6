"""The networks in PyTorch, as a careful user would run them: channels_last, fused Adam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._models import Network


def build(torch: Any, network: Network) -> Any:
    """The network; scores come out, softmax is the loss's."""
    nn = torch.nn
    stages: list[Any] = []
    size = 1
    if network.convolutions:
        side, _, channels = network.shape
        for filters, kernel, padding in network.convolutions:
            stages += [nn.Conv2d(channels, filters, kernel, padding=padding)]
            stages += [nn.ReLU(), nn.MaxPool2d(2)]
            channels = filters
            side = (side if padding == "same" else side - kernel + 1) // 2
        stages.append(nn.Flatten())
        size = side * side * channels
    else:
        (size,) = network.shape
    for units in network.units:
        stages += [nn.Linear(size, units), nn.ReLU()]
        size = units
    return nn.Sequential(*stages[:-1]).to(memory_format=torch.channels_last)


def feedable(torch: Any, x: Any) -> Any:
    """The images (N, H, W, C) as (N, C, H, W), channels last in memory; rows (N, D) as they are."""
    images = torch.from_numpy(x)
    if x.ndim == 2:
        return images
    return images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def train(torch: Any, network: Network, x: Any, y: Any, batch_size: int) -> Callable[[], object]:
    """An epoch on images x (N, ...) with labels y (N,): no data loader in the way.

    Bytes are scaled a batch at a time.
    """
    model = build(torch, network)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    images, labels = feedable(torch, x), torch.from_numpy(y.astype(np.int64))
    cross_entropy = torch.nn.functional.cross_entropy

    def epoch() -> float:
        total, right = torch.zeros(()), torch.zeros(())
        for part in torch.randperm(len(images)).split(batch_size):
            wanted = labels.index_select(0, part)
            optimizer.zero_grad(set_to_none=True)
            batch = images.index_select(0, part)
            scores = model(batch if images.is_floating_point() else batch.float().div_(255))
            loss = cross_entropy(scores, wanted)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(part)
            right += (scores.argmax(1) == wanted).sum()
        return float(total + right)

    return epoch


def copy_weights(torch: Any, model: Any, weights: Sequence[Any]) -> None:
    """Put weights of this package (Keras's layout) into a model that `build` made."""
    channels = 0  # that come out of the convolutions, until a dense layer has taken them
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        array = weight
        if weight.ndim == 4:
            array, channels = weight.transpose(3, 2, 0, 1), weight.shape[3]
        elif weight.ndim == 2:
            if channels:  # rows go by place, then by channel; PyTorch's by channel, then by place
                array = weight.reshape(-1, channels, weight.shape[1]).swapaxes(0, 1)
            array, channels = array.reshape(weight.shape).T, 0
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
