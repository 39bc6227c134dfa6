"""Models: layers in a row, and how they are trained. The API is that of Keras."""

from ..saving import load_model, save_model
from .sequential import Sequential, model_from_json

__all__ = ["Sequential", "load_model", "model_from_json", "save_model"]
