__version__ = "0.1.0"
from .tensor import Tensor, no_grad
