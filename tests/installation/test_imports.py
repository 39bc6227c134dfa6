"""Where things are imported from: the places of before folders, and in any order."""

from __future__ import annotations

import pytest
from references import run_python

OLD = {
    "stepper": "Stepper",
    "views": "graph_tree",
    "calculus": "grad",
    "expression": "evaluate",
    "tape": "record",
    "gradcheck": "gradcheck",
    "variable": "Variable",
    "graph": "backward_steps",
    "tensor": "Tensor",
    "models": "load_model",
    "saving": "register_keras_serializable",
    "utils": "to_categorical",
    "ops": "conv2d",
}


@pytest.mark.parametrize("module", OLD)
def test_old_places(module: str) -> None:
    code = f"from micrograd_ext.{module} import {OLD[module]} as found; import micrograd_ext"
    run = run_python(f"{code}; print(found.__name__)")
    assert run.stdout.split() == [OLD[module]], run.stderr
