"""Small helpers around training."""

from ..models.plot import plot_model
from .numerical import to_categorical
from .random import set_random_seed

__all__ = ["plot_model", "set_random_seed", "to_categorical"]
