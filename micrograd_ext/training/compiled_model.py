"""A model as it is compiled and kept in files: its loss, metrics and optimizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, TypeAlias

from .. import losses, ops, optimizers
from ..callbacks import Logs
from ..common.arguments import finite, positive
from ..common.serialization import serialize
from ..layers import Layer, Shape
from ..losses import LossFunction, of_batch
from ..metrics import Mean, Metric, MetricFunction, as_number
from ..metrics import get as get_metric
from ..saving import model_files
from ..tensor import Array, Tensor

MetricLike: TypeAlias = str | Metric | MetricFunction


class NotBuiltError(AttributeError, ValueError):
    """What is asked for is known once the model is built."""


class CompiledModel(Layer):
    """A layer that has a loss, metrics and an optimizer once `compile` was called.

    Attributes:
        layers: the layers that it is made of.
        optimizer, loss, loss_weight, run_eagerly: what `compile` was given.
        unweighted_metrics, weighted_metrics: those that `compile` was given.
        loss_tracker: the mean of the loss, which is reported beside them.
        stop_training: a callback sets it to end `fit` after the batch or epoch.
        initial_epoch: the epoch that `fit` begins with; a callback may set it in `on_train_begin`.
    """

    layers: list[Layer]

    def __init__(self, name: str | None = None, trainable: bool = True) -> None:
        self._input_shape: Shape | None = None
        super().__init__(name=name, trainable=trainable)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: LossFunction | None = None
        self.loss_weight = 1.0
        self.run_eagerly = False
        self.unweighted_metrics: list[Metric] = []
        self.weighted_metrics: list[Metric] = []
        self.loss_tracker = Mean("loss")
        self.stop_training = False
        self.initial_epoch = 0
        self._compile_arguments: dict[str, Any] = {}

    @property
    def input_shape(self) -> Shape:
        """The shape that goes in; an error before it is known."""
        if self._input_shape is None:
            raise NotBuiltError(f"{self.name}: the input's shape is not known yet: see `build`")
        return self._input_shape

    @input_shape.setter
    def input_shape(self, shape: Shape | None) -> None:
        self._input_shape = shape

    @property
    def output_shape(self) -> Shape:
        """The shape that comes out; an error before the input's shape is known."""
        return self.compute_output_shape(self.input_shape)

    def takes(self, shape: Shape) -> bool:
        """Whether inputs of that shape are what the model is for."""
        if self._input_shape is None:
            return True
        return len(shape) == len(self._input_shape) and all(
            wanted in (None, size)
            for wanted, size in zip(self._input_shape[1:], shape[1:], strict=True)
        )

    def ensure_built(self, input_shape: Shape) -> None:
        """Build for inputs of that shape, once; ValueError if it takes others."""
        if len(input_shape) and not self.takes(input_shape):
            raise ValueError(
                f"{self.name}: expected inputs of shape {self._input_shape}, got {input_shape}"
            )
        super().ensure_built(input_shape)

    def check_rebuild(self, input_shape: Shape | None) -> None:
        """Raise ValueError if it is built for other inputs."""
        if input_shape is not None and not self.takes(input_shape):
            raise ValueError(
                f"{self.name}: build: it is built for inputs of shape {self._input_shape}, "
                f"got {input_shape}"
            )

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the model into one file: layers, weights, and how it was compiled.

        The optimizer's memory is in it, too: `models.load_model` returns a model that goes on
        training where this one is. The file is a zip archive of JSON and of numpy's arrays, not
        Keras's format, whatever its suffix; nothing in it is code. It takes the place of an earlier
        one when it is complete, or not at all.

        Args:
            filepath: where to, e.g. 'lenet.keras'.
            overwrite: whether it may take the place of an earlier one.

        Raises:
            FileExistsError: there is one, and overwrite is False.
            OSError: it cannot be written.
            TypeError: a layer, loss or metric of one's own cannot say how to make another one
                like it: see `Layer.get_config`.

        >>> import numpy as np
        >>> import tempfile
        >>> from micrograd_ext import Sequential, layers, models
        >>> model = Sequential([layers.Input((4,)), layers.Dense(2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/small.keras")
        ...     again = models.load_model(f"{folder}/small.keras")
        >>> x = np.ones((1, 4), np.float32)
        >>> bool((again.predict(x) == model.predict(x)).all())
        True
        """
        model_files.save(self, filepath, overwrite)

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights into a file, as `save` does the model.

        numpy's `load` reads it as well: 'weights/conv2d/kernel', 'weights/conv2d_1/kernel', ...
        """
        model_files.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: str | PathLike[str], skip_mismatch: bool = False) -> None:
        """Take the weights from a file that `save_weights` or `save` of a like model wrote.

        Args:
            filepath: the file.
            skip_mismatch: take those whose names and shapes are the model's, and warn of others.

        Raises ValueError, and changes nothing, if the file is damaged or another model's.
        """
        model_files.load_weights(self, filepath, skip_mismatch)

    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "rmsprop",
        loss: str | LossFunction | None = None,
        loss_weights: float | Sequence[float] | None = None,
        metrics: Sequence[MetricLike] | None = None,
        weighted_metrics: Sequence[MetricLike] | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how to train.

        Args:
            optimizer: name, e.g. 'adam' or 'sgd', or an object of `optimizers`; Keras's default.
            loss: name, e.g. 'categorical_crossentropy', or a function (y_true, y_pred) -> losses.
            loss_weights: a number that multiplies the loss.
            metrics: names, e.g. ['accuracy'], objects of `metrics`, or functions of
                (y_true, y_pred).
            weighted_metrics: the same, where each example counts as `sample_weight` says.
            run_eagerly: go layer by layer, through Tensors that a debugger can look at. Otherwise
                layers, loss and optimizer become a `program`, with the same results to rounding,
                where all layers are ones that it knows.
            steps_per_execution: taken for Keras's sake: each step is one call.
            jit_compile: taken for Keras's sake: there is nothing to wait for.
            auto_scale_loss: taken for Keras's sake: float32 needs no scaling.
        """
        weight = _loss_weight(loss_weights)
        positive("compile: steps_per_execution", steps_per_execution)
        chosen = _metrics_of("metrics", metrics)
        weighted = _metrics_of("weighted_metrics", weighted_metrics)
        loss_function = None if loss is None else losses.get(loss)
        self.optimizer = optimizers.get(optimizer)
        self.loss, self.loss_weight = loss_function, weight
        self.unweighted_metrics, self.weighted_metrics = chosen, weighted
        self._compile_arguments = {
            "loss": loss,
            "metrics": None if metrics is None else [*metrics],
        }
        if weighted_metrics is not None:
            self._compile_arguments["weighted_metrics"] = [*weighted_metrics]
        if weight != 1:
            self._compile_arguments["loss_weights"] = weight
        self.run_eagerly = bool(run_eagerly)

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, as JSON can hold it; the optimizer as it is now."""
        if self.optimizer is None:
            return None
        arguments = {"optimizer": self.optimizer, **self._compile_arguments}
        config = {name: serialize(value) for name, value in arguments.items()}
        return config | {"run_eagerly": self.run_eagerly}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as `get_compile_config` says."""
        self.compile(**config)

    @property
    def metrics(self) -> list[Metric]:
        """What is reported: the mean loss, and the metrics that `compile` was given."""
        return [self.loss_tracker, *self.unweighted_metrics, *self.weighted_metrics]

    @property
    def metrics_names(self) -> list[str]:
        """Their names."""
        return [metric.name for metric in self.metrics]

    def results(self) -> Logs:
        """What loss and metrics have come to, by name; of metrics of one name, each has its own.

        A metric that gives a dict has one here.
        """
        logs: Logs = {"loss": self.loss_tracker.result()}
        times: Counter[str] = Counter()
        for metric in [*self.unweighted_metrics, *self.weighted_metrics]:
            name = metric.name
            if name in times and metric in self.weighted_metrics:
                name = f"weighted_{name}"
            times[name] += 1
            name = f"{name}_{times[name] - 1}" if times[name] > 1 else name
            result = metric.result()
            if isinstance(result, Mapping):
                logs[name] = {each: as_number(value) for each, value in sorted(result.items())}
            else:
                logs[name] = as_number(result)
        return logs

    def batch_loss(self, y: Array, y_pred: Tensor, weights: Array | None = None) -> Tensor:
        """The mean loss of a batch, each example's by its weight, and what regularizers add."""
        assert self.loss is not None
        each = of_batch(self.loss, y, y_pred, weights)
        if each.shape[:1] not in ((), (len(y),)):
            raise ValueError(
                f"loss: expected one number, or one per example, got shape {each.shape}"
            )
        loss = ops.mean(each)
        if self.loss_weight != 1:
            loss = loss * self.loss_weight
        for penalty in self.losses:
            loss = loss + penalty
        return loss

    def update_metrics(self, y: Array, y_pred: Array, weights: Array | None, loss: Array) -> None:
        """Show a batch to the metrics, and its loss to their mean."""
        self.loss_tracker.update_state(loss, sample_weight=len(y))
        for metric in self.unweighted_metrics:
            metric.update_state(y, y_pred)
        for metric in self.weighted_metrics:
            metric.update_state(y, y_pred, sample_weight=weights)

    def reset_metrics(self) -> None:
        """Let the loss and the metrics start anew."""
        for metric in self.metrics:
            metric.reset_state()


def _loss_weight(given: float | Sequence[float] | None) -> float:
    """What multiplies the loss."""
    number = given[0] if isinstance(given, list | tuple) and len(given) == 1 else given
    if isinstance(number, list | tuple | str):  # where Keras 2 had the metrics
        raise ValueError(
            f"compile: loss_weights: expected a number, got {given!r}; metrics are given as "
            "metrics=[...]"
        )
    return 1.0 if number is None else finite("compile: loss_weights", number)


def _metrics_of(argument: str, given: Sequence[MetricLike] | None) -> list[Metric]:
    """The metrics that `compile` was given."""
    if isinstance(given, str) or not isinstance(given or (), list | tuple):
        raise TypeError(f"compile: {argument}: expected a list of metrics, got {given!r}")
    return [get_metric(metric) for metric in given or ()]


def flat_logs(logs: Mapping[str, Any]) -> Logs:
    """As callbacks, and History, are told: by name as in Keras, metrics of several as several."""
    return numbers_of(dict(sorted(logs.items())))


def numbers_of(logs: Mapping[str, Any]) -> Logs:
    """The numbers, with those of metrics that give several in their place."""
    flat: Logs = {}
    for name, value in logs.items():
        flat |= value if isinstance(value, Mapping) else {name: value}
    return flat
