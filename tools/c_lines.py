"""Which lines of C and Cython have run: what `tools/coverage` shows at the end.

    python tools/c_lines.py build/coverage

Asks gcov about every object built there. A line has run if it has in one of the functions made of
it: kernels are compiled for several instruction sets and two dtypes. Of a .pyx, only lines that are
there count: Cython gives its own code numbers behind the last.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path


def main(root: Path) -> None:
    """Print a table in the manner of coverage.py's."""
    lines: dict[str, dict[int, int]] = defaultdict(dict)
    for counts in sorted(root.glob("build/temp*/**/*.gcda")):
        told = subprocess.run(
            ["gcov", "--json-format", "--stdout", counts.relative_to(root)],
            cwd=root,
            check=True,
            capture_output=True,
        )
        for file in json.loads(told.stdout)["files"]:
            name = file["file"]
            if name.startswith("csrc/") or name.endswith(".pyx"):
                known = lines[name]
                last = len((root / name).read_text(encoding="utf-8").splitlines())
                for line in file["lines"]:
                    number = line["line_number"]
                    if number <= last:
                        known[number] = max(known.get(number, 0), line["count"])
    if not lines:
        raise SystemExit(f"{root}: expected counts of gcov's, found none")
    print(f"{'Name':32} {'Lines':>6} {'Miss':>6} {'Cover':>6}   Missing")
    for kind in (".c and .inl", ".pyx"):
        total = missed = 0
        for name in sorted(lines):
            if name.endswith(".pyx") == (kind == ".pyx"):
                known = lines[name]
                never = sorted(number for number, count in known.items() if not count)
                total, missed = total + len(known), missed + len(never)
                print(row(name, len(known), len(never)), " ", ", ".join(ranges(never, known)))
        print(row(f"all {kind}", total, missed), "\n")


def row(name: str, total: int, missed: int) -> str:
    """The name, how many lines there are, how many have not run, and a percentage."""
    return f"{name:32} {total:6} {missed:6} {1 - missed / total:6.1%}"


def ranges(numbers: Iterable[int], among: Iterable[int]) -> list[str]:
    """'3-7, 9': what follows each other among the lines that hold code."""
    place = {number: i for i, number in enumerate(sorted(among))}
    found: list[list[int]] = []
    for number in numbers:
        if found and place[number] == place[found[-1][-1]] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return [str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in found]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
