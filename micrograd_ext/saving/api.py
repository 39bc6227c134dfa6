"""Models to files and back."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from .model_files import SavedModel, load, save


def save_model(model: Any, filepath: str | PathLike[str], overwrite: bool = True) -> None:
    """Write a model into one file; see `Sequential.save`."""
    if not isinstance(model, SavedModel):
        raise TypeError(f"save_model: model: expected a model, got {type(model).__name__}")
    save(model, filepath, overwrite)


def load_model(
    filepath: str | PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Any:
    """The model that `Sequential.save` wrote: layers, weights, optimizer and what it remembers.

    Args:
        filepath: the file.
        custom_objects: name -> class or function of one's own that is in the model; those
            registered by `saving.register_keras_serializable` are known.
        compile: whether to compile it as it was.

    Raises:
        OSError: there is no such file.
        ValueError: it is damaged, or none that `save` wrote; or what is in it is not known.
    """
    return load(filepath, custom_objects, compile)
