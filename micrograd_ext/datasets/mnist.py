"""MNIST: 70,000 handwritten digits, 28x28 grey pixels each (LeCun, Cortes, Burges, 1998)."""

from __future__ import annotations

import warnings
from pathlib import Path

from . import _source

__all__ = ["load_data", "load_sample"]

_SAMPLE = Path(__file__).with_name("sample")

_DATASET = _source.Dataset(
    name="mnist",
    title="MNIST",
    base_url="https://storage.googleapis.com/cvdf-datasets/mnist/",
    sha256=(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",  # train-images
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",  # train-labels
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",  # t10k-images
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",  # t10k-labels
    ),
)


def load_data(path: _source.StrPath | None = None) -> _source.Data:
    """Load MNIST, as `keras.datasets.mnist.load_data()` does.

    Looks, in this order, in `path`, in the folder MICROGRAD_EXT_DATA, and in the user cache
    (MICROGRAD_EXT_CACHE, or the system's cache folder), which a download fills (with pooch:
    `pip install 'micrograd_ext[datasets]'`). With none of them it falls back to `load_sample()`,
    5,000 digits, and warns.

    path: a folder with the four IDX files, or with a sub-folder `mnist` that has them, each with
    or without `.gz`; or an .npz file with the arrays x_train, y_train, x_test, y_test. As in
    Keras, a bare name such as "mnist.npz" that does not exist means no path.

    Returns `(x_train, y_train), (x_test, y_test)`, all uint8: images (60000, 28, 28) and
    (10000, 28, 28), 0 the paper and 255 the ink; labels (60000,) and (10000,), 0 to 9.

    Raises FileNotFoundError if `path` has not the files, ValueError if a file that is found is
    corrupt or not MNIST's.

    Source: http://yann.lecun.com/exdb/mnist/, CC BY-SA 3.0, downloaded from a copy by Google.

    >>> from pathlib import Path
    >>> from micrograd_ext.datasets import mnist
    >>> folder = Path(mnist.__file__).with_name("sample")  # or your own
    >>> (x_train, y_train), (x_test, y_test) = mnist.load_data(folder)
    >>> x_train.shape, y_train.shape, x_train.dtype
    ((4000, 28, 28), (4000,), dtype('uint8'))
    """
    try:
        return _source.load(_DATASET, path)
    except _source.UnavailableError as error:
        warnings.warn(
            "only the built-in sample of 5,000 digits (4,000 to train, 1,000 to test) is used "
            f"instead of the 70,000 of MNIST. {error}",
            UserWarning,
            stacklevel=2,
        )
    return load_sample()


def load_sample() -> _source.Data:
    """Load the 5,000 digits of MNIST that come with this package; needs no network.

    Returns `(x_train, y_train), (x_test, y_test)`, all uint8: images (4000, 28, 28) and
    (1000, 28, 28), labels (4000,) and (1000,), every digit equally often, in random order.

    All 5,000, those to test with too, are among MNIST's 60,000 training images: a model trained
    on the full set has seen them. Source and licence: `sample/SOURCE.md`.

    >>> from micrograd_ext.datasets import mnist
    >>> (x_train, y_train), (x_test, y_test) = mnist.load_sample()
    >>> x_train.shape, x_test.shape, x_train.dtype
    ((4000, 28, 28), (1000, 28, 28), dtype('uint8'))
    >>> [int((y_test == digit).sum()) for digit in range(10)]
    [100, 100, 100, 100, 100, 100, 100, 100, 100, 100]
    """
    return _source.read_folder(_DATASET, _SAMPLE)
