"""What has to happen before the rest of the package is imported; importing this does it."""

from __future__ import annotations

from . import _openmp, _pure

_pure.choose_engine()
with _openmp.patience():
    from . import _kernels  # noqa: F401 - loads the OpenMP runtime
