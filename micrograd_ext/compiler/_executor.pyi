from typing import Any

from ..tensor import Array

OPS: tuple[str, ...]
OPCODES: dict[str, int]
REGISTERS: int
INPUTS: int
OUTPUTS: int

def aligned(size: int) -> Array: ...

class Executor:
    def __init__(self, steps: list[tuple[str, dict[str, Any]]], capacity: int) -> None: ...
    def feed(
        self, slot: int, array: Array | None, to: Array, scale: float = 1.0, offset: float = 0.0
    ) -> None: ...
    def rebind(self, steps: list[tuple[str, dict[str, Any]]]) -> None: ...
    def run(
        self,
        first: int,
        n: int,
        order: Array | None = None,
        rate: float = 0.0,
        hyperparameters: dict[str, float] | None = None,
    ) -> None: ...
    def reset(self) -> None: ...
    @property
    def loss(self) -> float: ...
    @property
    def correct(self) -> float: ...
