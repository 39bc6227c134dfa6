"""Files that hold named arrays and JSON: zip archives, not compressed, as numpy's .npz are.

What is read is checked first: nothing is unpickled, and nothing larger than the file is made.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ..common.files import read_array, replacing
from ..tensor import Array

FORMAT = "micrograd_ext"


#: 2: an optimizer's entries are its variables, as Keras counts them; 1: steps, then what it kept.
VERSION = 2


#: How files of Keras's begin, or what is in them; they are not ours to read.
HDF5 = b"\x89HDF"


def write(
    path: str | PathLike[str],
    documents: Mapping[str, Any],
    arrays: Mapping[str, Array],
    overwrite: bool = True,
) -> None:
    """Write JSON documents and arrays into a file, all or nothing; see `replacing`."""
    texts = {name: json.dumps(document, indent=1) for name, document in documents.items()}
    with replacing(path, overwrite) as file:
        archive = zipfile.ZipFile(file, "w")
        try:
            for name, text in texts.items():
                archive.writestr(zipfile.ZipInfo(f"{name}.json"), text)
            for name, array in arrays.items():
                info = zipfile.ZipInfo(f"{name}.npy")  # with a date that is always the same
                rows = np.asarray(array, order="C")
                with archive.open(info, "w", force_zip64=True) as member:
                    npy.write_array(member, rows, (1, 0), allow_pickle=False)
            archive.close()
        except BaseException:
            archive.fp = io.BytesIO()  # what it ends by itself, when it goes, goes nowhere
            raise


class Archive:
    """What `write` wrote, read when asked for.

    Attributes:
        arrays: the names of the arrays.
        documents: those of the documents.
        numbers: how many numbers the arrays can hold at most, by the size of the file.
        version: that of the format.
    """

    version: Any = VERSION

    def __init__(self, name: str, archive: zipfile.ZipFile, size: int) -> None:
        self.name, self._archive = name, archive
        infos = archive.infolist()
        stored = [info for info in infos if info.compress_type == zipfile.ZIP_STORED]
        if sum(info.file_size for info in stored) > size:  # entries may lie upon one another
            raise ValueError(f"expected no more in it than its {size} bytes")
        self._infos = {info.filename: info for info in infos}
        self.arrays = [n.removesuffix(".npy") for n in self._infos if n.endswith(".npy")]
        self.documents = [n.removesuffix(".json") for n in self._infos if n.endswith(".json")]
        self.numbers = size

    def document(self, name: str) -> Any:
        """A JSON document."""
        return json.loads(self._archive.read(self._info(f"{name}.json")).decode("utf-8"))

    def array(self, name: str) -> Array:
        """An array, of floats or integers."""
        return read_array(self._archive, self._info(f"{name}.npy"))

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = self._infos[name]
        if info.compress_type != zipfile.ZIP_STORED:  # what unfolds has no size known beforehand
            raise ValueError(f"{name}: expected it not to be compressed")
        return info


@contextmanager
def reading(path: str | PathLike[str], kind: str) -> Iterator[Archive]:
    """The archive at `path`, of that kind ('model', 'weights').

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: it is none that `write` wrote, or it is damaged; also for whatever goes wrong
            with what is in it, within the `with`.
    """
    name = os.fspath(path)
    with Path(path).open("rb") as file:
        beginning = file.read(4)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        try:
            if beginning == HDF5:
                raise ValueError(
                    "it is an HDF5 file, such as Keras writes; what model.get_weights() returns "
                    "there, model.set_weights() takes here"
                )
            with zipfile.ZipFile(file) as archive:
                reader = Archive(name, archive, size)
                if "model.weights.h5" in archive.namelist():
                    raise ValueError(
                        "it is a file of Keras's own; what model.get_weights() returns there, "
                        "model.set_weights() takes here"
                    )
                about = reader.document("metadata") if "metadata" in reader.documents else None
                if not isinstance(about, dict) or about.get("format") != FORMAT:
                    raise ValueError("it is none that this package wrote")
                reader.version = about.get("version")
                if reader.version not in range(1, VERSION + 1):
                    raise ValueError(
                        f"it is of version {reader.version!r} of the format, expected at most "
                        f"{VERSION}: a later micrograd_ext wrote it"
                    )
                yield reader
        except Exception as error:  # broken files make a dozen kinds of them
            if isinstance(error, ValueError):
                raise ValueError(f"{name}: {error}") from error
            expected = "a model that save wrote" if kind == "model" else "weights that were saved"
            raise ValueError(
                f"{name}: expected {expected}, got {type(error).__name__}: {error}"
            ) from error
