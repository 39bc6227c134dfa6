"""Memory of a process that trains an epoch of LeNet, here and in PyTorch.

Each contender has a process of its own, which imports, reads the images as bytes from one file,
makes them float32 from 0 to 1, and trains: batch 64, Adam. Once more, it trains on the bytes, and
scales a batch at a time. What is in memory is what Linux says:
VmRSS of /proc/self/status after the import, VmHWM, the most there was, over all, and once more for
the training alone, its images included. (getrusage's ru_maxrss is no good here: it begins with the
memory of the process that started this one.)
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from . import _mnist
from ._models import LENET
from ._timing import OURS

ROUNDS = 1
PROGRAM = """
{imports}

def memory(name):
    with open("/proc/self/status") as status:
        return dict(line.split(":", 1) for line in status)[name].split()[0]

print(memory("VmRSS"))
import numpy as np
from benchmarks._models import LENET, normalised

with np.load({data!r}) as data:
    x, y = data["x"], data["y"]
if {floats}:
    x = normalised(x, LENET)
else:
    x = x.reshape(len(x), *LENET.shape)
print(memory("VmHWM"))
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")  # VmHWM
epoch = train(LENET, x, y, {batch_size})
epoch()
print(memory("VmHWM"))
"""
IMPORTS = {
    OURS: """
import micrograd_ext
from benchmarks._here import train
micrograd_ext.set_num_threads({threads})
""",
    "torch": """
import functools
import torch
import benchmarks._torch
torch.set_num_threads({threads})
train = functools.partial(benchmarks._torch.train, torch)
""",
}


class Memory(NamedTuple):
    """What was done; median bytes by contender."""

    work: str
    bytes: dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    parser.add_argument("--batch-size", type=int, default=LENET.batch_size)
    _mnist.add_arguments(parser)


def run(options: argparse.Namespace) -> list[Memory]:
    """Measure, and print a line for each."""
    contenders = list(IMPORTS)
    if not importlib.util.find_spec("torch"):
        print("PyTorch is not installed: it is left out")
        contenders.remove("torch")
    x, y = _mnist.load(options)
    floats = ("after the import", "at most", f"training on {len(x):,} images, at most")
    of_bytes = ("", "images left as bytes: at most", "images left as bytes: training, at most")
    found: dict[str, dict[str, list[int]]] = {
        work: {name: [] for name in contenders} for work in (*floats, *of_bytes) if work
    }
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder, "mnist.npz"))
        np.savez(data, x=x, y=y)
        for _ in range(options.rounds):
            for name in contenders:
                for works in (floats, of_bytes):
                    imported, loaded, trained = measure(name, data, works is floats, options)
                    figures = (imported, max(loaded, trained), trained)
                    for work, figure in zip(works, figures, strict=True):
                        if work:
                            found[work][name].append(figure)
    results = [
        Memory(work, {name: median(sizes[name]) for name in contenders})
        for work, sizes in found.items()
    ]
    for result in results:
        print(line(result))
    return results


def measure(name: str, data: str, floats: bool, options: argparse.Namespace) -> list[int]:
    """Bytes in a fresh process: after the import, at most until it trains, at most from then on."""
    imports = IMPORTS[name].format(threads=options.threads)
    program = PROGRAM.format(
        imports=imports, data=data, floats=floats, batch_size=options.batch_size
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    if done.returncode:
        raise SystemExit(f"{name} did not run:\n{done.stderr}")
    return [1024 * int(kilobytes) for kilobytes in done.stdout.split()]


def line(result: Memory) -> str:
    """A result as a line of text: megabytes, and the share of the peer's."""
    parts = [f"{name} {size / 1e6:.0f} MB" for name, size in result.bytes.items()]
    peers = [size for name, size in result.bytes.items() if name != OURS]
    if peers:
        parts.append(f"{result.bytes[OURS] / min(peers):.2f} of the memory")
    return f"{result.work:40} {', '.join(parts)}"
