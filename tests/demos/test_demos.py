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

DEMOS = Path(__file__).parents[2] / "demos"

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


# ------------------------------------------------------------------ the chapter on neural networks


def test_activations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    activations = demo("activations")
    found = activations.main(["--out", str(tmp_path)])
    printed = capsys.readouterr().out
    for name, largest in (("sigmoid", 0.25), ("tanh", 1.0), ("relu", 1.0), ("leaky_relu", 1.0)):
        assert re.search(rf"^  {name} +{largest:.2f} at x = ", printed, re.MULTILINE)
    x, y, slope = activations.curve("sigmoid")
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-x)), rtol=1e-12)
    np.testing.assert_allclose(slope, y * (1 - y), rtol=1e-12, atol=1e-300)
    assert found["sigmoid"][0] > 1e10 * found["sigmoid"][-1]  # twenty layers leave nothing
    assert found["relu"][0] < 100 * found["relu"][-1]
    assert found["kept"][0] < 0.3 < 0.8 < found["kept"][1] < 1.2
    assert f"times {found['kept'][0]:.2f} and times {found['kept'][1]:.2f}" in printed
    check_pictures(tmp_path, printed, ["activations.png", "activations_depth.png"])


def test_two_layer_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = demo("two_layer_by_hand").main(["--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert 0 < found["largest difference"] < 1e-12
    for line in re.findall(r"^  (?:W1\[0\]|b1\[0\]|W2\[0\]|b2) .*$", printed, re.MULTILINE):
        assert len(set(line.split()[1:])) == 1, line
    assert found["last loss"] < 0.001 * found["first loss"]
    assert found["sum"] == pytest.approx(579, abs=1e-3)
    assert "w1 = 1.000000, w2 = 1.000000, b = " in printed
    check_pictures(tmp_path, printed, ["two_layer_by_hand.png"])


def test_linear_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = demo("linear_stack").main(["--out", str(tmp_path)])
    assert found["away"] < 1e-5  # a line, to rounding
    assert found["linear"] >= 0.95 * found["best line"]  # so no better than the best one
    assert found["ReLU"] < 0.01 * found["best line"]
    check_pictures(tmp_path, capsys.readouterr().out, ["linear_stack.png"])


def test_network_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = demo("network_picture").main(["--out", str(tmp_path)])
    assert found["right"] == 4
    assert found["last loss"] < 0.05 < found["first loss"]
    check_pictures(tmp_path, capsys.readouterr().out, ["network_picture.png"])


def test_boundary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = demo("boundary").main(["--out", str(tmp_path)])
    printed = capsys.readouterr().out
    line, curve = found.values()
    assert line < 0.95 < 0.97 < curve
    assert f"{curve:.1%} of 200 points on the right side" in printed
    check_pictures(tmp_path, printed, ["boundary.gif", "boundary.png"])
    image = pytest.importorskip("PIL.Image", reason="looks into the GIF")
    with image.open(tmp_path / "boundary.gif") as frames:
        assert frames.n_frames == 26


def test_max_pooling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pooling = demo("max_pooling")
    found = pooling.main(["--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert found["pooled"].tolist() == [[10, 12], [7, 9]]
    expected = np.zeros((4, 4))
    expected[[0, 1, 2, 2], [0, 2, 1, 3]] = [1, 2, 3, 4]  # of two sevens the first
    np.testing.assert_array_equal(found["back"], expected)
    assert found["first"].tolist() == [[1, 0], [0, 0]]
    assert np.isnan(found["lost"]).all()
    assert "window 0, 1: the largest of 4, 6, 12, 5 is 12\n" in printed
    check_pictures(tmp_path, printed, ["max_pooling.png"])


def test_moons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = demo("moons").main(["--steps", "5", "--out", str(tmp_path)])
    assert found["same"]
    assert "to the last bit: True\n" in capsys.readouterr().out


# ------------------------------------------------------------------ drawing


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DEMOS))
        drawing = demo("draw_digit")
        path = tmp_path_factory.mktemp("model") / "lenet.keras"
        options = drawing.parse(trained_parser(drawing), ["--model", str(path), "--epochs", "3"])
        drawing.trained(options)
    return path


def trained_parser(drawing: Any) -> Any:
    found = drawing.digits_parser("text")
    found.add_argument("--model")
    return found


def test_draw_digit_reads_a_picture(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing = demo("draw_digit")
    image = pytest.importorskip("matplotlib.image")
    ink = np.zeros((300, 200))
    ink[40:260, 90:110] = 1  # a one
    for name, pixels in (("dark", 1 - ink), ("light", ink)):
        image.imsave(tmp_path / f"{name}.png", pixels, cmap="gray", vmin=0, vmax=1)
        out = tmp_path / name
        arguments = [
            "--image",
            f"{tmp_path}/{name}.png",
            "--model",
            str(trained),
            "--out",
            f"{out}",
        ]
        found = drawing.main(arguments)
        assert found["digit"] == 1
        printed = capsys.readouterr().out
        assert f"It is a 1, {found['probability']:.1%}; else a " in printed
        check_pictures(out, printed, ["draw_digit.png"])
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    with pytest.raises(SystemExit, match="--image: expected a PNG file"):
        drawing.main(["--image", f"{tmp_path}/text.png", "--model", str(trained)])


def test_drawings_are_brought_to_mnists_form() -> None:
    drawing = demo("draw_digit")
    for shape in ((100, 40), (7, 50), (1, 1), (60, 60)):
        field = np.zeros((130, 120))
        field[5 : 5 + shape[0], 60 : 60 + shape[1]] = 1
        found = drawing.as_in_mnist(field)
        rows, columns = np.nonzero(found)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        assert abs(np.average(rows, weights=found[rows, columns]) - 13.5) <= 0.5
        assert abs(np.average(columns, weights=found[rows, columns]) - 13.5) <= 0.5
    assert not drawing.as_in_mnist(np.zeros((9, 9))).any()
    matrix = drawing.resampling(7, 3)  # means of 7/3 pixels each
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(matrix.sum(axis=0), 3 / 7)


def test_the_mouse_draws(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = demo("draw_digit")
    events = pytest.importorskip("matplotlib.backend_bases")
    agg = pytest.importorskip("matplotlib.backends.backend_agg")
    picture = drawing.figure(7, 3.4)
    canvas = agg.FigureCanvasAgg(picture)
    pad = drawing.Pad(drawing.models.load_model(trained), picture)
    pad.connect()
    canvas.draw()

    def mouse(name: str, x: float, y: float) -> None:
        place = pad.field.transData.transform((x, y))
        button = events.MouseButton.LEFT
        if name == "motion_notify_event":  # which tells of the buttons that are down
            event = events.MouseEvent(name, canvas, *place, buttons=[button])
            event.button = button
        else:
            event = events.MouseEvent(name, canvas, *place, button)
        canvas.callbacks.process(name, event)

    assert pad.title.get_text() == ""
    mouse("button_press_event", 14, 4)
    for y in range(5, 24):
        mouse("motion_notify_event", 14, y)
    mouse("button_release_event", 14, 23)
    assert pad.drawn[4:24, 14].all()
    assert not pad.drawn[:, :10].any()
    assert pad.title.get_text().startswith("a 1, ")
    heights = [bar.get_height() for bar in pad.bars]
    assert sum(heights) == pytest.approx(1, abs=1e-5)
    mouse("button_press_event", 22, 4)  # elsewhere: no line from where it was let go
    assert not pad.drawn[:, 18].any()
    canvas.callbacks.process("key_press_event", events.KeyEvent("key_press_event", canvas, "c"))
    assert not pad.drawn.any()
    assert pad.title.get_text() == ""


def test_without_a_screen_it_says_so(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    assert demo("draw_digit").main(["--model", str(trained)]) == {}
    assert "no screen to open a window on: give a picture with --image" in capsys.readouterr().out
