"""Where a data set comes from: a path, MICROGRAD_EXT_DATA, the user cache, then the network.

MNIST and Fashion-MNIST are the same four files with other contents, so all of the look-up is
here; `mnist.py` and `fashion_mnist.py` only say which files they mean.
"""

from __future__ import annotations

import os
import sys
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from textwrap import shorten
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..common.files import read_array
from ._idx import MOST, read_idx

Array: TypeAlias = npt.NDArray[np.uint8]
Split: TypeAlias = tuple[Array, Array]
Data: TypeAlias = tuple[Split, Split]
StrPath: TypeAlias = "str | os.PathLike[str]"

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
KEYS = ("x_train", "y_train", "x_test", "y_test")  # the same four, in Keras's mnist.npz

# The files of both data sets have the same names; the training labels tell them apart.
_LABELS = {
    "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13": "mnist",
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7": "fashion-mnist",
}

_CLASSES = 10
_TIMEOUT = (10.0, 30.0)  # seconds, to connect and between two pieces of a file


@dataclass(frozen=True)
class Dataset:
    """Four IDX files, as found at `base_url`; `sha256` has their digests in the order of FILES."""

    name: str  # also the sub-folder's, in the cache and in a data folder
    title: str
    base_url: str
    sha256: tuple[str, str, str, str]


class UnavailableError(FileNotFoundError):
    """The data set is neither on this computer nor to be downloaded; says why and what to do."""


def cache_folder() -> Path:
    """Where downloads are kept: MICROGRAD_EXT_CACHE, or the system's folder for caches."""
    if chosen := os.environ.get("MICROGRAD_EXT_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local, "micrograd_ext", "Cache")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "micrograd_ext"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "micrograd_ext")


def load(dataset: Dataset, path: StrPath | None) -> Data:
    """Take the data set from the first place that has it, as `mnist.load_data` describes.

    Warnings point at the caller's caller. Raises UnavailableError if no place has it,
    FileNotFoundError if `path` was given and has not, ValueError if what is there is corrupt.
    """
    if path is not None:
        chosen = Path(path).expanduser()
        if chosen.suffix == ".npz" and chosen.is_file():
            return _read_npz(dataset, chosen)
        # Keras's "mnist.npz" names a file in Keras's cache: the same as no path at all.
        if chosen.suffix != ".npz" or chosen.name != os.fspath(path) or chosen.exists():
            return read_folder(dataset, chosen)
    if named := os.environ.get("MICROGRAD_EXT_DATA"):
        try:
            files = _find(dataset, Path(named).expanduser())
        except FileNotFoundError as error:
            message = f"MICROGRAD_EXT_DATA is of no use here, going on to the cache: {error}"
            warnings.warn(message, UserWarning, stacklevel=3)
        else:
            return _read_files(dataset, files)
    return _read_files(dataset, _cached(dataset))


def read_folder(dataset: Dataset, folder: Path) -> Data:
    """Read the files in `folder` or its sub-folder, whose checksums need not be the known ones."""
    return _read_files(dataset, _find(dataset, folder))


def _find(dataset: Dataset, folder: Path) -> list[Path]:
    missing = list(FILES)
    for place in (folder / dataset.name, folder):
        paths = {
            name: file
            for name in FILES
            for file in (place / name.removesuffix(".gz"), place / name)
            if file.is_file()
        }
        if len(paths) == len(FILES):
            return [paths[name] for name in FILES]
        missing = min(missing, [name for name in FILES if name not in paths], key=len)
    raise FileNotFoundError(
        f"{folder}: expected a folder with the {dataset.title} files, in it or in its "
        f"{dataset.name}/, with or without .gz; missing: {', '.join(missing)}"
    )


def _cached(dataset: Dataset) -> list[Path]:
    """Name the files in the user cache, all with the published sha256, downloaded if need be."""
    folder = cache_folder() / dataset.name
    for name, expected in zip(FILES, dataset.sha256, strict=True):
        file = folder / name
        got = sha256(file.read_bytes()).hexdigest() if file.is_file() else None
        if got == expected:
            continue
        try:
            _download(dataset.base_url + name, file, expected)
        except (ImportError, OSError, ValueError) as error:
            reason = shorten(f"{type(error).__name__}: {error}", 160, placeholder=" ...")
            if got is not None:
                raise ValueError(
                    f"{file}: expected sha256 {expected}, got {got}, and it could not be "
                    f"downloaded anew ({reason}); delete it to go on without"
                ) from error
            raise UnavailableError(
                f"{dataset.title}: {name} is not in the cache {folder} and could not be downloaded "
                f"from {dataset.base_url} ({reason}). Try again with a network and pooch (pip "
                f"install 'micrograd_ext[datasets]'), or put {', '.join(FILES)} into a folder and "
                "give it as path, or in the environment variable MICROGRAD_EXT_DATA."
            ) from error
    return [folder / name for name in FILES]


def _download(url: str, file: Path, digest: str) -> None:
    """Put `url` at `file`, all of it or nothing.

    Raises ImportError without pooch, OSError if the network (requests' errors are OSErrors) or
    the disk fails, ValueError if what came has another sha256 than `digest`.
    """
    pooch = import_module("pooch")  # here, not above: optional, and slow to import
    # not streamed: pooch leaves the socket of a failed stream open
    fetch = pooch.HTTPDownloader(chunk_size=1 << 20, timeout=_TIMEOUT, stream=False)
    pooch.retrieve(url, known_hash=digest, fname=file.name, path=file.parent, downloader=fetch)


def _read_files(dataset: Dataset, files: Sequence[Path]) -> Data:
    return _checked(dataset, [read_idx(file) for file in files], [str(file) for file in files])


def _read_npz(dataset: Dataset, file: Path) -> Data:
    arrays = []
    with file.open("rb") as content:
        try:
            with zipfile.ZipFile(content) as archive:
                for key in KEYS:
                    info = archive.getinfo(f"{key}.npy")
                    if info.file_size > MOST:
                        raise ValueError(f"{key} of {info.file_size} bytes, more than {MOST}")
                    arrays.append(np.asarray(read_array(archive, info), order="C"))
        except Exception as error:  # zipfile meets broken files with a dozen kinds of them
            expected = f"expected an .npz file with the arrays {', '.join(KEYS)}"
            raise ValueError(f"{file}: {expected}, got {type(error).__name__}: {error}") from error
    return _checked(dataset, arrays, [f"{file}: {key}" for key in KEYS])


def _checked(dataset: Dataset, arrays: Sequence[Array], names: Sequence[str]) -> Data:
    """Nest the four arrays as Keras does. Raises ValueError if they are no such data set."""
    train = _split(arrays[0], arrays[1], names[0], names[1])
    test = _split(arrays[2], arrays[3], names[2], names[3])
    name = _LABELS.get(sha256(train[1].tobytes()).hexdigest(), dataset.name)
    if name != dataset.name:
        raise ValueError(f"{names[1]}: expected the labels of {dataset.name}, got those of {name}")
    return train, test


def _split(images: Array, labels: Array, images_name: str, labels_name: str) -> Split:
    for name, array, axes in ((images_name, images, (28, 28)), (labels_name, labels, ())):
        if array.dtype != np.uint8 or array.ndim == 0 or array.shape[1:] != axes or not len(array):
            expected = f"uint8 of shape ({', '.join(map(str, ('n', *axes)))}), n at least 1"
            raise ValueError(f"{name}: expected {expected}, got {array.dtype} of {array.shape}")
    if len(images) != len(labels):
        raise ValueError(
            f"{labels_name}: expected {len(images)} labels, as many as images in {images_name}, "
            f"got {len(labels)}"
        )
    if labels.max() >= _CLASSES:
        expected = f"labels from 0 to {_CLASSES - 1}"
        raise ValueError(f"{labels_name}: expected {expected}, got {labels.max()}")
    return images, labels
