"""Fashion-MNIST: 70,000 pictures of clothes in MNIST's format (Xiao, Rasul, Vollgraf, 2017)."""

from __future__ import annotations

from . import _source

__all__ = ["CLASS_NAMES", "load_data"]

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""What the labels 0 to 9 mean."""

_DATASET = _source.Dataset(
    name="fashion-mnist",
    title="Fashion-MNIST",
    base_url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # has no https
    sha256=(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",  # train-images
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",  # train-labels
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",  # t10k-images
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",  # t10k-labels
    ),
)


def load_data(path: _source.StrPath | None = None) -> _source.Data:
    """Load Fashion-MNIST, as `keras.datasets.fashion_mnist.load_data()` does.

    Looks where `mnist.load_data` looks (the sub-folder is `fashion-mnist`), but there is no
    sample to fall back to.

    Returns `(x_train, y_train), (x_test, y_test)`, all uint8: images (60000, 28, 28) and
    (10000, 28, 28); labels (60000,) and (10000,), indices into `CLASS_NAMES`.

    Raises FileNotFoundError if `path` has not the files, or if no place has them and the download
    failed; ValueError if a file that is found is corrupt or not Fashion-MNIST's.

    Source: https://github.com/zalandoresearch/fashion-mnist (Zalando, MIT).

    >>> from micrograd_ext.datasets import fashion_mnist
    >>> (x_train, y_train), _ = fashion_mnist.load_data()  # doctest: +SKIP
    >>> fashion_mnist.CLASS_NAMES[9]  # the first picture's label
    'Ankle boot'
    """
    return _source.load(_DATASET, path)
