"""Models in files, and the classes and functions of one's own that are in them."""

from __future__ import annotations

from ._lookup import custom_object_scope, register_keras_serializable
from .models import load_model, save_model

__all__ = ["custom_object_scope", "load_model", "register_keras_serializable", "save_model"]
