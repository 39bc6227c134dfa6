"""A step of a program: one kernel call, and what it is for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..common.console import shape_text
from ..tensor import Array

#: Ops that are several.
FUSED = {
    "conv2d_relu_pool": ["conv2d", "relu", "max_pool2d"],
    "softmax_loss": ["softmax", "cross entropy"],
}
UPDATES = ("adam", "sgd")


class Step(NamedTuple):
    """One call of an op of `csrc/kernels.def` or `csrc/steps.def`, and what it is for."""

    op: str
    operands: dict[str, Any]
    part: str  # forward, loss, backward
    layers: str
    flops: float  # for a full batch; at most so many where zeros are left out
    formula: str = ""  # what it computes, of an op that can compute many things

    @property
    def arrays(self) -> list[Array]:
        """The buffers it reads or writes, each once."""
        arrays = [
            value
            for name, value in self.operands.items()
            if isinstance(value, np.ndarray) and name != "code"
        ]
        return list({id(array): array for array in arrays}.values())

    @property
    def name(self) -> str:
        """What it computes, with what is done on the way."""
        if self.formula:
            return self.formula
        op, _, back = self.op.partition("_d")
        parts = FUSED.get(op, [op]).copy()
        if back in ("w", "x"):
            sent = ["dw", "db"] if back == "w" else ["dx"]
            sent = [name for name in sent if self.operands.get(name) is not None]
            return f"{', '.join(sent)} of {' + '.join(parts)}"
        if self.operands.get("bias") is not None:
            parts.insert(1, "bias")
        if self.operands.get("relu"):
            parts.append("relu")
        return " + ".join(parts)

    @property
    def shapes(self) -> str:
        """From which shapes it makes which: of an example, of a weight, or of all weights."""
        if self.op == "elementwise":
            shapes = [shape_text(self.operands[name].shape[1:]) for name in ("in0", "out0")]
            return " -> ".join(shapes)
        key = {"dw": "dw", "dx": "dx"}.get(self.op[-2:], "y")
        sources = ("x", "dy") if key == "dw" else ("dy",) if key == "dx" else ("x",)
        whole = key == "dw" or self.op in UPDATES
        made = self.operands[key].shape[0 if whole else 1 :]
        texts = [
            shape_text(self.operands[name].shape[1:]) for name in sources if name in self.operands
        ]
        return " -> ".join(filter(None, [", ".join(texts), shape_text(made)]))
