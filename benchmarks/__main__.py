"""Speed beside the peers that are installed; `pip install '.[bench]'` brings them.

    python -m benchmarks kernels            # or one of the others, see --help
    python -m benchmarks lenet --help
    python -m benchmarks matmul --json matmul.json

Contenders take turns in one run; medians count. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

from . import imports, kernels, lenet, lenet5, matmul, memory, mlp, predict, scalar
from ._timing import Result

BENCHMARKS = {
    "import": imports,
    "kernels": kernels,
    "lenet": lenet,
    "lenet5": lenet5,
    "matmul": matmul,
    "memory": memory,
    "mlp": mlp,
    "predict": predict,
    "scalar": scalar,
}


def main() -> None:
    """Read the command line, run one benchmark, write what it found."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    for name, module in BENCHMARKS.items():
        about = (module.__doc__ or "").strip()
        command = commands.add_parser(
            name,
            help=about.splitlines()[0],
            description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument(
            "--rounds", type=int, default=module.ROUNDS, help="default: %(default)s"
        )
        command.add_argument("--json", metavar="FILE", help="write the figures there as well")
        module.add_arguments(command)
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, got {options.rounds}")
    results = BENCHMARKS[options.benchmark].run(options)
    if options.json:
        write(options.json, options.benchmark, results)


def write(path: str, benchmark: str, results: list[Result] | list[memory.Memory]) -> None:
    """The figures as JSON."""
    found = {
        "benchmark": benchmark,
        "arguments": sys.argv[1:],
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "results": [result._asdict() for result in results],
    }
    Path(path).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
