"""Models in files, and the classes and functions of one's own that are in them."""

from ..common.serialization import custom_object_scope, register_keras_serializable
from .api import load_model, save_model

__all__ = ["custom_object_scope", "load_model", "register_keras_serializable", "save_model"]
