"""Models to files and back: what is in them, and what has to agree."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from os import PathLike
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .. import layers, optimizers
from ..common import random_stream
from ..common.arguments import at_least_0, whole
from ..common.naming import snake
from ..common.serialization import custom_object_scope, find, name_of
from ..common.version import VERSION
from ..layers.base import Layer, inner_layers
from ..layers.building import building_of_at_most
from ..tensor import Array, Tensor
from ..tensor.variable import Variable
from .archive import FORMAT, Archive, reading, write
from .archive import VERSION as ARCHIVE_VERSION


@runtime_checkable
class SavedModel(Protocol):
    """What is asked of a model that goes into a file, or comes out of one."""

    name: str
    built: bool
    layers: list[Layer]
    optimizer: optimizers.Optimizer | None

    @property
    def trainable_weights(self) -> list[Variable]:
        """Those that the optimizer adjusts."""

    def get_config(self) -> dict[str, Any]:
        """What makes another one like it."""

    def get_compile_config(self) -> dict[str, Any] | None:
        """How it was compiled."""

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile it like that."""


def named_weights(model: SavedModel) -> dict[str, Tensor]:
    """The weights, by names that do not depend on how many other layers were made before.

    'conv2d/kernel', 'conv2d_1/kernel': layers are counted within the model.
    """
    weights: dict[str, Tensor] = {}
    kinds: Counter[str] = Counter()
    for layer in model.layers:
        kind = snake(type(layer).__name__)
        place = f"{kind}_{kinds[kind]}" if kinds[kind] else kind
        kinds[kind] += 1
        own: Counter[str] = Counter()
        for weight in layer.weights:
            name = (weight.name or "").rpartition("/")[2] or "weight"
            own[name] += 1
            weights[f"{place}/{name}" + (f"_{own[name] - 1}" if own[name] > 1 else "")] = weight
    return weights


def _metadata(kind: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": ARCHIVE_VERSION,
        "kind": kind,
        "micrograd_ext": VERSION,
    }


def save_weights(model: SavedModel, path: str | PathLike[str], overwrite: bool) -> None:
    """See `Sequential.save_weights`."""
    if not model.built:
        raise ValueError(f"save_weights: {model.name} has no weights yet: see `build`")
    arrays = {f"weights/{name}": weight.data for name, weight in named_weights(model).items()}
    write(path, {"metadata": _metadata("weights")}, arrays, overwrite)


def save(
    model: SavedModel,
    path: str | PathLike[str],
    overwrite: bool = True,
    epochs: int | None = None,
) -> None:
    """See `Sequential.save`.

    epochs: how many are over, for `restore`; then the random streams' states are kept as well.
    """
    arrays: dict[str, Array] = {}
    if model.built:
        arrays = {f"weights/{name}": weight.data for name, weight in named_weights(model).items()}
    config = {
        "class_name": name_of(type(model)),
        "config": model.get_config(),
        "compile_config": model.get_compile_config(),
    }
    optimizer = model.optimizer
    if optimizer is not None and optimizer.remembers(model.trainable_weights):
        store: dict[str, Array] = {}
        optimizer.save_own_variables(store)
        arrays |= {f"optimizer/{name}": array for name, array in store.items()}
    documents = {"metadata": _metadata("model"), "config": config}
    if epochs is not None:
        states = [stream.bit_generator.state for stream in _streams(model)]
        documents["training"] = {"epochs": epochs, "random": states}
    write(path, documents, arrays, overwrite)


def _streams(model: SavedModel) -> list[np.random.Generator]:
    """What random numbers come from in training."""
    streams = [random_stream.generator()]
    layers = [*model.layers]
    for layer in layers:  # which grows as it goes
        layers += inner_layers(layer)
        own = getattr(layer, "_random", None)
        if isinstance(own, np.random.Generator):
            streams.append(own)
    return streams


def restore(model: SavedModel, path: str | PathLike[str]) -> int:
    """Bring a model, its optimizer and the random streams to where they were; see `save`.

    Returns how many epochs were over. Raises ValueError, and changes nothing, if the file is
    damaged or another model's.
    """
    with reading(path, "model") as archive:
        training, config = archive.document("training"), archive.document("config")
        epochs = whole("epochs", training["epochs"])
        states, streams = training["random"], _streams(model)
        if len(states) != len(streams):
            raise ValueError(f"it has {len(states)} random streams, the model {len(streams)}")
        for state in states:
            np.random.PCG64().state = state  # may object
        matched = _weights(archive, named_weights(model))
        optimizer = model.optimizer
        if optimizer is not None:
            rate = config["compile_config"]["optimizer"]["config"]["learning_rate"]
            if own := isinstance(optimizer.get_config()["learning_rate"], float):
                rate = at_least_0("learning_rate", rate)
            _remember(archive, optimizer)  # the last that may object
            if own:
                optimizer.learning_rate = rate
    for weight, array in matched:
        weight.data[...] = array
    for stream, state in zip(streams, states, strict=True):
        stream.bit_generator.state = state
    return epochs


def _remember(archive: Archive, optimizer: optimizers.Optimizer) -> None:
    """Give an optimizer what one like it remembered."""
    stored = [name for name in archive.arrays if name.startswith("optimizer/")]
    if stored:
        store = {name.removeprefix("optimizer/"): archive.array(name) for name in stored}
        if archive.version == 1:
            store = _from_version_1(optimizer, store)
        optimizer.load_own_variables(store)


def _from_version_1(optimizer: optimizers.Optimizer, store: dict[str, Array]) -> dict[str, Array]:
    """What an optimizer's entries of the first version of the format are in the present one.

    There they were the steps taken, then what was kept, variable by variable.
    """
    own, kinds = optimizer.variables, optimizer.slots
    places = {id(variable): i for i, variable in enumerate(own)}
    if len(store) != 1 + sum(map(len, kinds)):
        return store  # another optimizer's, which is going to be said
    entries = {str(i): variable.numpy() for i, variable in enumerate(own)}
    entries["0"] = store["0"]
    in_order = (variable for of_one in zip(*kinds, strict=True) for variable in of_one)
    for i, variable in enumerate(in_order, 1):
        entries[str(places[id(variable)])] = store[str(i)]
    return entries


def load_weights(model: SavedModel, path: str | PathLike[str], skip_mismatch: bool) -> None:
    """See `Sequential.load_weights`."""
    with reading(path, "weights") as archive:
        if not model.built:
            raise ValueError(f"load_weights: {model.name} has no weights yet: see `build`")
        matched = _weights(archive, named_weights(model), skip_mismatch)
    for weight, array in matched:
        weight.data[...] = array


def _weights(
    archive: Archive, weights: Mapping[str, Tensor], skip_mismatch: bool = False
) -> list[tuple[Tensor, Array]]:
    """Each weight with the array of its name; ValueError if names or shapes disagree."""
    there = [n.removeprefix("weights/") for n in archive.arrays if n.startswith("weights/")]
    wrong = [f"{name} is missing" for name in weights if name not in there]
    matched = []
    for name in there:
        if name not in weights:
            wrong.append(f"the model has no {name}")
            continue
        array, weight = archive.array(f"weights/{name}"), weights[name]
        if array.shape == weight.shape:
            matched.append((weight, array))
        else:
            wrong.append(f"{name}: expected shape {weight.shape}, got {array.shape}")
    if wrong and not skip_mismatch:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise ValueError(f"they are another model's: {'; '.join(wrong[:3])}{more}")
    if wrong:
        text = f"load_weights: {archive.name}: left out: {'; '.join(wrong)}"
        warnings.warn(text, stacklevel=4)
    return matched


def load(
    path: str | PathLike[str], custom_objects: Mapping[str, Any] | None, compiled: bool
) -> Any:
    """See `load_model`."""
    with reading(path, "model") as archive, custom_object_scope(custom_objects):
        if "config" not in archive.documents:
            raise ValueError("it has weights only: see load_weights")
        document = archive.document("config")
        with building_of_at_most(archive.numbers):
            kind = find("class_name", layers.classes(), document["class_name"])
            model = kind.from_config(document["config"])
            if not isinstance(model, SavedModel):
                raise ValueError(f"class_name: expected a model's, got {document['class_name']!r}")
        matched = _weights(archive, named_weights(model))
        for weight, array in matched:
            weight.data[...] = array
        if compiled and document["compile_config"] is not None:
            model.compile_from_config(document["compile_config"])
            if model.optimizer is not None:
                model.optimizer.build(model.trainable_weights)
                _remember(archive, model.optimizer)
    return model
