"""The data sets: the IDX reader, where load_data looks, what it does when it finds nothing."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import re
import socket
import struct
import sys
import threading
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from references import encode, kill_python

from micrograd_ext.datasets import _source, fashion_mnist, mnist
from micrograd_ext.datasets._idx import read_idx

NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
KEYS = ("x_train", "y_train", "x_test", "y_test")
Arrays = dict[str, Any]  # uint8 arrays, by file name
MODULES = pytest.mark.parametrize("module", [mnist, fashion_mnist])

# What MICROGRAD_EXT_DATA was before the tests hid it.
REAL_DATA = os.environ.get("MICROGRAD_EXT_DATA")


def small(seed: int) -> Arrays:
    """A data set of 20 and 10 images by file name; another seed, other images."""
    random = np.random.default_rng(seed)
    images = [random.integers(0, 256, (n, 28, 28)).astype(np.uint8) for n in (20, 10)]
    labels = [np.arange(n, dtype=np.uint8) % 10 for n in (20, 10)]
    return dict(zip(NAMES, [images[0], labels[0], images[1], labels[1]], strict=True))


def put(folder: Path, arrays: Arrays, packed: bool = True) -> Path:
    """Write the four files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        file = folder / (name if packed else name.removesuffix(".gz"))
        file.write_bytes(gzip.compress(encode(array)) if packed else encode(array))
    return folder


def put_npz(file: Path, arrays: Arrays) -> Path:
    """Write the four arrays as Keras does."""
    np.savez(file, **dict(zip(KEYS, arrays.values(), strict=True)))
    return file


def assert_same(data: _source.Data, arrays: Arrays) -> None:
    (x_train, y_train), (x_test, y_test) = data
    for got, expected in zip((x_train, y_train, x_test, y_test), arrays.values(), strict=True):
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, expected)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the user's data, cache or proxies, or any host but the loopback."""
    monkeypatch.delenv("MICROGRAD_EXT_DATA", raising=False)
    monkeypatch.setenv("MICROGRAD_EXT_CACHE", str(tmp_path / "cache"))
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)
    for module in (mnist, fashion_mnist):
        offline = replace(module._DATASET, base_url="http://127.0.0.1:9/")
        monkeypatch.setattr(module, "_DATASET", offline)
    connect = socket.socket.connect

    def only_loopback(self: socket.socket, address: tuple[str, int]) -> None:
        assert address[0] == "127.0.0.1", f"a test reached for {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_loopback)


class Server:
    """A loopback web server: `answers` maps a path to its body, or to how to misbehave."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.http.daemon_threads = False  # closing the server waits for every answer's thread
        self.url = f"http://127.0.0.1:{self.http.server_port}/data/"

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/data/")
                server.asked.append(name)
                answer = server.answers.get(name)
                if answer is None:
                    self.send_error(404)
                elif callable(answer):
                    answer(self)
                else:
                    reply(self, answer, len(answer))

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def reply(handler: BaseHTTPRequestHandler, body: bytes, announced: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(announced))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    pytest.importorskip("pooch")
    server = Server()
    with server.http:
        thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.http.shutdown()
        thread.join()


def publish(
    server: Server, module: ModuleType, monkeypatch: pytest.MonkeyPatch, seed: int = 1
) -> Arrays:
    """Let `server` be where `module` downloads from, with a small data set."""
    arrays = small(seed)
    files = {name: gzip.compress(encode(array)) for name, array in arrays.items()}
    server.answers.update(files)
    digests = tuple(hashlib.sha256(file).hexdigest() for file in files.values())
    published = replace(module._DATASET, base_url=server.url, sha256=digests)
    monkeypatch.setattr(module, "_DATASET", published)
    return arrays


def cached(module: ModuleType) -> list[str]:
    """What is in the cache of `module`'s data set."""
    folder = Path(os.environ["MICROGRAD_EXT_CACHE"], module._DATASET.name)
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def adopt(module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the published checksums of `module` be those of the files in `folder`."""
    digests = tuple(hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES)
    monkeypatch.setattr(module, "_DATASET", replace(module._DATASET, sha256=digests))


# The reader


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (4, 28, 28), (2, 3, 1, 5)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, partial(gzip.compress, compresslevel=0)])
def test_idx_round_trip(
    tmp_path: Path, shape: tuple[int, ...], pack: Callable[[bytes], bytes]
) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    (tmp_path / "any.name").write_bytes(pack(encode(array)))
    got = read_idx(tmp_path / "any.name")
    assert got.dtype == np.uint8
    assert got.flags.writeable
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, array)


def test_idx_larger_than_one_piece(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (300, 28, 28)).astype(np.uint8)
    head = struct.pack(">HBB3I", 0, 8, 3, *array.shape)
    (tmp_path / "plain").write_bytes(head + array.tobytes())
    (tmp_path / "packed").write_bytes(gzip.compress(head + array.tobytes()))
    np.testing.assert_array_equal(read_idx(str(tmp_path / "plain")), array)
    np.testing.assert_array_equal(read_idx(tmp_path / "packed"), array)


GOOD = encode(np.arange(6, dtype=np.uint8).reshape(2, 3))
BAD_IDX = {
    "empty": (b"", "4 bytes for the magic number, got 0"),
    "short magic": (GOOD[:3], "4 bytes for the magic number, got 3"),
    "wrong magic": (b"\x01" + GOOD[1:], "magic number 00 00 08 rank .*, got 01 00 08 02"),
    "signed bytes": (GOOD[:2] + b"\x09" + GOOD[3:], "got 00 00 09 02"),
    "float32": (GOOD[:2] + b"\x0d" + GOOD[3:], "got 00 00 0d 02"),
    "text": (b"<html>no</html>", "got 3c 68 74 6d"),
    "rank 0": (b"\0\0\x08\0\x07", "rank from 1 to 32, got 0"),
    "rank 255": (b"\0\0\x08\xff" + b"\0\0\0\x01" * 255 + b"\x07", "rank from 1 to 32, got 255"),
    "short shape": (GOOD[:9], "8 bytes for the shape of rank 2, got 5"),
    "empty axis": (encode(np.zeros((0, 3))), r"at least one element on every axis, got .*\(0, 3\)"),
    "truncated": (GOOD[:-1], r"6 bytes for the array of shape \(2, 3\), got 5"),
    "trailing byte": (GOOD + b"\0", r"6 bytes for shape \(2, 3\), got more"),
    "absurd shape": (b"\0\0\x08\x03" + b"\xff" * 12 + b"abc", r"got (3|shape \(4294967295, )"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("case", BAD_IDX)
def test_idx_malformed(tmp_path: Path, case: str, packed: bool) -> None:
    content, complaint = BAD_IDX[case]
    file = tmp_path / "bad.idx"
    file.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(ValueError, match=complaint) as caught:
        read_idx(file)
    assert str(file) in str(caught.value)


PACKED = gzip.compress(GOOD, mtime=0)
BAD_GZIP = {
    "only its magic": (PACKED[:2], "ends early"),
    "cut in the header": (PACKED[:7], "ends early"),
    "cut in the data": (PACKED[:-12], "ends early"),
    "cut in the trailer": (PACKED[:-1], "ends early"),
    "other method": (PACKED[:2] + b"\x07" + PACKED[3:], "broken one"),
    "broken data": (PACKED[:10] + b"\xff" * 8 + PACKED[18:], "broken one"),
    "wrong CRC": (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "broken one"),
    "wrong length": (PACKED[:-1] + b"\x01", "broken one"),
    "foreign bytes after it": (PACKED + b"PK", "more bytes after its end"),
    "a second stream after it": (PACKED + PACKED, "more bytes after its end"),
}


@pytest.mark.parametrize("case", BAD_GZIP)
def test_idx_broken_gzip(tmp_path: Path, case: str) -> None:
    content, complaint = BAD_GZIP[case]
    file = tmp_path / "bad.gz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"expected .* gzip stream, got .*{complaint}") as caught:
        read_idx(file)
    assert str(file) in str(caught.value)


def test_idx_every_cut_and_flip_is_refused_or_harmless(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for at in range(len(PACKED)):
        file.write_bytes(PACKED[:at])
        with pytest.raises(ValueError, match=r"expected .*, got "):
            read_idx(file)
        file.write_bytes(PACKED[:at] + bytes([PACKED[at] ^ 0x55]) + PACKED[at + 1 :])
        try:
            got = read_idx(file)
        except ValueError:
            continue
        np.testing.assert_array_equal(got, np.arange(6).reshape(2, 3))  # e.g. another mtime


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("announced", [6, 2**30], ids=["too little", "too much"])
def test_idx_memory_is_bounded(tmp_path: Path, announced: int, packed: bool) -> None:
    """Neither a header that lies nor a stream that swells costs memory."""
    swollen = 32 if announced == 6 else 0
    content = struct.pack(">HBBI", 0, 8, 1, announced) + b"\0" * (swollen << 20) + b"123"
    file = tmp_path / "file"
    file.write_bytes(gzip.compress(content, 1) if packed else content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="expected"):
            read_idx(file)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_idx_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")


# An explicit path


@MODULES
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("nested", [False, True], ids=["direct", "in a sub-folder"])
def test_path_of_a_folder(tmp_path: Path, module: ModuleType, nested: bool, packed: bool) -> None:
    folder = tmp_path / "data"
    put(folder / module._DATASET.name if nested else folder, small(1), packed)
    assert_same(module.load_data(folder), small(1))
    assert_same(module.load_data(str(folder)), small(1))


def test_path_may_mix_packed_and_plain_and_prefers_the_sub_folder(tmp_path: Path) -> None:
    folder = put(tmp_path / "data", small(1))
    (folder / NAMES[0]).unlink()
    (folder / NAMES[0].removesuffix(".gz")).write_bytes(encode(small(1)[NAMES[0]]))
    assert_same(mnist.load_data(folder), small(1))
    put(folder / "mnist", small(2))
    put(folder / "fashion-mnist", small(3))
    assert_same(mnist.load_data(folder), small(2))
    assert_same(fashion_mnist.load_data(folder), small(3))


def test_path_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    put(tmp_path / "data", small(1))
    assert_same(mnist.load_data("~/data"), small(1))


@MODULES
def test_path_without_the_files(tmp_path: Path, module: ModuleType) -> None:
    folder = put(tmp_path / "data", small(1))
    for name in NAMES[1:3]:
        (folder / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        module.load_data(folder)
    assert str(folder) in str(caught.value)
    assert str(caught.value).endswith(f"missing: {NAMES[1]}, {NAMES[2]}")
    for path in (tmp_path / "none", tmp_path / "none.npz", folder / NAMES[0]):
        with pytest.raises(FileNotFoundError, match="missing: ") as caught:
            module.load_data(path)
        assert str(path) in str(caught.value)
        assert all(name in str(caught.value) for name in NAMES)


def test_path_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MICROGRAD_EXT_DATA", str(put(tmp_path / "environment", small(1))))
    assert_same(mnist.load_data(put(tmp_path / "path", small(2))), small(2))
    with pytest.raises(FileNotFoundError):
        mnist.load_data(tmp_path / "none")


def bad_sets() -> dict[str, tuple[Arrays, str, str]]:
    """Four arrays that are not a data set, the complaint, and which file it must name."""
    good = small(1)
    images, labels, test_images, test_labels = NAMES
    return {
        "counts": ({**good, labels: good[labels][:-1]}, labels, "expected 20 labels, .*, got 19"),
        "27 wide": (
            {**good, images: good[images][:, :, :27]},
            images,
            r"got uint8 of \(20, 28, 27",
        ),
        "flat": ({**good, images: good[images].reshape(20, 784)}, images, r"\(n, 28, 28\)"),
        "label 10": (
            {**good, test_labels: good[test_labels] + 1},
            test_labels,
            "labels from 0 to 9, got 10",
        ),
        "2-d labels": ({**good, labels: good[labels][:, None]}, labels, r"\(n\), .*\(20, 1\)"),
        "swapped": ({**good, test_images: good[test_labels]}, test_images, r"got uint8 of \(10,\)"),
    }


@pytest.mark.parametrize("case", bad_sets())
@pytest.mark.parametrize("place", ["path", "environment", "cache", "npz"])
def test_arrays_that_are_no_data_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str, place: str
) -> None:
    arrays, culprit, complaint = bad_sets()[case]
    path: Path | None = None
    if place == "npz":
        path = put_npz(tmp_path / "data.npz", arrays)
        culprit = f"{path}: {KEYS[NAMES.index(culprit)]}"
    elif place == "cache":
        folder = put(tmp_path / "cache" / "mnist", arrays)
        adopt(mnist, folder, monkeypatch)
    else:
        folder = put(tmp_path / "data", arrays)
        path = folder if place == "path" else None
        if place == "environment":
            monkeypatch.setenv("MICROGRAD_EXT_DATA", str(folder))
    with pytest.raises(ValueError, match=complaint) as caught:
        mnist.load_data(path)
    assert culprit in str(caught.value)


@pytest.mark.parametrize("place", ["path", "environment"])
def test_corrupt_files_are_never_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    folder = put(tmp_path / "data", small(1))
    (folder / NAMES[2]).write_bytes((folder / NAMES[2]).read_bytes()[:-20])
    monkeypatch.setenv("MICROGRAD_EXT_DATA", str(folder))
    with pytest.raises(ValueError, match="ends early") as caught:
        mnist.load_data(folder if place == "path" else None)
    assert str(folder / NAMES[2]) in str(caught.value)


def test_the_other_data_set_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The files have the same names: MNIST's must not be taken for Fashion-MNIST's."""
    arrays = small(1)
    digest = hashlib.sha256(arrays[NAMES[1]].tobytes()).hexdigest()
    monkeypatch.setitem(_source._LABELS, digest, "mnist")
    monkeypatch.setenv("MICROGRAD_EXT_DATA", str(put(tmp_path / "data", arrays)))
    assert_same(mnist.load_data(), arrays)
    with pytest.raises(ValueError, match=r"labels of fashion-mnist, got those of mnist$"):
        fashion_mnist.load_data()


# .npz files, as Keras has them


@MODULES
def test_npz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: ModuleType) -> None:
    file = put_npz(tmp_path / "mnist.npz", small(1))
    assert_same(module.load_data(file), small(1))
    monkeypatch.chdir(tmp_path)
    assert_same(module.load_data("mnist.npz"), small(1))
    np.savez_compressed(file, **dict(zip(KEYS, small(2).values(), strict=True)))
    assert_same(module.load_data(file), small(2))


def test_npz_bare_name_that_does_not_exist_is_no_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MICROGRAD_EXT_DATA", str(put(tmp_path / "data", small(1))))
    assert_same(mnist.load_data("mnist.npz"), small(1))
    assert_same(mnist.load_data(path="mnist.npz"), small(1))
    for path in ("./data/mnist.npz", tmp_path / "mnist.npz", "~/mnist.npz"):
        with pytest.raises(FileNotFoundError, match=r"mnist\.npz"):
            mnist.load_data(path)


def test_npz_malformed(tmp_path: Path) -> None:
    file = tmp_path / "mnist.npz"
    arrays = dict(zip(KEYS, small(1).values(), strict=True))

    def assert_refused(complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint) as caught:
            mnist.load_data(file)
        assert str(file) in str(caught.value)

    np.savez(file, **arrays)
    whole = file.read_bytes()
    file.write_bytes(b"")
    assert_refused("expected an .npz file with the arrays x_train, .*, got BadZipFile")
    file.write_bytes(whole[: len(whole) // 2])
    assert_refused("got BadZipFile")
    file.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    assert_refused("got BadZipFile: Bad CRC")
    with file.open("wb") as out:
        np.save(out, arrays["x_train"])
    assert_refused("got BadZipFile")
    np.savez(file, x_train=arrays["x_train"])
    assert_refused("y_train")
    np.savez(file, **{**arrays, "y_train": np.array([{}] * 20)})
    assert_refused(r"y_train\.npy: expected \d+ bytes of numbers, got object of \(20,\)")
    np.savez(file, **{**arrays, "y_train": arrays["y_train"].astype(np.int64)})
    assert_refused(r"y_train: expected uint8 of shape \(n\), n at least 1, got int64 of \(20,\)")
    np.savez(file, **{**arrays, "y_train": np.uint8(3)})
    assert_refused(r"y_train: expected .*, got uint8 of \(\)")
    np.savez(file, **{**arrays, "x_test": arrays["x_test"][:0], "y_test": arrays["y_test"][:0]})
    assert_refused(r"x_test: expected .* n at least 1, got uint8 of \(0, 28, 28\)")


# The environment, the cache, the download


def test_environment_wins_over_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server
) -> None:
    publish(server, mnist, monkeypatch, seed=1)
    mnist.load_data()
    monkeypatch.setenv("MICROGRAD_EXT_DATA", str(put(tmp_path / "data", small(2))))
    assert_same(mnist.load_data(), small(2))


@pytest.mark.parametrize("exists", [True, False])
def test_environment_without_the_files_goes_on_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, exists: bool
) -> None:
    folder = tmp_path / "data"
    if exists:
        put(folder, small(2))
        (folder / NAMES[3]).unlink()
    monkeypatch.setenv("MICROGRAD_EXT_DATA", str(folder))
    arrays = publish(server, mnist, monkeypatch)
    with pytest.warns(UserWarning, match=r"MICROGRAD_EXT_DATA .* the cache: .*") as caught:
        data = mnist.load_data()
    assert_same(data, arrays)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(folder) in str(caught[0].message)
    assert NAMES[3] in str(caught[0].message)


def test_empty_variables_are_no_folders(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    arrays = publish(server, mnist, monkeypatch)
    monkeypatch.setenv("MICROGRAD_EXT_DATA", "")
    assert_same(mnist.load_data(), arrays)


@MODULES
def test_download_fills_the_cache_once(
    monkeypatch: pytest.MonkeyPatch, server: Server, module: ModuleType
) -> None:
    arrays = publish(server, module, monkeypatch)
    assert_same(module.load_data(), arrays)
    assert server.asked == list(NAMES)
    assert cached(module) == sorted(NAMES)
    monkeypatch.setitem(sys.modules, "pooch", None)  # a full cache needs no pooch
    assert_same(module.load_data(), arrays)
    assert server.asked == list(NAMES)


def test_download_replaces_a_corrupt_cached_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server
) -> None:
    arrays = publish(server, mnist, monkeypatch)
    mnist.load_data()
    (tmp_path / "cache" / "mnist" / NAMES[1]).write_bytes(b"half of it")
    assert_same(mnist.load_data(), arrays)
    assert server.asked == [*NAMES, NAMES[1]]
    assert cached(mnist) == sorted(NAMES)


@MODULES
@pytest.mark.parametrize("pooch", [True, False])
def test_corrupt_cached_file_that_cannot_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    server: Server,
    module: ModuleType,
    pooch: bool,
) -> None:
    publish(server, module, monkeypatch)
    module.load_data()
    file = tmp_path / "cache" / module._DATASET.name / NAMES[1]
    file.write_bytes(b"half of it")
    if not pooch:
        monkeypatch.setitem(sys.modules, "pooch", None)
    server.answers.clear()
    reason = "404" if pooch else "ModuleNotFoundError"
    with pytest.raises(ValueError, match=rf"expected sha256 .*{reason}.*delete it") as caught:
        module.load_data()
    assert str(file) in str(caught.value)


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    body = gzip.compress(encode(small(1)[NAMES[2]]))
    reply(handler, body[:-9], len(body))


def never_come(handler: BaseHTTPRequestHandler) -> None:
    handler.rfile.read(1)  # until the client hangs up


def dripping(body: Any, pieces: int, pause: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answers with the body in pieces, with a pause before each."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, b"", len(body))
        size = -(-len(body) // pieces)
        for begin in range(0, len(body), size):
            time.sleep(pause)
            try:
                handler.wfile.write(body[begin : begin + size])
            except OSError:  # who asked is dead
                return

    return answer


FAILURES = {
    "404": (None, "HTTPError: 404"),
    "wrong checksum": (gzip.compress(encode(small(9)[NAMES[2]])), "ValueError: SHA256 hash"),
    "not the file": (b"<html>log in to the hotel's network</html>", "ValueError: SHA256 hash"),
    "truncated": (cut_short, "IncompleteRead"),
    "timeout": (never_come, "ReadTimeout|timed out"),
}


@MODULES
@pytest.mark.parametrize("case", FAILURES)
def test_download_fails(
    monkeypatch: pytest.MonkeyPatch, server: Server, module: ModuleType, case: str
) -> None:
    answer, reason = FAILURES[case]
    arrays = publish(server, module, monkeypatch)
    if answer is None:
        del server.answers[NAMES[2]]
    else:
        server.answers[NAMES[2]] = answer
    monkeypatch.setattr(_source, "_TIMEOUT", (5.0, 0.1))
    assert_unavailable(module, reason)
    assert cached(module) == sorted(NAMES[:2])  # whole files only, and nothing of the third

    publish(server, module, monkeypatch)
    assert_same(module.load_data(), arrays)


@MODULES
def test_a_slow_download_arrives(
    monkeypatch: pytest.MonkeyPatch, server: Server, module: ModuleType
) -> None:
    """It may take as long as it takes, as long as something comes."""
    arrays = publish(server, module, monkeypatch)
    server.answers[NAMES[0]] = dripping(server.answers[NAMES[0]], pieces=12, pause=0.1)
    monkeypatch.setattr(_source, "_TIMEOUT", (5.0, 1.0))
    assert_same(module.load_data(), arrays)
    assert cached(module) == sorted(NAMES)


DOWNLOADS = """
import sys
from dataclasses import replace
from micrograd_ext.datasets import mnist
url, digests = sys.argv[1], tuple(sys.argv[2:])
mnist._DATASET = replace(mnist._DATASET, base_url=url, sha256=digests)
print("begun", flush=True)
mnist.load_data()
"""


def test_sigkill_while_downloading_leaves_no_half_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, ran: Counter[str]
) -> None:
    """All of a file or nothing; the next that asks gets all of all."""
    arrays = publish(server, mnist, monkeypatch)
    whole = {name: server.answers[name] for name in NAMES}
    server.answers.update(
        {name: dripping(body, pieces=30, pause=0.01) for name, body in whole.items()}
    )
    chance = random.Random(1)
    broken_off = 0
    for number in range(40 if settings().max_examples > 1_000 else 5):
        monkeypatch.setenv("MICROGRAD_EXT_CACHE", str(tmp_path / str(number)))
        kill_python(DOWNLOADS, chance.uniform(0.0, 0.8), server.url, *mnist._DATASET.sha256)
        for name, body in whole.items():
            kept = tmp_path / str(number) / "mnist" / name
            assert not kept.exists() or kept.read_bytes() == body
            broken_off += not kept.exists()
        ran["SIGKILL: while downloading"] += 1
    server.answers.update(whole)
    assert_same(mnist.load_data(), arrays)  # into the cache of the last
    assert broken_off


@MODULES
def test_no_network(module: ModuleType) -> None:
    pytest.importorskip("pooch")
    assert_unavailable(module, "ConnectionError")
    assert cached(module) == []


@MODULES
def test_no_pooch(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert_unavailable(module, "ModuleNotFoundError: .*pooch")


@MODULES
def test_cache_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, module: ModuleType
) -> None:
    publish(server, module, monkeypatch)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MICROGRAD_EXT_CACHE", str(tmp_path / "file"))
    assert_unavailable(module, "FileExistsError|NotADirectoryError|PermissionError|OSError")


def assert_unavailable(module: ModuleType, reason: str) -> None:
    """MNIST falls back to the sample and warns, Fashion-MNIST raises; both say why and what now."""
    if module is mnist:
        with pytest.warns(UserWarning, match="only the built-in sample of 5,000 dig") as caught:
            (x_train, _), (x_test, _) = mnist.load_data()
        assert (len(x_train), len(x_test)) == (4000, 1000)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        told = str(caught[0].message)
    else:
        with pytest.raises(FileNotFoundError, match="Fashion-MNIST") as raised:
            module.load_data()
        told = str(raised.value)
    folder = Path(os.environ["MICROGRAD_EXT_CACHE"], module._DATASET.name)
    for part in (str(folder), module._DATASET.base_url, "MICROGRAD_EXT_DATA", "path", *NAMES):
        assert part in told
    assert "pip install 'micrograd_ext[datasets]'" in told
    assert re.search(reason, told)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert _source.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("MICROGRAD_EXT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    for platform, parts in {
        "linux": (".cache", "micrograd_ext"),
        "darwin": ("Library", "Caches", "micrograd_ext"),
        "win32": ("AppData", "Local", "micrograd_ext", "Cache"),
    }.items():
        monkeypatch.setattr(sys, "platform", platform)
        assert _source.cache_folder() == tmp_path.joinpath(*parts)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert _source.cache_folder() == tmp_path / "xdg" / "micrograd_ext"


def test_published_checksums_are_checksums() -> None:
    digests = [digest for module in (mnist, fashion_mnist) for digest in module._DATASET.sha256]
    assert all(len(bytes.fromhex(digest)) == 32 for digest in digests)
    assert len(set(digests)) == 8


# The sample


SAMPLE = {
    NAMES[0]: "16f1fa66064cb7cf1e66c057c25811fc6efe25f875f9cd0bf111d7bdd047af8c",
    NAMES[1]: "11a10a6c5abe29e70828faa30a33483d9cf4a2a7c7379f2c159d91cd67be7b68",
    NAMES[2]: "3182d7d24a35a23881eb6d4b39ca4d30e1f90033533aec1171d96880c8e726a3",
    NAMES[3]: "6ab48bd204fc10615fa173ee8b98b4033de586e426d81fb42f23bfbd635592a5",
}


def test_sample_files() -> None:
    folder = Path(mnist.__file__).with_name("sample")
    record = (folder / "SOURCE.md").read_text(encoding="utf-8")
    for name, digest in SAMPLE.items():
        content = (folder / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert f"| `{name}` | {len(content):,} | `{digest}` |" in record


def test_sample() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (x_train, y_train), (x_test, y_test) = mnist.load_sample()
    assert (x_train.shape, y_train.shape) == ((4000, 28, 28), (4000,))
    assert (x_test.shape, y_test.shape) == ((1000, 28, 28), (1000,))
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert np.bincount(y_train).tolist() == [400] * 10
    assert np.bincount(y_test).tolist() == [100] * 10
    assert np.bincount(y_train[:1000]).min() > 70  # mixed, not sorted
    assert len({image.tobytes() for image in (*x_train, *x_test)}) == 5000  # no leak


# The whole of it, where there is a copy


@pytest.mark.skipif(REAL_DATA is None, reason="MICROGRAD_EXT_DATA is not set")
@pytest.mark.parametrize(
    ("module", "digest"),
    [
        (mnist, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        (fashion_mnist, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
    ],
)
def test_full_set(monkeypatch: pytest.MonkeyPatch, module: ModuleType, digest: str) -> None:
    assert REAL_DATA is not None
    try:
        _source._find(module._DATASET, Path(REAL_DATA))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("MICROGRAD_EXT_DATA", REAL_DATA)
    (x_train, y_train), (x_test, y_test) = module.load_data()
    assert (x_train.shape, y_train.shape) == ((60000, 28, 28), (60000,))
    assert (x_test.shape, y_test.shape) == ((10000, 28, 28), (10000,))
    assert np.bincount(y_train).tolist()[:2] == ([5923, 6742] if module is mnist else [6000, 6000])
    unpacked = struct.pack(">HBB3I", 0, 8, 3, *x_train.shape) + x_train.tobytes()
    assert hashlib.sha256(unpacked).hexdigest() == digest
    labels = hashlib.sha256(y_train.tobytes()).hexdigest()
    assert _source._LABELS[labels] == module._DATASET.name


@pytest.mark.skipif(REAL_DATA is None, reason="MICROGRAD_EXT_DATA is not set")
def test_sample_is_from_the_training_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As SOURCE.md has it: the first 500 training images of each digit, no test image."""
    assert REAL_DATA is not None
    try:
        _source._find(mnist._DATASET, Path(REAL_DATA))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("MICROGRAD_EXT_DATA", REAL_DATA)
    (x_train, y_train), (x_test, _) = mnist.load_data()
    (xs, ys), (xt, yt) = mnist.load_sample()
    sample = {(x.tobytes(), int(y)) for x, y in zip((*xs, *xt), (*ys, *yt), strict=True)}
    first = [i for digit in range(10) for i in np.flatnonzero(y_train == digit)[:500]]
    assert sample == {(x_train[i].tobytes(), int(y_train[i])) for i in first}
    assert not {image for image, _ in sample} & {image.tobytes() for image in x_test}
