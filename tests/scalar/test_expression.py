"""Formulas as text, and the stepper in the terminal."""

from __future__ import annotations

import builtins
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_ext import __main__ as command
from micrograd_ext.scalar.expression import FUNCTIONS, evaluate

PYTHON: dict[str, Any] = {
    "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x, slope=0.2: x if x > 0 else slope * x,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "sum": lambda *xs: math.fsum(xs),
    "abs": abs,
    "max": max,
    "min": min,
    **{name: getattr(math, name) for name in ("tanh", "exp", "log", "sqrt", "sin", "cos")},
}
NUMBERS = {"a": 2.0, "b": -3.0, "c": 10.0}


@pytest.mark.parametrize(
    "text",
    [
        "a*b + c - 1",
        "a / b ** 2",
        "2 ** -a",
        "-a ** 2",
        "(-a) ** 3 + +b - -c",
        "a - b - c * (a + b) / 7.5e-1",
        "tanh(a*b + c) * sigmoid(b) + exp(b)",
        "log(c) + sqrt(a) + sin(b) * cos(c)",
        "relu(a) + relu(b) + leaky_relu(b) + leaky_relu(b, 0.5)",
        "max(a, b, c) - min(a, b) + sum(a, b, c) + sum(a) + abs(b)",
        "(a\n * b)",
        "  a  ",
    ],
)
def test_formulas_mean_what_python_means(text: str) -> None:
    used = {name: x for name, x in NUMBERS.items() if re.search(rf"\b{name}\b", text)}
    expected = eval(text.strip(), {"__builtins__": {}, **PYTHON, **used})
    assert evaluate(text, used).data == pytest.approx(expected, rel=1e-15)


def test_every_function_of_the_engine() -> None:
    assert set(FUNCTIONS) == set(PYTHON)
    for name, (fewest, _, _) in FUNCTIONS.items():
        numbers = ["x", "0.5"][:fewest]
        plain = evaluate(f"{name}({', '.join(numbers)})", {"x": 0.75})
        assert plain.data == pytest.approx(PYTHON[name](*[0.75, 0.5][:fewest]), rel=1e-15)
        if name != "sum":
            method = evaluate(f"x.{name}({', '.join(numbers[1:])})", {"x": 0.75})
            assert (method.data, method.op) == (plain.data, plain.op)


def test_parts_with_names() -> None:
    loss = evaluate("e = a*b; d = e + c\nL = d * d", NUMBERS)
    loss.backward()
    d = loss.inputs[0]
    e = d.inputs[0]
    assert [node.name for node in (loss, d, e, *e.inputs)] == ["L", "d", "e", "a", "b"]
    assert (loss.data, e.inputs[0].grad) == (16.0, -24.0)
    assert evaluate("x = 3; x * x", {}).data == 9.0
    assert evaluate("0 ** -1 + log(-1)", {}).data != 0  # nan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "malformed expression: it is empty"),
        ("a +", "malformed expression: invalid syntax\n  a +\n     ^"),
        ("a + d", "d has no value\n  a + d\n      ^"),
        ("é + d", "é has no value\n  é + d\n  ^"),
        ("a; tanh", "only the last part may go without a name"),
        ("tanh", "tanh is a function"),
        ("tanh(a, a)", "tanh takes 1, not 2"),
        ("max(a)", "max takes 2 or more, not 1"),
        ("leaky_relu(a, a, a)", "leaky_relu takes 1 or 2, not 3"),
        ("tanh(x=a)", "tanh takes its arguments by position"),
        ("foo(a)", "foo is no function here; there are abs, relu"),
        ("a.foo(a)", "foo is no function here"),
        ("a(a)", "a is no function here"),
        ("(a)(a)(a)", "expected the name of a function"),
        ("a.data", "expected numbers, names"),
        ("a[0]", "expected numbers, names"),
        ("a < 1", "expected numbers, names"),
        ("a if a else a", "expected numbers, names"),
        ("a and a", "expected numbers, names"),
        ("a // 2", "expected numbers, names"),
        ("~a", "expected numbers, names"),
        ("lambda: a", "expected numbers, names"),
        ("[a for a in a]", "expected numbers, names"),
        ("(x := a)", "expected numbers, names"),
        ("f'{a}'", "expected numbers, names"),
        ("'a'", "expected a real number, got 'a'"),
        ("a + 1j", "expected a real number, got 1j"),
        ("True", "expected a real number, got True"),
        ("None", "expected a real number, got None"),
        ("a + 1" + "0" * 400, "too large for a float64"),
        ("a = 1", "a has a value already"),
        ("x = a", "x would be another name for a"),
        ("x = y = a + 1", "expected name = formula"),
        ("x, y = a", "expected name = formula"),
        ("x = a + 1; a", "x is not used"),
        ("1", "a is not used in the expression '1'"),
        ("import os", "expected a formula"),
        ("x += a", "expected a formula"),
        ("__import__('os').system('exit')", "system is no function here"),
        ("a\0", "malformed expression: source code"),
        ("-" * 100_000 + "a", "nested too deeply|too many nested|malformed"),
        ("(" * 5_000 + "a" + ")" * 5_000, "nested too deeply|too many nested"),
        ("+".join(["a"] * 50_000), "nested too deeply"),
    ],
)
def test_malformed(text: str, message: str) -> None:
    expected = "|".join(map(re.escape, message.split("|")))
    with pytest.raises(ValueError, match=expected):
        evaluate(text, {"a": 2.0})


@pytest.mark.parametrize(
    ("text", "line", "marked"),
    [
        ("a + (d - a)", 0, "d"),
        ("a * foo(a)", 0, "foo"),
        ("a * tanh(a, 1)", 0, "tanh"),
        ("a * a.tanh(1)", 0, "a.tanh"),
        ("  a - sin", 0, "sin"),
        ("e = a * a; f = e / d; f", 0, "d"),
        ("e = a * a\nf = e[0]\nf", 1, "e["),
        ("e = a * a\na = 3", 1, "a"),
        ("é = a * a\nüber = é * ö * a", 1, "ö"),
        ("e = (a *\n  a) + (\n  a @ a)", 2, "a @"),
        ("a + 1" + "0" * 400, 0, "1"),
        ("a + 1j", 0, "1j"),
        ("a + )", 0, ")"),
    ],
)
def test_the_mark_is_below_the_place(text: str, line: int, marked: str) -> None:
    with pytest.raises(ValueError, match="malformed expression: ") as error:
        evaluate(text, {"a": 2.0})
    _, shown, mark = str(error.value).splitlines()
    assert shown == "  " + text.strip().splitlines()[line]
    assert mark.strip() == "^"
    assert shown[len(mark) - 1 :].startswith(marked)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "os.system('true')",
        "(lambda: os.system('true'))()",
        "[os.system('true') for x in (1,)]",
        "{os.system('true')}",
        "f'{os.system(1)}'",
        "(x := os.system('true'))",
        "a[os.system('true')]",
        "a < os.system('true')",
        "tanh(os.system('true'))",
        "tanh(*os.system('true'))",
        "a.__class__",
        "a.tanh.__globals__",
        "tanh.__globals__['os'].system('true')",
        "a.__class__('true')",
        "a.backward()",
        "assert os.system('true')",
        "@os.system\ndef f(): pass",
        "import os; os.system('true')",
        "x: os.system('true') = a",
        "del a",
        "a.data = 3",
        "await a",
        "yield a",
        "{**a}",
        "...",
        "b'a'",
    ],
)
def test_nothing_is_executed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(os, "system", calls.append)
    with pytest.raises(ValueError, match="malformed expression: "):
        evaluate(text, {"a": 2.0})
    assert calls == []


@pytest.mark.parametrize(
    "text",
    [
        "tanh(" * 150 + "a" + ")" * 150,
        "a" + ".tanh()" * 20_000,
        "a" + "**a" * 20_000,
        "+-" * 20_000 + "a",
    ],
    ids=["calls", "methods", "powers", "signs"],
)
def test_deep_nesting_works_or_is_an_error(text: str) -> None:
    try:
        assert math.isfinite(evaluate(text, {"a": 0.5}).data)
    except ValueError as error:
        assert "nested" in str(error)  # noqa: PT017 - either outcome is fine


def test_many_parts_are_no_nesting() -> None:
    parts = "; ".join(f"x{i + 1} = x{i} + 1" for i in range(5_000))
    assert evaluate(parts, {"x0": 0.0}).data == 5_000


def test_numbers_as_they_are_written() -> None:
    for text in ("1e3", "1_000", "0x10", ".5", "5.", "1e400", "-1e400", "-0.0", "- -3", "+3"):
        found, expected = evaluate(text, {}).data, float(eval(text))
        assert (found, math.copysign(1, found)) == (expected, math.copysign(1, expected))
    assert evaluate("-2 ** 2", {}).data == -4
    assert evaluate("2 ** -1 ** 2", {}).data == 0.5
    assert evaluate("-3", {}).inputs == ()  # one number, not neg(3)
    assert evaluate("-a", {"a": 3}).op == "neg"


def test_values_are_numbers() -> None:
    for bad in ("2", None, 1j):
        with pytest.raises(TypeError, match="expected a real number, got"):
            evaluate("a", {"a": bad})  # type: ignore[dict-item]


@given(st.text("ab+-*/().,;=0123 tanh\n_[]:'<", max_size=30))
@settings(max_examples=400, deadline=None)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_any_text_is_a_formula_or_an_error(text: str) -> None:
    try:
        assert isinstance(evaluate(text, {"a": 2.0}).data, float)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either outcome is fine


# ------------------------------------------------------------------ the command line

TREE = """\
v3 = tanh(v2)   data 0.999329   grad 1
└── v2 = v1 + c   data 4   grad 0   <- next
    ├── v1 = a * b   data -6   grad 0
    │   ├── a   data 2   grad 0
    │   └── b   data -3   grad 0
    └── c   data 10   grad 0
"""
STEPS = """\
v2.grad += d(v3)/d(v2) * d(v3)/d(v3) = 0.00134095 * 1 = 0.00134095    (0 -> 0.00134095)
v1.grad += d(v2)/d(v1) * d(v3)/d(v2) = 1 * 0.00134095 = 0.00134095    (0 -> 0.00134095)
c.grad += d(v2)/d(c) * d(v3)/d(v2) = 1 * 0.00134095 = 0.00134095    (0 -> 0.00134095)
a.grad += d(v1)/d(a) * d(v3)/d(v1) = -3 * 0.00134095 = -0.00402285    (0 -> -0.00402285)
b.grad += d(v1)/d(b) * d(v3)/d(v1) = 2 * 0.00134095 = 0.0026819    (0 -> 0.0026819)
done: 5 edges
"""
DONE = """\
v3 = tanh(v2)   data 0.999329   grad 1
└── v2 = v1 + c   data 4   grad 0.00134095
    ├── v1 = a * b   data -6   grad 0.00134095
    │   ├── a   data 2   grad -0.00402285
    │   └── b   data -3   grad 0.0026819
    └── c   data 10   grad 0.00134095
"""
FORMULA = ["tanh(a*b + c)", "a=2", "b=-3", "c=10"]


def test_all_steps(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([*FORMULA, "--all"], ["--all", *FORMULA], [FORMULA[0], "--all", *FORMULA[1:]]):
        command.main(words)
        assert capsys.readouterr().out == TREE + STEPS + DONE


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "micrograd_ext", "--all", "-a + 1", "a=2"],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=True,
    )
    assert "v1 = neg(a)   data -2" in done.stdout
    assert "a.grad += d(v1)/d(a) * d(v2)/d(v1) = -1 * 1 = -1    (0 -> -1)" in done.stdout


def test_a_session_through_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "micrograd_ext", *FORMULA],
        input="n\nfoo\nq\nn\n",
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=True,
    )
    assert STEPS.splitlines()[0] in done.stdout
    assert STEPS.splitlines()[1] not in done.stdout, "q ended it"
    assert "'foo' is no command" in done.stdout
    assert done.stderr == ""


def test_errors_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "micrograd_ext", "a*", "a=2"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: malformed expression: invalid syntax\n  a*\n    ^" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("formula", ["-a + 1", "-(a)", "-2*a", "-.5*a", "- a", " -a"])
def test_a_formula_may_begin_with_a_minus(formula: str, capsys: pytest.CaptureFixture[str]) -> None:
    command.main([formula, "a=-2", "--all"])
    expected = evaluate(formula, {"a": -2.0})
    assert f"data {expected.data:g}   grad 1\n" in capsys.readouterr().out


@pytest.fixture
def session(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Steps through FORMULA with the given commands, ended by the last one; what it prints."""

    def run(*commands: Any) -> str:
        answers: Iterator[Any] = iter(commands)

        def answer(prompt: str) -> str:
            assert prompt == "> "
            said = next(answers, EOFError())
            if isinstance(said, BaseException):
                raise said
            return str(said)

        monkeypatch.setattr(builtins, "input", answer)
        command.main(FORMULA)
        assert next(answers, None) is None, "it ended before the last command"
        return capsys.readouterr().out

    return run


def test_a_session_begins_with_the_tree_and_ends_with_the_input(
    session: Callable[..., str],
) -> None:
    assert session() == f"{TREE}{command.HELP}\n\n"
    assert session(KeyboardInterrupt()) == session()
    for word in ("q", "quit", "exit", "Q"):
        assert session(word) == f"{TREE}{command.HELP}\n"


@pytest.mark.parametrize(
    "words", [("n", "n 2", "b"), ("next", "step 2", "back 1"), ("", "N 2", "B")]
)
def test_moving(session: Callable[..., str], words: tuple[str, ...]) -> None:
    printed = session(*words)
    for line in STEPS.splitlines()[:3]:
        assert f"{line}\n" in printed
    assert "back: c.grad = 0\n" in printed
    assert printed.rstrip().endswith("└── c   data 10   grad 0   <- next")


def test_running(session: Callable[..., str]) -> None:
    assert STEPS in session("r")
    assert STEPS in session("finish")
    assert "v1.grad = 0.00134095 is complete\n" in session("run v1")
    assert session("r", "restart").endswith(TREE + "\n")
    assert session("t").count(TREE) == session("tree").count(TREE) == 2


def test_explaining(session: Callable[..., str]) -> None:
    for word in ("e a", "explain a"):
        assert "d(v3)/d(a): 1 path\n" in session(word)
    assert "say e and the name of a node" in session("e").lower()
    assert "no node is called 'x'; there are a, b, v1" in session("e x")
    assert STEPS.splitlines()[0] in session("e a", "n"), "explaining moves nothing"


def test_both_ends(session: Callable[..., str]) -> None:
    assert "at the beginning\n" in session("b")
    assert session("n 99").count("done: 5 edges\n") == 1
    assert session("r", "n").count("done: 5 edges\n") == 2
    assert DONE in session("r", "b 5", "b", "r")
    assert session("r", "b 9").endswith("at the beginning\n" + TREE + "\n")


def test_wrong_commands_are_survived(session: Callable[..., str]) -> None:
    printed = session("foo", "n x", "n 0", "b -1", "r x", "h", "?", "n")
    assert f"'foo' is no command. {command.HELP}\n" in printed
    for count in ("x", "0", "-1"):
        assert f"expected a number of steps, got '{count}'\n" in printed
    assert "no node is called 'x'" in printed
    assert printed.count("back [count]") == 2
    assert STEPS.splitlines()[0] in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected an expression, such as"),
        (["a*b", "a=2"], "b has no value\n  a*b\n    ^"),
        (["a", "a"], "expected NAME=NUMBER, got 'a'"),
        (["a", "a=two"], "expected NAME=NUMBER, got 'a=two'"),
        (["a", "1=2"], "expected NAME=NUMBER, got '1=2'"),
        (["a", "a=1", "a=2"], "a is given twice"),
        (["a", "a=1", "b=2"], "b is not used"),
        (["tanh(a", "a=1"], "'(' was never closed"),
        (["--steps", "a"], "--steps"),
    ],
)
def test_errors_end_with_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_numbers_of_ieee_754(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["--all", "0 ** -1 + log(a)", "a=-inf"])
    assert "data nan" in capsys.readouterr().out


def test_names_and_lines_are_those_of_python(recwarn: pytest.WarningsRecorder) -> None:
    assert evaluate("\u00b5 * 2", {"\u00b5": 3.0}).data == 6.0  # the micro sign is a Greek mu
    with pytest.raises(ValueError, match="d has no value"):
        evaluate("x = a*\x0cé\n-d", {"a": 1.0, "é": 2.0})
    with pytest.raises(ValueError, match="expected numbers, names"):
        evaluate("1if a else 2", {"a": 1.0})
    assert not recwarn


def test_formulas_that_look_like_options(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["-h*2", "h=3", "--all"])
    assert "v1 = neg(h)" in capsys.readouterr().out
    command.main([" --a", "a=2", "--all"])
    assert "v2 = neg(v1)" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main(["--a", "a=2"])  # not taken for --all
    assert "unrecognized arguments: --a" in capsys.readouterr().err


def test_a_terminal_of_ascii() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "micrograd_ext", "--all", "a*a", "a=2"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert b"v1 = a * a   data 4" in done.stdout
