"""Learning rates that change from step to step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.arguments import at_least_0, finite, positive, whole
from ..common.serialization import Configured, custom_object_scope, make
from ..common.serialization import serialize as _serialize

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "get",
    "serialize",
]


class LearningRateSchedule(Configured):
    """A function of the number of steps taken; subclass it and write `__call__`."""

    def __call__(self, step: int) -> float:
        """The rate for the step after `step` others."""
        raise NotImplementedError(f"{type(self).__name__}.__call__")


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    staircase: whether the exponent is rounded down, so that the rate changes all decay_steps.

    >>> ExponentialDecay(0.5, decay_steps=10, decay_rate=0.25)(5)
    0.25
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = finite("initial_learning_rate", initial_learning_rate)
        self.decay_steps = positive("decay_steps", decay_steps)
        self.decay_rate = finite("decay_rate", decay_rate)
        self.staircase, self.name = staircase, name

    def __call__(self, step: int) -> float:
        """The rate for the step after `step` others."""
        power = step / self.decay_steps
        power = math.floor(power) if self.staircase else power
        return self.initial_learning_rate * self.decay_rate**power


class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps).

    staircase: whether step / decay_steps is rounded down.

    >>> InverseTimeDecay(0.5, decay_steps=10, decay_rate=2)(5)
    0.25
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = finite("initial_learning_rate", initial_learning_rate)
        self.decay_steps = positive("decay_steps", decay_steps)
        self.decay_rate = finite("decay_rate", decay_rate)
        self.staircase, self.name = staircase, name

    def __call__(self, step: int) -> float:
        """The rate for the step after `step` others."""
        time = step / self.decay_steps
        time = math.floor(time) if self.staircase else time
        return self.initial_learning_rate / (1 + self.decay_rate * time)


class PolynomialDecay(LearningRateSchedule):
    """From initial_learning_rate to end_learning_rate in decay_steps, as (1 - t) ** power.

    cycle: whether the next multiple of decay_steps takes its place once it is passed.

    >>> PolynomialDecay(0.5, decay_steps=10, end_learning_rate=0.0)(5)
    0.25
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = finite("initial_learning_rate", initial_learning_rate)
        self.end_learning_rate = finite("end_learning_rate", end_learning_rate)
        self.decay_steps = positive("decay_steps", decay_steps)
        self.power, self.cycle, self.name = at_least_0("power", power), cycle, name

    def __call__(self, step: int) -> float:
        """The rate for the step after `step` others."""
        steps: float = self.decay_steps
        if self.cycle:
            steps *= max(math.ceil(step / steps), 1)
        left = 1 - min(step, steps) / steps
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * left**self.power + self.end_learning_rate)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to step boundaries[0], values[1] up to boundaries[1], and so on.

    >>> schedule = PiecewiseConstantDecay([10, 20], [0.5, 0.25, 0.125])
    >>> schedule(10), schedule(11), schedule(1000)
    (0.5, 0.25, 0.125)
    """

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ) -> None:
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"values: expected one more than boundaries, {len(boundaries) + 1}, "
                f"got {len(values)}"
            )
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: int) -> float:
        """The rate for the step after `step` others."""
        return self.values[sum(step > boundary for boundary in self.boundaries)]


class CosineDecay(LearningRateSchedule):
    """Half a wave down, from initial_learning_rate to alpha of it (Loshchilov and Hutter 2017).

    Args:
        initial_learning_rate: where it begins.
        decay_steps: how long it takes.
        alpha: what is left in the end, as a share of where the wave began.
        warmup_target: if given, the rate first grows to this one, in a line, and then decays.
        warmup_steps: how long that takes.

    >>> CosineDecay(0.5, decay_steps=10)(5)
    0.25
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = finite("initial_learning_rate", initial_learning_rate)
        self.alpha, self.name = finite("alpha", alpha), name
        self.decay_steps = positive("decay_steps", decay_steps)
        self.warmup_target = (
            None if warmup_target is None else finite("warmup_target", warmup_target)
        )
        self.warmup_steps = whole("warmup_steps", warmup_steps)

    def __call__(self, step: int) -> float:
        """The rate for the step after `step` others."""
        begin = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return begin + (self.warmup_target - begin) * step / self.warmup_steps
            begin, step = self.warmup_target, step - self.warmup_steps
        wave = 0.5 * (1 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps))
        return float(begin * ((1 - self.alpha) * wave + self.alpha))


_CLASSES = {kind.__name__: kind for kind in LearningRateSchedule.__subclasses__()}


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """A schedule as JSON can hold it.

    >>> serialize(ExponentialDecay(0.5, 10, 0.25))["class_name"]
    'ExponentialDecay'
    """
    return _serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A schedule, or a function of one's own, of what `serialize` returned.

    custom_objects: name -> class or function of one's own that it may be.

    >>> deserialize({"class_name": "CosineDecay", "config": CosineDecay(1.0, 2).get_config()})(1)
    0.5
    """
    with custom_object_scope(custom_objects):
        return make("learning_rate", _CLASSES, config)


def get(identifier: Any) -> LearningRateSchedule:
    """A schedule, or what `get_config` and `serialize` made of one.

    >>> schedule = CosineDecay(1.0, decay_steps=2)
    >>> get({"class_name": "CosineDecay", "config": schedule.get_config()})(1)
    0.5
    """
    if isinstance(identifier, LearningRateSchedule):
        return identifier
    made: LearningRateSchedule = make("learning_rate", _CLASSES, identifier)
    return made
