"""Networks made of Values: micrograd's `nn`, with a choice of activation."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .common.arguments import whole
from .engine import Value, dot

__all__ = ["MLP", "Layer", "Module", "Neuron"]

#: activation -> how micrograd calls a neuron that has it
ACTIVATIONS = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}

#: That many parameters take more than a GB, and training them seconds a step.
MOST_PARAMETERS = 10_000_000


def _few(what: str, sizes: Sequence[int]) -> None:
    """Raise ValueError if layers of these sizes have too many parameters for single Values."""
    parameters = sum((nin + 1) * nout for nin, nout in pairwise(sizes))
    if parameters > MOST_PARAMETERS:
        raise ValueError(
            f"{what}: expected at most {MOST_PARAMETERS} parameters, each a Value of its own, got "
            f"{parameters}; for large networks there is Sequential"
        )


class Module:
    """Something with parameters."""

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for p in self.parameters():
            p.grad = 0

    def parameters(self) -> list[Value]:
        """The Values that training adjusts."""
        return []


class Neuron(Module):
    """activation(b + sum of w[i] * x[i]).

    Args:
        nin: how many inputs; 10,000,000 parameters are the most, also of layers and MLPs.
        nonlin: whether there is an activation (micrograd's argument).
        activation: 'relu', 'leaky_relu', 'tanh' or 'sigmoid'.

    Weights are drawn from Python's `random`, uniform in [-1, 1]; the bias begins at 0.

    >>> Neuron(3)
    ReLUNeuron(3)
    """

    def __init__(self, nin: int, nonlin: bool = True, activation: str = "relu") -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"Neuron: activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}"
            )
        nin = whole("Neuron: nin", nin)
        _few("Neuron", [nin, 1])
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0)
        self.nonlin = nonlin
        self.activation = activation

    def __call__(self, x: Any) -> Value:
        """The output for nin inputs, Values or numbers; one input may stand without a list."""
        x = x if isinstance(x, Sequence) or hasattr(x, "__iter__") else [x]
        act = dot(self.w, x, self.b)
        return getattr(act, self.activation)() if self.nonlin else act

    def parameters(self) -> list[Value]:
        """Weights, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{ACTIVATIONS[self.activation] if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """Nout neurons beside each other.

    >>> Layer(2, 3, activation="tanh")
    Layer of [TanhNeuron(2), TanhNeuron(2), TanhNeuron(2)]
    """

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        _few("Layer", [whole("Layer: nin", nin), whole("Layer: nout", nout)])
        self.neurons = [Neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x: Any) -> Any:
        """A list of nout outputs; the output itself if there is only one."""
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        """Those of the neurons, in order."""
        return [p for neuron in self.neurons for p in neuron.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(map(str, self.neurons))}]"


class MLP(Module):
    """Layers in a row, the last one linear.

    >>> MLP(2, [16, 1])([1.0, -2.0]).op
    '+'
    """

    def __init__(self, nin: int, nouts: Sequence[int], activation: str = "relu") -> None:
        sizes = [whole("MLP: nin", nin), *(whole("MLP: nouts", nout) for nout in nouts)]
        _few("MLP", sizes)
        self.layers = [
            Layer(sizes[i], sizes[i + 1], nonlin=i != len(nouts) - 1, activation=activation)
            for i in range(len(nouts))
        ]

    def __call__(self, x: Any) -> Any:
        """A list of outputs; the output itself if there is only one."""
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        """Those of the layers, in order."""
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(str, self.layers))}]"
