"""Models in files: what comes back, what is refused, and that no file is ever half written."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_ext import (
    Tensor,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    saving,
    utils,
)
from micrograd_ext.models import Sequential, load_model

pytestmark = pytest.mark.filterwarnings("ignore:.*runs layer by layer")

X = np.random.default_rng(0).random((24, 8, 8, 1)).astype(np.float32)
Y = utils.to_categorical(np.arange(24) % 3, 3).astype(np.float32)


def convolutional(**how: Any) -> Sequential:
    utils.set_random_seed(5)
    model = Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Rescaling(2.0, -1),
            layers.Conv2D(4, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(5, (3, 3), strides=2, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.1),
            layers.Flatten(),
            layers.Dropout(0.25, seed=3),
            layers.Dense(6, "tanh", kernel_initializer=initializers.HeNormal(seed=3)),
            layers.Dense(3, activation="softmax", kernel_regularizer="l2"),
        ],
        name="net",
    )
    how = {"optimizer": "adam", "loss": "categorical_crossentropy", "metrics": ["accuracy"], **how}
    model.compile(**how)
    return model


def quiet_fit(model: Sequential, **how: Any) -> list[float]:
    return model.fit(X, Y, batch_size=8, verbose=0, **how).history["loss"]


OPTIMIZERS = [
    optimizers.SGD(0.1),
    optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 5, 0.5), momentum=0.9),
    optimizers.Adam(clipnorm=1.0),
    optimizers.AdamW(),
    optimizers.RMSprop(momentum=0.5, centered=True),
    optimizers.Adagrad(),
    optimizers.Adadelta(0.5),
    optimizers.Adamax(),
    optimizers.Nadam(),
    optimizers.Lion(),
    optimizers.Ftrl(0.1),
    optimizers.Adafactor(),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: type(each).__name__)
def test_a_model_goes_on_where_it_was_saved(
    tmp_path: Path, optimizer: optimizers.Optimizer
) -> None:
    model = convolutional(optimizer=optimizer)
    quiet_fit(model, epochs=2, shuffle=False)
    model.layers[7]._random = np.random.default_rng(1)  # type: ignore[attr-defined]
    model.save(tmp_path / "net.keras")
    again = load_model(tmp_path / "net.keras")
    again.layers[7]._random = np.random.default_rng(1)
    assert again.name == "net"
    assert again.get_config() == model.get_config()
    assert again.get_compile_config() == model.get_compile_config()
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    expected = quiet_fit(model, epochs=2, shuffle=False)
    assert quiet_fit(again, epochs=2, shuffle=False) == expected
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_process_can_load_it(tmp_path: Path) -> None:
    model = convolutional()
    quiet_fit(model)
    path = tmp_path / "net"
    model.save(path)
    np.save(tmp_path / "x.npy", X)
    code = f"""
import numpy as np, micrograd_ext
model = micrograd_ext.models.load_model({str(path)!r})
np.save({str(tmp_path / "y.npy")!r}, model.predict(np.load({str(tmp_path / "x.npy")!r})))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model.predict(X))


def test_a_saved_model_says_what_is_in_it_to_numpy_and_json(tmp_path: Path) -> None:
    model = convolutional()
    quiet_fit(model)
    model.save(tmp_path / "net.keras")
    with np.load(tmp_path / "net.keras") as archive:
        np.testing.assert_array_equal(archive["weights/conv2d_1/kernel"], model.get_weights()[2])
        config = json.loads(archive["config.json"])
    assert [layer["class_name"] for layer in config["config"]["layers"]][:3] == [
        "InputLayer",
        "Rescaling",
        "Conv2D",
    ]
    first = (tmp_path / "net.keras").read_bytes()
    model.save(tmp_path / "net.keras")
    assert (tmp_path / "net.keras").read_bytes() == first


def test_unbuilt_and_uncompiled_models(tmp_path: Path) -> None:
    model = Sequential([layers.Dense(3)])
    model.save(tmp_path / "a")
    again = load_model(tmp_path / "a")
    assert not again.built
    assert again.optimizer is None
    assert again.predict(np.zeros((1, 4))).shape == (1, 3)
    model.build((None, 4))
    model.save(tmp_path / "a")
    assert load_model(tmp_path / "a").input_shape == (None, 4)
    compiled = convolutional()
    compiled.save(tmp_path / "b")
    assert load_model(tmp_path / "b", compile=False).optimizer is None
    assert load_model(tmp_path / "b").optimizer.iterations == 0
    with pytest.raises(ValueError, match=r"save_weights: sequential.* has no weights yet"):
        Sequential([layers.Dense(3)]).save_weights(tmp_path / "c")


def test_frozen_layers_stay_frozen(tmp_path: Path) -> None:
    model = convolutional()
    model.layers[1].trainable = False
    quiet_fit(model)
    model.save(tmp_path / "net")
    again = load_model(tmp_path / "net")
    assert not again.layers[1].trainable
    assert again.optimizer.iterations == model.optimizer.iterations  # type: ignore[union-attr]
    model.layers[1].trainable = True  # then the optimizer's memory is of other weights
    model.save(tmp_path / "net")
    assert load_model(tmp_path / "net").optimizer.iterations == 0


def test_json(tmp_path: Path) -> None:
    model = convolutional()
    again = models.model_from_json(model.to_json(indent=2))
    assert again.get_config() == model.get_config()
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


def test_loading_draws_nothing_and_takes_no_names(tmp_path: Path) -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.save(tmp_path / "net")
    utils.set_random_seed(1)
    load_model(tmp_path / "net")
    name = layers.Dense(1).name
    first = initializers.get("glorot_uniform")((3, 3))
    utils.set_random_seed(1)
    np.testing.assert_array_equal(initializers.get("glorot_uniform")((3, 3)), first)
    count = int(name.rpartition("_")[2]) if "_" in name else 0
    assert layers.Dense(1).name == f"dense_{count + 1}"


# ------------------------------------------------------------------ weights


def test_weights_of_a_like_model(tmp_path: Path) -> None:
    model, other = convolutional(), convolutional()
    quiet_fit(model)
    model.save_weights(tmp_path / "net.weights.h5")
    other.load_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    model.save(tmp_path / "whole")
    quiet_fit(other)
    other.load_weights(tmp_path / "whole")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    quiet_fit(other)  # its program follows
    with pytest.raises(
        ValueError, match=r"net\.weights\.h5: it has weights only: see load_weights"
    ):
        load_model(tmp_path / "net.weights.h5")


def test_weights_of_another_model(tmp_path: Path) -> None:
    model = convolutional()
    model.save_weights(tmp_path / "w")
    other = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(4, 5), layers.Dense(2)])
    before = other.get_weights()
    why = (
        r"w: they are another model's: dense/kernel: expected shape \(4, 2\), got \(20, 6\)|"
        r"conv2d/kernel: expected shape \(5, 5, 1, 4\), got \(3, 3, 1, 4\)"
    )
    with pytest.raises(ValueError, match=why):
        other.load_weights(tmp_path / "w")
    for a, b in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.warns(UserWarning, match="left out: .*conv2d/kernel: expected shape"):
        other.load_weights(tmp_path / "w", skip_mismatch=True)
    np.testing.assert_array_equal(other.get_weights()[1], model.get_weights()[1])
    small = Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"dense_1/kernel: expected shape|the model has no"):
        small.load_weights(tmp_path / "w")
    with pytest.raises(ValueError, match=r"sequential.* has no weights yet"):
        Sequential([layers.Dense(2)]).load_weights(tmp_path / "w")


# ------------------------------------------------------------------ one's own


class Scale(layers.Layer):
    def __init__(self, by: float, **options: Any) -> None:
        super().__init__(**options)
        self.by = by

    def build(self, input_shape: layers.Shape) -> None:
        self.factor = self.add_weight((1,), "ones", name="factor")

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor * self.by


def swish(x: Tensor) -> Tensor:
    return x * ops.sigmoid(x)


def relu(x: Tensor) -> Tensor:
    return x + 1


def distance(y_true: Any, y_pred: Tensor) -> Tensor:
    return ops.mean(ops.square(y_pred - y_true), axis=-1)


class Double(losses.MeanSquaredError):
    def call(self, y_true: Any, y_pred: Tensor) -> Tensor:
        return 2 * super().call(y_true, y_pred)


OWN = {"Scale": Scale, "swish": swish, "relu": relu, "distance": distance, "Double": Double}


def own_model(loss: Any = distance) -> Sequential:
    model = Sequential([layers.Input((3,)), Scale(2.0), layers.Dense(4, swish)])
    model.add(layers.Dense(2, relu))
    model.compile(
        "sgd",
        loss,
        metrics=[
            "mae",
            distance,
            metrics.TopKCategoricalAccuracy(k=1),
            metrics.MeanSquaredError("m"),
        ],
        run_eagerly=True,
    )
    return model


@pytest.mark.parametrize("loss", [distance, Double(), "mse", losses.MeanAbsoluteError()])
def test_what_is_one_s_own_is_named(tmp_path: Path, loss: Any) -> None:
    model = own_model(loss)
    x, y = X.reshape(-1, 3)[:8], X.reshape(-1, 2)[:8]
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "own")
    again = load_model(tmp_path / "own", custom_objects=OWN)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert again.evaluate(x, y, verbose=0, return_dict=True) == model.evaluate(
        x, y, verbose=0, return_dict=True
    )
    with pytest.raises(ValueError, match=r"layer: 'Scale' is none of this package's: expected"):
        load_model(tmp_path / "own")
    less = {name: thing for name, thing in OWN.items() if name != "relu"}
    with pytest.raises(ValueError, match="activation: 'relu' is none of this package's"):
        load_model(tmp_path / "own", less)  # never the other function of that name
    with saving.custom_object_scope(OWN):
        load_model(tmp_path / "own")


def test_what_is_registered_is_found(tmp_path: Path) -> None:
    @saving.register_keras_serializable(package="tests", name="Times")
    class Renamed(Scale):
        pass

    model = Sequential([layers.Input((3,)), Renamed(3.0)])
    model.save(tmp_path / "own")
    again = load_model(tmp_path / "own")
    assert type(again.layers[0]) is Renamed
    with pytest.raises(ValueError, match="expected Plain to have get_config"):

        @saving.register_keras_serializable()
        class Plain:
            pass


def test_a_model_class_of_one_s_own(tmp_path: Path) -> None:
    class Mine(Sequential):
        pass

    Mine([layers.Input((3,)), layers.Dense(2)]).save(tmp_path / "m")
    assert type(load_model(tmp_path / "m", {"Mine": Mine})) is Mine
    with pytest.raises(ValueError, match="'Mine' is none of this package's"):
        load_model(tmp_path / "m")


def test_what_has_no_name_cannot_be_saved(tmp_path: Path) -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2, lambda x: x)])
    (tmp_path / "there").write_bytes(b"as before")
    with pytest.raises(TypeError, match=r"expected a function with a name.* got a lambda"):
        model.save(tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"as before"
    assert os.listdir(tmp_path) == ["there"]


# ------------------------------------------------------------------ files


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.save(tmp_path / "a")
    with pytest.raises(FileExistsError, match="overwrite is False"):
        model.save(tmp_path / "a", overwrite=False)
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "no" / "a")
    with pytest.raises(IsADirectoryError):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "b")
    with pytest.raises(IsADirectoryError):
        load_model(tmp_path)
    assert os.listdir(tmp_path) == ["a"]


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.save(tmp_path / "a")
    (tmp_path / "a").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    model.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    model = Sequential([layers.Input((300,)), layers.Dense(300)])
    path = tmp_path / "a"
    model.save(path)
    before = path.read_bytes()
    code = f"""
import resource, signal, sys
from micrograd_ext import layers, models
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
model = models.Sequential([layers.Input((300,)), layers.Dense(300)])
try:
    model.save({str(path)!r})
except OSError as error:
    print("refused", error.errno)
"""
    assert resource
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("refused")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a"]


def test_ctrl_c_within_an_array_is_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not zipfile's ValueError about an entry that is still open."""
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.save(tmp_path / "a")
    before = (tmp_path / "a").read_bytes()
    opened = zipfile.ZipFile.open

    def interrupt(*args: Any, **kwargs: Any) -> Any:
        entry = opened(*args, **kwargs)
        raise KeyboardInterrupt(entry)

    monkeypatch.setattr(zipfile.ZipFile, "open", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.save(tmp_path / "a")
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == before
    assert os.listdir(tmp_path) == ["a"]


def damaged(tmp_path: Path, change: Any) -> Path:
    """A saved model with its archive's entries changed."""
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.save(tmp_path / "whole")
    with zipfile.ZipFile(tmp_path / "whole") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(tmp_path / "changed", "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return tmp_path / "changed"


def entry(name: str, text: bytes) -> Any:
    return lambda entries: entries.update({name: text})


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


KERNEL = "weights/dense/kernel.npy"


def config(units: Any) -> bytes:
    parts = [
        {"class_name": "InputLayer", "config": {"shape": [3]}},
        {"class_name": "Dense", "config": {"units": units}},
    ]
    whole = {"class_name": "Sequential", "config": {"name": "a", "layers": parts}}
    return json.dumps(whole | {"compile_config": None}).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries.pop("config.json"),
        lambda entries: entries.pop("metadata.json"),
        lambda entries: entries.pop(KERNEL),
        entry("metadata.json", b'{"format": "other"}'),
        entry("metadata.json", b'{"format": "micrograd_ext", "version": 3}'),
        entry("metadata.json", b"[" * 100_000),
        entry("config.json", b"{}"),
        entry("config.json", b"[]"),
        entry("config.json", b"null"),
        entry("config.json", b"{"),
        entry("config.json", b"\xff\xfe"),
        entry("metadata.json", '{"format": "micrograd_ext", "version": 1}'.encode("utf-16")),
        entry("config.json", config(10**9)),
        entry("config.json", config(10**30)),
        entry("config.json", config("three")),
        entry("config.json", config({"class_name": "Dense", "config": {}})),
        entry("config.json", b'{"class_name": "os.system", "config": "ls"}'),
        entry("config.json", config(2).replace(b'"Dense"', b'"Layer"')),
        entry("config.json", config(2).replace(b'"Dense"', b'"Adam"')),
        entry("config.json", config(2).replace(b'"units"', b'"numbers"')),
        entry(KERNEL, b""),
        entry(KERNEL, b"\x93NUMPY"),
        entry(KERNEL, header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**9, 9)}")),
        entry(KERNEL, header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -2)}")),
        entry(KERNEL, header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 2)}")),
        entry(
            KERNEL, header("{'descr': '|O', 'fortran_order': False, 'shape': (3, 2)}") + b"." * 48
        ),
        entry(KERNEL, header("{'descr': '<U9', 'fortran_order': False, 'shape': ()}") + b"." * 36),
        entry(KERNEL, header("__import__('os').abort()")),
    ],
)
def test_what_is_in_a_file_is_checked(tmp_path: Path, change: Any) -> None:
    path = damaged(tmp_path, change)
    with pytest.raises(ValueError, match="changed: "):
        load_model(path)


def test_files_of_others_are_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"", b"hello", b"PK\x03\x04 and no more"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="file: expected a model that save wrote, got BadZip"):
            load_model(path)
    path.write_bytes(b"\x89HDF\r\n")
    with pytest.raises(ValueError, match=r"HDF5 file, such as Keras writes; .*set_weights"):
        Sequential([layers.Input((3,)), layers.Dense(1)]).load_weights(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(ValueError, match="a file of Keras's own"):
        load_model(path)
    np.savez_compressed(path.with_suffix(".npz"), a=np.zeros(3))
    with pytest.raises(ValueError, match="none that this package wrote"):
        load_model(path.with_suffix(".npz"))


def test_what_is_compressed_is_not_unfolded(tmp_path: Path) -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.save(tmp_path / "a")
    with (
        zipfile.ZipFile(tmp_path / "a") as archive,
        zipfile.ZipFile(tmp_path / "b", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in archive.namelist():
            bomb.writestr(name, archive.read(name))
    with pytest.raises(ValueError, match="expected it not to be compressed"):
        load_model(tmp_path / "b")


SAVED: dict[str, bytes] = {}


def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    if not SAVED:
        model = Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(2)])
        model.compile("adam", "mse")
        path = tmp_path_factory.mktemp("saved") / "a"
        model.save(path)
        SAVED["a"] = path.read_bytes()
    return SAVED["a"]


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_damaged_files_are_refused_or_give_the_same_model(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = saved(tmp_path_factory)
    broken = bytearray(whole)
    if data.draw(st.booleans()):
        broken = broken[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(whole) - 1))
            broken[place] ^= 1 << data.draw(st.integers(0, 7))
    folder = tmp_path_factory.getbasetemp()
    (folder / "whole").write_bytes(whole)
    (folder / "broken").write_bytes(broken)
    told, model = "", None
    try:
        model = load_model(folder / "broken")
    except ValueError as error:
        told = str(error)
    if model is None:
        assert "broken" in told
        return
    for a, b in zip(model.get_weights(), load_model(folder / "whole").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
