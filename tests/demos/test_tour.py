"""The notebook: executed, and its outputs looked at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

TOUR = Path(__file__).parents[2] / "demos" / "tour.ipynb"

pytestmark = pytest.mark.skipif(not TOUR.exists(), reason="the demos are not beside the tests")


def text(cell: Any) -> str:
    """What a cell put out, as text."""
    found = ""
    for output in cell["outputs"]:
        found += output.get("text", "") + output.get("data", {}).get("text/plain", "")
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_tour(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    notebook = nbformat.read(TOUR, as_version=4)
    code = [cell for cell in notebook.cells if cell["cell_type"] == "code"]
    assert len(code) == 15
    assert not any(cell["outputs"] for cell in code)  # kept without
    client = nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # raises CellExecutionError
    shown = [text(cell) for cell in code]
    assert "loss = d * d" in shown[0]
    assert "d loss / d a = -24" in shown[1]
    assert "<- next" in shown[2]
    assert "sum = -24" in shown[3]
    assert "3 x^2 = 27.0  6 x = 18.0" in shown[4]
    losses = [float(number) for number in re.findall(r"loss (\S+)", shown[5])]
    assert losses[-1] < 0.05 * losses[0]
    assert "dy/dw" in shown[6]
    assert "True" in shown[7]
    assert "0.25" in shown[8]
    assert "Epoch 6/6" in shown[9]
    assert any("image/png" in output.get("data", {}) for output in code[10]["outputs"])
    assert "dense + bias + relu" in shown[11]
    assert "225,034" in shown[12]
    lenet, perceptron = map(float, re.findall(r"0\.\d{3}", shown[13].splitlines()[-1]))
    assert lenet > perceptron > 0.85
    assert "conv2d" in shown[14]
    assert "<- next" in shown[14]
