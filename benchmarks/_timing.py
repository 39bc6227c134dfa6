"""Interleaved timing: each contender runs once per round, so that drift hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 0.1  # seconds; idle worker threads of one library spin for a while and slow down the next


def interleave(
    contenders: dict[str, Callable[[], object]], rounds: int, warm: bool = False
) -> dict[str, list[float]]:
    """Seconds of each call, `rounds` per contender, the order turned around every other round.

    warm: call each contender once, untimed, before each timed call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds):
        for name in list(contenders)[:: -1 if i % 2 else 1]:
            time.sleep(PAUSE)
            if warm:
                contenders[name]()
            start = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds
