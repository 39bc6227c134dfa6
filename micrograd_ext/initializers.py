"""How weights begin."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from .common import random_stream
from .common.arguments import finite, float32_only, seed_or_none, whole
from .common.naming import snake
from .common.serialization import Configured, make, public_classes
from .tensor import Array

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
]


#: An `Initializer`, or any function shape -> array.
InitializerLike: TypeAlias = Callable[..., Array]


class Initializer(Configured):
    """A function of a shape that returns an array of it: subclass it and write `__call__`.

    `dtype` is taken for Keras's sake: None or 'float32'.

    >>> class Alternating(Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return np.resize([1.0, -1.0], shape)
    >>> get(Alternating())((3,))
    array([ 1., -1.,  1.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """An array of that shape."""
        raise NotImplementedError(f"{type(self).__name__}.__call__")


def _checked(initializer: Initializer, shape: Any, dtype: Any) -> tuple[int, ...]:
    """The shape as a tuple; ValueError for what is none, and for another dtype than float32."""
    what = type(initializer).__name__
    float32_only(f"{what}: dtype", dtype)
    if isinstance(shape, str) or not isinstance(shape, Sequence | np.ndarray):
        raise ValueError(f"{what}: shape: expected sizes such as (3, 4), got {shape!r}")
    return tuple(whole(f"{what}: shape", size) for size in shape)


class Constant(Initializer):
    """All one number.

    >>> Constant(0.5)((2,))
    array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """A float32 array of that shape."""
        shape = _checked(self, shape, dtype)
        return np.full(shape, self.value, np.float32)


class Zeros(Initializer):
    """All 0: biases.

    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """A float32 array of that shape."""
        shape = _checked(self, shape, dtype)
        return np.zeros(shape, np.float32)


class Ones(Initializer):
    """All 1.

    >>> Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """A float32 array of that shape."""
        shape = _checked(self, shape, dtype)
        return np.ones(shape, np.float32)


class _Random(Initializer):
    """Drawn from the stream that `utils.set_random_seed` starts, or, with a seed, from its own."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed_or_none(seed)

    def _generator(self) -> np.random.Generator:
        return random_stream.generator() if self.seed is None else np.random.default_rng(self.seed)


class RandomUniform(_Random):
    """Uniform from minval to maxval.

    >>> bool(abs(RandomUniform(seed=1)((600,))).max() <= 0.05)
    True
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        if not 0 <= finite("maxval", maxval) - finite("minval", minval) < math.inf:
            raise ValueError(
                f"expected minval <= maxval, not farther apart than a float64 can say, got "
                f"{minval!r} and {maxval!r}"
            )
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """A float32 array of that shape."""
        shape = _checked(self, shape, dtype)
        return self._generator().uniform(self.minval, self.maxval, shape).astype(np.float32)


class RandomNormal(_Random):
    """Normally distributed.

    >>> RandomNormal(mean=1, stddev=0)((2,))
    array([1., 1.], dtype=float32)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        if finite("stddev", stddev) < 0:
            raise ValueError(f"stddev: expected a number >= 0, got {stddev!r}")
        finite("mean", mean)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """A float32 array of that shape."""
        shape = _checked(self, shape, dtype)
        return (self.mean + self.stddev * self._standard(shape)).astype(np.float32)

    def _standard(self, shape: Sequence[int]) -> Array:
        return self._generator().standard_normal(shape)


class TruncatedNormal(RandomNormal):
    """Normally distributed, but what is more than two stddev from the mean is drawn again.

    >>> bool(abs(TruncatedNormal(seed=1)((600,))).max() <= 0.1)
    True
    """

    def _standard(self, shape: Sequence[int]) -> Array:
        random = self._generator()
        drawn = np.asarray(random.standard_normal(shape))
        while (far := np.abs(drawn) > 2).any():
            drawn[far] = random.standard_normal(int(far.sum()))
        return drawn


class VarianceScaling(_Random):
    """Random numbers whose variance is scale / n, for n inputs or outputs.

    Args:
        scale: a factor of the variance.
        mode: what n is: 'fan_in' (how many numbers an output sees), 'fan_out', or 'fan_avg'.
        distribution: 'truncated_normal', 'untruncated_normal' or 'uniform'.
        seed: None draws from the stream that `utils.set_random_seed` starts.

    A kernel's last axes are (inputs, outputs), those before them its window.

    >>> w = VarianceScaling(2.0, "fan_out", "uniform", seed=1)((3, 600))
    >>> bool(abs(w).max() <= 0.1)
    True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if not finite("scale", scale) > 0:
            raise ValueError(f"scale: expected a number > 0, got {scale!r}")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"mode: expected 'fan_in', 'fan_out' or 'fan_avg', got {mode!r}")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                "distribution: expected 'truncated_normal', 'untruncated_normal' or 'uniform', "
                f"got {distribution!r}"
            )
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """A float32 array of that shape."""
        shape = _checked(self, shape, dtype)
        window = math.prod(shape[:-2])
        inputs = window * (shape[-2] if len(shape) > 1 else shape[0] if shape else 1)
        outputs = window * (shape[-1] if shape else 1)
        fans = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}
        variance = self.scale / max(fans[self.mode], 1)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return self._generator().uniform(-limit, limit, shape).astype(np.float32)
        if self.distribution == "untruncated_normal":
            return RandomNormal(0.0, math.sqrt(variance), self.seed)(shape)
        return TruncatedNormal(0.0, math.sqrt(variance) / TRUNCATED_STDDEV, self.seed)(shape)


#: What is left of a standard deviation of 1 where nothing is farther than 2 from the mean.
TRUNCATED_STDDEV = 0.87962566103423978


class GlorotUniform(VarianceScaling):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)); Glorot and Bengio 2010, eq. 16.

    seed: None draws from the stream that `utils.set_random_seed` starts.

    >>> GlorotUniform(seed=1)((3, 3, 8, 16)).shape
    (3, 3, 8, 16)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Truncated normal of variance 2 / (fan_in + fan_out); Glorot and Bengio 2010, eq. 12.

    seed: None draws from the stream that `utils.set_random_seed` starts.

    >>> GlorotNormal(seed=1)((3, 3, 8, 16)).shape
    (3, 3, 8, 16)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform in +-sqrt(6 / fan_in), for ReLU layers; He et al. 2015, eq. 10.

    seed: None draws from the stream that `utils.set_random_seed` starts.

    >>> HeUniform(seed=1)((3, 3, 8, 16)).shape
    (3, 3, 8, 16)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Truncated normal of variance 2 / fan_in, for ReLU layers; He et al. 2015, eq. 10.

    seed: None draws from the stream that `utils.set_random_seed` starts.

    >>> HeNormal(seed=1)((3, 3, 8, 16)).shape
    (3, 3, 8, 16)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Uniform in +-sqrt(3 / fan_in); LeCun et al. 1998, Efficient BackProp, eq. 16.

    seed: None draws from the stream that `utils.set_random_seed` starts.

    >>> LecunUniform(seed=1)((3, 3, 8, 16)).shape
    (3, 3, 8, 16)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Truncated normal of variance 1 / fan_in; LeCun et al. 1998, Efficient BackProp, eq. 16.

    seed: None draws from the stream that `utils.set_random_seed` starts.

    >>> LecunNormal(seed=1)((3, 3, 8, 16)).shape
    (3, 3, 8, 16)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


_NAMES = {snake(name): kind for name, kind in public_classes(globals(), Initializer).items()}


def get(identifier: Any) -> Any:
    """The initializer of that name or class; a callable shape -> array, or None, as it is.

    >>> get("zeros")((1,))
    array([0.], dtype=float32)
    """
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if identifier is None or callable(identifier):
        return identifier
    return make("initializer", _NAMES, identifier)


def draw(initializer: InitializerLike, shape: tuple[int, ...]) -> Array:
    """An array of that shape. One's own initializers may want a dtype, as Keras's get one.

    >>> draw(lambda shape, dtype: np.ones(shape, dtype), (2,))
    array([1., 1.], dtype=float32)
    """
    try:
        wanted = inspect.signature(initializer).parameters.get("dtype")
    except ValueError:  # a built-in function without a signature
        wanted = None
    if wanted is not None and wanted.default is wanted.empty:
        return initializer(shape, dtype="float32")
    return initializer(shape)
