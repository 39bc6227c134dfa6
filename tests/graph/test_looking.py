"""Looking at a model and its training: summary, plot_model, History.plot."""

from __future__ import annotations

import inspect
import itertools
import os
import re
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import micrograd_ext
from micrograd_ext import Sequential, callbacks, layers, optimizers, utils

try:
    import keras
except ImportError:
    keras = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def as_if_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names begin anew, and what is printed depends on nobody's settings."""
    monkeypatch.setattr("micrograd_ext.common.naming._names", Counter())
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "JUPYTER_COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


def lenet(api: Any = micrograd_ext) -> Any:
    """The network of the text, of this package or of Keras."""
    return api.Sequential(
        [
            api.Input((28, 28, 1)),
            api.layers.Conv2D(32, (3, 3), activation="relu"),
            api.layers.MaxPooling2D((2, 2)),
            api.layers.Conv2D(64, (3, 3), activation="relu"),
            api.layers.MaxPooling2D((2, 2)),
            api.layers.Flatten(),
            api.layers.Dense(128, activation="relu"),
            api.layers.Dense(10, activation="softmax"),
        ]
    )


def normalized(api: Any = micrograd_ext) -> Any:
    return api.Sequential(
        [
            api.Input((8, 8, 3)),
            api.layers.Conv2D(4, 3, use_bias=False),
            api.layers.BatchNormalization(),
            api.layers.Dropout(0.5),
            api.layers.Flatten(),
            api.layers.Dense(3),
        ]
    )


def unbuilt(api: Any = micrograd_ext) -> Any:
    return api.Sequential([api.layers.Dense(3, activation="relu"), api.layers.Dense(2)])


def frozen(api: Any = micrograd_ext) -> Any:
    model = lenet(api)
    model.layers[0].trainable = model.layers[5].trainable = False
    return model


def fitted(api: Any = micrograd_ext, model: Any = None, optimizer: Any = "adam") -> Any:
    model = model or lenet(api)
    model.compile(optimizer, "mse")
    x, y = np.zeros((2, *model.input_shape[1:])), np.zeros((2, *model.output_shape[1:]))
    model.fit(x, y, epochs=1, verbose=0)
    return model


def summary(model: Any, **options: Any) -> str:
    shown: list[str] = []
    model.summary(print_fn=shown.append, **options)
    assert len(shown) == 1
    return shown[0]


def cells(text: str) -> list[list[str]]:
    """The rows of a printed table; several lines of one row as one."""
    rows: list[list[str]] = []
    for line in text.splitlines():
        if line[:1] in "├╞┡":
            rows.append([])
        elif line[:1] == "│":
            parts = [part[1:-1].rstrip() for part in line[1:-1].split("│")]
            rows[-1] = [a + b for a, b in zip(rows[-1] or [""] * len(parts), parts, strict=True)]
    return [[part.strip() for part in row] for row in rows if row]


def totals(text: str) -> dict[str, str]:
    return dict(re.findall(r"^ (\S+) params: (.*)$", text, re.MULTILINE))


# ------------------------------------------------------------------ summary

#: what Keras 3.15 prints
LENET = """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                         ┃ Output Shape                ┃         Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                      │ (None, 26, 26, 32)          │             320 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ max_pooling2d (MaxPooling2D)         │ (None, 13, 13, 32)          │               0 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ conv2d_1 (Conv2D)                    │ (None, 11, 11, 64)          │          18,496 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ max_pooling2d_1 (MaxPooling2D)       │ (None, 5, 5, 64)            │               0 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ flatten (Flatten)                    │ (None, 1600)                │               0 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ dense (Dense)                        │ (None, 128)                 │         204,928 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ dense_1 (Dense)                      │ (None, 10)                  │           1,290 │
└──────────────────────────────────────┴─────────────────────────────┴─────────────────┘
 Total params: 225,034 (879.04 KB)
 Trainable params: 225,034 (879.04 KB)
 Non-trainable params: 0 (0.00 B)
"""

#: numbers of parameters that Keras 3.15 prints: total, trainable, not trainable, the optimizer's
COUNTS: dict[str, tuple[Callable[..., Any], dict[str, str]]] = {
    "frozen": (
        frozen,
        {
            "Total": "225,034 (879.04 KB)",
            "Trainable": "19,786 (77.29 KB)",
            "Non-trainable": "205,248 (801.75 KB)",
        },
    ),
    "normalized": (
        normalized,
        {
            "Total": "559 (2.18 KB)",
            "Trainable": "551 (2.15 KB)",
            "Non-trainable": "8 (32.00 B)",
        },
    ),
    "unbuilt": (
        unbuilt,
        {"Total": "0 (0.00 B)", "Trainable": "0 (0.00 B)", "Non-trainable": "0 (0.00 B)"},
    ),
    "fitted": (
        fitted,
        {
            "Total": "675,104 (2.58 MB)",
            "Trainable": "225,034 (879.04 KB)",
            "Non-trainable": "0 (0.00 B)",
            "Optimizer": "450,070 (1.72 MB)",
        },
    ),
    "frozen and fitted": (
        lambda api: fitted(api, frozen(api)),
        {
            "Total": "264,608 (1.01 MB)",
            "Trainable": "19,786 (77.29 KB)",
            "Non-trainable": "205,248 (801.75 KB)",
            "Optimizer": "39,574 (154.59 KB)",
        },
    ),
}


def test_the_summary_is_keras_s(capsys: pytest.CaptureFixture[str]) -> None:
    model = lenet()
    assert model.summary() is None
    assert capsys.readouterr().out == LENET
    assert summary(model) == LENET
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("case", COUNTS)
def test_counts_of_weights(case: str) -> None:
    make, expected = COUNTS[case]
    assert totals(summary(make(micrograd_ext))) == expected


@pytest.mark.skipif(keras is None, reason="needs Keras")
@pytest.mark.parametrize("case", COUNTS)
@pytest.mark.parametrize("length", [None, 60, 88])
def test_keras_prints_the_same(case: str, length: int | None) -> None:
    keras.utils.clear_session()
    make, _ = COUNTS[case]
    assert summary(make(micrograd_ext), line_length=length) == summary(
        make(keras), line_length=length
    )


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: optimizers.SGD(0.1), 2),  # steps and rate
        (lambda: optimizers.SGD(0.1, momentum=0.9), 17),
        (lambda: optimizers.RMSprop(0.1), 17),
        (lambda: optimizers.RMSprop(0.1, momentum=0.9, centered=True), 47),
        (lambda: optimizers.AdamW(0.1), 32),
        (lambda: optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)), 1),
    ],
)
def test_numbers_of_optimizers(make: Callable[[], optimizers.Optimizer], expected: int) -> None:
    model = Sequential([layers.Input((4,)), layers.Dense(3)])  # 15 weights
    model.compile(make(), "mse")
    assert "Optimizer" not in totals(summary(model))
    shown = totals(summary(fitted(model=model, optimizer=make())))
    assert shown["Optimizer"] == f"{expected} ({4 * expected}.00 B)"
    assert shown["Total"].split()[0] == str(15 + expected)


def test_sizes_of_memory() -> None:
    from micrograd_ext.models.summary import memory

    sizes = {1: "4.00 B", 255: "1020.00 B", 256: "1.00 KB", 2**18: "1.00 MB", 3 * 2**28: "3.00 GB"}
    assert {count: memory(count) for count in sizes} == sizes
    assert memory(2**50) == "4096.00 TB"


def test_before_building() -> None:
    assert cells(summary(unbuilt())) == [
        ["dense (Dense)", "?", "0 (unbuilt)"],
        ["dense_1 (Dense)", "?", "0 (unbuilt)"],
    ]
    assert cells(summary(Sequential())) == []
    half = unbuilt()
    half.layers[0](np.zeros((2, 4)))
    assert [row[1:] for row in cells(summary(half))] == [["(None, 3)", "15"], ["?", "0 (unbuilt)"]]


def test_what_is_trainable() -> None:
    text = summary(frozen(), show_trainable=True)
    assert "Trainable ┃" in text, "not cut off"
    assert "".join(row[3] for row in cells(text)) == "N-Y--NY"
    model = normalized()
    assert "".join(row[3] for row in cells(summary(model, show_trainable=True))) == "YY--Y"
    model.trainable = False
    assert "".join(row[3] for row in cells(summary(model, show_trainable=True))) == "NN--N"
    assert totals(summary(model))["Trainable"] == "0 (0.00 B)"
    assert "".join(row[3] for row in cells(summary(unbuilt(), show_trainable=True))) == "--"


def test_weights_that_layers_share_count_once() -> None:
    class Twice(layers.Layer):
        def __init__(self, inner: layers.Layer, **options: Any) -> None:
            super().__init__(**options)
            self.inner = inner

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    shared = layers.Dense(4)
    model = Sequential([layers.Input((4,)), Twice(shared), Twice(shared)])
    assert [row[2] for row in cells(summary(model))] == ["20", "20"]
    assert totals(summary(model))["Total"] == "20 (80.00 B)"


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("length", [32, 33, 50, 76, 88, 100, 160])
def test_lengths_of_lines(length: int, trainable: bool) -> None:
    name = "a_layer_with_a_name_that_is_much_longer_than_any_line_is_wide"
    model = Sequential([layers.Input((28, 28, 1)), layers.Flatten(name=name), layers.Dense(4000)])
    text = summary(model, line_length=length, show_trainable=trainable)
    table = [line for line in text.splitlines() if line[:1] in "┏┃┡│├└"]
    assert {len(line) for line in table} == {length}
    assert len(set(map(tuple, (border_places(line) for line in table)))) == 1
    squeezed = [[part.replace(" ", "") for part in row[:3]] for row in cells(text)]
    assert squeezed == [  # whole, in however many lines
        [f"{name}(Flatten)", "(None,784)", "0"],
        ["dense(Dense)", "(None,4000)", "3,140,000"],
    ]


def border_places(line: str) -> Iterator[int]:
    return (place for place, sign in enumerate(line) if sign in "┏┳┓┃┡╇┩│├┼┤└┴┘")


@pytest.mark.parametrize(("columns", "length"), [(20, 20), (60, 56), (80, 76), (92, 88), (200, 88)])
def test_as_wide_as_the_terminal(
    columns: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = summary(lenet()).splitlines()
    assert {len(line) for line in lines if line[:1] == "│"} == {length}


def test_layer_ranges() -> None:
    model = lenet()

    def names(*ends: str) -> list[str]:
        return [row[0].split()[0] for row in cells(summary(model, layer_range=ends))]

    everything = [layer.name for layer in model.layers]
    assert names("conv2d", "dense_1") == everything
    assert names("max", "flatten") == everything[1:5]  # what the names begin with
    assert names("conv2d_1", "conv2d_1") == ["conv2d_1"]
    assert names(r".*_1", "flatten$") == everything[2:5]
    assert names("flatten", "conv2d$") == everything[:5]  # backwards
    assert totals(summary(model, layer_range=["dense", "dense"]))["Total"].startswith("225,034 ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"line_length": 19}, "line_length: expected at least 20 characters, got 19"),
        ({"line_length": 31, "show_trainable": True}, "expected at least 32 characters, got 31"),
        ({"line_length": "80"}, "line_length: expected a whole number >= 1, got '80'"),
        ({"layer_range": ("a", "dense")}, "layer_range: expected what fits one of conv2d, .*'a'"),
        ({"layer_range": ("dense",)}, r"layer_range: expected two strings, .*got \('dense',\)"),
        ({"layer_range": (0, 2)}, r"layer_range: expected two strings, .*got \(0, 2\)"),
        ({"layer_range": "de"}, "layer_range: expected two strings, .*got 'de'"),
        ({"layer_range": ("(", "dense")}, r"layer_range: expected regular expressions, got '\('"),
    ],
)
def test_what_summary_does_not_take(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^summary: .*{message}"):
        lenet().summary(**options)


def test_names_are_no_markup() -> None:
    model = Sequential([layers.Input((4,)), layers.Dense(2, name="[red]")], name="[bold]x :smile:")
    text = summary(model)
    assert 'Model: "[bold]x :smile:"' in text
    assert cells(text)[0][0] == "[red] (Dense)"


def test_text_is_text_in_a_notebook(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fitted(model=Sequential([layers.Input((4,)), layers.Dense(2)]))
    before = summary(model), str(model.program)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert (summary(model), str(model.program)) == before
    assert "Dense" in before[0]
    assert "dense + bias" in before[1]
    assert capsys.readouterr().out == ""


# ------------------------------------------------------------------ plot_model


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, to work in."""
    pytest.importorskip("matplotlib", reason="needs matplotlib to draw")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts(figure: Any) -> list[str]:
    """What is written in a picture, cell by cell."""
    found = {}
    for cell in figure.axes[0].artists:
        (x, y), parts = cell.xy, cell.offsetbox.get_children()
        found[x, y] = " ".join(part.get_text() for part in parts)
    middles = [np.add(frame.get_xy(), np.divide(frame_size(frame), 2)) for frame in frames(figure)]
    assert len(found) == len(middles)
    return [found[x, y] for x, y in middles]


def frames(figure: Any) -> list[Any]:
    from matplotlib.patches import Rectangle

    return [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]


def arrows(figure: Any) -> list[Any]:
    from matplotlib.patches import FancyArrowPatch

    return [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]


def frame_size(frame: Any) -> tuple[float, float]:
    return frame.get_width(), frame.get_height()


def boxes(figure: Any) -> list[tuple[float, float, float, float]]:
    """Around the cells of each layer: left, top, right, bottom."""
    from matplotlib.colors import to_hex

    found: list[tuple[float, float, float, float]] = []
    for frame in frames(figure):
        (x, y), (width, height) = frame.get_xy(), frame_size(frame)
        box = (x, y, x + width, y + height)
        if to_hex(frame.get_facecolor()) == "#0072b2":  # a title
            found.append(box)
        else:
            old = found[-1]
            found[-1] = (*np.minimum(old[:2], box[:2]), *np.maximum(old[2:], box[2:]))
    return found


def deep(count: int) -> Sequential:
    return Sequential([layers.Input((4,)), *(layers.Dense(5, "relu") for _ in range(count))])


def test_its_arguments_are_keras_s() -> None:
    parameters = inspect.signature(utils.plot_model).parameters
    assert {name: p.default for name, p in parameters.items() if name != "model"} == {
        "to_file": "model.png",
        "show_shapes": False,
        "show_dtype": False,
        "show_layer_names": False,
        "rankdir": "TB",
        "dpi": 200,
        "show_layer_activations": False,
        "show_trainable": False,
    }
    if keras is not None:
        known = inspect.signature(keras.utils.plot_model).parameters
        for name, parameter in parameters.items():
            assert known[name].default == parameter.default


def test_what_is_in_the_picture(inside: Path) -> None:
    model = frozen()
    kinds = [type(layer).__name__ for layer in model.layers]
    figure = utils.plot_model(model)
    assert (inside / "model.png").exists()
    assert texts(figure) == kinds
    figure = utils.plot_model(model, "model.svg", show_layer_names=True)
    assert texts(figure)[1] == "max_pooling2d (MaxPooling2D)"
    figure = utils.plot_model(model, show_shapes=True)
    shapes = ["(None, 28, 28, 1)", "(None, 26, 26, 32)", "(None, 13, 13, 32)", "(None, 11, 11, 64)"]
    shapes += ["(None, 5, 5, 64)", "(None, 1600)", "(None, 128)", "(None, 10)"]
    expected = [
        (kind, f"Input shape: {before}", f"Output shape: {after}")
        for kind, (before, after) in zip(kinds, itertools.pairwise(shapes), strict=True)
    ]
    assert texts(figure) == [text for row in expected for text in row]
    figure = utils.plot_model(
        model, show_dtype=True, show_layer_activations=True, show_trainable=True
    )
    activation, number = "Activation: relu", "Output dtype: float32"
    assert texts(figure)[:7] == [
        *("Conv2D", activation, number, "Non-trainable"),
        *("MaxPooling2D", number, "No weights"),
    ]
    assert texts(figure)[-4:] == ["Dense", "Activation: softmax", number, "Trainable"]


def test_what_is_not_known_yet(inside: Path) -> None:
    options = dict.fromkeys(("show_shapes", "show_dtype", "show_trainable"), True)
    model = unbuilt()
    figure = utils.plot_model(model, **options)
    box = ["Dense", "Input shape: ?", "Output shape: ?", "Output dtype: ?", "Weights: ?"]
    assert texts(figure) == box * 2
    model.build((None, 4))
    assert texts(utils.plot_model(model, **options))[1] == "Input shape: (None, 4)"


NAMES = ["x", "a $ and $x^2$ <b>&amp;<b> [red]", "a_name_wider_than_" + "all_of_the_shapes_" * 6]
MODELS: dict[str, Callable[[], Any]] = {
    "lenet": frozen,
    "one layer": lambda: deep(1),
    "25 layers": lambda: deep(25),
    "unbuilt": unbuilt,
    "names": lambda: Sequential([layers.Input((4,)), *(layers.Dense(4, name=n) for n in NAMES)]),
}


@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("rankdir", ["TB", "LR"])
@pytest.mark.parametrize("shown", ["", "show_shapes", "all"])
def test_everything_fits(inside: Path, case: str, rankdir: str, shown: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    switches = ("show_shapes", "show_dtype", "show_layer_activations", "show_trainable")
    options: dict[str, Any] = {each: shown in (each, "all") for each in switches}
    model = MODELS[case]()
    figure = utils.plot_model(model, "model.svg", rankdir=rankdir, show_layer_names=True, **options)
    wide, high = figure.get_size_inches() * 72
    letters = [text for text in figure.axes[0].findobj(Text) if text.get_text()]
    assert {text.get_fontsize() for text in letters} <= {12, 10.5}, "however many"
    for dpi in (72, 200):
        figure.set_dpi(dpi)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw_without_rendering()
        places = np.array([frame.get_window_extent(renderer).extents for frame in frames(figure)])
        written = np.array([text.get_window_extent(renderer).extents for text in letters])
        margin = [dpi / 20, 0]  # on both sides
        lower = (written[:, None, :2] > places[:, :2] + margin).all(-1)
        upper = (written[:, None, 2:] < places[:, 2:] - margin).all(-1)
        assert (np.sum(lower & upper, axis=1) == 1).all(), "in one of the cells"
        clear = written[:, None, :2] > written[:, 2:] + [dpi / 30, 0]
        apart = clear.any(-1) | clear.any(-1).T
        assert apart[~np.eye(len(written), dtype=bool)].all()

    around_layers = boxes(figure)
    assert len(around_layers) == len(model.layers)
    for left, top, right, bottom in around_layers:
        assert min(left, top, wide - right, high - bottom) > 10
    lefts, tops, rights, bottoms = map(np.array, zip(*around_layers, strict=True))
    for axis, (starts, ends), (others, far) in (
        (1, (tops, bottoms), (lefts, rights)),
        (0, (lefts, rights), (tops, bottoms)),
    ):
        if (rankdir == "TB") == (axis == 1):
            assert (starts[1:] > ends[:-1] + 20).all(), "one after the other, with gaps"
            np.testing.assert_allclose(others + far, (others + far)[0])  # in line
            ways = [arrow._posA_posB for arrow in arrows(figure)]
            assert len(ways) == len(model.layers) - 1
            for (begin, end), this, following in zip(ways, ends[:-1], starts[1:], strict=True):
                assert (begin[axis], end[axis]) == pytest.approx((this, following))
                assert begin[1 - axis] == end[1 - axis] == pytest.approx((others + far)[0] / 2)


def test_kinds_of_files(inside: Path) -> None:
    model = lenet()
    figure = utils.plot_model(model, "a.png", show_shapes=True, dpi=100)
    data = Path("a.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == tuple((figure.get_size_inches() * 100).astype(int))
    figure = utils.plot_model(model, inside / "a.SVG", show_layer_names=True)
    root = ElementTree.fromstring((inside / "a.SVG").read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    sizes = [float(root.get(side, "").removesuffix("pt")) for side in ("width", "height")]
    np.testing.assert_allclose(sizes, figure.get_size_inches() * 72, rtol=1e-4)
    utils.plot_model(model, "a.pdf")
    data = Path("a.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.rstrip().endswith(b"%%EOF")
    assert sorted(os.listdir()) == ["a.SVG", "a.pdf", "a.png"]


def test_colours(inside: Path) -> None:
    from matplotlib.image import imread

    utils.plot_model(frozen(), "a.png", show_trainable=True, dpi=72)
    pixels = (imread("a.png")[..., :3] * 255).round().astype(int).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    share = {f"#{r:02x}{g:02x}{b:02x}": n for (r, g, b), n in zip(colours, counts, strict=True)}
    assert share["#0072b2"] > 0.1 * len(pixels)
    assert share["#d55e00"] > 1000
    assert share["#ffffff"] > 0.3 * len(pixels)


def test_files_are_whole_or_not_there(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError("the disk is full")

    path = inside / "model.png"
    path.write_text("the old one")
    for where, name in ((Figure, "savefig"), (os, "fsync"), (Path, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, fail)
            with pytest.raises(OSError, match="the disk is full"):
                utils.plot_model(lenet(), path)
        assert path.read_text() == "the old one"
        assert os.listdir() == ["model.png"]
    utils.plot_model(lenet(), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert os.listdir() == ["model.png"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": 3}, TypeError, "model: expected a Sequential, got 3"),
        ({"model": Sequential()}, ValueError, "model: expected one with layers, got <Sequential"),
        ({"to_file": "a.jpg"}, ValueError, r"to_file: expected .* in \.png, \.svg, .*got 'a.jpg'"),
        ({"to_file": "model"}, ValueError, "to_file: expected .*got 'model'"),
        ({"to_file": "no/a.png"}, FileNotFoundError, "to_file: there is no folder 'no'"),
        ({"rankdir": "BT"}, ValueError, "rankdir: expected 'TB' or 'LR', got 'BT'"),
        ({"dpi": 0}, ValueError, "dpi: expected a whole number >= 1, got 0"),
        ({"dpi": 20_000}, ValueError, r"dpi: expected at most \d+ for a .png of \d+ inches, got"),
    ],
)
def test_what_plot_model_does_not_take(
    inside: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^plot_model: {message}"):
        utils.plot_model(**{"model": lenet(), **options})
    assert os.listdir() == []


def test_the_largest_dpi_is_one_that_works(inside: Path) -> None:
    model = deep(300)
    with pytest.raises(ValueError, match="dpi: expected at most") as caught:
        utils.plot_model(model, dpi=5000)
    most = int(re.findall("at most ([0-9]+)", str(caught.value))[0])
    inches = max(utils.plot_model(model, "model.svg").get_size_inches())
    assert most * inches <= 2**16 - 1 < (most + 1) * inches


# ------------------------------------------------------------------ History.plot


def recorded(epochs: int, *names: str, first: int = 0) -> callbacks.History:
    """A history of numbers that are all different."""
    history = callbacks.History()
    for epoch in range(first, first + epochs):
        history.on_epoch_begin(epoch)
        history.on_epoch_end(epoch, {name: epoch + i / 10 for i, name in enumerate(names)})
    return history


BOTH = ("accuracy", "loss", "val_accuracy", "val_loss")


def curves(axes: Any) -> dict[str, tuple[list[float], list[float]]]:
    """By the legend's names."""
    return {
        str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.lines
    }


def test_curves_of_a_training() -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib to draw")
    model = Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    x, y = np.random.default_rng(0).normal(size=(12, 4)), np.eye(3)[np.arange(12) % 3]
    follow = callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch)
    history = model.fit(x, y, epochs=4, verbose=0, validation_split=0.25, callbacks=[follow])
    figure = history.plot()
    loss, accuracy, rate = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "learning_rate"]
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        assert axes.get_xlabel() == "epoch"
        assert curves(axes) == {
            "training": ([1, 2, 3, 4], history.history[name]),
            "validation": ([1, 2, 3, 4], history.history[f"val_{name}"]),
        }
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["training", "validation"]
        styles = [(line.get_linestyle(), line.get_color()) for line in axes.lines]
        assert styles == [("-", "#0072b2"), ("--", "#d55e00")]
    assert list(rate.lines[0].get_ydata()) == [1, 0.5, 0.25, 0.125]
    assert rate.get_legend() is None


@pytest.mark.parametrize(
    ("epochs", "first", "ticks"),
    [(1, 0, [1]), (2, 0, [1, 2]), (5, 0, [1, 2, 3, 4, 5]), (3, 7, [8, 9, 10]), (1, 99, [100])],
)
def test_epochs_are_whole_numbers(epochs: int, first: int, ticks: list[int]) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib to draw")
    (axes, _) = recorded(epochs, *BOTH, first=first).plot().axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == ticks
    assert all(line.get_marker() in "os" for line in axes.lines), "one point is to be seen as well"
    many = recorded(200, *BOTH).plot().axes[0]
    assert all(tick == int(tick) for tick in many.get_xticks())
    assert all(line.get_marker() == "None" for line in many.lines)


def test_some_of_the_metrics() -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib to draw")
    history = recorded(3, *BOTH, "auc", "val_thing", "val_val_thing", "learning_rate")

    def labels(metrics: list[str] | None = None) -> list[str]:
        return [axes.get_ylabel() for axes in history.plot(metrics).axes]

    assert labels() == ["loss", "accuracy", "auc", "val_thing", "learning_rate"]
    assert labels(["accuracy", "loss"]) == ["accuracy", "loss"]
    (axes,) = history.plot(["auc"]).axes
    assert list(curves(axes)) == ["training"], "there is no validation"
    assert axes.get_legend() is not None
    (axes,) = history.plot(["val_thing"]).axes
    assert list(curves(axes)) == ["training", "validation"]
    for wrong in (["los"], ["loss", "val_loss"], [], "loss"):
        with pytest.raises(ValueError, match=r"^plot: metrics: expected names out of loss, accu"):
            history.plot(wrong)
    with pytest.raises(RuntimeError, match=r"^plot: nothing is recorded yet"):
        callbacks.History().plot()


def test_epochs_that_lack_a_number() -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib to draw")
    history = callbacks.History()
    for epoch in range(6):
        history.on_epoch_begin(epoch)
        history.on_epoch_end(epoch, {"loss": 0.5} | ({"val_loss": epoch} if epoch % 3 == 1 else {}))
    assert curves(history.plot().axes[0])["validation"] == ([2, 5], [1, 4])


def test_numbers_that_are_none(inside: Path) -> None:
    history = callbacks.History()
    for epoch, loss in enumerate((float("nan"), float("inf"), 1.0)):
        history.on_epoch_begin(epoch)
        history.on_epoch_end(epoch, {"loss": loss, "accuracy": float("nan")})
    history.plot().savefig("a.png")
    assert Path("a.png").stat().st_size > 1000


# ------------------------------------------------------------------ notebooks


def figures(folder: Path) -> list[Any]:
    return [recorded(3, *BOTH).plot(), utils.plot_model(lenet(), folder / "model.pdf")]


def test_pictures_show_themselves(inside: Path) -> None:
    for figure in figures(inside):
        data, shown = figure._repr_png_()
        assert data.startswith(b"\x89PNG")
        inches = figure.get_size_inches()
        assert (shown["width"], shown["height"]) == tuple(np.round(inches * 96))
        pixels = struct.unpack(">II", data[16:24])
        np.testing.assert_allclose(pixels, inches * 192, atol=1)  # sharp


def test_notebooks_show_pictures(inside: Path) -> None:
    formatters = pytest.importorskip("IPython.core.formatters", reason="needs IPython")
    for figure in figures(inside):
        data, metadata = formatters.DisplayFormatter().format(figure)
        assert data["image/png"].startswith(b"\x89PNG")
        assert metadata["image/png"]["width"] == round(96 * figure.get_size_inches()[0])


def test_without_matplotlib(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    wanted = re.escape("it takes matplotlib to draw: pip install 'micrograd_ext[demos]'")
    with pytest.raises(ImportError, match=f"^plot_model: {wanted}"):
        utils.plot_model(lenet())
    with pytest.raises(ImportError, match=f"^plot: {wanted}"):
        recorded(2, "loss").plot()
    assert os.listdir() == []


def test_nothing_is_imported_before_it_is_needed(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from micrograd_ext import Sequential, callbacks, layers, utils
        assert not {"matplotlib", "rich", "IPython"} & set(sys.modules)
        history = callbacks.History()
        history.on_epoch_begin(0)
        history.on_epoch_end(0, {"loss": 1.0})
        try:
            history.plot().savefig(sys.argv[1] + "/a.png")
            utils.plot_model(Sequential([layers.Dense(1)]), sys.argv[1] + "/b.png")
        except ImportError as error:
            assert "micrograd_ext[demos]" in str(error)
        assert "matplotlib.pyplot" not in sys.modules
    """
    environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"} | {"MPLBACKEND": "tkagg"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
