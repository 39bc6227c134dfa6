"""Data sets to learn on, loaded the way Keras loads them."""

from . import fashion_mnist, mnist

__all__ = ["fashion_mnist", "mnist"]
