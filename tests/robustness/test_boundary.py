"""Random calls of everything public, and of the kernels: no crash, no hang, only errors that teach.

Each call takes arguments that fit, of which some are swapped for others: wrong types, ranks, dtypes
and values, arrays that are empty, huge (by a stride of 0), not finite, reversed, overlapping,
read-only, in Fortran's order, unaligned, of the other byte order. What comes back is used, and
differentiated. `--hypothesis-profile=long` makes 288,000 calls; MICROGRAD_EXT_SHOW_CALLS=1
(with -s) prints each before it is made, which tells the one that crashed.
"""

from __future__ import annotations

import contextlib
import datetime
import faulthandler
import inspect
import io
import math
import os
import random
import traceback
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.lib.stride_tricks import as_strided
from references import NOT_KERNELS, public_functions

import micrograd_ext as mg
from micrograd_ext import (
    Sequential,
    Tensor,
    Value,
    activations,
    calculus,
    callbacks,
    expression,
    initializers,
    kernels,
    layers,
    losses,
    metrics,
    nn,
    ops,
    optimizers,
    regularizers,
    saving,
    tape,
    utils,
    views,
)

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

CASES = max(1_000, 4 * settings().max_examples)
Random = random.Random

#: What bad input may raise. Files: OSError; indices: IndexError; both where they say so.
DOCUMENTED = (ValueError, TypeError, MemoryError)


# ------------------------------------------------------------------ arguments

DTYPES = ("f4", "f8") * 6 + (
    "f2", "g", "c8", "c16", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "O", "U3", "S2",
    "M8[s]", "m8[s]", ">f4", ">f8", ">i4", "V4",
)  # fmt: skip
HUGE = (2**31 - 1, 2**31, 2**31 + 1, 2**32, 2**33)
BEYOND = (2**40, 2**60, 2**61, 2**62, 2**63 - 1)


def array(rng: Random, shape: tuple[int, ...] | None = None, plain: bool = False) -> np.ndarray:
    """An array of any dtype and layout; `plain`: of finite floats in C's order."""
    if shape is None:
        shape = tuple(
            rng.choice((0, 1, 1, 2, 3, 4, 5, 7))
            for _ in range(rng.choice((0, 1, 2, 2, 3, 4, 4, 5)))
        )
    generator = np.random.default_rng(rng.getrandbits(32))
    x = generator.standard_normal(shape)
    if plain:
        return np.asarray(x).astype(rng.choice(("f4", "f4", "f8")))
    if rng.random() < 0.2:
        x = np.where(
            generator.random(shape) < 0.3,
            rng.choice((np.nan, np.inf, -np.inf, 1e308, 5e-324, -0.0)),
            x,
        )
    x = np.asarray(x)
    with np.errstate(all="ignore"), contextlib.suppress(TypeError, ValueError):
        x = np.asarray(x * rng.choice((1, 1, 3, 100))).astype(rng.choice(DTYPES))
    layout = rng.randrange(12)
    if layout == 0:
        x = np.asfortranarray(x)
    elif layout == 1 and x.ndim:
        x = x[..., ::-1]
    elif layout == 2 and x.ndim:
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    elif layout == 3:
        x = x.copy()
        x.flags.writeable = False
    elif layout == 4 and not x.dtype.hasobject:
        room = np.zeros(x.nbytes + 1, np.uint8)
        moved = room[1 : 1 + x.nbytes].view(x.dtype).reshape(x.shape)
        moved[...] = x
        x = moved
    elif layout == 5 and x.size:
        x = np.broadcast_to(x[(slice(0, 1),) * x.ndim], x.shape)
    elif layout == 6 and x.ndim > 1:
        x = x.swapaxes(0, -1)
    elif layout == 7:
        x = np.ma.masked_array(x)
    return x


def huge(rng: Random, sizes: tuple[int, ...] = HUGE) -> np.ndarray:
    """Very many elements that are one in memory."""
    size = rng.choice(sizes)
    shape: tuple[int, ...] = rng.choice(
        [(size,), (size, 1), (1, size), (1, size, 1, 1), (size, 1, 1, 2)]
    )
    with contextlib.suppress(ValueError):
        return as_strided(np.ones(1, rng.choice(("f4", "f8", "u1"))), shape, (0,) * len(shape))
    return np.zeros(3)


def hollow() -> Iterator[int]:
    yield 1


WEIRD: tuple[Callable[[Random], Any], ...] = (
    *(lambda rng, value=value: value for value in (
        None, True, False, 0, 1, -1, 2, 3, 7, 255, 256, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64,
        -(2**31),
        -(2**63), 10**400, 0.0, -0.0, 0.5, 1.5, -1.0, 1e-320, 1e308, math.nan, math.inf,
        -math.inf, 1j,
        "", "relu", "same", "valid", "adam", "mse", "a" * 5000, "\0", "é\ud800", "1", b"x",
        bytearray(3),
        Fraction(1, 3), Decimal("0.1"), Ellipsis, NotImplemented, slice(None), slice(3, 1, -1),
        range(3),
        datetime.date(2020, 1, 1), int, float, object, Tensor, np, len, lambda: None, lambda x: x,
        lambda *x: None, print, np.float32(2), np.float64(0.25), np.int8(-3), np.uint64(2**63),
        np.bool_(True),
        np.float32(np.nan), np.dtype("f4"), np.float32, "float32", "float64", "float16", "int8",
        "object",
        np.str_("same"), np.datetime64("NaT", "s"),
    )),
    lambda rng: [], lambda rng: {}, lambda rng: set(), lambda rng: (), lambda rng: object(),
    lambda rng: [1, 2], lambda rng: (2, 2), lambda rng: (0, 1), lambda rng: (1, 2, 3, 4),
    lambda rng: [[1.0, 2.0], [3.0]],
    lambda rng: [[1.0, 2.0], [3.0, 4.0]], lambda rng: {"a": 1}, lambda rng: {1.5, 2},
    lambda rng: hollow(),
    lambda rng: [None], lambda rng: ["a", 1], lambda rng: (-1,), lambda rng: (2**62, 4),
    lambda rng: [Tensor(1.0)],
    lambda rng: memoryview(b"abcd"), lambda rng: np.matrix([[1.0, 2.0]]), lambda rng: (1.5, 2),
    lambda rng: (None, 3),
    lambda rng: Value(2.0), lambda rng: Tensor([1.0, 2.0]), lambda rng: Tensor(array(rng,
    plain=True)),
    lambda rng: layers.Dense(2), lambda rng: losses.MeanSquaredError(),
    lambda rng: optimizers.SGD(),
    lambda rng: optimizers.schedules.ExponentialDecay(0.1, 2, 0.5),
    lambda rng: Sequential([layers.Dense(1)]),
    lambda rng: metrics.Mean(), lambda rng: callbacks.Callback(),
    lambda rng: initializers.HeNormal(),
    lambda rng: regularizers.L2(0.1), lambda rng: tape.record(Value(1.0) * 2),
    lambda rng: types.SimpleNamespace(shape=(1,), dtype="f4"),
    lambda rng: as_strided(np.arange(6.0), (3, 2), (8, 8)),  # rows that overlap
)  # fmt: skip


def weird(rng: Random, large: bool = True) -> Any:
    """Anything at all."""
    chance = rng.random()
    if chance < 0.4:
        return array(rng)
    if chance < 0.402 and large:
        return huge(rng)
    value = rng.choice(WEIRD)(rng)
    small = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) > 300
    return 3 if small and not large else value


def one_of(*values: Any) -> Callable[[Random], Any]:
    return lambda rng: rng.choice(values)


def whole(low: int, high: int) -> Callable[[Random], Any]:
    return lambda rng: rng.randint(low, high)


def real(low: float, high: float) -> Callable[[Random], Any]:
    return lambda rng: rng.uniform(low, high)


pair = one_of(1, 2, 3, (1, 2), (2, 2), [3, 1])
shape_ = one_of((3,), (2, 3), (4, 4, 1), (5, 4, 2), (), (None, 3), [2])
axis_ = one_of(None, 0, 1, -1, -2, (0, 1), 2, (), (0, 0))
name_ = one_of(None, "one", "a b", "loss")
switch = one_of(True, False)


def tensor_like(rng: Random) -> Any:
    kind = rng.randrange(5)
    if kind < 3:
        x = array(rng, plain=kind > 0)
        return Tensor(x) if kind == 1 else x
    return [[1.0, 2.0]] if kind == 3 else 2.0


initializer_ = one_of("zeros", "glorot_uniform", "he_normal", None, np.ones)
regularizer_ = one_of(None, "l2", "l1", "l1_l2")

#: By the name of a parameter: what fits.
HINTS: dict[str, Callable[[Random], Any]] = {
    **dict.fromkeys(("x", "x1", "x2", "images", "kernel", "condition", "moments", "mean",
    "variance", "offset", "y", "values"), tensor_like),
    **dict.fromkeys(("y_pred",), lambda rng: Tensor(np.abs(array(rng, (3, 4), plain=True)) % 1)),
    **dict.fromkeys(("y_true",), lambda rng: rng.choice((np.eye(4, dtype="f4")[[0, 1, 3]],
    np.array([0, 1, 3]), [[0.0, 1, 0, 0]] * 3))),
    "bias": one_of(None, np.zeros(3, "f4")),
    **dict.fromkeys(("axis", "axes"), axis_),
    **dict.fromkeys(("keepdims", "from_logits", "use_bias", "center", "nesterov", "staircase",
    "cycle", "append", "save_best_only", "save_weights_only", "restore_best_weights", "trainable",
    "centered", "show_shapes", "requires_grad", "accumulate", "shuffle", "return_dict"), switch),
    **dict.fromkeys(("strides", "pool_size", "kernel_size"), pair),
    "padding": one_of("same", "valid"), "scale": one_of(1, 0.5, True, False),
    **dict.fromkeys(("units", "filters", "num_classes", "k"), whole(1, 6)),
    **dict.fromkeys(("shape", "newshape", "target_shape", "input_shape", "noise_shape"), shape_),
    "activation": one_of(None, "relu", "tanh", "softmax", ops.sigmoid), "name": name_,
    "dtype": one_of("float32", "float64", None),
    **{f"{each}_initializer": initializer_ for each in ("kernel", "bias", "beta", "gamma",
    "moving_mean", "moving_variance")},
    **{f"{each}_regularizer": regularizer_ for each in ("kernel", "bias", "beta", "gamma")},
    **dict.fromkeys(("rate", "momentum", "alpha", "label_smoothing", "epsilon", "beta_1",
    "beta_2", "rho", "decay_rate", "negative_slope", "factor", "threshold"), real(0.01, 0.99)),
    **dict.fromkeys(("learning_rate", "initial_learning_rate"), one_of(0.1, 0.001,
    optimizers.schedules.ExponentialDecay(0.1, 3, 0.9))),
    **dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm", "weight_decay"), one_of(None,
    None, 0.5)),
    **dict.fromkeys(("x_min", "minval"), real(-2, 0)), **dict.fromkeys(("x_max", "maxval",
    "stddev", "value"), real(0.1, 2)),
    **dict.fromkeys(("seed", "patience", "cooldown", "start_from_epoch", "decay_steps",
    "warmup_steps"), whole(0, 5)),
    "identifier": one_of("relu", "mse", "adam", "zeros", "l2", "accuracy"),
    "monitor": one_of("loss", "val_loss", "accuracy"),
    "mode": one_of("auto", "min", "max", "fan_in", "fan_avg"), "distribution": one_of("uniform",
    "truncated_normal"),
    "reduction": one_of("sum", "none", "sum_over_batch_size", None), "index": one_of(0, -1,
    slice(1), (0, ...), [0, 0], None),
    "xs": lambda rng: [array(rng, (2, 3), plain=True)] * 2, "boundaries": one_of([1, 2]),
    "verbose": one_of(0, 1, 2),
    "batch_size": one_of(None, 1, 2, 3, 8), "epochs": one_of(1, 2), "initial_epoch": one_of(0, 1),
    "validation_split": one_of(0.0, 0.5), "loss": one_of("mse", "categorical_crossentropy",
    losses.MeanAbsoluteError()),
    "optimizer": one_of("adam", "sgd", "rmsprop"), "metrics": one_of(None, ["accuracy"], ["mse",
    "mae"]),
    "path": one_of("file.mgx", "file.weights.mgx"), "filepath": one_of("file.mgx", "{epoch}.mgx",
    "w.weights.mgx"),
    "filename": one_of("log.csv"), "backup_dir": one_of("backup"), "separator": one_of(","),
}  # fmt: skip
#: Where a large number is an order to work on and on, or to write as much.
NEVER_LARGE = {
    "epochs",
    "steps",
    "nin",
    "nouts",
    "threads",
    "line_length",
    "max_nodes",
    "dpi",
    "depth",
    "n",
    "width",
}


class Call:
    """One call, made but not yet called, that can be shown."""

    def __init__(
        self, name: str, f: Callable[..., Any], args: list[Any], how: dict[str, Any]
    ) -> None:
        self.name, self.f, self.args, self.how = name, f, args, how

    def __str__(self) -> str:
        shown = [
            *map(brief, self.args),
            *(f"{key}={brief(value)}" for key, value in self.how.items()),
        ]
        return f"{self.name}({', '.join(shown)})"


def brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} {value.shape} strides {value.strides}>"
    try:
        return repr(value)[:80]
    except Exception:
        return f"<{type(value).__name__}>"


def mutated(rng: Random, args: list[Any], how: dict[str, Any]) -> None:
    """Swap some arguments for others, leave one out, add one."""
    for place in range(len(args)):
        if rng.random() < 0.3:
            args[place] = weird(rng)
    for key in [*how]:
        if rng.random() < 0.3:
            how[key] = weird(rng, large=key not in NEVER_LARGE)
    if args and rng.random() < 0.03:
        args.pop()
    if rng.random() < 0.02:
        args.append(weird(rng, large=False))
    if rng.random() < 0.02:
        how["no_such_argument"] = 1


def by_signature(rng: Random, name: str, f: Callable[..., Any]) -> Call:
    """A call with arguments that fit their parameters' names, then mutated."""
    args: list[Any] = []
    how: dict[str, Any] = {}
    try:
        parameters = [*inspect.signature(f).parameters.values()]
    except (TypeError, ValueError):
        parameters = []
    for each in parameters:
        if each.name == "self" or each.kind is each.VAR_KEYWORD:
            continue
        hint = HINTS.get(each.name, lambda rng, each=each: weird(rng, each.name not in NEVER_LARGE))
        if each.kind is each.VAR_POSITIONAL:
            args += [tensor_like(rng) for _ in range(rng.randrange(3))]
        elif each.kind is each.POSITIONAL_ONLY or (
            each.default is each.empty and each.kind is not each.KEYWORD_ONLY
        ):
            args.append(hint(rng))
        elif each.default is each.empty or rng.random() < 0.35:
            how[each.name] = hint(rng)
    mutated(rng, args, how)
    return Call(name, f, args, how)


# ------------------------------------------------------------------ what is called


def kernel_call(rng: Random) -> Call:
    """A kernel, with what fits it."""
    name = rng.choice([*public_functions()])
    n, h, w, c, kh, kw, f = (rng.choice((1, 2, 3, 5)) for _ in range(7))
    h, w, dtype = h + kh, w + kw, rng.choice(("f4", "f8"))
    how: dict[str, Any] = {}
    if rng.random() < 0.5:
        how["isa"] = rng.choice([*kernels.isas(), None])
        how["threads"] = rng.choice((None, 1, 2, 3))

    def new(*shape: int) -> np.ndarray:
        return np.asarray(array(rng, shape, plain=True)).astype(dtype)

    images, kernel, dy = new(n, h, w, c), new(kh, kw, c, f), new(n, h - kh + 1, w - kw + 1, f)
    pooled, small = new(n, h // 2, w // 2, c), new(n, (h - kh + 1) // 2, (w - kw + 1) // 2, f)
    argmax = np.random.default_rng(rng.getrandbits(32)).integers(-9, 9, pooled.shape).astype("i4")
    byte = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, small.shape).astype("u1")
    args: list[Any] = {
        "matmul": [new(n, h), new(h, w)], "sum_rows": [new(h, w)], "conv2d": [images, kernel,
        new(f)],
        "conv2d_dx": [dy, kernel, images.shape], "conv2d_dw": [images, dy, kernel.shape],
        "max_pool2d": [images], "max_pool2d_dx": [pooled, argmax, images.shape],
        "conv2d_relu_pool": [images, kernel, new(f)],
        "conv2d_relu_pool_dx": [small, byte, kernel, images.shape],
        "conv2d_relu_pool_dw": [images, small, byte, kernel.shape],
        "relu": [images], "relu_dx": [images, images + 1], "adam": [*(new(h,
        w) for _ in range(4)), 0.1],
        **{key: [] for key in NOT_KERNELS},
    }[name]  # fmt: skip
    if name in NOT_KERNELS:
        how, args = {}, [rng.choice((1, 2, 3))] if name == "set_num_threads" else []
    if "conv" in name or "pool" in name:
        for key, value in (("strides", pair(rng)), ("padding", rng.choice(("same", "valid")))):
            if rng.random() < 0.2:
                how[key] = value
    mutated(rng, args, how)
    for place, value in enumerate(args):
        if isinstance(value, np.ndarray) and rng.random() < 0.004:
            args[place] = huge(rng, HUGE + BEYOND)
        if isinstance(value, tuple) and value and rng.random() < 0.2:
            sizes = [*value]
            sizes[rng.randrange(len(sizes))] = rng.choice((0, -1, 2**31 - 1, 2**31, 2**62, 1.0))
            args[place] = tuple(sizes)
    if name == "set_num_threads":  # each would start as many
        args = [3 if isinstance(x, (int, np.integer)) and x > 300 else x for x in args]
    return Call(name, getattr(kernels, name), args, how)


def public(module: types.ModuleType, *without: str) -> list[tuple[str, Any]]:
    return [
        (f"{module.__name__.split('.')[-1]}.{name}", getattr(module, name))
        for name in module.__all__
        if name not in without and callable(getattr(module, name))
        and not isinstance(getattr(module, name), types.GenericAlias)
    ]  # fmt: skip


def from_module(
    *modules: types.ModuleType, without: tuple[str, ...] = ()
) -> Callable[[Random], Call]:
    targets = [each for module in modules for each in public(module, *without)]
    return lambda rng: by_signature(rng, *rng.choice(targets))


def method_of(
    make: Callable[[Random], Any], without: tuple[str, ...] = (), operators: bool = True
) -> Callable[[Random], Call]:
    """A public method, or an operator, of an object."""

    def call(rng: Random) -> Call:
        one = make(rng)
        names = [
            name for name in dir(type(one))
            if (not name.startswith("_") or (operators and name in OPERATORS) or name == "__call__")
            and name not in without and callable(getattr(type(one), name, None))
        ]  # fmt: skip
        name = rng.choice(names)
        return by_signature(rng, f"{type(one).__name__}.{name}", getattr(one, name))

    return call


OPERATORS = [
    f"__{name}__" for name in ["add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv",
    "pow", "rpow", "matmul", "rmatmul", "neg", "abs", "getitem", "len", "iter", "float", "int",
    "bool", "repr", "str", "eq", "ne", "lt", "le", "gt", "ge", "hash", "array", "contains",
    "call", "copy", "deepcopy"]
]  # fmt: skip


def small_model(rng: Random) -> Sequential:
    """A compiled model; half of them with a program."""
    parts: list[layers.Layer] = rng.choice(
        (
            lambda: [layers.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2, "softmax")],
            lambda: [layers.Input((6, 5, 1)), layers.Conv2D(2, 2, activation="relu"),
            layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2)],
            lambda: [layers.Dense(2), layers.BatchNormalization(), layers.Dropout(0.5)],
        )
    )()  # fmt: skip
    model = Sequential(parts)
    if rng.random() < 0.9:
        model.compile(
            "adam",
            rng.choice(("mse", "categorical_crossentropy")),
            metrics=["accuracy"],
            run_eagerly=rng.random() < 0.3,
        )
    return model


def model_call(rng: Random) -> Call:
    model = small_model(rng)
    call = method_of(
        lambda rng: model, without=("summary", "stepper", "compile_from_config"), operators=False
    )(rng)
    if rng.random() < 0.7:  # examples that fit, mostly
        shape = model.layers[0].input_shape if model.layers[0].built else (None, 3)
        count = rng.randint(0, 5)
        x = np.asarray(array(rng, (count, *(shape or (None, 3))[1:]), plain=True))
        y = np.eye(2, dtype="f4")[np.arange(count) % 2]
        given: dict[str, Any] = {"x": x, "y": y, "inputs": x, "weights": model.get_weights()}
        for key in ("epochs", "batch_size"):
            given[key] = HINTS[key](rng)
        call.args = []
        call.how = {key: value for key, value in call.how.items() if key not in given}
        names = (
            inspect.signature(call.f).parameters if call.name.split(".")[1] not in OPERATORS else {}
        )
        call.how |= {key: value for key, value in given.items() if key in names}
        mutated(rng, call.args, call.how)
    call.how.setdefault("verbose", 0) if "verbose" in inspect.signature(call.f).parameters else None
    return call


def value_of(rng: Random, own_ops: bool = True) -> Value:
    a, b = Value(rng.uniform(-2, 2)), Value(rng.choice((0.0, 1.0, 1e300, math.nan, -3.0)), name="b")
    own = Value(a.data**2, (a, b, a), "own")
    if rng.random() < 0.5:
        own._backward = lambda: setattr(a, "grad", a.grad + 2 * a.data * own.grad)
    known = a, a * b, (a + b).tanh(), a.exp() * a, (a * b).sigmoid() + 1
    return rng.choice((*known, own * a) if own_ops else known)


def tensor_of(rng: Random) -> Tensor:
    a = Tensor(array(rng, (2, 3), plain=True), name="a")
    return rng.choice((a, a * 2, a.exp().sum(axis=0), (a @ np.ones((3, 2), a.dtype)).tanh(), a[0]))


def stepping_call(rng: Random) -> Call:
    one = rng.choice((value_of, tensor_of))(rng)
    targets: list[tuple[str, Any]] = [
        ("views.graph_tree", views.graph_tree), ("views.graph_table", views.graph_table),
        ("views.to_dot", views.to_dot),
        ("calculus.grad", calculus.grad), ("gradcheck", mg.gradcheck), ("record", tape.record),
        ("stepper", one.stepper),
        ("evaluate", expression.evaluate), ("MLP", nn.MLP), ("Neuron", nn.Neuron), ("nn.Layer",
        nn.Layer),
        ("stepper of a model", lambda *a, **k: small_model(rng).stepper(*a, **k)),
    ]  # fmt: skip
    if rng.random() < 0.4:
        stepper = one.sum().stepper() if isinstance(one, Tensor) else one.stepper()
        return method_of(lambda rng: stepper)(rng)
    if rng.random() < 0.3:
        played = tape.record(sum((value_of(rng, own_ops=False) for _ in range(3)), Value(1.0)))
        return method_of(lambda rng: played)(rng)
    name, f = rng.choice(targets)
    call = by_signature(rng, name, f)
    if call.args and rng.random() < 0.6:
        call.args[0] = "tanh(a*b + c)" if f is expression.evaluate else one
    if name in ("MLP", "Neuron", "nn.Layer"):
        call.args = [
            weird(rng, large=False) if rng.random() < 0.3 else whole(1, 4)(rng) for _ in call.args
        ]
    return call


GROUPS: dict[str, Callable[[Random], Call]] = {
    "kernels": kernel_call,
    "ops": from_module(ops, activations),
    "Tensor": method_of(tensor_of),
    "Value": method_of(value_of),
    "layers": from_module(layers, without=("Layer",)),
    "losses, metrics": from_module(losses, metrics, without=("Loss", "Metric")),
    "optimizers, schedules": from_module(
        optimizers, optimizers.schedules, without=("Optimizer", "LearningRateSchedule")
    ),
    "initializers, regularizers": from_module(initializers, regularizers),
    "callbacks": from_module(callbacks),
    "models": model_call,
    "stepping": stepping_call,
    "top level, utils, saving": from_module(
        mg, utils, saving, without=("plot_model", "show_config")
    ),
}


# ------------------------------------------------------------------ using what comes back


def use(rng: Random, found: Any) -> None:
    """What one does with such a thing."""
    x = rng.choice(
        (array(rng, (3, 4), plain=True), array(rng, (2, 6, 5, 1), plain=True), array(rng))
    )
    if isinstance(found, Tensor) and found.size < 10_000:
        found.tolist()
        if found.requires_grad and rng.random() < 0.5:
            found.backward(np.ones(found.shape, found.dtype))
    elif isinstance(found, Value):
        found.backward()
    elif isinstance(found, layers.Layer):
        use(rng, found(x))
        type(found).from_config(found.get_config())
    elif isinstance(found, losses.Loss):
        use(rng, found(np.eye(4)[[0, 1, 2]], Tensor(np.abs(array(rng, (3, 4), plain=True)))))
    elif isinstance(found, metrics.Metric):
        found.update_state(*(np.eye(4)[[0, 1, 2]],) * (2 - isinstance(found, metrics.Mean)))
        found.result()
    elif isinstance(found, (optimizers.Optimizer, callbacks.Callback)):
        model = Sequential([layers.Input((4,)), layers.Dense(2)])
        optimizer = found if isinstance(found, optimizers.Optimizer) else "sgd"
        more = [found] if isinstance(found, callbacks.Callback) else []
        model.compile(optimizer, "mse")
        model.fit(np.ones((4, 4), "f4"), np.ones((4, 2), "f4"), 2, 2, 0, callbacks=more)
    elif callable(found) and type(found).__module__ in (
        initializers.__name__,
        regularizers.__name__,
    ):
        found((2, 3) if type(found).__module__ == initializers.__name__ else Tensor([1.0]))
    elif isinstance(found, optimizers.schedules.LearningRateSchedule):
        found(3)
    elif isinstance(found, Iterator):
        for _ in zip(range(20), found, strict=False):
            pass


@pytest.fixture
def _bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder for what is written, two GB for what is allocated, no network, and no hanging."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MICROGRAD_EXT_CACHE", str(tmp_path))
    before = mg.get_num_threads()
    limits = None
    if resource and "ASAN_OPTIONS" not in os.environ and Path("/proc/self/statm").exists():
        limits = resource.getrlimit(resource.RLIMIT_AS)
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 2**31, limits[1]))
    faulthandler.dump_traceback_later(1800, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        if limits:
            resource.setrlimit(resource.RLIMIT_AS, limits)
        mg.set_num_threads(before)


@pytest.mark.usefixtures("_bounded")
@pytest.mark.parametrize("group", GROUPS)
def test_any_call_works_or_says_why_not(group: str, ran: Counter[str]) -> None:
    faults: dict[tuple[str, str], str] = {}
    show = os.environ.get("MICROGRAD_EXT_SHOW_CALLS")
    first = int(os.environ.get("MICROGRAD_EXT_FIRST_CALL", "0"))
    worked = 0
    for number in range(first, first + CASES):
        rng = Random(f"{group} {number}")
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            call = GROUPS[group](rng)
            if show:  # os.write: nothing is kept back when it crashes
                os.write(2, f"{number} {call}\n".encode(errors="replace"))
            try:
                use(rng, call.f(*call.args, **call.how))
                worked += 1
            except DOCUMENTED as error:
                if not str(error) and not isinstance(error, MemoryError):
                    faults[call.name, "no words"] = f"{number} {call}: {error!r}"
            except Exception as error:
                if not may_raise(call, error):
                    faults.setdefault(
                        (call.name, where(error)[-40:]), f"{number} {call}: {where(error)}"
                    )
        ran[f"calls: {group}"] += 1
    assert worked > CASES // 20, "next to nothing worked: the arguments that fit do not fit"
    assert not faults, f"{len(faults)} kinds of faults:\n" + "\n".join([*faults.values()][:40])


def may_raise(call: Call, error: Exception) -> bool:
    """Indices, files, too large numbers and models not compiled have errors of their own."""
    if isinstance(error, NotImplementedError):  # of a base class: it names what is to be written
        return str(error) in ("Initializer.__call__",)
    if isinstance(error, RuntimeError):
        return "model" in str(error) and "first" in str(error)
    if isinstance(error, IndexError):
        return "getitem" in call.name
    if isinstance(error, OverflowError):
        return "too large" in str(error)
    if isinstance(error, AssertionError):  # it says that a gradient is wrong
        return call.name == "gradcheck"
    return isinstance(error, OSError)


def where(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:150]} ({Path(last.filename).name}:{last.lineno})"


# ------------------------------------------------------------------ what it has found

MATRIX = np.ones((1, 1)).view(np.matrix)  # numpy's own conversion of it to a number does not end
NUMBER, PAIR = Tensor(1.0), Tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: layers.Dropout(0.5, seed=MATRIX), ValueError, "seed: expected a whole number"),
        (lambda: utils.set_random_seed(MATRIX), ValueError, "seed: expected a whole number"),
        (lambda: initializers.RandomNormal(seed=MATRIX), ValueError, "seed: expected a whole num"),
        (lambda: NUMBER.transpose((0,)), ValueError, r"axis 0 is out of bounds for shape \(\)"),
        (lambda: layers.Reshape((1,))(NUMBER), ValueError, "batch of examples, got a number"),
        (lambda: layers.Flatten()(NUMBER), ValueError, "batch of examples, got a number"),
        (lambda: ops.softmax(PAIR, axis=3), ValueError, "axis 3 is out of bounds"),
        (lambda: ops.log_softmax(PAIR, axis="a"), TypeError, "axis: expected a whole number"),
        (
            lambda: losses.sparse_categorical_crossentropy([1], Tensor([[0.5, 0.5]]), axis=5),
            ValueError,
            "axis 5 is out of bounds",
        ),
        (
            lambda: layers.BatchNormalization(axis=7)(Tensor(np.ones((2, 3)))),
            ValueError,
            "axis: expected one of the axes behind the batch",
        ),
        (
            lambda: losses.CategoricalCrossentropy(label_smoothing="a"),
            ValueError,
            "label_smoothing: expected a number from 0 to 1",
        ),
        (
            lambda: optimizers.schedules.ExponentialDecay(np.inf, 10, 0.9),
            ValueError,
            "initial_learning_rate: expected a finite number",
        ),
        (
            lambda: optimizers.schedules.ExponentialDecay(0.1, 0, 0.9),
            ValueError,
            "decay_steps: expected a whole number >= 1",
        ),
        (lambda: initializers.RandomUniform(maxval=np.inf), ValueError, "maxval: expected a fin"),
        (lambda: initializers.RandomUniform(-1e308, 1e308), ValueError, "not farther apart"),
        (lambda: Value(1.0) < 10**400, ValueError, "too large for a float64"),
        (lambda: Value(1.0).__deepcopy__([]), TypeError, "memo: expected a dict, got"),
        (lambda: views.graph_tree(3), TypeError, "expected a Value or a Tensor, got int"),
        (lambda: views.to_dot("a"), TypeError, "expected a Value or a Tensor, got str"),
        (lambda: Sequential.from_config(3), ValueError, "config: expected what get_config"),
        (lambda: Sequential([layers.Dense(1)]).build(3), ValueError, "build: expected a shape"),
        (lambda: ops.average_pool2d(PAIR, 2), ValueError, "expected 4 dimensions, got shape"),
        (lambda: nn.Neuron(2**31), ValueError, "at most 10000000 parameters.* got 2147483649"),
        (lambda: nn.Layer(5_000, 5_000), ValueError, "Layer: expected at most 10000000"),
        (lambda: nn.MLP(2, [5_000, 5_000]), ValueError, "MLP: expected at most 10000000"),
        (lambda: nn.Layer(1.5, 2), ValueError, "Layer: nin: expected a whole number"),
    ],
)
def test_what_crashed_or_hung_or_gave_other_errors_teaches(
    call: Callable[[], Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        call()
