"""How many cases the property tests and the calls of the boundary run, and how many have run.

`--hypothesis-profile=long` runs many more; `quick`, the same ones every time, is the default.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import micrograd_ext  # noqa: F401 - before pytest imports engine.py, not compiled, by its path

# A shell starts what runs in its background with Ctrl-C ignored: tests of it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("quick", max_examples=100, deadline=None, derandomize=True)
settings.register_profile(
    "long",
    max_examples=6_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("quick")  # the flag comes later, and is stronger


class Ran(Counter[str]):
    """Counts, short where hypothesis shows the arguments of a case that fails."""

    def __repr__(self) -> str:
        return "..."

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("...")


RAN = Ran()


@pytest.fixture(scope="session")
def ran() -> Counter[str]:
    """Where tests count their cases, to be shown at the end."""
    return RAN


#: What an op is off, in words, by its name.
MEASURED: dict[str, str] = {}


@pytest.fixture(scope="session")
def measured() -> dict[str, str]:
    """Where tests note errors they measured, to be shown at the end with -v."""
    return MEASURED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Iterator[None] | None:
    """Show the counts, and the errors."""
    if MEASURED and config.get_verbosity() > 0:
        terminalreporter.section("largest errors, in units in the last place, and what is promised")
        for name, words in MEASURED.items():
            terminalreporter.write_line(f"{name:>30} {words}")
    if RAN:
        terminalreporter.section(f"{RAN.total():,} random cases")
        for name, cases in RAN.items():
            terminalreporter.write_line(f"{cases:>9,} {name}")
