"""Square matrix products in float32, here and in numpy, in one run.

To run it:

    python benchmarks/matmul.py
"""

from __future__ import annotations

import argparse

import numpy as np
from _timing import interleave

import micrograd_ext
from micrograd_ext import _kernels


def main() -> None:
    """Time, and print GFLOP/s and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()

    micrograd_ext.show_config()
    random = np.random.default_rng(0)
    print(f"{'size':>6} {'here':>9} {'numpy':>9}   GFLOP/s, here / numpy")
    for size in options.sizes:
        a, b = random.standard_normal((2, size, size), dtype=np.float32)
        calls = max(1, 2**31 // size**3)  # 20 ms or so: thread wake-ups do not count

        def here(a=a, b=b, calls=calls) -> None:
            for _ in range(calls):
                _kernels.matmul(a, b)

        def in_numpy(a=a, b=b, calls=calls) -> None:
            for _ in range(calls):
                a @ b

        seconds = interleave({"here": here, "numpy": in_numpy}, options.rounds, warm=True)
        speed = {name: 2e-9 * calls * size**3 / np.median(s) for name, s in seconds.items()}
        ratio = speed["here"] / speed["numpy"]
        print(f"{size:6} {speed['here']:9.1f} {speed['numpy']:9.1f}   {ratio:.2f}")


if __name__ == "__main__":
    main()
