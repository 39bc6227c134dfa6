"""The demos: that they run, that what they print is so, and that there is something to see."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micrograd_ext import get_num_threads, set_num_threads

DEMOS = Path(__file__).parents[1] / "demos"

pytestmark = pytest.mark.skipif(not DEMOS.exists(), reason="the demos are not beside the tests")

TIME = r"\d+\.\ds \d+[mu]s/step"


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Demos find each other, and threads are as many as before."""
    monkeypatch.syspath_prepend(str(DEMOS))
    before = get_num_threads()
    yield
    set_num_threads(before)


def demo(name: str) -> Any:
    pytest.importorskip("matplotlib", reason="needs matplotlib to draw")
    return importlib.import_module(name)


def check_pictures(folder: Path, printed: str, names: list[str]) -> None:
    """All of them, told of, and none of them empty."""
    image = pytest.importorskip("matplotlib.image")
    assert sorted(file.name for file in folder.iterdir()) == sorted(names)
    for name in names:
        assert f"Saved {folder / name}\n" in printed
        if name.endswith(".png"):
            pixels = image.imread(folder / name)
            assert min(pixels.shape[:2]) > 250, name
            flat = pixels.reshape(-1, pixels.shape[2])
            colours, counts = np.unique(flat, axis=0, return_counts=True)
            assert len(colours) > 30, f"{name}: there is something to see"
            assert counts.max() < 0.99 * counts.sum(), name


def test_every_demo_is_in_the_list_and_tells_what_it_does() -> None:
    text = (DEMOS / "README.md").read_text(encoding="utf-8")
    for file in sorted(DEMOS.glob("[!_]*.py")):
        assert f"`{file.name}`" in text, file.name
        assert f"python demos/{file.name}" in file.read_text(encoding="utf-8"), file.name


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--full", "--sample"], ["--seed", "a"]])
def test_wrong_arguments_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        demo("mnist_mlp").main(arguments)
    assert "error: " in capsys.readouterr().err


# ------------------------------------------------------------------ digits


def test_mnist_lenet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pictures"
    found = demo("mnist_lenet").main(
        ["--sample", "--epochs", "1", "--threads", "1", "--out", str(out)]
    )
    assert get_num_threads() == 1
    printed = capsys.readouterr().out
    assert printed.startswith("4,000 images to learn from, 1,000 to test on.\n")
    assert "Total params: 225,034 (879.04 KB)" in printed
    assert "(None, 5, 5, 64)" in printed
    score = r"accuracy: 0\.\d{4} - loss: \d\.\d{4}"
    epoch = (
        rf"^Epoch 1/1 - 63/63 - {TIME} - {score} - val_accuracy: (0\.\d+) - val_loss: (\d\.\d+)$"
    )
    validation = re.search(epoch, printed, re.MULTILINE)
    assert validation, printed
    test = re.search(r"^Test loss (\d\.\d{4}), test accuracy (0\.\d{4})$", printed, re.MULTILINE)
    assert test, printed
    assert test.groups() == validation.groups()[::-1]
    assert test.groups() == (f"{found['loss']:.4f}", f"{found['accuracy']:.4f}")
    assert found["accuracy"] > 0.85
    assert re.search(r"^Time per epoch \d+\.\d\d s \(median of 1, training only\)$", printed, re.M)
    names = ("confusion", "curve", "digits", "filters", "maps", "model")
    check_pictures(out, printed, [f"mnist_lenet_{name}.png" for name in names])


@pytest.mark.parametrize(
    ("model", "shapes", "parameters"),
    [
        ("same", ["28x28x32", "14x14x32", "14x14x64", "7x7x64", "3136"], 421_642),
        ("lenet5", ["28x28x6", "14x14x6", "10x10x16", "5x5x16", "400"], 61_706),
    ],
)
def test_the_other_lenets(model: str, shapes: list[str], parameters: int) -> None:
    lenet = demo("mnist_lenet")
    built = lenet.MODELS[model]()
    shape = (None, 28, 28, 1)
    found = []
    for layer in built.layers[:5]:
        shape = layer.compute_output_shape(shape)
        found.append("x".join(map(str, shape[1:])))
    assert found == shapes
    assert built.count_params() == parameters
    found = lenet.model_output(built.layers[0], np.ones((1, 28, 28, 1), np.float32))
    assert found.shape == (1, *map(int, shapes[0].split("x")))


def test_mnist_lenet5_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--sample", "--model", "lenet5", "--epochs", "3", "--out", str(tmp_path)]
    assert demo("mnist_lenet").main(arguments)["accuracy"] > 0.85
    assert "(None, 28, 28, 6)" in capsys.readouterr().out


def test_mnist_mlp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = demo("mnist_mlp").main(["--epochs", "4", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "Total params: 55,050" in printed
    assert found["accuracy"] > 0.85
    assert f"test accuracy {found['accuracy']:.4f}\n" in printed
    mistake = re.search(r"commonest mistake, (\d+) times: it takes a (\d) for a (\d)\.", printed)
    assert mistake
    assert int(mistake[1]) == found["commonest mistake"] > 0
    assert mistake[2] != mistake[3]
    names = ("confusion", "curve", "digits", "samples")
    check_pictures(tmp_path, printed, [f"mnist_mlp_{name}.png" for name in names])


def test_confusion_counts_pairs() -> None:
    counts = demo("_common").confusion(np.array([0, 0, 9, 9], np.uint8), np.array([0, 3, 9, 9]))
    assert (counts.sum(), counts[0, 0], counts[0, 3], counts[9, 9]) == (4, 1, 1, 2)


def test_depth_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--epochs", "2", "--runs", "1", "--out", str(tmp_path)]
    means = demo("depth_study").main(arguments)
    printed = capsys.readouterr().out
    assert list(means) == [0, 1, 2, 3, 4]
    assert means[0] > 0.8
    assert max(means.values()) > means[0]  # convolutions help
    for depth, mean in means.items():
        assert re.search(rf"^ +{depth} +[\d,]+  {mean:.4f} ", printed, re.MULTILINE)
    check_pictures(tmp_path, printed, ["depth_study.png"])
