"""How a model goes through batches: by its program, or layer by layer.

Both kinds of runner answer to the same calls, so that `Sequential` need not know which it has.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import chain
from operator import is_
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from .. import ops
from ..callbacks import Logs
from ..compiler.fusion import fuse
from ..compiler.program import NO_UPDATE, NotLoweredError, Program, lower
from ..layers.base import Shape, in_a_row, on_behalf_of, training_place
from ..losses import of_batch
from ..metrics import CategoricalAccuracy, MeanMetricWrapper, Metric, accuracy, categorical_accuracy
from ..tensor import Array, Tensor, no_grad
from .data_adapter import Examples

if TYPE_CHECKING:
    from ..models.sequential import Sequential


class Runner:
    """What both kinds share: loss and metrics in Python."""

    def __init__(self, model: Sequential, examples: Examples) -> None:
        self.model, self.examples = model, examples

    def reset(self) -> None:
        """Start the means anew."""
        for metric in self.model.metrics:
            metric.reset_state()

    def train(self, first: int, n: int, order: Array | None) -> None:
        """One step on n examples, those that `order` names from `first` on."""
        raise NotImplementedError

    def test(self, first: int, n: int) -> None:
        """Loss and metrics see n examples."""
        raise NotImplementedError

    def predict(self, first: int, n: int) -> Array:
        """The outputs for n examples."""
        raise NotImplementedError

    def close(self) -> None:
        """Done: nothing is asked of it any more."""

    def batch(self, which: int, first: int, n: int, order: Array | None) -> Array:
        """x (0), y (1) or the weights (2) of n examples: floats in float32."""
        part: Any = slice(first, first + n) if order is None else order[first : first + n]
        found: Array = self.examples[which][part]
        if which == 0:
            return found.astype(self.model.input_dtype, copy=False)
        return found.astype(np.float32, copy=False) if found.dtype.kind == "f" else found

    def loss(self, first: int, n: int, order: Array | None, y_pred: Tensor) -> Tensor:
        """The mean loss of a batch; loss and metrics see it."""
        model, y = self.model, self.batch(1, first, n, order)
        weights = self.batch(2, first, n, order) if len(self.examples) > 2 else None
        loss = batch_loss(model, y, y_pred, weights)
        model.loss_tracker.update_state(loss.data, sample_weight=len(y))
        for metric in model.unweighted_metrics:
            metric.update_state(y, y_pred.data)
        for metric in model.weighted_metrics:
            metric.update_state(y, y_pred.data, sample_weight=weights)
        return loss

    def logs(self) -> Logs:
        """The numbers so far, the loss first."""
        return self.model.results()


class LayerByLayer(Runner):
    """Through Tensors: whatever the layers, the loss and the optimizer are."""

    def __init__(self, model: Sequential, examples: Examples) -> None:
        super().__init__(model, examples)
        self.stages: Sequence[Callable[..., Tensor]] | None = None
        if not (model.run_eagerly or model.calls_itself):
            self.stages = fuse(model.layers)

    def outputs(self, first: int, n: int, order: Array | None, training: bool) -> Tensor:
        """What comes out for n examples."""
        x = self.batch(0, first, n, order)
        if self.stages is None:
            takes_training = training_place(type(self.model).__call__) is not None
            return self.model(x, training=training) if takes_training else self.model(x)
        inputs = Tensor(x, requires_grad=False, dtype=x.dtype)
        return through(self.model, self.stages, inputs, training)

    def train(self, first: int, n: int, order: Array | None) -> None:
        """See `Runner.train`."""
        optimizer, variables = self.model.optimizer, self.model.trainable_weights
        assert optimizer is not None
        for variable in variables:
            variable.grad = None
        loss = self.loss(first, n, order, self.outputs(first, n, order, training=True))
        if variables:
            optimizer.scale_loss(loss).backward()
            reached = [variable for variable in variables if variable.grad is not None]
            optimizer.apply([variable.grad for variable in reached], reached)

    def test(self, first: int, n: int) -> None:
        """See `Runner.test`."""
        with no_grad():
            self.loss(first, n, None, self.outputs(first, n, None, training=False))

    def predict(self, first: int, n: int) -> Array:
        """See `Runner.predict`."""
        with no_grad():
            return self.outputs(first, n, None, training=False).data


class Lowered(Runner):
    """By a program."""

    def __init__(
        self,
        model: Sequential,
        examples: Examples,
        program: Program,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(model, examples)
        self.program, self._close = program, close
        if program.parameters is not None:
            program.parameters.adopt()  # also what was put into the optimizer's lists meanwhile
        program.feed(*examples)
        # the program counts the loss and these itself; the others are told each batch
        followed = [*model.unweighted_metrics, *model.weighted_metrics]
        self.counted = [m for m in followed if program.labels is not None and _is_accuracy(m)]
        if program.output.shape[1:] == (1,):  # there accuracy asks what is above 0.5
            self.counted = []
        self.others = [m for m in followed if m not in self.counted]

    def reset(self) -> None:
        """See `Runner.reset`."""
        super().reset()
        self.program.reset()

    def train(self, first: int, n: int, order: Array | None) -> None:
        """See `Runner.train`."""
        program, optimizer = self.program, self.model.optimizer
        assert optimizer is not None
        assert program.parameters is not None
        update = optimizer.fused_step() if program.updates else NO_UPDATE
        program.run(first, n, order, update)
        if program.labels is None:
            y, loss = self._loss_of_outputs(first, n, order)
            loss.backward()
            program.back(n, np.zeros(y.shape) if y.grad is None else y.grad, update)
        if program.updates:
            optimizer.constrain()
        else:
            optimizer.apply(program.parameters.grads)
        self._tell_others(n)

    def test(self, first: int, n: int) -> None:
        """See `Runner.test`."""
        self.program.run(first, n)
        if self.program.labels is None:
            with no_grad():
                self._loss_of_outputs(first, n, None)
        self._tell_others(n)

    def _loss_of_outputs(self, first: int, n: int, order: Array | None) -> tuple[Tensor, Tensor]:
        """What came out, as a Tensor, and its loss, where that is none of the steps."""
        y = Tensor(self.program.output[:n].copy())
        y_pred = ops.softmax(y) if self.program.logits else y
        return y, self.loss(first, n, order, y_pred)

    def close(self) -> None:
        """See `Runner.close`."""
        self._close()

    def predict(self, first: int, n: int) -> Array:
        """See `Runner.predict`."""
        self.program.run(first, n)
        return self.program.output[:n].copy()

    def _tell_others(self, n: int) -> None:
        """Show a batch to the metrics that the program does not count itself."""
        program = self.program
        if program.labels is not None:
            for metric in self.others:
                metric.update_state(program.labels[:n].copy(), program.output[:n].copy())

    def logs(self) -> Logs:
        """See `Runner.logs`."""
        program = self.program
        if program.labels is not None:
            for metric in self.counted:
                metric.set_state(program.hits, program.seen)
            self.model.loss_tracker.set_state(program.loss, program.seen)
        return super().logs()


def through(
    model: Sequential,
    stages: Sequence[Callable[..., Tensor]],
    x: Tensor,
    training: bool | None = None,
) -> Tensor:
    """A model's outputs by stages that are its layers, or several of them as one."""

    def act() -> Tensor:
        y = x
        if y.dtype.kind != model.input_dtype.kind:  # as in Keras, for whatever layer is the first
            y = Tensor(y, requires_grad=False, dtype=model.input_dtype)
        for stage in stages:
            y = stage(y, training=training)
        return y

    return on_behalf_of(model, training, act)


def batch_loss(model: Sequential, y: Array, y_pred: Tensor, weights: Array | None = None) -> Tensor:
    """The mean loss of a batch, each example's by its weight, and what regularizers add."""
    assert model.loss is not None
    each = of_batch(model.loss, y, y_pred, weights)
    if each.shape[:1] not in ((), (len(y),)):
        raise ValueError(f"loss: expected one number, or one per example, got shape {each.shape}")
    loss = ops.mean(each)
    if model.loss_weight != 1:
        loss = loss * model.loss_weight
    for penalty in model.losses:
        loss = loss + penalty
    return loss


def _is_accuracy(metric: Metric) -> TypeGuard[MeanMetricWrapper]:
    if not isinstance(metric, MeanMetricWrapper):
        return False
    plain = type(metric) in (MeanMetricWrapper, CategoricalAccuracy)
    return plain and metric.fn in (accuracy, categorical_accuracy)


class Programs:
    """A model's programs for fit, evaluate and predict, made when first asked for.

    Who runs one takes it out and puts it back: what comes in between, from a callback or another
    thread, gets one of its own. A copy of a model begins without.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[list[Any], Program]] = {}
        self._told: set[str] = set()

    def __reduce__(self) -> tuple[type[Programs], tuple[()]]:
        return Programs, ()

    def runner(self, model: Sequential, purpose: str, examples: Examples, size: int) -> Runner:
        """What goes through the examples for 'fit', 'evaluate' or 'predict', `size` at a time."""
        if model.run_eagerly:
            return LayerByLayer(model, examples)
        size = min(size, len(examples[0]))
        key = _key(model, purpose)
        program = self.find(model, purpose, key)
        self._found.pop(purpose, None)
        usable = program is not None and program.takes(size, *examples)
        if program is None or not usable or not (program.parameters or program.fresh):
            shapes = [array.shape for array in examples]
            try:
                program = make_program(model, purpose, size, shapes)
            except NotLoweredError as why:
                self._tell(model, why)
                return LayerByLayer(model, examples)
        found = program

        def close() -> None:
            found.release()
            self._found[purpose] = key, found

        try:
            return Lowered(model, examples, found, close)
        except BaseException:
            close()
            raise

    def find(self, model: Sequential, purpose: str, key: list[Any] | None = None) -> Program | None:
        """The last one, if there was one and the model is still as it was."""
        known, program = self._found.get(purpose, ([], None))
        key = _key(model, purpose) if key is None else key
        same = len(known) == len(key) and all(map(is_, known, key))
        return program if same else None

    def _tell(self, model: Sequential, why: NotLoweredError) -> None:
        """Say, once, that and why it is slower than it could be."""
        if not why.quiet and str(why) not in self._told:
            self._told.add(str(why))
            text = f"{model.name} runs layer by layer, which is slower: {why}"
            warnings.warn(text, stacklevel=5)


def make_program(model: Sequential, purpose: str, size: int, shapes: Sequence[Shape]) -> Program:
    """A new program for batches of up to `size`; raises `NotLoweredError` if there is none."""
    if model.calls_itself:
        why = f"{type(model).__name__} has a call of its own"
        raise NotLoweredError(why, quiet=True)
    return lower(model, size, shapes, loss=purpose != "predict", train=purpose == "fit")


def _key(model: Sequential, purpose: str) -> list[Any]:
    """All that a program is made from, to be compared by identity."""
    layers = in_a_row(model.layers)
    key = list(chain.from_iterable(layer.settings() for layer in layers))
    key += layers
    if purpose != "predict":
        key += [model.loss, *getattr(model.loss, "__dict__", {}).values(), model.loss_weight]
    if purpose == "fit":
        assert model.optimizer is not None
        key += [model.optimizer, *model.optimizer.settings()]
    return key
