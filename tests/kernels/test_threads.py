"""Threads and processes: the pool of the kernels, forks, Python's threads, affinity, neighbours."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from references import (
    NOT_KERNELS,
    adam,
    environment,
    numbers,
    public_functions,
    results,
    run_python,
)

from micrograd_ext import Sequential, kernels, layers, utils

ISAS = kernels.isas()


# ------------------------------------------------------------------ the pool


@pytest.fixture
def _threads_kept() -> Iterator[None]:
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


@pytest.mark.usefixtures("_threads_kept")
def test_set_num_threads() -> None:
    x, w = numbers(3, 20, 20, 8), numbers(3, 3, 8, 16)
    expected = kernels.conv2d(x, w, threads=1)
    for threads in (1, np.int64(2), 5):
        kernels.set_num_threads(threads)
        assert kernels.get_num_threads() == threads
        assert kernels.config()["threads"] == threads
        np.testing.assert_array_equal(kernels.conv2d(x, w), expected)


def test_threads_keep_to_their_own_scratch() -> None:
    """Work long enough for threads to be in the same place at the same time, many times over."""
    x, w = numbers(24, 28, 28, 8), numbers(3, 3, 8, 17)
    a, b = numbers(600, 400), numbers(400, 200)
    y = kernels.conv2d(x, w, padding="same", threads=1)
    for kernel, arrays, how in (
        (kernels.matmul, (a, b), {}),
        (kernels.conv2d, (x, w), {"padding": "same"}),
        (kernels.conv2d_dx, (y, w, x.shape), {"padding": "same"}),
        (kernels.conv2d_dw, (x, y, w.shape), {"padding": "same"}),
    ):
        expected = kernel(*arrays, **how, threads=1)
        for threads in (2, 3, 8) * 5:
            found = kernel(*arrays, **how, threads=threads)
            np.testing.assert_array_equal(found, expected, err_msg=f"{kernel}, {threads} threads")


def test_kernels_called_from_several_threads_at_once() -> None:
    x, w = numbers(9, 20, 20, 8), numbers(3, 3, 8, 16)
    expected = kernels.conv2d(x, w)
    dw = kernels.conv2d_dw(x, expected, w.shape)

    def work(threads: int) -> bool:
        y = kernels.conv2d(x, w, threads=threads)
        return bool(
            np.array_equal(y, expected)
            and np.array_equal(kernels.conv2d_dw(x, y, w.shape, threads=threads), dw)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, [1, 2, 3, 2] * 5))


FORK = """
import multiprocessing, os, sys
import numpy as np
from micrograd_ext import kernels

x, w = np.random.default_rng(0).random((9, 20, 20, 8)), np.ones((3, 3, 8, 16))

def work():
    y = kernels.conv2d(x, w, threads=3)
    return y, kernels.conv2d_dw(x, y, w.shape, threads=3)

expected = work()

def child(depth):
    if not all(map(np.array_equal, work(), expected)):
        os._exit(3)
    if depth:
        os._exit(run(depth - 1))
    os._exit(0)

def run(depth):
    process = multiprocessing.get_context("fork").Process(target=child, args=(depth,))
    process.start()
    process.join(20)
    if process.is_alive():
        process.kill()
        return 4
    return process.exitcode

status = run(1)
assert all(map(np.array_equal, work(), expected))  # the parent still has its threads
sys.exit(status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_children_compute() -> None:
    done = run_python(FORK, "-W", "ignore::DeprecationWarning")
    assert done.returncode == 0, f"3: wrong, 4: hangs; got {done.returncode}\n{done.stderr}"


COUNT_THREADS = """
import os
import numpy as np
from micrograd_ext import kernels

def there_are(threads):
    kernels.matmul(np.ones((200, 200)), np.ones((200, 200)), threads=threads)
    return len(os.listdir("/proc/self/task"))

first = there_are(2)  # sanitizers start one of their own then
print([there_are(threads) - first for threads in (2, 4, 4, 2)])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc lists a process's threads")
def test_kernels_start_threads_once() -> None:
    """Without them every other test passes too: a build must not lose them unnoticed."""
    assert run_python(COUNT_THREADS).stdout.strip() == "[0, 2, 2, 2]"


@pytest.mark.parametrize(
    ("said", "expected"), [("3", "3"), ("1", "1"), ("4,2", "4"), ("", None), ("0", None)]
)
def test_threads_from_the_environment(said: str, expected: str | None) -> None:
    if os.name != "posix":
        pytest.skip("one thread there")
    show = "from micrograd_ext import get_num_threads; print(get_num_threads())"
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert run_python(show, OMP_NUM_THREADS=said).stdout.strip() == (expected or str(cpus))


TWO_CALLERS = """
import threading
import numpy as np
from micrograd_ext import kernels
a = np.random.default_rng(0).random((150, 150))
right = kernels.matmul(a, a, threads=1)
wrong = []
def call():
    for _ in range(300):
        if not np.array_equal(kernels.matmul(a, a, threads=3), right):
            wrong.append(1)
callers = [threading.Thread(target=call) for _ in range(4)]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
print(len(wrong))
"""


def test_several_python_threads_share_the_pool() -> None:
    assert run_python(TWO_CALLERS).stdout.strip() == "0"


@pytest.mark.parametrize("isa", ISAS)
def test_every_kernel_gives_the_same_bits_on_threads(isa: str) -> None:
    """Of sizes that are worth threads; run by ThreadSanitizer too, as is all of this file."""
    x, w, b = numbers(5, 14, 15, 9), numbers(3, 3, 9, 19), numbers(19)
    y = kernels.conv2d(x, w, b)
    pooled, argmax = kernels.max_pool2d(y)
    fused, byte = kernels.conv2d_relu_pool(x, w, b)
    long = [np.abs(numbers(70_001)) for _ in range(4)]
    calls = {
        "matmul": ((numbers(130, 140), numbers(140, 90)), {}),
        "sum_rows": ((numbers(4100, 50),), {}),
        "conv2d": ((x, w, b), {}),
        "conv2d_dx": ((y, w, x.shape), {}),
        "conv2d_dw": ((x, y, w.shape), {}),
        "max_pool2d": ((numbers(9, 28, 28, 32),), {}),
        "max_pool2d_dx": ((pooled, argmax, y.shape), {}),
        "conv2d_relu_pool": ((x, w, b), {}),
        "conv2d_relu_pool_dx": ((fused, byte, w, x.shape), {}),
        "conv2d_relu_pool_dw": ((x, fused, byte, w.shape), {}),
        "relu": ((numbers(300_001),), {}),
        "relu_dx": ((numbers(300_001), numbers(300_001)), {}),
        "adam": (long, {"rate": 0.1}),
    }
    assert {*calls} == {*public_functions()} - NOT_KERNELS
    for dtype in (np.float32, np.float64):
        for name, (arrays, how) in calls.items():
            given = [
                x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
                for x in arrays
            ]
            kernel = adam if name == "adam" else getattr(kernels, name)
            expected = results(kernel(*given, **how, isa=isa, threads=1))
            for threads in (2, 3, 2, 7):
                for found, one in zip(
                    results(kernel(*given, **how, isa=isa, threads=threads)), expected, strict=True
                ):
                    assert found.tobytes() == one.tobytes(), f"{name}, {threads} threads, {dtype}"


# ------------------------------------------------------------------ models

TRAIN = """
import hashlib
import sys
import numpy as np
from micrograd_ext import Sequential, layers, optimizers, utils

rng = np.random.default_rng(5)
X = rng.random((300, 20, 21, 1)).astype(np.float32)
Y = np.eye(10, dtype=np.float32)[rng.integers(0, 10, 300)]


def made(filters=16):
    utils.set_random_seed(1)
    model = Sequential(
        [
            layers.Input((20, 21, 1)),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(2 * filters + 1, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(100, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(model, epochs=1, eagerly=False):
    model.run_eagerly = eagerly
    model.fit(X, Y, batch_size=32, epochs=epochs, verbose=0, shuffle=False)
    return digest(model)


def digest(model):
    found = hashlib.sha256(model.predict(X[:70], verbose=0).tobytes())
    for weight in model.get_weights():
        found.update(weight.tobytes())
    return found.hexdigest()
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module that trains; spawned children import it."""
    file = tmp_path_factory.mktemp("script") / "train.py"
    file.write_text(TRAIN)
    return file


def run(script: Path, code: str, **environ: str) -> list[str]:
    """The lines that `code` prints, run beside `script` by a new interpreter."""
    file = script.with_name("main.py")
    file.write_text("from train import *\n" + textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(file)],
        env=environment(**environ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def expected(script: Path) -> list[str]:
    """What one epoch gives, and two more."""
    return run(script, "model = made(); print(trained(model), trained(model, 2))")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_trains_on(script: Path, expected: list[str], method: str) -> None:
    """The parent has trained, so has threads; forks inherit the model, the others load it."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    code = f"""
    import multiprocessing
    from micrograd_ext.models import load_model

    def child(pipe, model):
        if isinstance(model, str):
            model = load_model(model)
        pipe.send(trained(model, 2))

    if __name__ == "__main__":
        model = made()
        print(trained(model))
        context = multiprocessing.get_context({method!r})
        model.save("{script.parent}/{method}.mgx")
        ends = []
        for what in (model if {method!r} == "fork" else "{script.parent}/{method}.mgx",) * 2:
            ours, theirs = context.Pipe()
            process = context.Process(target=child, args=(theirs, what))
            process.start()
            ends.append((ours, process))
        for ours, process in ends:
            if not ours.poll(120):
                process.kill()
                raise SystemExit("the child hangs")
            print(ours.recv())
            process.join(60)
            assert process.exitcode == 0
        print(trained(model, 2))  # the parent goes on too
    """
    assert run(script, code) == [expected[0], *[expected[1]] * 3]


def test_a_fork_while_another_thread_trains(script: Path, expected: list[str]) -> None:
    """The child has only the thread that forked, and a pool of its own."""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    code = """
    import os, signal, threading
    stop = threading.Event()
    def busy():
        model = made()
        while not stop.is_set():
            trained(model)
    other = threading.Thread(target=busy)
    other.start()
    model, found = made(), []
    for _ in range(6):
        pid = os.fork()
        if not pid:
            signal.alarm(60)  # a child that hangs ends
            os._exit(0 if trained(made()) == sys.argv[-1] else 3)
        found.append(os.waitpid(pid, 0)[1])
    stop.set()
    other.join()
    print(found)
    """.replace("sys.argv[-1]", repr(expected[0]))
    assert "".join(run(script, code)) == "[0,0,0,0,0,0]"


@pytest.mark.parametrize("eagerly", [False, True])
def test_python_threads_train_models_of_their_own(
    script: Path, expected: list[str], eagerly: bool
) -> None:
    code = f"""
    import threading
    alone = [trained(made(filters), 2, {eagerly}) for filters in (4, 7, 16)]
    together = [None] * 3
    def train(i, filters, model):
        together[i] = trained(model, 2, {eagerly})
    threads = [
        threading.Thread(target=train, args=(i, n, made(n))) for i, n in enumerate((4, 7, 16))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(together == alone)
    """
    assert run(script, code) == ["True"]


@pytest.mark.parametrize("eagerly", [False, True])
def test_one_model_answers_several_python_threads(eagerly: bool) -> None:
    """As long as none of them trains it; `evaluate` counts in the model's own metrics."""
    utils.set_random_seed(0)
    model = Sequential([layers.Input((9,)), layers.Dense(40, "relu"), layers.Dense(3, "softmax")])
    model.compile("adam", "categorical_crossentropy", run_eagerly=eagerly)
    x = np.random.default_rng(0).random((60, 9)).astype(np.float32)

    def asked() -> tuple[bytes, bytes]:
        return model.predict(x, verbose=0).tobytes(), model(x).data.tobytes()

    expected = asked()
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(60):
            if asked() != expected:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    "environ",
    [{"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2"}, {"OMP_NUM_THREADS": "64"}],
    ids=lambda each: each["OMP_NUM_THREADS"],
)
def test_the_number_of_threads_changes_nothing(
    script: Path, expected: list[str], environ: dict[str, str]
) -> None:
    assert run(script, "print(trained(made()))", **environ) == expected[:1]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
@pytest.mark.parametrize("environ", [{}, {"OMP_NUM_THREADS": "8"}], ids=["one", "eight"])
def test_one_cpu(script: Path, expected: list[str], environ: dict[str, str]) -> None:
    """Affinity before the import: one thread; and eight threads on the one CPU end too."""
    code = """
    import os, subprocess
    one = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {one})
    child = "from train import *; import micrograd_ext as mg; " \\
            "print(mg.get_num_threads(), trained(made()))"
    sys.stdout.write(subprocess.run([sys.executable, "-c", child], cwd=os.path.dirname(__file__),
                                    capture_output=True, text=True, check=True).stdout)
    """
    environ.setdefault("OMP_NUM_THREADS", "")
    threads = environ["OMP_NUM_THREADS"] or "1"
    assert run(script, code, **environ) == [threads, expected[0]]


def test_beside_the_threads_of_numpy_and_torch(script: Path, expected: list[str]) -> None:
    """Each has a pool of its own; nobody waits for anybody."""
    code = """
    try:
        import torch
    except ImportError:
        torch = None
    a = np.random.default_rng(0).random((300, 300))
    model, product = made(), a @ a
    if torch:
        other = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
        images = torch.from_numpy(X.reshape(300, 1, 20, 21))
        seen = other(images)
    first = trained(model)
    for _ in range(3):
        assert np.array_equal(a @ a, product)
        if torch:
            assert torch.equal(other(images), seen)
            other(images).sum().backward()
        assert trained(made()) == first
    print(first, trained(model, 2))
    """
    assert run(script, code) == expected
