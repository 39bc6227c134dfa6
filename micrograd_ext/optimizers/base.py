"""What optimizers share: variables, learning rate, clipping, decay, averages, and the step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias, TypedDict

import numpy as np

from .. import initializers
from ..common import naming
from ..common.arguments import at_least_0, positive, whole
from ..common.serialization import Configured, config_of, serialize
from ..initializers import InitializerLike
from ..tensor import Array, Tensor, TensorLike, no_grad
from ..tensor.variable import Variable
from . import schedules

__all__ = ["LearningRate", "Optimizer", "Options"]

#: A number, a schedule of the steps taken, or a function without arguments that returns a number.
LearningRate: TypeAlias = float | schedules.LearningRateSchedule | Callable[[], float]


class Options(TypedDict, total=False):
    """What every optimizer takes beside its own arguments; see `Optimizer`."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Optimizer(Configured):
    """What optimizers share; a subclass says what it keeps of a variable and how to update it.

    As in Keras, `build` makes what is kept, by `add_optimizer_variables`, and `update_step` changes
    one variable:

    >>> class Signs(Optimizer):
    ...     def update_step(self, gradient, variable, learning_rate):
    ...         self.assign_sub(variable, learning_rate * np.sign(gradient))
    >>> x = Variable([1.0, 2.0])
    >>> Signs(0.5).apply([[3.0, -4.0]], [x])
    >>> x.numpy()
    array([0.5, 2.5], dtype=float32)

    Args:
        learning_rate: a number, an object of `schedules`, or a function without arguments.
        weight_decay: before each step, weights shrink by learning_rate * weight_decay of their
            size; None: they do not.
        clipnorm: gradients of a larger norm, each variable's, shrink to this one; 0 or None: none.
        clipvalue: gradients are limited to +- this.
        global_clipnorm: gradients shrink together, if the norm of all of them is larger.
        use_ema: whether moving averages of the variables are kept, which take their places at the
            end of `fit`: average = ema_momentum * average + (1 - ema_momentum) * variable.
        ema_momentum: of these averages.
        ema_overwrite_frequency: after how many steps the averages take the variables' places.
        loss_scale_factor: what the loss is multiplied by, and the gradients are divided by.
        gradient_accumulation_steps: how many gradients are averaged for one step.
        name: 'adam', 'adam_1', ... by default.

    Attributes:
        built: whether it knows the variables.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("decay", None) is not None:
            warnings.warn("decay is none of Keras's arguments any more, and ignored", stacklevel=3)
        if kwargs:
            raise ValueError(
                f"{type(self).__name__}: unknown arguments: {', '.join(map(str, kwargs))}"
            )
        self.name = name or naming.name_for(self)
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        scale = {"loss_scale_factor": loss_scale_factor}
        for argument, value in {"weight_decay": weight_decay, **limits, **scale}.items():
            if value is not None:
                at_least_0(argument, value)
        if sum(value is not None for value in limits.values()) > 1:
            raise ValueError(f"expected one of {', '.join(limits)} at most, got {limits}")
        if loss_scale_factor == 0:
            raise ValueError("loss_scale_factor: expected a number > 0, got 0")
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = limits.values()
        self.use_ema = bool(use_ema)
        self.ema_momentum = at_least_0("ema_momentum", ema_momentum, most=1)
        self.ema_overwrite_frequency = (
            None
            if ema_overwrite_frequency is None
            else positive("ema_overwrite_frequency", ema_overwrite_frequency)
        )
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = (
            None
            if gradient_accumulation_steps is None
            else whole("gradient_accumulation_steps", gradient_accumulation_steps, 2)
        )
        self.built = False
        self._iterations = Variable(0, dtype="int64", name="iteration")
        self._variables: list[Variable] = [self._iterations]
        self._learning_rate: Any = None
        self.learning_rate = learning_rate
        self._trainable_variables: list[Tensor] = []
        self._slots: list[list[Variable]] = []
        self._accumulated: list[Variable] = []
        self._averages: list[Variable] = []
        self._indices: dict[int, int] = {}
        self._excluded: tuple[list[Tensor], tuple[str, ...]] = ([], ())

    # ------------------------------------------------------------------ its variables

    @property
    def variables(self) -> list[Variable]:
        """The optimizer's own: the steps taken, the learning rate, and what it keeps."""
        return [*self._variables]

    @property
    def iterations(self) -> Variable:
        """The number of steps taken."""
        steps = self.gradient_accumulation_steps
        if steps:
            return Variable(self._iterations.data // steps, dtype="int64", name="iteration")
        return self._iterations

    @property
    def learning_rate(self) -> Any:
        """The rate of the next step: a `Variable`; or a float, if a schedule or function says it.

        >>> optimizer = Optimizer(0.5)
        >>> optimizer.learning_rate = 0.25
        >>> float(optimizer.learning_rate)
        0.25
        >>> optimizer.learning_rate.assign(0.125).item()
        0.125
        """
        return self._learning_rate if self._rate_is_a_number else self._rate()

    @learning_rate.setter
    def learning_rate(self, rate: LearningRate) -> None:
        if isinstance(rate, schedules.LearningRateSchedule) or (
            callable(rate) and not isinstance(rate, Tensor)
        ):
            if self._rate_is_a_number:
                self._variables = [v for v in self._variables if v is not self._learning_rate]
            self._learning_rate = rate
            return
        if isinstance(self._learning_rate, schedules.LearningRateSchedule):
            raise TypeError(
                "learning_rate: it follows a schedule; expected another schedule, or an optimizer "
                f"made with a number, got {rate!r}"
            )
        number = at_least_0("learning_rate", rate.item() if isinstance(rate, Tensor) else rate)
        if self._rate_is_a_number:
            self._learning_rate.assign(number)
        else:  # in float64, as Python's numbers are
            self._learning_rate = Variable(
                number, dtype="float64", trainable=False, name="learning_rate"
            )
            self._variables.insert(1, self._learning_rate)

    @property
    def _rate_is_a_number(self) -> bool:
        return isinstance(self._learning_rate, Variable)

    def _rate(self) -> float:
        """The learning rate of the next step."""
        rate = self._learning_rate
        if isinstance(rate, Variable):
            return float(rate.data)
        if isinstance(rate, schedules.LearningRateSchedule):
            return float(rate(int(self._iterations.data)))
        return float(rate())

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: str | InitializerLike = "zeros",
        dtype: Any = None,
        aggregation: str | None = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """A new variable of the optimizer's own.

        Args:
            shape: its shape.
            initializer: name or function shape -> numbers; see `initializers`.
            dtype: float32 by default.
            aggregation: taken for Keras's sake, as the next one.
            layout: the same.
            name: what it is called.
        """
        values = initializers.draw(initializers.get(initializer), tuple(shape))
        added = Variable(values, dtype=dtype or "float32", trainable=False, name=name)
        self._variables.append(added)
        return added

    def add_variable_from_reference(
        self,
        reference_variable: Tensor,
        name: str | None = None,
        initializer: str | InitializerLike = "zeros",
    ) -> Variable:
        """A new variable of the optimizer's own, of the shape and type of one that is trained."""
        reference = (reference_variable.name or "variable").replace("/", "_")
        like = reference_variable
        return self.add_variable(
            like.shape, initializer, like.dtype, name=f"{reference}_{name or 'var'}"
        )

    def add_optimizer_variables(
        self,
        trainable_variables: Sequence[Tensor],
        name: str | Sequence[str],
        initializer: Any = "zeros",
    ) -> Any:
        """A new variable of the optimizer's own for each that is trained; for several names, lists.

        Args:
            trainable_variables: those that are trained.
            name: what they are called, behind the names of those; or several names.
            initializer: name or function shape -> numbers; or one for each name.
        """
        names = [name] if isinstance(name, str) else [*name]
        makers = [*initializer] if isinstance(initializer, list | tuple) else [initializer]
        makers = makers * len(names) if len(makers) == 1 else makers
        if len(makers) != len(names):
            raise ValueError(
                f"add_optimizer_variables: initializer: expected one for each of {names}, "
                f"got {initializer!r}"
            )
        kinds: list[list[Variable]] = [[] for _ in names]
        for variable in trainable_variables:  # all of one variable stand together
            for kind, text, make_it in zip(kinds, names, makers, strict=True):
                kind.append(self.add_variable_from_reference(variable, text, make_it))
        self._slots += kinds
        return kinds[0] if isinstance(name, str) else tuple(kinds)

    @property
    def slots(self) -> list[list[Variable]]:
        """What is kept of the trained variables, a list of each kind, in the order it was added."""
        return [*self._slots]

    def build(self, variables: Sequence[Tensor]) -> None:
        """Make room for what is remembered about each of the variables, and start at step 0."""
        first = [self._iterations, *([self._learning_rate] if self._rate_is_a_number else [])]
        self._trainable_variables = [*variables]
        self._variables, self._slots, self._indices = first, [], {}
        self._iterations.assign(0)
        if self.use_ema:
            self._averages = self.add_optimizer_variables(variables, "average")
        if self.gradient_accumulation_steps:
            self._accumulated = self.add_optimizer_variables(variables, "gradient_accumulator")
        self.built = True

    def remembers(self, variables: Sequence[Tensor]) -> bool:
        """Whether it is built for these variables, and has memories of them."""
        own = self._trainable_variables
        return self.built and len(own) == len(variables) and all(map(_is, own, variables))

    def _get_variable_index(self, variable: Tensor) -> int:
        """The place of a variable among those that are trained."""
        at = self._indices.get(id(variable))
        if at is None or self._trainable_variables[at] is not variable:  # new, or it is a copy
            self._indices = {id(each): i for i, each in enumerate(self._trainable_variables)}
            at = self._indices.get(id(variable))
        if at is None:
            raise ValueError(
                f"{self.name}: trainable_variables: expected those that the optimizer was built "
                f"with, got {variable.name or 'another one'}; for others, make another optimizer"
            )
        return at

    # ------------------------------------------------------------------ a step

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """Change one variable, and what is kept of it, for one step; `iterations` were before."""
        raise NotImplementedError(f"{type(self).__name__}.update_step")

    def assign(self, variable: Tensor, value: TensorLike) -> None:
        """Give a variable other numbers."""
        variable.data[...] = value.data if isinstance(value, Tensor) else value

    def assign_add(self, variable: Tensor, value: TensorLike) -> None:
        """Add numbers to a variable."""
        variable.data += value.data if isinstance(value, Tensor) else value

    def assign_sub(self, variable: Tensor, value: TensorLike) -> None:
        """Take numbers away from a variable."""
        variable.data -= value.data if isinstance(value, Tensor) else value

    def apply(
        self,
        grads: Sequence[TensorLike | None],
        trainable_variables: Sequence[Tensor] | None = None,
    ) -> None:
        """One step: change the variables in place. A gradient of None leaves one as it is.

        Args:
            grads: a gradient for each of the variables.
            trainable_variables: the variables; those it was built with by default.

        Raises:
            ValueError: no gradient at all; not as many as variables, or of other shapes; variables
                that the optimizer was not built with.
        """
        grads = [*grads]
        if not grads:
            return
        if trainable_variables is None:
            if not self.built:
                raise ValueError(
                    "apply: trainable_variables: expected them, as the optimizer is not built yet"
                )
            variables = self._trainable_variables
        else:
            variables = [*trainable_variables]
            if not self.built:
                self.build(variables)
            for variable in variables:
                self._get_variable_index(variable)
        if len(grads) != len(variables):
            raise ValueError(f"apply: expected {len(variables)} gradients, got {len(grads)}")
        pairs = [
            (_gradient_of(variable, grad), variable)
            for variable, grad in zip(variables, grads, strict=True)
            if grad is not None
        ]
        if not pairs:
            raise ValueError(
                "apply: grads: expected a gradient, got None for each variable: No gradients "
                "provided for any variable."
            )
        if len(pairs) < len(variables):
            names = [v.name for v, g in zip(variables, grads, strict=True) if g is None]
            warnings.warn(f"apply: grads: there is none for the variables {names}", stacklevel=2)
        with no_grad():
            self._step([grad for grad, _ in pairs], [variable for _, variable in pairs])
            self.constrain([variable for _, variable in pairs])
        self._iterations.data += 1

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[TensorLike | None, Tensor]]
    ) -> Variable:
        """One step, from pairs of gradient and variable; returns the number of steps taken."""
        grads, variables = zip(*grads_and_vars, strict=True)
        self.apply(grads, variables)
        return self._iterations

    def _step(self, grads: list[Array], variables: list[Tensor]) -> None:
        """What is done with gradients: added up or applied, and the averages."""
        due = True
        if self.loss_scale_factor:
            grads = [g / g.dtype.type(self.loss_scale_factor) for g in grads]
        if steps := self.gradient_accumulation_steps:
            due = (int(self._iterations.data) + 1) % steps == 0
            sums = [self._accumulated[self._get_variable_index(v)] for v in variables]
            grads = [g + held.data for g, held in zip(grads, sums, strict=True)]
            if due:
                grads = [g / g.dtype.type(steps) for g in grads]
                for held in self._accumulated:
                    held.data[...] = 0
            else:
                for held, g in zip(sums, grads, strict=True):
                    held.data[...] = g
        if due:
            rate = self._rate()
            grads = self._clipped(grads)
            decay = (self.weight_decay or 0.0) * rate
            for variable, grad in zip(variables, grads, strict=True):
                if decay and self._decays(variable):
                    variable.data -= variable.data * variable.dtype.type(decay)
                self.update_step(grad, variable, rate)  # type: ignore[arg-type]
        if self.use_ema:
            self._average()

    def _clipped(self, grads: list[Array]) -> list[Array]:
        """The gradients, no larger than is allowed."""
        if self.clipvalue:
            return [np.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        limit = self.clipnorm or self.global_clipnorm
        if not limit:
            return grads
        norms = [float(np.linalg.norm(g.astype(np.float64))) for g in grads]
        if not self.clipnorm:
            norms = [math.hypot(*norms)] * len(norms)
        return [
            g if not norm > limit else g * g.dtype.type(limit / norm)
            for g, norm in zip(grads, norms, strict=True)
        ]

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Tensor] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Let some variables not decay; call it before training.

        Args:
            var_list: the variables.
            var_names: what is in their names, e.g. ['bias'].

        Raises ValueError once the optimizer is built.
        """
        if self.built:
            raise ValueError(
                "exclude_from_weight_decay: expected an optimizer that is not built yet"
            )
        self._excluded = [*(var_list or ())], tuple(var_names or ())

    def _decays(self, variable: Tensor) -> bool:
        variables, names = self._excluded
        name = variable.name or ""
        excluded = any(each is variable for each in variables)
        return not excluded and not any(part in name for part in names)

    def constrain(self, variables: Sequence[Tensor] | None = None) -> None:
        """Apply the variables' constraints; those of all it was built for by default."""
        for variable in self._trainable_variables if variables is None else variables:
            constraint = getattr(variable, "constraint", None)
            if constraint is not None:
                with no_grad():
                    self.assign(variable, constraint(variable))

    # ------------------------------------------------------------------ moving averages

    def _average(self) -> None:
        """Take the variables into their averages, which may take their places."""
        steps = int(self.iterations.data)
        momentum = self.ema_momentum if steps else 0.0
        for variable, average in zip(self._trainable_variables, self._averages, strict=True):
            average.data[...] = momentum * average.data + (1 - momentum) * variable.data
        if self.ema_overwrite_frequency and (steps + 1) % self.ema_overwrite_frequency == 0:
            self._take_averages()

    def _take_averages(self) -> None:
        for variable, average in zip(self._trainable_variables, self._averages, strict=True):
            variable.data[...] = average.data

    def finalize_variable_values(self, var_list: Sequence[Tensor]) -> None:
        """At the end of training: the averages take the variables' places, if there are any."""
        if self.use_ema and self.remembers(var_list):
            self._take_averages()

    def scale_loss(self, loss: Tensor) -> Tensor:
        """The loss times `loss_scale_factor`, as gradients are going to be divided by it."""
        return loss * self.loss_scale_factor if self.loss_scale_factor else loss

    # ------------------------------------------------------------------ steps of a program

    @property
    def plain(self) -> bool:
        """Whether gradients go into the formula as they are, and nothing else is done."""
        return not (
            self.weight_decay
            or self.clipnorm
            or self.clipvalue
            or self.global_clipnorm
            or self.use_ema
            or self.loss_scale_factor
            or self.gradient_accumulation_steps
        )

    def fused_slots(self) -> list[list[Variable]]:
        """What a program's step for this optimizer keeps: of each kind, a list."""
        return []

    def fused_step(self) -> tuple[float, dict[str, float]]:
        """Count a step that a program takes: its rate, and what else is in the formula, by name.

        The names are those of the operands in `csrc/kernels.def` and `csrc/steps.def`.
        """
        rate = self._rate()
        self._iterations.data += 1
        return rate, self.hyperparameters()

    def hyperparameters(self) -> dict[str, float]:
        """What else than the rate is in the formula of a program's step."""
        return {}

    def settings(self) -> list[Any]:
        """What a program is made from; the numbers of the formula are asked for at each step."""
        return [self.plain, len(self.fused_slots()), self.loss_scale_factor]

    # ------------------------------------------------------------------ files

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it; a schedule by its own configuration."""
        config = config_of(self, without={"learning_rate"})
        rate = self._learning_rate
        number = isinstance(rate, Variable)
        return config | {"learning_rate": float(rate.data) if number else serialize(rate)}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """Another one, of what `get_config` returned.

        custom_objects: name -> class or function of one's own that the schedule is.
        """
        rate = config.get("learning_rate")
        if isinstance(rate, Mapping | str):
            made = schedules.deserialize(rate, custom_objects)
            config = {**config, "learning_rate": made}
        return cls(**config)

    def save_own_variables(self, store: MutableMapping[str, Array]) -> None:
        """Put all variables of the optimizer's own into store: '0', '1', ..."""
        store.update({str(i): variable.numpy() for i, variable in enumerate(self._variables)})

    def load_own_variables(self, store: Mapping[str, Array]) -> None:
        """Take what `save_own_variables` put into store, after `build`.

        Raises ValueError, and changes nothing, if it is another optimizer's, or of other variables.
        """
        shapes = [variable.shape for variable in self._variables]
        got = {name: array.shape for name, array in store.items()}
        if got != {str(i): shape for i, shape in enumerate(shapes)}:
            raise ValueError(
                f"{self.name}: load_own_variables: expected arrays of shapes {shapes}, called "
                f"'0', '1', ..., got {got}"
            )
        whole(f"{self.name}: load_own_variables: iterations", store["0"][()])
        if self._rate_is_a_number:
            at_least_0(f"{self.name}: load_own_variables: learning_rate", store["1"][()])
        for i, variable in enumerate(self._variables):
            variable.data[...] = store[str(i)]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Give all variables of the optimizer's own other numbers, in their order."""
        self.load_own_variables({str(i): np.asarray(w) for i, w in enumerate(weights)})

    def __repr__(self) -> str:
        rate = self._learning_rate
        shown = f"{rate:g}" if self._rate_is_a_number else type(rate).__name__
        return f"<{type(self).__name__} name={self.name}, learning_rate={shown}>"


def _is(a: object, b: object) -> bool:
    return a is b


def _gradient_of(variable: Tensor, grad: TensorLike) -> Array:
    """A gradient as an array of the variable's shape and type; ValueError if it has another."""
    given = grad.data if isinstance(grad, Tensor) else np.asarray(grad)
    if given.dtype.kind not in "fiub":
        raise TypeError(
            f"apply: grads: expected numbers for {variable.name or 'a variable'}, got {grad!r}"
        )
    if given.shape != variable.shape:
        raise ValueError(
            f"apply: grads: expected a gradient of shape {variable.shape} for "
            f"{variable.name or 'a variable'}, got {given.shape}"
        )
    return given.astype(variable.dtype, copy=False)
