from typing import Any, SupportsIndex, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

# An array argument's type: float32 or float64, the same for all of one call.
_Real = TypeVar("_Real", np.float32, np.float64)
_Array: TypeAlias = npt.NDArray[_Real]
_Shape: TypeAlias = tuple[SupportsIndex, ...] | list[int]
_Pair: TypeAlias = SupportsIndex | _Shape

def isas() -> list[str]: ...
def get_num_threads() -> int: ...
def set_num_threads(threads: SupportsIndex) -> None: ...
def config() -> dict[str, Any]: ...
def windows_along(
    whose: str, what: str, size: int, window: int, stride: int, padding: str
) -> tuple[int, int]: ...
def matmul(
    a: _Array[_Real],
    b: _Array[_Real],
    *,
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> _Array[_Real]: ...
def sum_rows(
    x: _Array[_Real],
    *,
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> _Array[_Real]: ...
def conv2d(
    images: _Array[_Real],
    kernel: _Array[_Real],
    bias: _Array[_Real] | None = None,
    *,
    strides: _Pair = 1,
    padding: str = "valid",
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> _Array[_Real]: ...
def conv2d_dx(
    dy: _Array[_Real],
    kernel: _Array[_Real],
    images_shape: _Shape,
    *,
    strides: _Pair = 1,
    padding: str = "valid",
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> _Array[_Real]: ...
def conv2d_dw(
    images: _Array[_Real],
    dy: _Array[_Real],
    kernel_shape: _Shape,
    *,
    strides: _Pair = 1,
    padding: str = "valid",
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> _Array[_Real]: ...
def max_pool2d(
    images: _Array[_Real],
    pool_size: _Pair = 2,
    *,
    strides: _Pair | None = None,
    padding: str = "valid",
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> tuple[_Array[_Real], npt.NDArray[np.int32]]: ...
def max_pool2d_dx(
    dy: _Array[_Real],
    argmax: npt.NDArray[np.int32],
    images_shape: _Shape,
    pool_size: _Pair = 2,
    *,
    strides: _Pair | None = None,
    padding: str = "valid",
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> _Array[_Real]: ...
def conv2d_relu_pool(
    images: _Array[_Real],
    kernel: _Array[_Real],
    bias: _Array[_Real] | None = None,
    pool_size: _Pair = 2,
    *,
    strides: _Pair = 1,
    padding: str = "valid",
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> tuple[_Array[_Real], npt.NDArray[np.uint8]]: ...
def conv2d_relu_pool_dx(
    dy: _Array[_Real],
    argmax: npt.NDArray[np.uint8],
    kernel: _Array[_Real],
    images_shape: _Shape,
    pool_size: _Pair = 2,
    *,
    strides: _Pair = 1,
    padding: str = "valid",
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> _Array[_Real]: ...
def conv2d_relu_pool_dw(
    images: _Array[_Real],
    dy: _Array[_Real],
    argmax: npt.NDArray[np.uint8],
    kernel_shape: _Shape,
    pool_size: _Pair = 2,
    *,
    strides: _Pair = 1,
    padding: str = "valid",
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> tuple[_Array[_Real], _Array[_Real]]: ...
def relu(
    x: _Array[_Real],
    *,
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> _Array[_Real]: ...
def relu_dx(
    dy: _Array[_Real],
    y: _Array[_Real],
    *,
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> _Array[_Real]: ...
def adam(
    x: _Array[_Real],
    dx: _Array[_Real],
    m: _Array[_Real],
    v: _Array[_Real],
    rate: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-07,
    *,
    isa: str | None = None,
    threads: SupportsIndex | None = None,
) -> None: ...
