"""Interleaved timing: each contender runs once per round, so that drift hits all alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

PAUSE = 0.1  # seconds; idle worker threads of one library spin for a while and slow down the next
OURS = "micrograd_ext"


class Result(NamedTuple):
    """What was computed; median seconds by contender; floating-point operations, if they count."""

    work: str
    seconds: dict[str, float]
    flop: float = 0.0


def import_torch(threads: int) -> Any:
    """PyTorch, told its number of threads; None, and a word, where it is not installed."""
    try:
        import torch  # noqa: PLC0415 - optional
    except ImportError:
        print("PyTorch is not installed: it is left out")
        return None
    torch.set_num_threads(threads)
    return torch


def import_jax(threads: int) -> Any:
    """JAX, told its number of threads; None, and a word, where it is not installed."""
    os.environ |= {"JAX_PLATFORMS": "cpu", "NPROC": str(threads)}  # XLA reads them as it starts
    try:
        import jax  # noqa: PLC0415 - optional
    except ImportError:
        print("JAX is not installed: it is left out")
        return None
    return jax


def interleave(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    warm: bool = False,
    pause: float = PAUSE,
) -> dict[str, list[float]]:
    """Seconds of each call, `rounds` per contender, the order turned around every other round.

    warm: call each contender once, untimed, before each timed call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds):
        for name in list(contenders)[:: -1 if i % 2 else 1]:
            time.sleep(pause)
            if warm:
                contenders[name]()
            start = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def repeated(
    work: str, contenders: Mapping[str, Callable[[], object]], rounds: int, flop: float = 0.0
) -> Result:
    """Time calls that are short: in blocks of 20 ms or so, that thread wake-ups do not count."""
    blocks: dict[str, Callable[[], object]] = {}
    counts: dict[str, int] = {}
    for name, call in contenders.items():
        call()
        start = time.perf_counter()
        call()
        counts[name] = max(1, int(0.02 / (time.perf_counter() - start)))

        def block(call: Callable[[], object] = call, count: int = counts[name]) -> None:
            for _ in range(count):
                call()

        blocks[name] = block
    seconds = interleave(blocks, rounds, warm=True)
    return Result(
        work, {name: median(found) / counts[name] for name, found in seconds.items()}, flop
    )


def line(result: Result, peak: float | None = None) -> str:
    """A result as a line of text: times, GFLOP/s, share of the peak, ratio to the best peer."""
    width = max(len(result.work), 34)
    ours = result.seconds[OURS]
    parts = [f"{name} {duration(s)}" for name, s in result.seconds.items()]
    if result.flop:
        speed = result.flop / ours
        share = f", {speed / peak:.0%} of peak" if peak else ""
        parts[0] += f" ({speed / 1e9:.0f} GFLOP/s{share})"
    peers = [s for name, s in result.seconds.items() if name != OURS]
    if peers:
        parts.append(f"{min(peers) / ours:.2f} times as fast")
    return f"{result.work:{width}} {', '.join(parts)}"


def duration(seconds: float) -> str:
    """In the unit that suits.

    >>> duration(0.00123)
    '1.23 ms'
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e6:.1f} us"
