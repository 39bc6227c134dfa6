"""Step through the backward pass of a formula, in the terminal.

    python -m micrograd_ext "tanh(a*b + c)" a=2 b=-3 c=10
    python -m micrograd_ext "e = a*b; d = e + c; L = d*f" a=2 b=-3 c=10 f=-2
    python -m micrograd_ext --all "log(x) / x" x=2

At the prompt, by a letter or the whole word:

    n, next [count]   walk the next edge (Enter alone does it too)
    b, back [count]   take the last one back
    r, run [node]     walk to the end, or until the gradient of a node is complete
    e, explain node   every path from the root to the node, and the sum of their products
    t, tree           draw the graph         restart   begin anew
    h, help           this                   q, quit   leave
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

from .graph.stepper import Stepper
from .scalar.expression import FUNCTIONS, evaluate

HELP = "n next   b back   r run [node]   e explain node   t tree   h help   q quit"
WORDS = {
    "n": "next",
    "b": "back",
    "r": "run",
    "e": "explain",
    "t": "tree",
    "h": "help",
    "q": "quit",
    "step": "next",
    "finish": "run",
    "?": "help",
    "exit": "quit",
}


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, then step."""
    stepper, everything = parse(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a tree in ASCII is better than none
    if everything:
        show(stepper)
        stepper.finish()
        show(stepper)
    else:
        interact(stepper)


def parse(arguments: list[str]) -> tuple[Stepper, bool]:
    """A stepper for what the command line says, and whether to walk all steps at once."""
    parser = argparse.ArgumentParser(
        prog="python -m micrograd_ext",
        usage="%(prog)s [--all] EXPRESSION [NAME=NUMBER ...]",
        description=__doc__,
        epilog=f"Functions: {', '.join(FUNCTIONS)}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", metavar="EXPRESSION, NAME=NUMBER", nargs="*", help="see above")
    parser.add_argument("--all", action="store_true", help="print every step, and exit")
    # a formula may begin with a minus: a space before it tells argparse that it is no option
    words = [word if word == "-h" or word[:2] == "--" else f" {word}" for word in arguments]
    options = parser.parse_intermixed_args(words)
    if not options.words:
        parser.error('expected an expression, such as "a*b + c" a=2 b=-3 c=10')
    values: dict[str, float] = {}
    for word in options.words[1:]:
        name, equals, text = (part.strip() for part in word.partition("="))
        try:
            number = float(text)
        except ValueError:
            number = None
        if not equals or not name.isidentifier() or number is None:
            parser.error(f"expected NAME=NUMBER, got {word.strip()!r}")
        if name in values:
            parser.error(f"{name} is given twice")
        values[name] = number
    try:
        return evaluate(options.words[0], values).stepper(), options.all
    except ValueError as error:
        parser.error(str(error))


def show(stepper: Stepper) -> None:
    """Print the tree: in colour, if this is a terminal."""
    from rich.console import Console  # noqa: PLC0415 - slow to import

    Console(soft_wrap=True, highlight=False).print(stepper)


def interact(stepper: Stepper) -> None:
    """Ask for commands and carry them out, until there are no more."""
    with suppress(ImportError):  # Windows has none
        import_module("readline")  # input() then edits lines and remembers them
    show(stepper)
    print(HELP)
    while True:
        try:
            word, *arguments = input("> ").split() or ["next"]
            command = WORDS.get(word.lower(), word.lower())
            if command == "quit":
                return
            carry_out(stepper, command, arguments)
        except (EOFError, KeyboardInterrupt):
            print()
            return
        except ValueError as error:
            print(error)


def carry_out(stepper: Stepper, command: str, arguments: list[str]) -> None:
    """One command; ValueError for what is none."""
    moves: dict[str, Callable[[], None]] = {
        "next": lambda: stepper.next(_count(arguments)),
        "back": lambda: stepper.back(_count(arguments)),
        "run": lambda: stepper.run(*arguments[:1]),
        "restart": stepper.restart,
        "tree": lambda: None,
    }
    if command == "explain":
        if not arguments:
            raise ValueError("explain what? Say e and the name of a node, as the tree shows it")
        stepper.explain(arguments[0])
    elif command == "help":
        print("At the prompt" + __doc__.partition("At the prompt")[2].rstrip())
    elif command in moves:
        moves[command]()
        show(stepper)
    else:
        raise ValueError(f"{command!r} is no command. {HELP}")


def _count(arguments: list[str]) -> int:
    if not arguments:
        return 1
    if not arguments[0].isdecimal() or int(arguments[0]) < 1:
        raise ValueError(f"expected a number of steps, got {arguments[0]!r}")
    return int(arguments[0])


if __name__ == "__main__":
    main()
