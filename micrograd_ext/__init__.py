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

from . import bootstrap  # noqa: F401 - first of all

# isort: split
import sys

from . import (
    activations,
    callbacks,
    datasets,
    engine,
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
    utils,
)
from .common.version import VERSION
from .engine import Value
from .graph import stepper, views
from .graph.views import graph_table, graph_tree, to_dot
from .kernels import get_num_threads, set_num_threads
from .kernels.show_config import show_config
from .layers import Input
from .models.sequential import Sequential
from .scalar import calculus, expression, tape
from .scalar.calculus import grad
from .scalar.tape import record
from .tensor import Tensor, is_grad_enabled, no_grad, op
from .tensor.gradcheck import gradcheck
from .tensor.variable import Variable

__version__ = VERSION

# Where these modules were before they had folders: imports from there go on working.
for _module in (
    "graph.stepper",
    "graph.views",
    "scalar.calculus",
    "scalar.expression",
    "scalar.tape",
    "tensor.gradcheck",
    "tensor.variable",
):
    sys.modules[f"{__name__}.{_module.partition('.')[2]}"] = sys.modules[f"{__name__}.{_module}"]

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
