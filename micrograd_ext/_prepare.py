"""What has to happen before the rest of the package is imported; importing this does it."""

from __future__ import annotations

from . import _pure

_pure.choose_engine()
