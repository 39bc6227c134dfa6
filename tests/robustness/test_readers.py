"""Files that are not what they say: cut, flipped, rewritten, swollen, with foreign names in them.

Each is refused by a ValueError that names the file, or read; it costs no memory beyond its size,
nothing in it is unpickled, imported or executed, and no file is written. That is asked of Python
itself, by an audit hook. `--hypothesis-profile=long` reads 42,000 files.
"""

from __future__ import annotations

import ast
import contextlib
import gzip
import io
import json
import math
import os
import pickle
import random
import struct
import sys
import tracemalloc
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from references import encode, run_python

from micrograd_ext import Sequential, layers, utils
from micrograd_ext.datasets import mnist
from micrograd_ext.datasets._idx import MOST, read_idx
from micrograd_ext.models import load_model
from micrograd_ext.saving import model_files

Random = random.Random
FILES = max(200, settings().max_examples)
ROOM = 4 << 20  # bytes, that reading one of these files may take for a moment; they are of some KB


# ------------------------------------------------------------------ what Python itself reports

_watching: list[list[str]] = []  # no hook is ever taken away


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _watching and not harmless(event, args):
        _watching[-1].append(f"{event} {args!r:.100}")


def harmless(event: str, args: tuple[Any, ...]) -> bool:
    """Reading files, and literals that numpy parses without running them."""
    if event == "open":
        _path, mode, flags = args
        return not any(sign in (mode or "") for sign in "wax+") and not flags & (
            os.O_WRONLY | os.O_RDWR | os.O_CREAT
        )
    if event == "compile":  # by ast.literal_eval, which is given npy's headers
        caller = sys._getframe(2).f_code
        return (caller.co_name, Path(caller.co_filename).name) == ("parse", "ast.py")
    return event in ("sys._getframe", "builtins.id", "object.__getattr__")


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[list[str]]:
    """What happens within, other than reading."""
    _watching.append([])
    try:
        yield _watching[-1]
    finally:
        _watching.pop()


def test_the_watch_sees_what_it_looks_for(tmp_path: Path) -> None:
    class Owned:
        def __reduce__(self) -> Any:
            return exec, ("1 + 1",)

    data = pickle.dumps(Owned())
    for act, event in (
        (lambda: pickle.loads(data), "pickle.find_class"),
        (lambda: eval("1 + 1"), "exec"),
        (lambda: os.system("true"), "os.system"),
        (lambda: (tmp_path / "a").write_text("a"), "open"),
        ((tmp_path / "a").unlink, "os.remove"),
    ):
        with watched() as found:
            act()
        assert any(each.startswith(event) for each in found), event
    (tmp_path / "b").write_bytes(b"b")
    with watched() as found:
        assert (tmp_path / "b").read_bytes() == b"b"
        assert ast.literal_eval("{'shape': (1, 2)}") == {"shape": (1, 2)}
    assert not found


# ------------------------------------------------------------------ files that are whole


def model(seed: int = 0) -> Sequential:
    utils.set_random_seed(seed)
    made = Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, "softmax"),
        ]
    )
    made.compile("adam", "categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return made


def trained() -> Sequential:
    made = model()
    x = np.random.default_rng(0).random((8, 6, 6, 1))
    made.fit(x, np.eye(3)[np.arange(8) % 3], epochs=1, verbose=0)
    return made


def bytes_of(write: Callable[[Path], Any], folder: Path) -> bytes:
    write(folder / "whole")
    return (folder / "whole").read_bytes()


def idx(shape: tuple[int, ...]) -> bytes:
    return encode((np.arange(math.prod(shape)) % 10).reshape(shape))


def npz() -> bytes:
    room = io.BytesIO()
    y = np.arange(4, dtype=np.uint8)
    x = np.zeros((4, 28, 28), np.uint8)
    np.savez_compressed(room, x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    return room.getvalue()


def state(of: Sequential) -> list[Any]:
    """All that training changes."""
    store: dict[str, np.ndarray[Any, Any]] = {}
    assert of.optimizer is not None
    of.optimizer.save_own_variables(store)
    rate = of.optimizer.get_config()["learning_rate"]
    streams = [stream.bit_generator.state for stream in model_files._streams(of)]
    return [rate, streams, *(array.tobytes() for array in (*of.get_weights(), *store.values()))]


def read_model(path: Path) -> None:
    """Loaded, it works, or says why not."""
    loaded = load_model(path)
    shape = loaded.input_shape[1:] if loaded.built else (1,)
    if None not in shape and math.prod(shape) < 10_000:
        with contextlib.suppress(ValueError, TypeError):
            loaded.predict(np.zeros((2, *shape), "f4"), verbose=0)


def read_into(method: Callable[[Sequential, Path], Any]) -> Callable[[Path], None]:
    """Into a model there is, which stays what it was unless all is well."""

    def read(path: Path) -> None:
        there = model(1)
        assert there.optimizer is not None
        there.optimizer.build(there.trainable_weights)
        before = state(there)
        try:
            method(there, path)
        except ValueError:
            assert state(there) == before
            raise

    return read


KINDS: dict[str, tuple[Callable[[Path], bytes], Callable[[Path], Any]]] = {
    "idx": (lambda folder: idx((3, 28, 28)), read_idx),
    "idx, packed": (lambda folder: gzip.compress(idx((3, 28, 28))), read_idx),
    "idx, of labels": (lambda folder: idx((9,)), read_idx),
    "npz": (lambda folder: npz(), mnist.load_data),
    "models": (lambda folder: bytes_of(trained().save, folder), read_model),
    "weights": (
        lambda folder: bytes_of(lambda path: model().save_weights(f"{path}"), folder),
        read_into(lambda there, path: there.load_weights(path)),
    ),
    "checkpoints": (
        lambda folder: bytes_of(lambda path: model_files.save(trained(), path, epochs=1), folder),
        read_into(model_files.restore),
    ),
}  # fmt: skip


# ------------------------------------------------------------------ what is done to them

NUMBERS = (0, 1, 2, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)
NAMES = (
    "os.system", "builtins.eval", "subprocess>Popen", "__import__('os').abort()", "Lambda",
    "../../owned", "/owned", "C:\\owned", "con", "a\0b", "", "\ud800", "Dense", "Adam",
    "Sequential", "GlorotUniform", "ExponentialDecay", "InputLayer", "L2", "Package>Dense",
)  # fmt: skip
KEYS = ("__reduce__", "__class__", "module", "registered_name", "class_name", "config", "name")


class Pickled:
    """What would run, if a file of it were unpickled."""

    def __reduce__(self) -> Any:
        return os.abort, ()


def damage(rng: Random, data: bytes) -> bytes:
    """Bytes cut off, flipped, put in, taken out, doubled, numbers made large."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        end = len(changed)
        at = rng.randrange(min(end, 64)) if end and rng.random() < 0.3 else rng.randrange(end + 1)
        length = rng.choice((1, 1, 2, 4, 8, 30, end))
        way = rng.randrange(7)
        if way == 0:
            del changed[at:]
        elif way == 1 and at < end:
            changed[at] ^= 1 << rng.randrange(8)
        elif way == 2:
            del changed[at : at + length]
        elif way == 3:
            changed[at:at] = rng.randbytes(length) if rng.random() < 0.5 else bytes(length)
        elif way == 4:
            changed[at:at] = changed[at : at + length]
        elif way == 5:
            size = rng.choice((2, 4, 8))
            number = rng.choice(NUMBERS) % 256**size
            changed[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
        else:
            changed[at : at + length] = b"\xff" * length
        if len(changed) > 1 << 16:
            del changed[1 << 16 :]
    return bytes(changed)


def value(rng: Random) -> Any:
    """Something that JSON can say."""
    way = rng.randrange(6)
    if way == 0:
        return rng.choice(NUMBERS) * rng.choice((1, -1))
    if way == 1:
        return rng.choice((None, True, False, 1e308, -0.5, math.nan, math.inf, 10**400))
    if way == 2:
        return rng.choice(NAMES)
    if way == 3:
        return [value(rng) for _ in range(rng.randrange(4))]
    if way == 4:
        return {rng.choice((*KEYS, *NAMES)): value(rng) for _ in range(rng.randrange(3))}
    return {"class_name": rng.choice(NAMES), "config": {rng.choice(KEYS): value(rng)}}


def rewrite(rng: Random, tree: Any) -> Any:
    """The tree with something in it changed, left out or added."""
    if rng.random() < 0.15 or not isinstance(tree, (dict, list)) or not tree:
        return value(rng)
    if isinstance(tree, list):
        at = rng.randrange(len(tree))
        way = rng.random()
        if way < 0.1:
            return tree[:at] + tree[at + 1 :]
        if way < 0.2:
            return [*tree, tree[at]]
        return [*tree[:at], rewrite(rng, tree[at]), *tree[at + 1 :]]
    key = rng.choice([*tree])
    way = rng.random()
    if way < 0.1:
        return {k: v for k, v in tree.items() if k != key}
    if way < 0.2:
        return {**tree, rng.choice(KEYS): value(rng)}
    return {**tree, key: rewrite(rng, tree[key])}


def npy(rng: Random, data: bytes) -> bytes:
    """An array of another shape or dtype than its bytes have, or of pickles."""
    if rng.random() < 0.1:
        room = io.BytesIO()
        np.save(room, np.array([Pickled()], dtype=object), allow_pickle=True)
        return room.getvalue()
    if rng.random() < 0.3:
        return damage(rng, data)
    length = struct.unpack("<H", data[8:10])[0]
    head: dict[str, Any] = ast.literal_eval(data[10 : 10 + length].decode())
    way = rng.randrange(5)
    if way == 0:
        size = rng.randrange(5)
        head["shape"] = tuple(rng.choice((*NUMBERS, -1, 3)) for _ in range(size))
    elif way == 1:
        head["descr"] = rng.choice(
            ("|O", "<f8", ">f4", "<M8[s]", "|V0", "<U2", "|S4", "|b1", [("a", "<f4")], "f4,f4", 3)
        )
    elif way == 2:
        head["fortran_order"] = rng.choice((True, 1, None))
    elif way == 3:
        head[rng.choice(("shape", "more"))] = rng.choice((None, "(3, 3)", (3.0,), (True, 3), [3]))
    text = repr(head)
    if way == 4:
        text = rng.choice(
            (
                "__import__('os').abort()", "{'shape': __import__('os').abort()}", "(" * 90,
                "[" * 2_000 + "]" * 2_000, "{" + " " * 20_000 + "}", "lambda: 0", "", "{**{}}",
            )
        )  # fmt: skip
    written = text.encode() + b" " * rng.choice((0, 30)) + b"\n"
    return data[:8] + struct.pack("<H", len(written) % 2**16) + written + data[10 + length :]


def rezip(rng: Random, data: bytes) -> bytes:
    """An archive whose sums are right, and something in it is not."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    at = rng.randrange(len(entries))
    name, content = entries[at]
    way = rng.randrange(9)
    packing = zipfile.ZIP_STORED
    if way < 4 and name.endswith(".json"):
        content = json.dumps(rewrite(rng, json.loads(content))).encode()
        entries[at] = name, damage(rng, content) if rng.random() < 0.1 else content
    elif way < 4:
        entries[at] = name, npy(rng, content)
    elif way == 4:
        del entries[at]
    elif way == 5:
        entries[at] = rng.choice(NAMES[5:9]) + rng.choice(("", ".json", ".npy", "/")), content
    elif way == 6:
        more = rng.choice((name, "weights/../../owned.npy", "/owned", "weights/dense/more.npy"))
        entries.insert(rng.randrange(len(entries)), (more, entries[rng.randrange(at + 1)][1]))
    elif way == 7:
        packing = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    else:
        entries[at] = name, content + bytes(1 << 21)  # two million zeros, packed into little
        packing = zipfile.ZIP_DEFLATED
    room = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(room, "w", packing) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for each, content in entries:
            archive.writestr(zipfile.ZipInfo(each.replace("\0", "")), content, packing)
    return room.getvalue()


def broken(rng: Random, kind: str, whole: bytes) -> bytes:
    if whole[:2] == b"PK" and rng.random() < 0.75:
        return rezip(rng, whole)
    if kind == "idx, packed" and rng.random() < 0.6:
        return gzip.compress(damage(rng, gzip.decompress(whole)))
    return damage(rng, whole)


# ------------------------------------------------------------------ and what becomes of it


@pytest.mark.parametrize("kind", KINDS)
def test_broken_files_are_refused_or_read_and_nothing_else_happens(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: Counter[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make, read = KINDS[kind]
    whole = make(tmp_path)
    path = tmp_path / "file.npz"
    path.write_bytes(whole)
    read(path)  # whatever is imported late is imported now
    refused = 0
    faults = []
    tracemalloc.start()
    try:
        for number in range(FILES):
            path.write_bytes(broken(Random(f"{kind} {number}"), kind, whole))
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with watched() as seen, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    read(path)
                except ValueError as error:
                    refused += 1
                    if "file.npz: " not in str(error):
                        seen.append(f"does not name the file: {error}")
                except Exception as error:
                    seen.append(f"{type(error).__name__}: {error}")
            took = tracemalloc.get_traced_memory()[1] - before
            if took > ROOM * (4 if kind == "npz" else 1):  # LZMA has tables of 8 MB
                seen.append(f"took {took} bytes")
            if sorted(os.listdir(tmp_path)) not in (["file.npz"], ["file.npz", "whole"]):
                seen.append(f"wrote {os.listdir(tmp_path)}")
            faults += [f"{kind} {number}: {each}" for each in seen]
            ran[f"files: {kind}"] += 1
    finally:
        tracemalloc.stop()
    assert refused > FILES // 4, "next to nothing was refused: nothing is broken"
    assert refused < FILES, "all were refused: the reading is not tried"
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:20])


def test_a_packed_file_that_swells_is_refused(tmp_path: Path) -> None:
    """A gzip stream or zip entry of a thousandth of the size that comes out of it."""
    head = struct.pack(">HBB3I", 0, 8, 3, MOST // 784 + 1, 28, 28)
    (tmp_path / "idx").write_bytes(gzip.compress(head + bytes(1 << 24), 9))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"idx: expected at most 1073741824 bytes in a com"):
            read_idx(tmp_path / "idx")
        with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x_train.npy", bytes(1 << 16))
        swollen = (tmp_path / "a.npz").read_bytes()
        for size in (2**31 + 1, 2**30 + 1):
            lie = swollen.replace(struct.pack("<I", 1 << 16), struct.pack("<I", size))
            (tmp_path / "a.npz").write_bytes(lie)
            with pytest.raises(ValueError, match=rf"a\.npz: .*x_train of {size} bytes, more than"):
                mnist.load_data(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 1 << 25
    finally:
        tracemalloc.stop()


def test_entries_that_lie_upon_one_another_are_refused(tmp_path: Path) -> None:
    """A file of some KB that would be read as megabytes, its one array under 300 names."""
    names = [f"optimizer/{i:03}.npy" for i in range(300)]
    with zipfile.ZipFile(tmp_path / "whole", "w") as archive:
        archive.writestr("metadata.json", '{"format": "micrograd_ext", "version": 1}')
        for name in names:
            archive.writestr(name, bytes(8_000) if name == names[0] else b"")
        first = archive.getinfo(names[0])
        for name in names[1:]:
            other = archive.getinfo(name)
            other.header_offset, other.CRC = first.header_offset, first.CRC
            other.file_size = other.compress_size = first.file_size
    with pytest.raises(ValueError, match=r"whole: expected no more in it than its \d+ bytes"):
        load_model(tmp_path / "whole")


def test_classes_come_from_the_package_or_its_user_never_from_the_file(tmp_path: Path) -> None:
    """In a new interpreter, where a module that lies beside the file must not be imported."""
    trained().save(tmp_path / "model.keras")
    (tmp_path / "owned.py").write_text("raise SystemExit('imported')\nclass Dense: pass\n")
    code = f"""
import json, sys, zipfile
sys.path.insert(0, {str(tmp_path)!r})
from micrograd_ext.models import load_model
path = {str(tmp_path / "model.keras")!r}
load_model(path)
with zipfile.ZipFile(path) as archive:
    entries = {{name: archive.read(name) for name in archive.namelist()}}
config = json.loads(entries["config.json"])
for name in ("owned.Dense", "owned>Dense", "owned:Dense", "owned"):
    dense = config["config"]["layers"][-1]
    dense["class_name"], dense["module"], dense["registered_name"] = name, "owned", name
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in (entries | {{"config.json": json.dumps(config)}}).items():
            archive.writestr(entry, data)
    try:
        load_model(path)
    except ValueError as error:
        print(error)
assert "owned" not in sys.modules
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("model.keras: ") == 4
