"""Ctrl-C between any two lines of training and saving; SIGKILL while a file is written.

After Ctrl-C a model trains on as if it had just been made with the weights it has, and nothing
that the process shares (threads, streams, switches) is left changed. After SIGKILL a file is the
earlier one or the new one, whole. `--hypothesis-profile=long` tries every line, and more kills.
"""

from __future__ import annotations

import dis
import gc
import inspect
import json
import os
import random
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from references import kill_python, run_python

import micrograd_ext as mg
from micrograd_ext import Sequential, callbacks, layers, nn, tape, utils
from micrograd_ext.layers.calls import call_under_way
from micrograd_ext.models import load_model

LONG = settings().max_examples > 1_000
PACKAGE = str(Path(mg.__file__).parent)

X = np.random.default_rng(1).random((24, 8, 8, 1)).astype(np.float32)
Y = np.eye(3, dtype=np.float32)[np.arange(24) % 3]


#: Where Ctrl-C comes while something is thrown away, Python says so and goes on.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _thrown_away() -> Iterator[None]:
    yield
    gc.collect()


def network(eagerly: bool = False) -> Sequential:
    utils.set_random_seed(3)
    model = Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"], run_eagerly=eagerly)
    return model


def trained(model: Sequential, weights: list[np.ndarray[Any, Any]]) -> list[bytes]:
    """What training from these weights gives, with a new optimizer."""
    utils.set_random_seed(5)
    model.set_weights(weights)
    model.compile(
        "adam", "categorical_crossentropy", metrics=["accuracy"], run_eagerly=model.run_eagerly
    )
    model.fit(X, Y, 8, 2, verbose=0)
    return [each.tobytes() for each in (*model.get_weights(), model.predict(X, verbose=0))]


def switches() -> list[Any]:
    """What the process shares, that a `finally` may have to set back."""
    return [
        mg.get_num_threads(), mg.is_grad_enabled(), call_under_way(), np.geterr(),
        len(warnings.filters), signal.getsignal(signal.SIGINT), sys.stdout, sys.getrecursionlimit(),
    ]  # fmt: skip


@cache
def asking(code: CodeType) -> frozenset[int]:
    """Where, in it, lines begin in which Python looks whether a signal has come.

    That is at calls and at ends of loops; but not before the call that ends a `with`.
    """
    begins = [offset for offset, _ in dis.findlinestarts(code)]
    parts: dict[int, list[dis.Instruction]] = {begin: [] for begin in begins}
    part: list[dis.Instruction] = []
    for each in dis.get_instructions(code):
        part = parts.get(each.offset, part)
        if each.opname not in ("NOP", "POP_BLOCK", "CACHE"):
            part.append(each)
    return frozenset(
        begin
        for begin, part in parts.items()
        if any(each.opname.startswith(ASKS) for each in part)
        and not (part[0].opname == "LOAD_CONST" and part[0].argval is None
                 and part[1].opname in ("LOAD_CONST", "DUP_TOP"))
    )  # fmt: skip


ASKS = ("CALL", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "YIELD", "SEND")


def interrupted(act: Callable[[], Any], after: int) -> int:
    """Do it, with Ctrl-C where the package may meet one for the time `after`; how often it may.

    As Python would: a KeyboardInterrupt is raised where a function begins, and before lines that
    call something.
    """
    count = 0

    def ask() -> None:
        nonlocal count
        count += 1
        if count == after:
            raise KeyboardInterrupt

    def line(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line" and frame.f_lasti in asking(frame.f_code):
            ask()
        return line

    def enter(frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if not frame.f_code.co_flags & inspect.CO_GENERATOR:  # which might be one that goes on
            ask()
        return line

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        act()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return count


def places(count: int, fewer: int) -> Iterator[int]:
    """Every line in the long run, else so many of them, spread."""
    step = 1 if LONG else max(1, count // fewer)
    return iter(range(1, count + 1, step))


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("way", ["fit", "evaluate", "predict", "first fit"])
def test_ctrl_c_at_any_line_leaves_a_model_that_trains(
    eagerly: bool, way: str, ran: Counter[str]
) -> None:
    model = network(eagerly)
    start = model.get_weights()
    want = trained(model, start)
    before = switches()

    def act() -> None:
        if way == "evaluate":
            model.evaluate(X, Y, 8, verbose=0)
        elif way == "predict":
            model.predict(X, 8, verbose=0)
        else:
            model.fit(X, Y, 8, 1, verbose=0, validation_split=0.4, callbacks=[keeper()])

    def keeper() -> callbacks.Callback:
        return callbacks.EarlyStopping("val_loss", restore_best_weights=True)

    for after in places(interrupted(act, 0), 60):
        if way == "first fit":
            model = network(eagerly)
        interrupted(act, after)
        assert switches() == before
        assert trained(model, start) == want, after
        ran["Ctrl-C: lines of fit, evaluate and predict"] += 1


def test_ctrl_c_at_any_line_of_the_scalar_engine(ran: Counter[str]) -> None:
    """Stepping, recording and playing, checking: what is made anew afterwards is right."""

    def act() -> float:
        net = nn.MLP(2, [3, 1], "tanh")
        stepper = net([0.5, -1.0]).stepper()
        stepper.finish()
        played = tape.record(net([1.0, 2.0]))
        played.forward()
        played.backward()
        played.step(0.1)
        played.write()
        with mg.no_grad():
            assert not (mg.Tensor(2.0, requires_grad=True) * 3).requires_grad
        mg.gradcheck(lambda x: x * x, mg.Tensor(3.0))
        return float(net.parameters()[0].grad)

    def again() -> float:
        random.seed(2)
        return act()

    want, before = again(), switches()
    for after in places(interrupted(again, 0), 60):
        interrupted(again, after)
        assert switches() == before
        assert again() == want
        ran["Ctrl-C: lines of the scalar engine"] += 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer")
@pytest.mark.parametrize("eagerly", [False, True])
def test_ctrl_c_at_any_moment(eagerly: bool, ran: Counter[str]) -> None:
    """By a signal, that comes while kernels run as well."""
    model = network(eagerly)
    start = model.get_weights()
    want = trained(model, start)
    before = switches()
    chance = random.Random(0)
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    # hypothesis is told of garbage collections: Python drops what is raised in such a callback
    callbacks_of_gc, gc.callbacks[:] = gc.callbacks[:], []
    try:
        for _ in range(400 if LONG else 25):
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the timer may be early
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 0.02))
                model.fit(X, Y, 8, 10**9, verbose=0)
            assert switches() == before
            assert all(np.isfinite(each).all() for each in model.get_weights())
            assert trained(model, start) == want
            ran["Ctrl-C: signals while training"] += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        gc.callbacks[:] = callbacks_of_gc


def test_ctrl_c_at_any_line_of_save_leaves_one_file_whole(
    tmp_path: Path, ran: Counter[str]
) -> None:
    one, other = network(), network()
    other.set_weights([each + 1 for each in one.get_weights()])
    path = tmp_path / "model.keras"
    one.save(path)
    whole = {path.read_bytes()}
    other.save(path)
    whole.add(path.read_bytes())
    assert len(whole) == 2
    for after in places(interrupted(lambda: one.save(path), 0), 100):
        for model in (one, other):
            interrupted(lambda model=model: model.save(path), after)  # type: ignore[misc]
            assert path.read_bytes() in whole
            assert os.listdir(tmp_path) == ["model.keras"]
            ran["Ctrl-C: lines of save"] += 1


# ------------------------------------------------------------------ SIGKILL

SAVES = """
import sys
import numpy as np
from micrograd_ext import layers
from micrograd_ext.models import Sequential
path, weights_only = sys.argv[1], sys.argv[2] == "weights"
model = Sequential([layers.Input((300,)), layers.Dense(300)])
weights = model.get_weights()
number = 0
while True:
    number += 1
    model.set_weights([np.full_like(each, number) for each in weights])
    (model.save_weights if weights_only else model.save)(path)
    if number == 1:
        print("begun", flush=True)
"""


@pytest.mark.parametrize("what", ["model", "weights"])
def test_sigkill_while_saving_leaves_one_file_whole(
    tmp_path: Path, what: str, ran: Counter[str]
) -> None:
    """All of one of the states that were saved; what is half written has another name."""
    path = tmp_path / "file.weights.h5"
    chance = random.Random(what)
    there = Sequential([layers.Input((300,)), layers.Dense(300)])
    half = 0
    for _ in range(100 if LONG else 8):
        kill_python(SAVES, chance.uniform(0, 0.1), str(path), what)
        if what == "weights":
            there.load_weights(path)
        else:
            there = load_model(path)
        numbers = np.concatenate([each.ravel() for each in there.get_weights()])
        assert numbers[0] >= 1
        assert (numbers == numbers[0]).all()
        others = [name for name in os.listdir(tmp_path) if name != path.name]
        assert all(name.startswith(".") and name.endswith(".tmp") for name in others)
        half += len(others)
        for name in others:
            (tmp_path / name).unlink()
        ran["SIGKILL: while saving"] += 1
    assert half or not LONG, "no kill has met a file half written"


# ------------------------------------------------------------------ a full disk


@pytest.mark.skipif(sys.platform == "win32", reason="no limit for a file's size")
def test_a_full_disk_ends_training_with_the_earlier_checkpoint(tmp_path: Path) -> None:
    """And with the system's own words; training goes on from it when there is room again."""
    code = """
import json, os, resource, signal, sys
import numpy as np
from micrograd_ext import callbacks, layers, utils
from micrograd_ext.models import Sequential
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, full = sys.argv[1], sys.argv[2] == "full"
utils.set_random_seed(0)
model = Sequential([layers.Input((200,)), layers.Dense(200)])
model.compile("adam", "mse")
x = np.linspace(0, 1, 8_000, dtype=np.float32).reshape(40, 200)
def fill(epoch, logs):
    if full and epoch == 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
first = callbacks.LambdaCallback(on_epoch_end=fill)
events = [first] + [callbacks.BackupAndRestore(folder)] * (folder != "none")
try:
    epochs = model.fit(x, x, epochs=5, verbose=0, callbacks=events).epoch
except OSError as error:
    print("refused:", os.strerror(error.errno), os.listdir(folder))
else:
    print(epochs[0], [each.tobytes().hex() for each in model.get_weights()])
"""

    def run(*arguments: str) -> str:
        done = run_python(f"import sys; sys.argv[1:] = {json.dumps(arguments)}\n{code}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    backup = str(tmp_path / "backup")
    assert run(backup, "full") == "refused: File too large ['training.keras']\n"
    epoch, _, weights = run(backup, "empty").partition(" ")
    assert epoch == "2"
    assert weights == run("none", "empty").partition(" ")[2]
