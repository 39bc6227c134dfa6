"""What has to happen before the rest of the package is imported; importing this does it."""

from __future__ import annotations

from .common.compiled import check_compiled
from .common.interpreted import choose_engine

choose_engine()
check_compiled()
