"""Training a model, evaluating it and predicting with it: `fit` and the like, as in Keras."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import copy_context
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np

from .. import optimizers
from ..callbacks import Callback, CallbackList, History, Logs, ProgbarLogger
from ..common.arguments import positive, whole
from ..compiler.builder import NotLoweredError
from ..compiler.program import Program
from ..tensor import Array, TensorLike
from .compiled_model import CompiledModel, flat_logs, numbers_of
from .data_adapter import (
    Batch,
    EpochBatches,
    Examples,
    batches_of,
    by_class,
    check_labels,
    examples_for,
    split_validation,
)
from .epochs import Validation, evaluate_batches, fit_epochs, predict_batches
from .programs import Programs, make_program

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")

BATCH_SIZE = 32  # where none is given, as in Keras


def _contained(method: Callable[P, R]) -> Callable[P, R]:
    """The method, in a copy of the context: what numpy warns of is as before when it is over.

    `np.errstate` sets back what it sets, unless Ctrl-C comes just when it is entered.
    """

    @wraps(method)
    def contained(*args: P.args, **kwargs: P.kwargs) -> R:
        return copy_context().run(method, *args, **kwargs)

    return contained


class NoProgramError(AttributeError, RuntimeError):
    """The model runs layer by layer."""


class Trainer(CompiledModel):
    """A model that can be trained: what `Sequential` is, beside its layers.

    Attributes:
        history: what the last `fit` returned.
        programs: what it runs, as far as that has been made.
    """

    def __init__(self, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.history: History | None = None
        self.programs = Programs()

    @property
    def program(self) -> Program:
        """What `fit` runs, or without a loss `predict`: print it. See `program`.

        Raises:
            NotBuiltError: the input's shape is not known yet.
            NoProgramError: the model runs layer by layer, and why.

        >>> from micrograd_ext import Sequential, layers
        >>> model = Sequential([layers.Input((4,)), layers.Dense(2, "relu")])
        >>> [(step.name, step.shapes) for step in model.program.steps]
        [('dense + bias + relu', '4 -> 2')]
        """
        outputs = self.output_shape
        purpose = "predict" if self.loss is None else "fit"
        try:
            if self.run_eagerly:
                raise NotLoweredError("it was compiled with run_eagerly")
            return self.programs.find(self, purpose) or make_program(
                self, purpose, 32, [self.input_shape, outputs]
            )
        except NotLoweredError as why:
            text = f"{self.name} has no program, it runs layer by layer: {why}"
            raise NoProgramError(text) from None

    @_contained
    def fit(
        self,
        x: TensorLike,
        y: TensorLike,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Sequence[TensorLike] | None = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: TensorLike | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Collection[int] = 1,
    ) -> History:
        """Train on examples x with labels y.

        Args:
            x: (N, ...); numbers of any type, turned into float32 a batch at a time.
            y: (N, ...), what the loss expects, e.g. one-hot labels (N, classes).
            batch_size: examples to a step, 32 by default; the last batch may be smaller.
            epochs: the number of the epoch to end with: how often to go through all examples.
            verbose: 0 silent, 1 a progress bar, 2 a line per epoch; 'auto' is 1. Where there is
                no terminal to draw a bar in, 1 is a line per epoch too.
            callbacks: more `callbacks.Callback` objects.
            validation_split: the share of the examples, the last ones, that are not trained on but
                evaluated after each epoch.
            validation_data: (x, y) or (x, y, sample_weight) to evaluate instead.
            shuffle: whether to draw a new order for each epoch.
            class_weight: how much the examples of a class count in training, 1 for those that are
                not in it.
            sample_weight: (N,), how much each example's loss counts; or of any shape that
                broadcasts to that of the losses.
            initial_epoch: the number of the epoch to begin with, to go on where one stopped.
            steps_per_epoch: how many batches make an epoch; the next one goes on with those that
                are left. All of them by default.
            validation_steps: how many batches to evaluate; all of them by default.
            validation_batch_size: examples to a batch there; batch_size by default.
            validation_freq: evaluate after each so many epochs; or the numbers of the epochs,
                counted from 1, after which to do so.

        Returns:
            History: `history.history['loss']` and so on, a number per epoch.

        Raises:
            RuntimeError: before `compile` with a loss. ValueError: x and y do not fit the model
            or each other.
        """
        optimizer = self._need_loss("fit")
        examples = examples_for(self, "fit", x, y, sample_weight)
        examples, held_out = split_validation(self, examples, validation_split, validation_data)
        examples = by_class("fit", examples, class_weight)
        size = _count_or(BATCH_SIZE, "fit: batch_size", batch_size)
        test_size = _count_or(size, "fit: validation_batch_size", validation_batch_size)
        test_steps = _count_or(None, "fit: validation_steps", validation_steps)
        due = _due("fit: validation_freq", validation_freq)
        epochs = whole("fit: epochs", epochs)
        initial_epoch = whole("fit: initial_epoch", initial_epoch)
        level = _verbosity("fit", verbose)
        self._make_ready("fit", examples)
        validation = None
        if held_out is not None:
            self._make_ready("fit: validation_data", held_out)
            validation = Validation(
                lambda: self.programs.steps(self, "evaluate", held_out, test_size),
                batches_of(len(held_out[0]), test_size, test_steps),
                due,
            )
        if not self.trainable_weights:
            warnings.warn(f"fit: {self.name} has no weights that training adjusts", stacklevel=3)
        batch_steps = _count_or(None, "fit: steps_per_epoch", steps_per_epoch)
        batches = EpochBatches(len(examples[0]), size, shuffle, batch_steps)
        given = _listed(callbacks)
        self.history = history = next((c for c in given if isinstance(c, History)), History())
        events = CallbackList(
            [*(c for c in given if c is not history), *_progress_bar(level), history],
            self,
            {"epochs": epochs, "steps": batches.steps, "verbose": level},
        )
        _build_optimizer(optimizer, self)
        self.stop_training = False
        self.initial_epoch = initial_epoch
        steps = self.programs.steps(self, "fit", examples, size)
        fit_epochs(self, steps, batches, epochs, validation, events)
        return history

    @_contained
    def evaluate(
        self,
        x: TensorLike,
        y: TensorLike,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: TensorLike | None = None,
        steps: int | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """Loss and metrics on examples x with labels y, without training.

        Returns [loss, metric, ...] in the order of `compile`'s metrics, or the loss alone if it
        has none; with return_dict, a dict with their names. steps: how many batches to look at,
        all of them by default. Other arguments, and errors, as for `fit`.
        """
        self._need_loss("evaluate")
        examples = examples_for(self, "evaluate", x, y, sample_weight)
        size = _count_or(BATCH_SIZE, "evaluate: batch_size", batch_size)
        most = _count_or(None, "evaluate: steps", steps)
        level = _verbosity("evaluate", verbose)
        self._make_ready("evaluate", examples)
        batches = batches_of(len(examples[0]), size, most)
        told = [*_listed(callbacks), *_progress_bar(level)]
        events = CallbackList(told, self, {"epochs": 1, "steps": len(batches), "verbose": level})
        logs = evaluate_batches(
            self.programs.steps(self, "evaluate", examples, size), batches, events
        )
        return flat_logs(logs) if return_dict else _as_list(logs)

    @_contained
    def train_on_batch(
        self,
        x: TensorLike,
        y: TensorLike,
        sample_weight: TensorLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """One step on one batch. Returns its loss and metrics, before the step, as `evaluate` does.

        Arguments and errors as for `fit`.
        """
        optimizer = self._need_loss("train_on_batch")
        examples = examples_for(self, "train_on_batch", x, y, sample_weight)
        examples = by_class("train_on_batch", examples, class_weight)
        self._make_ready("train_on_batch", examples)
        _build_optimizer(optimizer, self)
        count = len(examples[0])
        steps = self.programs.steps(self, "fit", examples, count)
        try:
            steps.reset()
            steps.train(Batch(0, count))
            logs = steps.logs()
        finally:
            steps.close()
        return flat_logs(logs) if return_dict else _as_list(logs)

    def test_on_batch(
        self,
        x: TensorLike,
        y: TensorLike,
        sample_weight: TensorLike | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """Loss and metrics of one batch, as `evaluate` returns them."""
        count = max(len(np.asarray(x)), 1) if np.ndim(x) else 1
        return self.evaluate(x, y, count, 0, sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x: TensorLike) -> Array:
        """The outputs of one batch."""
        return self.predict(x, max(len(np.asarray(x)), 1) if np.ndim(x) else 1)

    @_contained
    def predict(
        self,
        x: TensorLike,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
    ) -> Array:
        """The outputs for examples x, as an array; no example, no output.

        Args:
            x: (N, ...), as for `fit`.
            batch_size: examples to a batch, 32 by default.
            verbose: taken for Keras's sake: nothing is shown.
            steps: how many batches to look at; all of them by default.
            callbacks: `callbacks.Callback` objects, for `on_predict_begin` and so on.
        """
        examples = examples_for(self, "predict", x, labelled=False)
        size = _count_or(BATCH_SIZE, "predict: batch_size", batch_size)
        most = _count_or(None, "predict: steps", steps)
        level = _verbosity("predict", verbose)
        told = _listed(callbacks)
        self._make_ready("predict", examples)
        if len(examples[0]) == 0:
            return np.empty((0, *map(int, self.output_shape[1:])), np.float32)  # type: ignore[arg-type]
        batches = batches_of(len(examples[0]), size, most)
        events = None
        if told:
            events = CallbackList(told, self, {"steps": len(batches), "verbose": level})
        outputs = predict_batches(
            self.programs.steps(self, "predict", examples, size), batches, events
        )
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def _need_loss(self, caller: str) -> optimizers.Optimizer:
        """The optimizer; RuntimeError before `compile` with a loss."""
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(
                f"{caller}: this model has no loss yet: call "
                "model.compile(optimizer=..., loss=...) first"
            )
        return self.optimizer

    def _make_ready(self, caller: str, examples: Examples) -> None:
        """Build the model, if it is not yet, and look at the labels."""
        if not self.built:
            self.build(examples[0].shape)
        if len(examples) > 1 and examples[1].shape[1:] == self.output_shape[1:]:
            check_labels(caller, self.loss, examples[1])  # of another shape: the loss will object


def _build_optimizer(optimizer: optimizers.Optimizer, model: CompiledModel) -> None:
    """Let the optimizer make its slots for the model's weights, if it has none for these yet."""
    variables = model.trainable_weights
    if not optimizer.remembers(variables):
        optimizer.build(variables)


def _progress_bar(level: int) -> list[Callback]:
    return [ProgbarLogger()] if level else []


def _as_list(logs: Logs) -> float | list[float]:
    """The loss, then what the metrics have come to; the loss alone if there are none."""
    values = [*numbers_of(logs).values()]
    return values if len(values) > 1 else values[0]


def _listed(callbacks: Callback | Sequence[Callback] | None) -> Sequence[Callback]:
    """None, one or several, as several."""
    return [callbacks] if isinstance(callbacks, Callback) else callbacks or ()


def _count_or(default: D, what: str, given: int | None) -> int | D:
    """A number >= 1; the default if none is given."""
    return default if given is None else positive(what, given)


def _due(what: str, freq: int | Collection[int]) -> Callable[[int], bool]:
    """After which epochs, counted from 0, something is to be done."""
    if isinstance(freq, Collection) and not isinstance(freq, str):
        return lambda epoch: epoch + 1 in freq
    every = positive(what, freq)
    return lambda epoch: (epoch + 1) % every == 0


def _verbosity(caller: str, verbose: str | int) -> int:
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"{caller}: verbose: expected 'auto', 0, 1 or 2, got {verbose!r}")
    return 1 if verbose == "auto" else int(verbose)
