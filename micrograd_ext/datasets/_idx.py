"""IDX, the file format of MNIST: a magic number, the shape, then the bytes in row-major order.

    00 00  08     rank   rank big-endian uint32   the elements
    magic  uint8         one for each axis        one byte each

LeCun, Cortes, Burges, "The MNIST database of handwritten digits", section "File formats".
"""

from __future__ import annotations

import math
import os
import zlib
from typing import IO, Protocol

import numpy as np
import numpy.typing as npt

_CHUNK = 1 << 16
_MAX_RANK = 32  # numpy 1 has no arrays of more axes
MOST = 1 << 30  # bytes, of what is compressed: 20 times MNIST, no computer's whole memory


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Gunzip:
    """A gzip stream that inflates only the bytes it is asked for, unlike `gzip`, which reads ahead.

    zlib itself checks the stream's CRC and length when it comes to the end.
    """

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._stream = zlib.decompressobj(wbits=31)  # 31: gzip, with the largest window

    def read(self, size: int, /) -> bytes:
        """`size` bytes, fewer only at the end of the stream. Raises zlib.error if it is broken."""
        plain = bytearray()
        while len(plain) < size and not self._stream.eof:
            packed = self._stream.unconsumed_tail or self._packed.read(_CHUNK)
            piece = self._stream.decompress(packed, size - len(plain))
            if not packed and not piece:
                raise zlib.error("ends early")
            plain += piece
        return bytes(plain)

    def followed(self) -> bool:
        """Whether the file goes on after the stream's end."""
        return bool(self._stream.unused_data or self._packed.read(1))


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Read an IDX file of bytes, plain or gzip'd (its first two bytes tell, not its name).

    Returns a writable uint8 array of the shape the header announces. Raises ValueError, naming
    the file, what was expected and what came, unless the file is exactly one such array: no
    byte more is inflated than the header announces plus one, and never more than 1 GiB; nothing is
    allocated for bytes that are not there. Raises OSError if the file cannot be read.
    """
    with open(path, "rb") as file:
        if file.peek(2)[:2] != b"\x1f\x8b":
            return _parse(file, path, most=math.inf)
        stream = _Gunzip(file)
        try:
            array = _parse(stream, path, most=MOST)
        except zlib.error as error:
            message = f"{path}: expected a whole gzip stream, got a broken one: {error}"
            raise ValueError(message) from error
        if stream.followed():
            raise ValueError(f"{path}: expected one gzip stream, got more bytes after its end")
        return array


def _parse(source: _Source, path: str | os.PathLike[str], most: float) -> npt.NDArray[np.uint8]:
    magic = _exactly(source, 4, path, "magic number")
    if magic[:3] != b"\x00\x00\x08":
        got = magic.hex(" ")
        raise ValueError(f"{path}: expected the magic number 00 00 08 rank (uint8 IDX), got {got}")
    rank = magic[3]
    if not 1 <= rank <= _MAX_RANK:
        raise ValueError(f"{path}: expected a rank from 1 to {_MAX_RANK}, got {rank}")
    sizes = _exactly(source, 4 * rank, path, f"shape of rank {rank}")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    if 0 in shape:
        raise ValueError(f"{path}: expected at least one element on every axis, got shape {shape}")
    if math.prod(shape) > most:
        raise ValueError(
            f"{path}: expected at most {most} bytes in a compressed file, got shape {shape}"
        )
    data = _exactly(source, math.prod(shape), path, f"array of shape {shape}")
    if source.read(1):
        raise ValueError(f"{path}: expected {len(data)} bytes for shape {shape}, got more")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _exactly(source: _Source, size: int, path: str | os.PathLike[str], what: str) -> bytearray:
    data = bytearray()
    while len(data) < size:  # in pieces: a header may lie about the size
        piece = source.read(min(_CHUNK, size - len(data)))
        if not piece:
            raise ValueError(f"{path}: expected {size} bytes for the {what}, got {len(data)}")
        data += piece
    return data
