"""The C kernels against float64 numpy that goes another way, on every instruction set.

One row of ROWS per kernel: what to compare it with, and the cases. Each case runs in float32 and
float64, on 1, 2 and 3 threads, twice, from read-only inputs that lie between NaNs and begin where
no vector would.
"""

from __future__ import annotations

import ast
import doctest
import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from references import (
    NOT_KERNELS,
    RANDOM,
    Geometry,
    adam,
    adam_reference,
    conv2d_dw_reference,
    conv2d_dx_reference,
    conv2d_reference,
    conv2d_relu_pool_dw_reference,
    conv2d_relu_pool_dx_reference,
    conv2d_relu_pool_reference,
    fenced,
    max_pool2d_dx_reference,
    max_pool2d_reference,
    numbers,
    public_functions,
    relu_reference,
    results,
    run_python,
    tolerance,
)

from micrograd_ext import kernels
from micrograd_ext.compiler._executor import OPCODES, OPS, Executor
from micrograd_ext.kernels import _kernels

Array = npt.NDArray[Any]

ISAS = kernels.isas()
DTYPES = (np.float32, np.float64)
THREADS = (1, 2, 3)
# Around every vector width there is, in numbers: 2 to 16; the last are several vectors and a tail.
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 11, 15, 16, 17, 29, 53)
WIDE = (64, 69, 133)
# What the kernels think worth starting threads for; cases meant to be threaded have to be larger.
WORTH_THREADS = 200_000


class Case(NamedTuple):
    """Inputs and settings of one call, and how many numbers are added up for one of its results."""

    arrays: tuple[Array, ...]
    settings: dict[str, Any]
    length: int

    def __str__(self) -> str:
        return f"{[x.shape for x in self.arrays]} {self.settings}"


class Row(NamedTuple):
    """A kernel; the same in numpy; the cases."""

    kernel: Callable[..., Any]
    reference: Callable[..., Any]
    cases: Callable[[], Iterator[Case]]


def absolute(case: Case) -> list[Array]:
    """The sizes of the inputs' numbers: their reference bounds every partial sum."""
    return [np.abs(x) if x.dtype.kind == "f" else x for x in case.arrays]


# ------------------------------------------------------------------ the references, and their cases


def matmul_cases() -> Iterator[Case]:
    sizes = itertools.chain(
        itertools.product((0, 1, 5, 12, 25), (0, *CHANNELS, *WIDE), (0, 1, 2, 7)),
        itertools.product(range(1, 27), (1, 5, 17, 33, 53), (3,)),  # every height of a tile
        itertools.product((1, 7, 13), (1, 19, 40), (191, 192, 193, 384, 385, 770)),  # k is sliced
        itertools.product((1, 2), (1, 2, 16, 300), (*CHANNELS, 63, 64, 65, 127, 128, 130)),  # rows
        itertools.product((63, 64), (127, 128, 255, 256, 511, 512, 517), (16, 17)),  # b is packed
        [(383, 9, 9), (384, 9, 9), (385, 9, 9), (770, 3, 30), (2, 513, 20)],  # parts
        THREADED_MATMULS,
    )
    for m, n, k in sizes:
        yield Case((numbers(m, k), numbers(k, n)), {}, k)


THREADED_MATMULS = [(70, 60, 200), (1, 1600, 550), (1600, 1, 550), (13, 129, 500), (7, 140, 900)]


def sum_rows_cases() -> Iterator[Case]:
    sizes = itertools.chain(
        itertools.product((0, 1, 2, 9), (0, *CHANNELS, *WIDE)),
        itertools.product((1023, 1024, 1025, 2048, 2049), (1, 3, 20)),  # chunks of rows
        [(200_001, 1), (4100, 50), (5000, 67)],
    )
    for m, n in sizes:
        yield Case((numbers(m, n),), {}, m)


KERNELS = ((1, 1), (1, 3), (2, 2), (3, 3), (5, 5))
STRIDES = ((1, 1), (2, 2), (3, 3), (2, 1), (1, 3))
PADDINGS = ("valid", "same")

# (size, input channels, output channels, strides) of convolution sweeps that others run.
SWEEPS = ((4, 8, 16, (1,)), (32, 8, 16, (2,)), (32, 16, 8, (1,)), (14, 8, 16, (1, 2)))

THREADED_CONVOLUTIONS = [
    Geometry(1, 20, 21, 8, 3, 3, 16, (1, 1), "same"),
    Geometry(2, 14, 14, 8, 3, 3, 17, (1, 1), "valid"),
    Geometry(5, 19, 17, 7, 3, 2, 13, (2, 1), "same"),
    Geometry(11, 8, 8, 8, 3, 3, 16, (1, 1), "same"),  # more images than chunks of dw
    Geometry(13, 9, 11, 6, 5, 5, 9, (2, 3), "same"),
    Geometry(9, 28, 28, 1, 3, 3, 5, (1, 1), "valid"),
    Geometry(3, 2, 2, 192, 1, 1, 512, (1, 1), "valid"),  # dw so large that its chunks are ...
    Geometry(5, 2, 2, 512, 1, 1, 512, (1, 1), "valid"),  # ... few, and cut into parts,
    Geometry(3, 2, 2, 400, 2, 1, 700, (1, 1), "same"),  # ... or one
]


def geometries() -> Iterator[Geometry]:
    pairs = [(c, 3) for c in CHANNELS] + [(5, f) for f in CHANNELS]
    for (kh, kw), strides, padding in itertools.product(KERNELS, STRIDES, PADDINGS):
        for c, f in pairs if strides[0] == strides[1] else pairs[2:4]:
            yield Geometry(1 + (c + f) % 2, 6, 5, c, kh, kw, f, strides, padding)
    for (h, w), (kh, kw), stride in itertools.product(  # kernels larger than the image
        ((1, 1), (2, 3), (1, 4)), ((3, 3), (5, 5), (4, 7), (10, 2)), (1, 2, 3)
    ):
        yield Geometry(2, h, w, 3, kh, kw, 5, (stride, stride), "same")
    for w, f, (kh, kw) in itertools.product(range(1, 27), (3, 12, 20, 53), ((1, 1), (2, 3))):
        yield Geometry(1, 2, w, 2, kh, kw, f, (1, 1), "same")  # every height of a tile
    for f in WIDE:
        yield Geometry(1, 4, 5, 3, 3, 3, f, (1, 1), "same")
        yield Geometry(1, 4, 5, f, 3, 3, 3, (1, 1), "same")
    for size, c, f, strides_ in SWEEPS:
        for k, stride, padding in itertools.product((1, 3, 5), strides_, PADDINGS):
            if k <= size or padding == "same":
                yield Geometry(2, size, size, c, k, k, f, (stride, stride), padding)
    for n in (0, 1, 2, 3, 7, 8, 9, 17):
        yield Geometry(n, 5, 4, 3, 2, 3, 6, (1, 2), "same")
    yield Geometry(2, 5, 6, 3, 2, 2, 4, (50, 2**31 - 1), "valid")
    yield Geometry(2, 5, 6, 3, 2, 2, 4, (2**31 - 1, 50), "same")
    yield from THREADED_CONVOLUTIONS


def conv2d_cases() -> Iterator[Case]:
    for i, s in enumerate(geometries()):
        arrays = numbers(s.n, s.h, s.w, s.c), numbers(s.kh, s.kw, s.c, s.f), numbers(s.f)
        yield Case(arrays[: 2 + i % 2], s.settings, s.kh * s.kw * s.c + 1)


def conv2d_dx_cases() -> Iterator[Case]:
    for s in geometries():
        arrays = numbers(*s.output), numbers(s.kh, s.kw, s.c, s.f)
        settings = {"images_shape": (s.n, s.h, s.w, s.c), **s.settings}
        yield Case(arrays, settings, s.kh * s.kw * s.f)


def conv2d_dw_cases() -> Iterator[Case]:
    for s in geometries():
        arrays = numbers(s.n, s.h, s.w, s.c), numbers(*s.output)
        settings = {"kernel_shape": (s.kh, s.kw, s.c, s.f), **s.settings}
        yield Case(arrays, settings, s.output[0] * s.output[1] * s.output[2])


POOLS = ((1, 1), (2, 2), (3, 3), (2, 3), (3, 1))

THREADED_POOLINGS = [
    Geometry(1, 50, 60, 19, 2, 2, 19, (1, 1), "same"),
    Geometry(9, 28, 28, 32, 2, 2, 32, (2, 2), "valid"),
    Geometry(5, 30, 35, 19, 3, 3, 19, (2, 2), "same"),
]


def pool_geometries() -> Iterator[Geometry]:
    for (kh, kw), strides, padding in itertools.product(POOLS, (*STRIDES, None), PADDINGS):
        for c in (3, 8):
            yield Geometry(2, 6, 7, c, kh, kw, c, strides or (kh, kw), padding)
    for c in (*CHANNELS, *WIDE):
        yield Geometry(1, 5, 4, c, 2, 3, c, (2, 1), "same")
    for h, w, stride in itertools.product((1, 2), (1, 3), (1, 2, 3)):  # larger than the image
        yield Geometry(1, h, w, 3, 5, 4, 3, (stride, stride), "same")
    yield Geometry(2, 5, 6, 3, 40_000, 50_000, 3, (2, 3), "same")
    for n in (0, 1, 3, 9):
        yield Geometry(n, 4, 4, 5, 2, 2, 5, (2, 2), "valid")
    yield from THREADED_POOLINGS


def max_pool2d_cases() -> Iterator[Case]:
    for i, s in enumerate(pool_geometries()):
        x = numbers(s.n, s.h, s.w, s.c)
        if i % 3 == 1:
            x = np.round(x)  # ties, and -0.0 against 0.0
        if i % 3 == 2:
            x[RANDOM.random(x.shape) < 0.2] = np.nan
            x[RANDOM.random(x.shape) < 0.2] = np.inf
            x[RANDOM.random(x.shape) < 0.4] = -np.inf
        yield Case((x,), {"pool_size": (s.kh, s.kw), **s.settings}, 0)


def max_pool2d_dx_cases() -> Iterator[Case]:
    for i, s in enumerate(pool_geometries()):
        if s.kh > 100:  # every pixel of it is looked at: too slow
            continue
        low, high = ((0, s.kh * s.kw), (-3, s.kh * s.kw + 3))[i % 2]  # any places, right or wrong
        argmax = RANDOM.integers(low, high, s.output).astype(np.int32)
        settings = {"images_shape": (s.n, s.h, s.w, s.c), "pool_size": (s.kh, s.kw), **s.settings}
        yield Case((numbers(*s.output), argmax), settings, s.kh * s.kw)


# 2x2 windows of a 3x3 kernel's output: float32 kernels may go by Winograd.
WINOGRAD = [
    Geometry(5, 13, 13, 32, 3, 3, 64, (1, 1), "valid"),  # LeNet's; images share blocks of rows
    Geometry(3, 10, 9, 17, 3, 3, 21, (1, 1), "same"),  # channels are whole vectors and a tail
    Geometry(2, 8, 9, 33, 3, 3, 70, (1, 1), "valid"),
    Geometry(2, 7, 75, 16, 3, 3, 16, (1, 1), "same"),  # a row fills a block
    Geometry(3, 7, 6, 8, 3, 3, 9, (1, 1), "same"),  # vectors of 4 and 8 alone
    Geometry(1, 12, 5, 24, 3, 3, 131, (1, 1), "valid"),  # windows in one column
]

# One channel, 3x3 or 5x5 taps, 2x2 windows: two windows a vector, or one, or a window's filters in
# several vectors; an odd window at the end of a row, or none.
FEW_TAPS = [
    Geometry(2, 7 + side, 8 + f % 3, 1, side, side, f, (1, 1), padding)
    for side in (3, 5)
    for f, padding in itertools.product(
        (1, 2, 3, 4, 6, 8, 9, 16, 17, 32, 33, 49), ("valid", "same")
    )
]


def fused_geometries() -> Iterator[tuple[Geometry, tuple[int, int]]]:
    """Convolutions whose output holds a window at least."""
    pools = itertools.cycle([(2, 2), (1, 1), (3, 2), (1, 2), (2, 1)])
    more = [
        Geometry(2, 28, 28, 1, 3, 3, 32, (1, 1), "valid"),  # LeNet's
        Geometry(3, 13, 13, 32, 3, 3, 64, (1, 1), "valid"),
        Geometry(2, 28, 28, 1, 5, 5, 6, (1, 1), "same"),  # LeNet-5's
        Geometry(2, 14, 14, 6, 5, 5, 16, (1, 1), "valid"),
        Geometry(1, 6, 6, 64, 5, 5, 3, (1, 1), "same"),  # rows of many vectors
        Geometry(2, 6, 5, 7, 2, 3, 300, (1, 1), "same"),  # more channels than are counted at once
        Geometry(2, 6, 5, 1, 2, 3, 300, (1, 1), "same"),
        *(Geometry(1, 4, 5, c, 4, 1, 5, (1, 1), "same") for c in range(1, 140, 3)),
    ]
    for s in itertools.chain(geometries(), more):
        pool = next(pools)
        if s.output[1] >= pool[0] and s.output[2] >= pool[1]:
            yield s, pool
    yield Geometry(1, 20, 17, 2, 2, 2, 3, (1, 1), "valid"), (17, 15)  # 255 places
    for s in WINOGRAD + FEW_TAPS:
        yield s, (2, 2)


def conv2d_relu_pool_cases() -> Iterator[Case]:
    for i, (s, pool) in enumerate(fused_geometries()):
        # small whole numbers: exact, so that places and ties are the same everywhere
        x, w, b = (
            np.round(2 * numbers(*n))
            for n in ((s.n, s.h, s.w, s.c), (s.kh, s.kw, s.c, s.f), (s.f,))
        )
        if i % 3 == 2:
            x[RANDOM.random(x.shape) < 0.05] = np.nan
        yield Case((x, w, b)[: 2 + i % 2], {"pool_size": pool, **s.settings}, 0)


def any_winners(s: Geometry, pool: tuple[int, int], i: int) -> tuple[Array, Array]:
    """Gradients of the pooled output; places of a window, of none, and every third time wrong."""
    shape = s.n, s.output[1] // pool[0], s.output[2] // pool[1], s.f
    argmax = RANDOM.integers(0, pool[0] * pool[1] + (3 if i % 3 == 0 else 0), shape)
    argmax[RANDOM.random(shape) < 0.4] = 255
    return numbers(*shape), argmax.astype(np.uint8)


def conv2d_relu_pool_dx_cases() -> Iterator[Case]:
    for i, (s, pool) in enumerate(fused_geometries()):
        arrays = *any_winners(s, pool, i), numbers(s.kh, s.kw, s.c, s.f)
        settings = {"images_shape": (s.n, s.h, s.w, s.c), "pool_size": pool, **s.settings}
        yield Case(arrays, settings, s.kh * s.kw * s.f)


def conv2d_relu_pool_dw_cases() -> Iterator[Case]:
    for i, (s, pool) in enumerate(fused_geometries()):
        arrays = numbers(s.n, s.h, s.w, s.c), *any_winners(s, pool, i)
        settings = {"kernel_shape": (s.kh, s.kw, s.c, s.f), "pool_size": pool, **s.settings}
        yield Case(arrays, settings, s.output[0] * s.output[1] * s.output[2])


def special(*shape: int) -> Array:
    """Numbers among which are 0, -0, NaN and both infinities."""
    x = numbers(*shape)
    x.flat[::7] = np.resize([0.0, -0.0, np.nan, np.inf, -np.inf], x.flat[::7].shape)
    return x


RELU_SHAPES = [
    (),
    (0,),
    (3, 0),
    *((n,) for n in (*CHANNELS, *WIDE)),
    (2, 3, 4, 5),
    (16_383,),
    (16_385,),
    (3, 100_001),
]


def relu_cases() -> Iterator[Case]:
    for shape in RELU_SHAPES:
        yield Case((special(*shape),), {}, 0)


def relu_dx_cases() -> Iterator[Case]:
    for shape in RELU_SHAPES:
        yield Case((numbers(*shape), special(*shape)), {}, 0)


def adam_cases() -> Iterator[Case]:
    for shape in [*RELU_SHAPES, (40_000,)]:
        for rate in (-0.01, -3.0):  # negative: of positive numbers, all sums only grow
            arrays = *(numbers(*shape) for _ in range(3)), np.asarray(np.abs(numbers(*shape)))
            how = {"rate": rate, "beta_1": 0.75, "beta_2": 0.875, "epsilon": 2.0**-20}
            yield Case(arrays, how, 16)


ROWS = {
    "matmul": Row(kernels.matmul, np.matmul, matmul_cases),
    "sum_rows": Row(kernels.sum_rows, lambda x: x.sum(axis=0), sum_rows_cases),
    "conv2d": Row(kernels.conv2d, conv2d_reference, conv2d_cases),
    "conv2d_dx": Row(kernels.conv2d_dx, conv2d_dx_reference, conv2d_dx_cases),
    "conv2d_dw": Row(kernels.conv2d_dw, conv2d_dw_reference, conv2d_dw_cases),
    "max_pool2d": Row(kernels.max_pool2d, max_pool2d_reference, max_pool2d_cases),
    "max_pool2d_dx": Row(kernels.max_pool2d_dx, max_pool2d_dx_reference, max_pool2d_dx_cases),
    "conv2d_relu_pool": Row(
        kernels.conv2d_relu_pool, conv2d_relu_pool_reference, conv2d_relu_pool_cases
    ),
    "conv2d_relu_pool_dx": Row(
        kernels.conv2d_relu_pool_dx, conv2d_relu_pool_dx_reference, conv2d_relu_pool_dx_cases
    ),
    "conv2d_relu_pool_dw": Row(
        kernels.conv2d_relu_pool_dw, conv2d_relu_pool_dw_reference, conv2d_relu_pool_dw_cases
    ),
    "relu": Row(kernels.relu, relu_reference, relu_cases),
    "adam": Row(adam, adam_reference, adam_cases),
    "relu_dx": Row(kernels.relu_dx, lambda dy, y: np.where(y <= 0, 0, dy), relu_dx_cases),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ROWS)
def test_kernel(name: str, isa: str) -> None:
    kernel, reference, cases = ROWS[name]
    for case in cases():
        expected = results(reference(*case.arrays, **case.settings))
        bounds = results(reference(*absolute(case), **case.settings))
        for dtype in DTYPES:
            what = f"{name} of {case}, {np.dtype(dtype)}, {isa}"
            given = [fenced(x, dtype) for x in case.arrays]
            runs = [
                results(kernel(*given, **case.settings, isa=isa, threads=threads))
                for threads in (*THREADS, *THREADS)
            ]
            for got, want, bound in zip(runs[0], expected, bounds, strict=True):
                assert got.shape == want.shape, what
                assert got.dtype == (dtype if want.dtype.kind == "f" else want.dtype), what
                assert got.flags.c_contiguous, what
                right = (got == want) | (np.isnan(got) & np.isnan(want))
                with np.errstate(invalid="ignore"):
                    right |= np.abs(got - want) <= tolerance(dtype, case.length) * bound
                assert np.all(right), f"{what}: first wrong at {np.argwhere(~right)[0]}"
            for run in runs[1:]:
                for got, first in zip(run, runs[0], strict=True):
                    assert got.tobytes() == first.tobytes(), f"{what}: another run, other bits"
            for x, before in zip(given, case.arrays, strict=True):
                np.testing.assert_array_equal(x, before, err_msg=f"{what}: input modified")


def test_every_kernel_has_a_row() -> None:
    assert {*ROWS, *NOT_KERNELS} == set(public_functions())


def test_threaded_cases_are_worth_threads() -> None:
    for m, n, k in THREADED_MATMULS:
        assert m * n * k >= 4 * WORTH_THREADS
    for s in THREADED_CONVOLUTIONS:
        assert np.prod(s.output) * s.kh * s.kw * s.c >= WORTH_THREADS
    for s in THREADED_POOLINGS:
        assert np.prod(s.output) * s.kh * s.kw >= WORTH_THREADS


# ------------------------------------------------------------------ each kernel's own facts


def test_conv2d_and_its_gradients_are_adjoint() -> None:
    """<conv(x, w), dy> = <x, dx> = <w, dw>, whatever the three are."""
    for s, isa, dtype in itertools.product(geometries(), ISAS, DTYPES):
        x = numbers(s.n, s.h, s.w, s.c).astype(dtype)
        w = numbers(s.kh, s.kw, s.c, s.f).astype(dtype)
        dy = numbers(*s.output).astype(dtype)
        how = {**s.settings, "isa": isa, "threads": 2}
        y = kernels.conv2d(x, w, **how)
        dx = kernels.conv2d_dx(dy, w, x.shape, **how)
        dw = kernels.conv2d_dw(x, dy, w.shape, **how)
        products = [(a.ravel(), b.ravel()) for a, b in ((y, dy), (x, dx), (w, dw))]
        found = [np.dot(a.astype(np.float64), b.astype(np.float64)) for a, b in products]
        each = kernels.conv2d(abs(x).astype(np.float64), abs(w).astype(np.float64), **how)
        sizes = np.dot(each.ravel(), abs(dy).ravel())  # of the products that all three add up
        assert np.ptp(found) <= tolerance(dtype, s.kh * s.kw * s.c * s.f) * sizes, (s, isa)


def layouts(x: Array) -> Iterator[tuple[str, Array]]:
    """The same numbers, laid out in memory in every way."""
    yield "C order", x
    yield "Fortran order", np.asfortranarray(x)
    yield "rows backwards", np.ascontiguousarray(x[::-1])[::-1]
    yield "columns backwards", np.ascontiguousarray(x[:, ::-1])[:, ::-1]
    yield "both backwards, Fortran", np.asfortranarray(x[::-1, ::-1])[::-1, ::-1]
    yield "every third of a larger one", np.kron(x, np.ones((2, 3), x.dtype))[::2, ::3]
    yield "every second row, transposed", np.repeat(x.T, 2, axis=0)[::2].T
    yield "real parts", (x + 1j * np.ones_like(x)).astype(np.result_type(x, np.complex64)).real
    yield "one row, broadcast", np.broadcast_to(x[:1], x.shape)
    yield "one column, broadcast", np.broadcast_to(x[:, :1], x.shape)
    yield "one number, broadcast", np.broadcast_to(x[:1, :1], x.shape)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_takes_any_strides(dtype: npt.DTypeLike, isa: str) -> None:
    for m, n, k in (
        *((1, 1, 1), (2, 3, 1), (13, 35, 21), (30, 37, 280), (1, 67, 19), (37, 1, 70)),
        *((65, 530, 17), (600, 260, 3)),  # lines are far from each other: packed
    ):
        a, b = (np.round(3 * numbers(*s)).astype(dtype) for s in ((m, k), (k, n)))  # exact sums
        for (name_a, av), (name_b, bv) in itertools.product(layouts(a), layouts(b)):
            assert av.shape == a.shape
            assert av.dtype == a.dtype
            expected = np.einsum("ik,kj->ij", av.astype(np.int64), bv.astype(np.int64))
            for threads in THREADS:
                np.testing.assert_array_equal(
                    kernels.matmul(av, bv, isa=isa, threads=threads),
                    expected,
                    err_msg=f"{name_a} times {name_b}, {m} {n} {k}",
                )


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_gives_a_row_the_same_bits_in_any_company(dtype: npt.DTypeLike, isa: str) -> None:
    for m, n, k in ((71, 1, 50), (71, 10, 1200), (71, 48, 33), (71, 600, 40), (540, 133, 20)):
        a, b = numbers(m, k).astype(dtype), numbers(k, n).astype(dtype)
        for av, bv in itertools.product((a, np.asfortranarray(a)), (b, np.asfortranarray(b))):
            whole = kernels.matmul(av, bv, isa=isa, threads=1)
            for rows, threads in itertools.product((1, 2, 12, 13, 64, 65, m), THREADS):
                part = kernels.matmul(av[m - rows :], bv, isa=isa, threads=threads)
                assert part.tobytes() == whole[m - rows :].tobytes(), (rows, m, n, k)


DENSE = """
import numpy as np
from micrograd_ext import kernels
from micrograd_ext.compiler._executor import Executor
random = np.random.default_rng(0)
for m, n, k in [(m, n, k) for m in (1, 13, 70) for n in (1, 10, 16, 53) for k in (1, 40, 255, 787)]:
    x, w, bias = (random.standard_normal(s, np.float32) for s in ((m, k), (k, n), n))
    x[0, 0] = np.nan
    half = 400 if k == 787 else k  # of many inputs, the halves are products of their own
    product = kernels.matmul(x[:, :half], w[:half])
    if half < k:
        product += kernels.matmul(x[:, half:], w[half:])
    for b, relu in ((bias, False), (bias, True), (None, False), (None, True)):
        y = np.full((m, n), 7, np.float32)
        dense = {"x": x, "w": w, "bias": b, "y": y, "rows": 1, "k": k, "units": n, "relu": relu}
        Executor([("dense", dense)], m).run(0, m)
        expected = product if b is None else product + b
        np.testing.assert_array_equal(y, np.maximum(expected, 0) if relu else expected)
"""


@pytest.mark.parametrize("isa", ISAS)
def test_matmul_adds_a_bias_and_takes_the_relu(isa: str) -> None:
    """As in a program's dense step: just like numpy does both afterwards."""
    done = run_python(DENSE, MICROGRAD_EXT_ISA=isa)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_forgets_a_mean_that_became_subnormal(dtype: npt.DTypeLike, isa: str) -> None:
    tiny = np.finfo(dtype).tiny
    m = np.array([1.05, 1.2, -1.05, -1.2, 0, np.nan], dtype) * tiny
    x, v = np.ones_like(m), np.ones_like(m)
    kernels.adam(x, np.zeros_like(m), m, v, 0.1, isa=isa)
    assert m[[0, 2, 4]].tolist() == [0, 0, 0]
    np.testing.assert_allclose(m[[1, 3]], np.array([1.08, -1.08]) * tiny, rtol=1e-6)
    assert np.isnan(m[5])


def test_matmul_takes_a_matrix_and_its_transpose() -> None:
    a = numbers(20, 11)
    np.testing.assert_allclose(kernels.matmul(a, a.T), np.einsum("ik,jk->ij", a, a), atol=1e-13)
    np.testing.assert_allclose(kernels.matmul(a.T, a), np.einsum("ki,kj->ij", a, a), atol=1e-13)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
class TestMaxPool2d:
    @staticmethod
    def pool(images: Any, dtype: npt.DTypeLike, **how: Any) -> tuple[Array, Array]:
        """One image of 19 equal channels, which must all fare alike."""
        x = np.repeat(np.asarray(images, dtype)[None, :, :, None], 19, axis=3)
        maxima, argmax = kernels.max_pool2d(x, **how)
        for found in (maxima, argmax):
            np.testing.assert_array_equal(found, np.repeat(found[..., :1], 19, axis=3))
        return maxima[0, :, :, 0], argmax[0, :, :, 0]

    def test_the_article_s_image(self, dtype: npt.DTypeLike, isa: str) -> None:
        maxima, argmax = self.pool([[10, 6, 4, 6], [8, 2, 12, 5]], dtype, isa=isa)
        assert maxima.tolist() == [[10, 12]]
        assert argmax.tolist() == [[0, 2]]

    def test_first_of_equals_wins(self, dtype: npt.DTypeLike, isa: str) -> None:
        for place in range(9):
            window = np.zeros(9)
            window[place:] = 1
            maxima, argmax = self.pool(window.reshape(3, 3), dtype, pool_size=3, isa=isa)
            assert maxima.item() == 1
            assert argmax.item() == place
        assert self.pool([[-0.0, 0.0], [0.0, -0.0]], dtype, isa=isa)[1].item() == 0

    def test_first_nan_wins(self, dtype: npt.DTypeLike, isa: str) -> None:
        for first, second in itertools.combinations(range(9), 2):
            window = np.full(9, np.inf)
            window[[first, second]] = np.nan
            maxima, argmax = self.pool(window.reshape(3, 3), dtype, pool_size=3, isa=isa)
            assert np.isnan(maxima.item())
            assert argmax.item() == first

    def test_minus_infinity_is_a_number(self, dtype: npt.DTypeLike, isa: str) -> None:
        maxima, argmax = self.pool(
            np.full((3, 3), -np.inf), dtype, pool_size=3, strides=1, padding="same", isa=isa
        )
        assert np.all(maxima == -np.inf)
        # the first pixel of the window that is in the image, not the padding
        assert argmax.tolist() == [[4, 3, 3], [1, 0, 0], [1, 0, 0]]

    def test_padding_never_wins(self, dtype: npt.DTypeLike, isa: str) -> None:
        maxima, _ = self.pool(
            np.full((4, 5), -3.0), dtype, pool_size=(3, 2), padding="same", isa=isa
        )
        assert np.all(maxima == -3)

    def test_a_stray_winner_sends_nothing(self, dtype: npt.DTypeLike, isa: str) -> None:
        stray = [-1, 4, 5, 2**31 - 1, -(2**31), -4]
        argmax = np.array(stray, np.int32).reshape(1, 2, 3, 1)
        dy = np.ones(argmax.shape, dtype)
        dx = kernels.max_pool2d_dx(dy, argmax, (1, 4, 6, 1), isa=isa)
        assert not dx.any()
        # in the window, but in the padding: the top row of the windows that hang over the top
        argmax = np.array([[0, 1, 2], [3, 3, 3]], np.int32).reshape(1, 2, 3, 1)
        dx = kernels.max_pool2d_dx(dy, argmax, (1, 3, 9, 1), 3, padding="same", strides=(2, 3))
        assert dx.sum() == 3
        np.testing.assert_array_equal(np.argwhere(dx)[:, 1:3], [[2, 0], [2, 3], [2, 6]])

    def test_overlapping_windows_add_up(self, dtype: npt.DTypeLike, isa: str) -> None:
        x = np.zeros((1, 5, 5, 3), dtype)
        x[0, 2, 2] = 9
        y, argmax = kernels.max_pool2d(x, 3, strides=1, isa=isa)
        assert np.all(y == 9)
        dy = np.arange(27, dtype=dtype).reshape(y.shape)
        dx = kernels.max_pool2d_dx(dy, argmax, x.shape, 3, strides=1, isa=isa)
        np.testing.assert_array_equal(dx[0, 2, 2], dy.sum(axis=(0, 1, 2)))
        assert np.count_nonzero(dx) == 3

    def test_gradients_need_not_be_finite(self, dtype: npt.DTypeLike, isa: str) -> None:
        x = np.zeros((1, 2, 4, 1), dtype)
        _, argmax = kernels.max_pool2d(x, isa=isa)
        dy = np.array([np.nan, np.inf], dtype).reshape(1, 1, 2, 1)
        dx = kernels.max_pool2d_dx(dy, argmax, x.shape, isa=isa)
        expected = [[np.nan, 0, np.inf, 0], [0, 0, 0, 0]]
        np.testing.assert_array_equal(dx[0, :, :, 0], expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("s", WINOGRAD)
class TestWinograd:
    """conv2d_relu_pool where float32 does not simply add products up."""

    @staticmethod
    def arrays(s: Geometry) -> tuple[Array, Array, Array]:
        """Images as a layer before left them, a kernel, and a bias."""
        return (
            np.maximum(numbers(s.n, s.h, s.w, s.c), 0),
            numbers(3, 3, s.c, s.f),
            numbers(s.f),
        )

    @staticmethod
    def pool(s: Geometry, arrays: Sequence[Array], isa: str, threads: int = 2) -> list[Array]:
        """In float32, between NaNs."""
        given = [fenced(x, np.float32) for x in arrays]
        how = {"padding": s.padding, "isa": isa, "threads": threads}
        return list(kernels.conv2d_relu_pool(*given, **how))

    def test_real_numbers(self, s: Geometry, isa: str) -> None:
        x, w, b = arrays = self.arrays(s)
        y, argmax = self.pool(s, arrays, isa, 1)
        z = np.maximum(conv2d_reference(x, w, b, **s.settings), 0)
        _, qh, qw, _ = y.shape
        windows = z[:, : 2 * qh, : 2 * qw].reshape(s.n, qh, 2, qw, 2, s.f)
        windows = windows.transpose(0, 1, 3, 5, 2, 4).reshape(*y.shape, 4)
        size = conv2d_reference(x, abs(w), abs(b), **s.settings).max(axis=(1, 2, 3), keepdims=True)
        bound = tolerance(np.float32, 9 * s.c + 1) * size
        assert np.all(abs(y - windows.max(axis=-1)) <= bound)
        np.testing.assert_array_equal(y == 0, argmax == 255)
        chosen = np.take_along_axis(windows, np.minimum(argmax, 3)[..., None], axis=-1)[..., 0]
        assert np.all(abs(y - np.where(argmax == 255, 0, chosen)) <= bound)
        for threads in THREADS:
            for again, first in zip(self.pool(s, arrays, isa, threads), (y, argmax), strict=True):
                assert again.tobytes() == first.tobytes(), threads

    def test_only_float32_and_enough_channels(self, s: Geometry, isa: str) -> None:
        """Where it is not Winograd, it is conv2d, bit for bit."""
        for dtype in DTYPES:
            x, w, b = (x.astype(dtype) for x in self.arrays(s))
            y, _ = kernels.conv2d_relu_pool(x, w, b, padding=s.padding, isa=isa)
            z = kernels.relu(kernels.conv2d(x, w, b, padding=s.padding, isa=isa))
            same = np.array_equal(y, kernels.max_pool2d(z, isa=isa)[0])
            assert same == (dtype == np.float64 or (isa == "avx512" and s.c < 16))

    def test_no_image_depends_on_the_others(self, s: Geometry, isa: str) -> None:
        x, w, b = self.arrays(s)
        x[0, 3, 3, 3] = np.nan
        x[s.n // 2, 0, 1, 0] = np.inf
        together = self.pool(s, (x, w, b), isa)
        for n in range(s.n):
            for one, all_ in zip(self.pool(s, (x[n : n + 1], w, b), isa), together, strict=True):
                assert one.tobytes() == all_[n : n + 1].tobytes()

    def test_numbers_that_are_not_finite(self, s: Geometry, isa: str) -> None:
        """They stay in the windows that see them, and ties are as among other numbers."""
        x, w, b = (np.round(2 * x) for x in self.arrays(s))
        w[w == 0] = 1  # inf * 0 is NaN
        for number in (np.nan, np.inf, -np.inf):
            images, kernel, bias = given = x.copy(), w.copy(), b.copy()
            images[0, 4, 3, 2] = images[-1, -1, -1, -1] = number
            for array in (images, bias, kernel):
                array.flat[array.size // 2] = number
                with np.errstate(invalid="ignore"):
                    expected = conv2d_relu_pool_reference(*given, pool_size=(2, 2), **s.settings)
                for got, want in zip(self.pool(s, given, isa), expected, strict=True):
                    np.testing.assert_array_equal(got, want)

    def test_numbers_whose_sums_are_not_finite(self, s: Geometry, isa: str) -> None:
        """Every window sees one large number; a tile of Winograd's adds several up."""
        x, w = np.zeros((s.n, s.h, s.w, s.c)), np.sign(numbers(3, 3, s.c, s.f))
        x[:, ::3, ::3, 5] = np.float32(3e38)
        expected = conv2d_relu_pool_reference(x, w, pool_size=(2, 2), **s.settings)
        for got, want in zip(self.pool(s, (x, w), isa), expected, strict=True):
            np.testing.assert_array_equal(got, want)


def test_pool_size_is_the_default_stride() -> None:
    x = numbers(2, 7, 9, 3)
    for pool in (2, 3, (3, 2)):
        for got, want in zip(
            kernels.max_pool2d(x, pool), kernels.max_pool2d(x, pool, strides=pool), strict=True
        ):
            np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(kernels.max_pool2d(x)[0], kernels.max_pool2d(x, (2, 2))[0])


def test_numbers_and_pairs_may_be_of_any_kind() -> None:
    x, w = numbers(1, 6, 6, 2), numbers(2, 2, 2, 3)
    expected = kernels.conv2d(x, w, strides=(2, 2))
    for strides in (2, [2, 2], np.int64(2), (np.int8(2), 2)):
        np.testing.assert_array_equal(kernels.conv2d(x, w, strides=strides), expected)
    dy = np.ones_like(expected)
    dx = kernels.conv2d_dx(dy, w, list(x.shape), strides=2)
    np.testing.assert_array_equal(dx, kernels.conv2d_dx(dy, w, x.shape, strides=2))


def test_results_are_new_and_writeable() -> None:
    for kernel, _, cases in ROWS.values():
        case = next(case for case in cases() if min(x.size for x in case.arrays))
        for result in results(kernel(*case.arrays, **case.settings)):
            assert result.flags.writeable
            assert not any(np.shares_memory(result, x) for x in case.arrays)


# ------------------------------------------------------------------ bad input

X, W, B = np.zeros((2, 5, 6, 3)), np.zeros((3, 3, 3, 4)), np.zeros(4)
DY = np.zeros((2, 3, 4, 4))
POOLED = np.zeros((2, 2, 3, 3))
WINNER = np.zeros((2, 2, 3, 3), np.int32)
FUSED_DY, FUSED_WINNER = np.zeros((2, 1, 2, 4)), np.zeros((2, 1, 2, 4), np.uint8)
M = np.zeros((2, 3))


def unaligned(x: Array) -> Array:
    """A copy that begins at an odd address."""
    room = np.zeros(x.nbytes + 1, np.uint8)
    y: Array = room[1:].view(x.dtype).reshape(x.shape)
    assert not y.flags.aligned
    return y


def call(name: str, *args: Any, **how: Any) -> Callable[[], Any]:
    return lambda: getattr(kernels, name)(*args, **how)


Bad = tuple[Callable[[], Any], type[Exception], str]
BAD: dict[str, Bad] = {
    "list": (call("matmul", [[1.0]], M), TypeError, "matmul: a: expected a numpy array, got list"),
    "number": (call("sum_rows", 3.0), TypeError, "sum_rows: x: expected a numpy array, got float"),
    "None": (call("conv2d", X, None), TypeError, "conv2d: kernel: expected a numpy.*NoneType"),
    "int": (call("sum_rows", M.astype(int)), TypeError, "x: expected float32 or float64.*int64"),
    "float16": (call("relu", M.astype(np.float16)), TypeError, "relu: x: .* got float16"),
    "complex": (call("matmul", M, M.astype(complex)), TypeError, "matmul: b: .* got complex128"),
    "bool": (call("conv2d", X > 0, W), TypeError, "conv2d: images: .* got bool"),
    "object": (call("conv2d", X, W, B.astype(object)), TypeError, "conv2d: bias: .* got object"),
    "big-endian": (
        call("sum_rows", M.astype(M.dtype.newbyteorder())),
        TypeError,
        r"native byte order.* got [<>]f8",
    ),
    "mixed, matmul": (
        call("matmul", M, M.T.astype(np.float32)),
        TypeError,
        "matmul: a is float64 but b is float32",
    ),
    "mixed, kernel": (
        call("conv2d", X, W.astype(np.float32)),
        TypeError,
        "conv2d: images is float64 but kernel is float32",
    ),
    "mixed, bias": (
        call("conv2d", X, W, B.astype(np.float32)),
        TypeError,
        "conv2d: images is float64 but bias is float32",
    ),
    "mixed, dx": (
        call("conv2d_dx", DY.astype(np.float32), W, X.shape),
        TypeError,
        "conv2d_dx: dy is float32 but kernel is float64",
    ),
    "mixed, dw": (
        call("conv2d_dw", X, DY.astype(np.float32), W.shape),
        TypeError,
        "conv2d_dw: images is float64 but dy is float32",
    ),
    "mixed, relu": (call("relu_dx", M, M.astype(np.float32)), TypeError, "dy is float64 but y is"),
    "rank, matmul": (call("matmul", M[0], M), ValueError, r"a: expected 2 dimensions.*\(3,\)"),
    "rank, sum_rows": (call("sum_rows", X), ValueError, "sum_rows: x: expected 2 dimensions"),
    "rank, images": (call("conv2d", X[0], W), ValueError, r"images: expected 4 .*\(5, 6, 3\)"),
    "rank, kernel": (call("conv2d", X, W[0]), ValueError, "conv2d: kernel: expected 4 dimensions"),
    "rank, bias": (call("conv2d", X, W, B[None]), ValueError, "bias: expected 1 dimensions"),
    "rank, pool": (call("max_pool2d", X[0]), ValueError, "max_pool2d: images: expected 4"),
    "inner sizes": (call("matmul", M, M), ValueError, r"a has 3 columns but b has 2 rows"),
    "channels": (call("conv2d", X, W[:, :, :2].copy()), ValueError, "expects 2 input channels"),
    "channels, dw": (
        call("conv2d_dw", X, DY, (3, 3, 2, 4)),
        ValueError,
        "conv2d_dw: kernel expects 2 input channels",
    ),
    "bias size": (call("conv2d", X, W, B[:3]), ValueError, r"bias: expected shape \(4,\).*\(3,\)"),
    "too high": (call("conv2d", X[:, :2].copy(), W), ValueError, "kernel height of 3 .* of 2"),
    "too wide": (call("conv2d", X[:, :, :2].copy(), W), ValueError, "kernel width of 3 .* of 2"),
    "pool too high": (call("max_pool2d", X, (6, 1)), ValueError, "pool_size height of 6 .* of 5"),
    "pool too wide": (call("max_pool2d", X, (1, 7)), ValueError, "pool_size width of 7 .* of 6"),
    "empty images": (call("conv2d", X[:, :0], W), ValueError, "images: expected no empty axis but"),
    "empty channels": (call("conv2d", X[..., :0], W[:, :, :0]), ValueError, "no empty axis"),
    "empty kernel": (call("conv2d", X, W[:0]), ValueError, "kernel: expected no empty axis"),
    "no filters": (call("conv2d", X, W[..., :0]), ValueError, "kernel: expected no empty axis"),
    "empty pool": (call("max_pool2d", X[:, :, :0]), ValueError, "max_pool2d: images: expected no"),
    "transposed": (call("sum_rows", M.T), ValueError, "C-contiguous .*numpy.ascontiguousarray"),
    "strided images": (call("conv2d", X[:, ::2], W), ValueError, "conv2d: images: .*C-contiguous"),
    "strided kernel": (call("conv2d", X, W[..., ::-1]), ValueError, "conv2d: kernel: .*C-contig"),
    "strided bias": (call("conv2d", X, W, np.zeros(8)[::2]), ValueError, "bias: .*C-contiguous"),
    "strided dy": (call("conv2d_dx", DY[..., ::-1], W, X.shape), ValueError, "dy: .*C-contiguous"),
    "strided pool": (call("max_pool2d", X[..., ::2]), ValueError, "max_pool2d: images: .*C-contig"),
    "strided argmax": (
        call("max_pool2d_dx", POOLED, WINNER[::-1], X.shape),
        ValueError,
        "argmax: expected a C-contiguous array",
    ),
    "strided relu": (call("relu", M.T), ValueError, "relu: x: .*C-contiguous"),
    "unaligned": (call("sum_rows", unaligned(M)), ValueError, "sum_rows: x: expected an aligned"),
    "unaligned matmul": (call("matmul", M, unaligned(M.T)), ValueError, "matmul: b: .*aligned"),
    "unaligned argmax": (
        call("max_pool2d_dx", POOLED, unaligned(WINNER), X.shape),
        ValueError,
        "argmax: expected an aligned",
    ),
    "strides 0": (call("conv2d", X, W, strides=0), ValueError, "conv2d: strides: .*from 1 .*got 0"),
    "strides -1": (call("conv2d", X, W, strides=(1, -1)), ValueError, "strides: .* got -1"),
    "strides True": (call("conv2d", X, W, strides=True), TypeError, "whole number, got True"),
    "strides 1.0": (call("conv2d", X, W, strides=(1.0, 1)), TypeError, "whole number, got 1.0"),
    "strides None": (call("conv2d", X, W, strides=None), TypeError, "whole number, got None"),
    "strides '1'": (call("conv2d", X, W, strides="1"), TypeError, "whole number, got '1'"),
    "strides huge": (call("conv2d", X, W, strides=2**70), ValueError, f"strides: .*{2**70}"),
    "strides 2**31": (call("conv2d", X, W, strides=2**31), ValueError, "from 1 to 2147483647"),
    "three strides": (call("conv2d", X, W, strides=(1, 1, 1)), ValueError, "or two .height, width"),
    "pool 0": (call("max_pool2d", X, 0), ValueError, "max_pool2d: pool_size: .* got 0"),
    "pool float": (call("max_pool2d", X, 2.0), TypeError, "pool_size: expected a whole number"),
    "pool huge": (call("max_pool2d", X, 2**70), ValueError, "pool_size: expected a number from 1"),
    "pool of many": (
        call("max_pool2d", X, (2**30, 2**30), padding="same"),
        ValueError,
        "pool_size: expected at most 2147483647 pixels",
    ),
    "pool strides": (call("max_pool2d", X, strides=0), ValueError, "max_pool2d: strides: .*got 0"),
    "padding": (call("conv2d", X, W, padding="full"), ValueError, "'valid' or 'same', got 'full'"),
    "padding None": (call("max_pool2d", X, padding=None), ValueError, "'same', got None"),
    "padding 1": (call("conv2d_dw", X, DY, W.shape, padding=1), ValueError, "conv2d_dw: padding"),
    "dy of dx": (
        call("conv2d_dx", DY[:1], W, X.shape),
        ValueError,
        r"conv2d_dx: dy: expected the shape of the output \(2, 3, 4, 4\).*got \(1, 3, 4, 4\)",
    ),
    "dy of dw": (call("conv2d_dw", X, DY, W.shape, padding="same"), ValueError, "dy: expected"),
    "dy of pool": (
        call("max_pool2d_dx", X, WINNER, X.shape),
        ValueError,
        "dy: expected the shape of",
    ),
    "dy of relu": (call("relu_dx", M, M[:1]), ValueError, r"dy: .* of y \(1, 3\), got \(2, 3\)"),
    "argmax int64": (
        call("max_pool2d_dx", POOLED, WINNER.astype(np.int64), X.shape),
        TypeError,
        r"argmax: expected int32 \(native byte order\), got int64",
    ),
    "argmax list": (
        call("max_pool2d_dx", POOLED, [0], X.shape),
        TypeError,
        "numpy array, got list",
    ),
    "argmax shape": (
        call("max_pool2d_dx", POOLED, WINNER[:1], X.shape),
        ValueError,
        r"argmax: expected the shape of dy \(2, 2, 3, 3\), got \(1, 2, 3, 3\)",
    ),
    "shape of three": (call("conv2d_dx", DY, W, (5, 6, 3)), ValueError, "expected four sizes"),
    "shape an int": (call("conv2d_dx", DY, W, 5), ValueError, "images_shape: expected four sizes"),
    "shape float": (call("conv2d_dx", DY, W, (2, 5, 6, 3.0)), TypeError, "whole number, got 3.0"),
    "shape negative": (call("conv2d_dx", DY, W, (-2, 5, 6, 3)), ValueError, "images_shape: .* -2"),
    "shape with 0": (call("conv2d_dw", X, DY, (3, 0, 3, 4)), ValueError, "kernel_shape: .* got 0"),
    "shape huge": (call("conv2d_dw", X, DY, (3, 3, 3, 2**70)), ValueError, "kernel_shape: .* got"),
    "shape of pool": (call("max_pool2d_dx", POOLED, WINNER, None), ValueError, "sizes, got None"),
    "fused pool too large": (
        call("conv2d_relu_pool", X, W, B, (4, 1)),
        ValueError,
        "pool_size: a window of 4 x 1 does not fit into the convolution's output of 3 x 4",
    ),
    "fused pool of many": (
        call("conv2d_relu_pool", np.zeros((1, 20, 20, 3)), W, B, 16),
        ValueError,
        "pool_size: expected at most 255 pixels, got 16",
    ),
    "fused bias": (
        call("conv2d_relu_pool", X, W, B[:3]),
        ValueError,
        r"bias: expected shape \(4,\)",
    ),
    "fused mixed": (
        call("conv2d_relu_pool", X, W.astype(np.float32)),
        TypeError,
        "conv2d_relu_pool: images is float64 but kernel is float32",
    ),
    "fused dy": (
        call("conv2d_relu_pool_dx", DY, FUSED_WINNER, W, X.shape),
        ValueError,
        r"dx: dy: expected the shape of the output \(2, 1, 2, 4\), got \(2, 3, 4, 4\)",
    ),
    "fused argmax": (
        call("conv2d_relu_pool_dx", FUSED_DY, FUSED_WINNER[:1], W, X.shape),
        ValueError,
        "conv2d_relu_pool_dx: argmax: expected the shape of dy",
    ),
    "fused argmax int32": (
        call("conv2d_relu_pool_dw", X, FUSED_DY, FUSED_WINNER.astype(np.int32), W.shape),
        TypeError,
        r"conv2d_relu_pool_dw: argmax: expected uint8 \(native byte order\), got int32",
    ),
    "fused argmax strided": (
        call("conv2d_relu_pool_dw", X, FUSED_DY, FUSED_WINNER[:, :, ::-1], W.shape),
        ValueError,
        "conv2d_relu_pool_dw: argmax: expected a C-contiguous",
    ),
    "fused shape": (
        call("conv2d_relu_pool_dx", FUSED_DY, FUSED_WINNER, W, (5, 6, 3)),
        ValueError,
        "conv2d_relu_pool_dx: images_shape: expected four sizes",
    ),
    "adam shape": (
        call("adam", M, M[:1], M * 1, M * 2, 0.1),
        ValueError,
        r"adam: dx: expected the",
    ),
    "adam dtype": (
        call("adam", M, M * 1, M * 2, M.astype(np.float32), 0.1),
        TypeError,
        "adam: x is float64 but v is float32",
    ),
    "adam overlap": (
        call("adam", M, M * 1, M, M * 2, 0.1),
        ValueError,
        "adam: x and m: expected arrays that do not overlap",
    ),
    "adam read-only": (
        call("adam", M, M * 1, M * 2, np.broadcast_to(0.0, ()), 0.1),
        ValueError,
        "adam: v: expected an array that may be written to",
    ),
    "adam rate": (
        call("adam", M, M * 1, M * 2, M * 3, "fast"),
        TypeError,
        "adam: rate: expected a number, got 'fast'",
    ),
    "isa": (call("matmul", M, M.T, isa="mmx"), ValueError, "isa: expected .*baseline.*'mmx'"),
    "isa 0": (call("relu", M, isa=0), ValueError, "isa: expected one of .* got 0"),
    "threads 0": (call("matmul", M, M.T, threads=0), ValueError, "threads: expected .* 1 .* got 0"),
    "threads -1": (call("relu", M, threads=-1), ValueError, "threads: expected .* got -1"),
    "threads 2.0": (call("sum_rows", M, threads=2.0), TypeError, "threads: .*number, got 2.0"),
    "threads many": (call("sum_rows", M, threads=1025), ValueError, "from 1 to 1024, got 1025"),
    "set threads 0": (call("set_num_threads", 0), ValueError, "threads: expected .* got 0"),
    "set threads True": (call("set_num_threads", True), TypeError, "threads: .* got True"),
    "set threads None": (call("set_num_threads", None), TypeError, "threads: .* got None"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    bad, error, message = BAD[name]
    with pytest.raises(error, match=message):
        bad()


def test_bad_input_is_bad_in_an_empty_batch_too() -> None:
    none = X[:0]
    with pytest.raises(ValueError, match="isa: expected"):
        kernels.conv2d(none, W, isa="mmx")
    with pytest.raises(ValueError, match="dy: expected the shape of the output"):
        kernels.conv2d_dw(none, DY, W.shape)
    with pytest.raises(ValueError, match="isa: expected"):
        kernels.matmul(M[:0], M.T, isa="mmx")


def test_results_too_large_for_memory_are_an_error() -> None:
    one, huge = np.ones((1, 1, 1, 1)), 2**31 - 1
    with pytest.raises((MemoryError, ValueError)):
        kernels.conv2d_dx(one, one, (1, huge, huge, 1), strides=huge)
    with pytest.raises((MemoryError, ValueError)):
        kernels.conv2d_dw(one, one, (huge, huge, 1, 1), padding="same")


# ------------------------------------------------------------------ what to run on

SHOW_ISA = "from micrograd_ext import kernels; print(kernels.config()['isa'])"


def test_config() -> None:
    config = kernels.config()
    assert config["isas available"] == ISAS
    assert config["isa"] in ISAS
    assert ISAS[-1] == "baseline"
    assert re.match(r"gcc \d+\.|clang \d+\.|msvc \d+|unknown C compiler", config["compiler"])


@pytest.mark.parametrize("isa", ISAS)
def test_isa_from_the_environment(isa: str) -> None:
    done = run_python(SHOW_ISA, MICROGRAD_EXT_ISA=isa)
    assert (done.stdout.strip(), done.stderr) == (isa, "")


def test_no_isa_in_the_environment_is_the_best() -> None:
    assert run_python(SHOW_ISA, MICROGRAD_EXT_ISA="").stdout.strip() == ISAS[0]


def test_wrong_isa_in_the_environment() -> None:
    done = run_python(SHOW_ISA, MICROGRAD_EXT_ISA="mmx")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: MICROGRAD_EXT_ISA: isa: expected one of")
    assert ", ".join(ISAS) in last
    assert "'mmx'" in last


# ------------------------------------------------------------------ names and documentation

ROOT = Path(__file__).parents[2]


def source(path: str) -> str:
    file = ROOT / path
    if not file.exists():
        pytest.skip(f"{path} is not beside the tests")
    return file.read_text(encoding="utf-8")


def listed(path: str, kind: str) -> list[str]:
    """The ops that a list in csrc/ has."""
    return re.findall(rf"^{kind}\((\w+),", source(path), re.MULTILINE)


def test_lists_and_ops_agree() -> None:
    kernels_ = listed("csrc/kernels.def", "KERNEL")
    assert set(kernels_) == set(ROWS)
    assert (*kernels_, *listed("csrc/steps.def", "STEP")) == OPS
    opcodes = listed("csrc/opcodes.def", "OPCODE")
    assert opcodes == list(OPCODES)[-len(opcodes) :]


@pytest.mark.parametrize("op", OPS)
def test_what_an_op_takes_is_asked_for_by_name(op: str) -> None:
    with pytest.raises(ValueError, match=f"{op}: expected the operand "):
        Executor([(op, {})], 1)
    with pytest.raises(ValueError, match=f"{op}: no operand of this step is called 'z'"):
        Executor([(op, {"z": 1})], 1)


def test_stub_and_module_agree() -> None:
    defined = re.findall(
        r"^(?:def|cpdef tuple) (\w+)\(", source("micrograd_ext/kernels/_kernels.pyx"), re.MULTILINE
    )
    stub = [
        node
        for node in ast.parse(source("micrograd_ext/kernels/_kernels.pyi")).body
        if isinstance(node, ast.FunctionDef)
    ]
    assert [node.name for node in stub] == defined
    assert set(defined) == set(public_functions())
    for node in stub:
        parameters = inspect.signature(getattr(kernels, node.name)).parameters.values()
        assert [p.name for p in parameters] == [
            argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)
        ], node.name
        defaults = [ast.literal_eval(value) for value in node.args.defaults]
        defaults += [ast.literal_eval(value) for value in node.args.kw_defaults if value]
        assert [p.default for p in parameters if p.default is not p.empty] == defaults, node.name


@pytest.mark.parametrize("name", [*ROWS, *sorted(NOT_KERNELS)])
def test_docstring(name: str) -> None:
    """The examples of compiled functions: doctest's own search passes them by."""
    text = getattr(kernels, name).__doc__
    assert text
    example = doctest.DocTestParser().get_doctest(text, {**vars(_kernels)}, name, None, 0)
    assert name in NOT_KERNELS or example.examples
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    report: list[str] = []
    doctest.DocTestRunner(optionflags=flags, verbose=False).run(example, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("name", ["x", "m", "v"])
def test_adam_refuses_what_may_not_be_written_to(name: str) -> None:
    given = {each: np.ones(3) for each in ("x", "dx", "m", "v")}
    given[name].flags.writeable = False
    with pytest.raises(ValueError, match=f"adam: {name}: expected an array that may be written to"):
        kernels.adam(**given, rate=0.1)
    given[name].flags.writeable = True
    kernels.adam(**given, rate=0.1)
