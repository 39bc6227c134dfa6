"""Files that are written as a whole or not at all, and arrays read from files with care."""

from __future__ import annotations

import math
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy


@contextmanager
def replacing(path: str | PathLike[str], overwrite: bool = True) -> Iterator[IO[bytes]]:
    """A file to write into, which takes the place of `path` when all is written, or never.

    It lies beside `path` until then, under a name that begins with a dot.

    Raises:
        FileExistsError: there is such a file, and overwrite is False.
        OSError: it cannot be written; what was there before is as it was.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path}: expected the name of a file, got a folder")
    if not overwrite and target.exists():
        raise FileExistsError(f"{path}: there is a file of that name, and overwrite is False")
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """The floats or integers of an .npy entry, in memory of their own.

    Raises ValueError unless they are as many as its header says, BadZipFile if their sum is wrong.
    Nothing larger is made than the archive says the entry is.
    """
    with archive.open(info) as member:
        if npy.read_magic(member) != (1, 0):
            raise ValueError(f"{info.filename}: expected the first version of numpy's format")
        shape, fortran, dtype = npy.read_array_header_1_0(member)
        size = info.file_size - member.tell()
        fits = min(shape, default=0) >= 0 and math.prod(shape) * dtype.itemsize == size
        if dtype.kind not in "fiu" or not fits:
            raise ValueError(
                f"{info.filename}: expected {size} bytes of numbers, got {dtype} of {shape}"
            )
        array = np.frombuffer(bytearray(member.read(size)), dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
