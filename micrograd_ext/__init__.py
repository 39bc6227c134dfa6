"""micrograd_ext: back-propagation to step through, and to train LeNet with.

A `Value`, a number, and a `Tensor`, an array, remember how they were computed; `backward()` walks
that graph. On top of Tensors are Keras-style layers and models, below them C kernels for matrix
product, convolution and max-pooling.

>>> import micrograd_ext as mg
>>> x = mg.Tensor([1.0, 2.0, 3.0])
>>> loss = (x * x).sum()
>>> loss.backward()
>>> x.grad
array([2., 4., 6.], dtype=float32)
"""

from . import _prepare  # noqa: F401 - first of all

# isort: split
from . import (
    activations,
    calculus,
    callbacks,
    datasets,
    engine,
    expression,
    graph,
    initializers,
    layers,
    losses,
    metrics,
    models,
    nn,
    ops,
    optimizers,
    saving,
    stepper,
    tape,
    utils,
    views,
)
from ._config import VERSION, show_config
from ._kernels import get_num_threads, set_num_threads
from .calculus import grad
from .engine import Value
from .gradcheck import gradcheck
from .layers import Input
from .models import Sequential
from .tape import record
from .tensor import Tensor, is_grad_enabled, no_grad, op
from .variable import Variable
from .views import graph_table, graph_tree, to_dot

__version__ = VERSION

__all__ = [
    "Input",
    "Sequential",
    "Tensor",
    "Value",
    "Variable",
    "__version__",
    "activations",
    "calculus",
    "callbacks",
    "datasets",
    "engine",
    "expression",
    "get_num_threads",
    "grad",
    "gradcheck",
    "graph",
    "graph_table",
    "graph_tree",
    "initializers",
    "is_grad_enabled",
    "layers",
    "losses",
    "metrics",
    "models",
    "nn",
    "no_grad",
    "op",
    "ops",
    "optimizers",
    "record",
    "saving",
    "set_num_threads",
    "show_config",
    "stepper",
    "tape",
    "to_dot",
    "utils",
    "views",
]
