"""micrograd_ext: back-propagation to step through, and to train LeNet with.

A `Tensor` remembers how it was computed; `backward()` walks that graph. On top are Keras-style
layers and models, below them C kernels for matrix product, convolution and max-pooling.

>>> import micrograd_ext as mg
>>> x = mg.Tensor([1.0, 2.0, 3.0])
>>> loss = (x * x).sum()
>>> loss.backward()
>>> x.grad
array([2., 4., 6.], dtype=float32)
"""

from . import (
    activations,
    callbacks,
    datasets,
    graph,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    utils,
)
from ._config import VERSION, show_config
from ._kernels import get_num_threads, set_num_threads
from .gradcheck import gradcheck
from .layers import Input
from .models import Sequential
from .tensor import Tensor, is_grad_enabled, no_grad, op

__version__ = VERSION

__all__ = [
    "Input",
    "Sequential",
    "Tensor",
    "__version__",
    "activations",
    "callbacks",
    "datasets",
    "get_num_threads",
    "gradcheck",
    "graph",
    "initializers",
    "is_grad_enabled",
    "layers",
    "losses",
    "metrics",
    "models",
    "no_grad",
    "op",
    "ops",
    "optimizers",
    "set_num_threads",
    "show_config",
    "utils",
]
