"""Every op on Tensors: its value, and next to it what it sends back.

An op is a row: a function of arrays that returns its value and, for each of the arrays before the
`/` in its signature, a function from the gradient `g` of the value to that array's gradient.
`@op` makes of it a function that takes and returns Tensors. Names and arguments are those of
`keras.ops`; anything numpy takes may stand for a Tensor. To add an op, write one more row.
"""

from ..tensor.tensor import operations
from .activations import (
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    softplus,
    tanh,
)
from .arithmetic import absolute, add, divide, matmul, multiply, negative, power, square, subtract
from .convolution import conv2d, conv2d_relu_pool
from .elementwise import clip, cos, exp, log, maximum, minimum, sin, sqrt, where
from .losses import binary_crossentropy
from .normalization import batch_normalization
from .pooling import average_pool2d, max_pool2d
from .reductions import max, mean, min, moments, sum, var
from .shapes import (
    broadcast_to,
    cast,
    concatenate,
    expand_dims,
    getitem,
    reshape,
    squeeze,
    stack,
    transpose,
)

__all__ = [
    "absolute",
    "add",
    "average_pool2d",
    "batch_normalization",
    "binary_crossentropy",
    "broadcast_to",
    "cast",
    "clip",
    "concatenate",
    "conv2d",
    "conv2d_relu_pool",
    "cos",
    "divide",
    "exp",
    "expand_dims",
    "getitem",
    "leaky_relu",
    "log",
    "log_sigmoid",
    "log_softmax",
    "matmul",
    "max",
    "max_pool2d",
    "maximum",
    "mean",
    "min",
    "minimum",
    "moments",
    "multiply",
    "negative",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "sin",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "var",
    "where",
]

vars(operations).update({name: globals()[name] for name in __all__})  # for the operators of Tensors
