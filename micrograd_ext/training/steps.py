"""One batch at a time: a step of training, of evaluation, of prediction.

There are two kinds, which answer to the same calls: through Tensors, layer by layer, and by a
program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

import numpy as np

from .. import ops
from ..callbacks import Logs
from ..compiler.fusion import fuse, through
from ..compiler.program import NO_UPDATE, Program
from ..layers.calls import training_place
from ..metrics import (
    CategoricalAccuracy,
    MeanMetricWrapper,
    Metric,
    accuracy,
    categorical_accuracy,
)
from ..tensor import Array, Tensor, no_grad
from .compiled_model import CompiledModel
from .data_adapter import Batch, Examples


class Steps:
    """What both kinds share: loss and metrics in Python."""

    def __init__(self, model: CompiledModel, examples: Examples) -> None:
        self.model, self.examples = model, examples

    def reset(self) -> None:
        """Let the loss and the metrics start anew."""
        self.model.reset_metrics()

    def train(self, batch: Batch) -> None:
        """One step of the optimizer."""
        raise NotImplementedError

    def test(self, batch: Batch) -> None:
        """Loss and metrics see a batch."""
        raise NotImplementedError

    def predict(self, batch: Batch) -> Array:
        """The outputs of a batch."""
        raise NotImplementedError

    def close(self) -> None:
        """Done: nothing is asked of it any more."""

    def inputs(self, batch: Batch) -> Array:
        """The examples of a batch, of the type that the model takes."""
        return batch.of(self.examples[0]).astype(self.model.input_dtype, copy=False)

    def labels(self, batch: Batch) -> tuple[Array, Array | None]:
        """The labels of a batch, and what each example counts; floats in float32."""
        y, *weights = (batch.of(array) for array in self.examples[1:])
        if y.dtype.kind == "f":
            y = y.astype(np.float32, copy=False)
        return y, weights[0] if weights else None

    def loss(self, batch: Batch, y_pred: Tensor) -> Tensor:
        """The mean loss of a batch; loss and metrics see it."""
        y, weights = self.labels(batch)
        loss = self.model.batch_loss(y, y_pred, weights)
        self.model.update_metrics(y, y_pred.data, weights, loss.data)
        return loss

    def logs(self) -> Logs:
        """The numbers so far, the loss first."""
        return self.model.results()


class EagerSteps(Steps):
    """Through Tensors: whatever the layers, the loss and the optimizer are."""

    def __init__(self, model: CompiledModel, examples: Examples) -> None:
        super().__init__(model, examples)
        self.stages: Sequence[Callable[..., Tensor]] | None = None
        if not (model.run_eagerly or model.in_a_row is None):
            self.stages = fuse(model.in_a_row)

    def outputs(self, batch: Batch, training: bool) -> Tensor:
        """What comes out for a batch."""
        x = self.inputs(batch)
        if self.stages is None:
            takes_training = training_place(type(self.model).__call__) is not None
            return self.model(x, training=training) if takes_training else self.model(x)
        inputs = Tensor(x, requires_grad=False, dtype=x.dtype)
        return through(self.model, self.stages, inputs, training)

    def train(self, batch: Batch) -> None:
        """See `Steps.train`."""
        optimizer, variables = self.model.optimizer, self.model.trainable_weights
        assert optimizer is not None
        for variable in variables:
            variable.grad = None
        loss = self.loss(batch, self.outputs(batch, training=True))
        if variables:
            optimizer.scale_loss(loss).backward()
            reached = [variable for variable in variables if variable.grad is not None]
            optimizer.apply([variable.grad for variable in reached], reached)

    def test(self, batch: Batch) -> None:
        """See `Steps.test`."""
        with no_grad():
            self.loss(batch, self.outputs(batch, training=False))

    def predict(self, batch: Batch) -> Array:
        """See `Steps.predict`."""
        with no_grad():
            return self.outputs(batch, training=False).data


class ProgramSteps(Steps):
    """By a program.

    close: is called when nothing is asked of it any more.
    """

    def __init__(
        self,
        model: CompiledModel,
        examples: Examples,
        program: Program,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(model, examples)
        self.program, self._close = program, close
        program.bind(*examples)
        # the program counts the loss and these itself; the others are told each batch
        all_of_them = [*model.unweighted_metrics, *model.weighted_metrics]
        self.counted = [m for m in all_of_them if program.labels is not None and _is_accuracy(m)]
        if program.output.shape[1:] == (1,):  # there accuracy asks what is above 0.5
            self.counted = []
        self.others = [m for m in all_of_them if m not in self.counted]

    def reset(self) -> None:
        """See `Steps.reset`."""
        super().reset()
        self.program.reset()

    def train(self, batch: Batch) -> None:
        """See `Steps.train`."""
        program, optimizer = self.program, self.model.optimizer
        assert optimizer is not None
        update = optimizer.fused_step() if program.updates else NO_UPDATE
        program.run(*batch, update)
        if program.labels is None:
            y, loss = self._loss_of_outputs(batch)
            loss.backward()
            program.back(batch.size, np.zeros(y.shape) if y.grad is None else y.grad, update)
        if program.updates:
            optimizer.constrain()
        else:
            optimizer.apply(program.binding.grads)
        self._update_others(batch.size)

    def test(self, batch: Batch) -> None:
        """See `Steps.test`."""
        self.program.run(*batch)
        if self.program.labels is None:
            with no_grad():
                self._loss_of_outputs(batch)
        self._update_others(batch.size)

    def _loss_of_outputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What came out, as a Tensor, and its loss, where that is none of the steps."""
        y = Tensor(self.program.output[: batch.size].copy())
        y_pred = ops.softmax(y) if self.program.logits else y
        return y, self.loss(batch, y_pred)

    def close(self) -> None:
        """See `Steps.close`."""
        self._close()

    def predict(self, batch: Batch) -> Array:
        """See `Steps.predict`."""
        self.program.run(*batch)
        return self.program.output[: batch.size].copy()

    def _update_others(self, n: int) -> None:
        """Show a batch to the metrics that the program does not count itself."""
        program = self.program
        if program.labels is not None:
            for metric in self.others:
                metric.update_state(program.labels[:n].copy(), program.output[:n].copy())

    def logs(self) -> Logs:
        """See `Steps.logs`."""
        program = self.program
        if program.labels is not None:
            for metric in self.counted:
                metric.set_state(program.correct, program.seen)
            self.model.loss_tracker.set_state(program.loss, program.seen)
        return super().logs()


def _is_accuracy(metric: Metric) -> TypeGuard[MeanMetricWrapper]:
    if not isinstance(metric, MeanMetricWrapper):
        return False
    plain = type(metric) in (MeanMetricWrapper, CategoricalAccuracy)
    return plain and metric.fn in (accuracy, categorical_accuracy)
