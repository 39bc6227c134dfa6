"""What the demos share: colours, data of two moons, saving pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE = "#0072b2", "#d55e00"  # Okabe and Ito's, which colour-blind people tell apart


def has_matplotlib() -> bool:
    """Whether pictures can be drawn; if not, says how they could be."""
    try:
        import matplotlib  # noqa: F401, PLC0415 - only to see whether it is there
    except ImportError:
        print("No pictures without matplotlib: pip install 'micrograd_ext[demos]'")
        return False
    return True


def save(pictures: dict[str, Figure], folder: str) -> None:
    """Write each figure to folder/name."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, figure in pictures.items():
        figure.savefig(Path(folder, name), dpi=120)
        print(f"Saved {Path(folder, name)}")


def moons(
    samples: int, noise: float, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Two interleaved half circles, shuffled, then blurred: points (samples, 2), labels 0 and 1.

    The points are those that scikit-learn's `make_moons(samples, noise=noise)` draws after
    `np.random.seed(seed)`.
    """
    random = np.random.RandomState(seed)
    outer, inner = (
        np.linspace(0, np.pi, samples // 2),
        np.linspace(0, np.pi, samples - samples // 2),
    )
    above = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    below = np.stack([1 - np.cos(inner), 1 - np.sin(inner) - 0.5], axis=1)
    order = np.arange(samples)
    random.shuffle(order)
    points = np.concatenate([above, below])[order]
    labels = (order >= len(above)).astype(np.int64)
    return points + random.normal(scale=noise, size=points.shape), labels
