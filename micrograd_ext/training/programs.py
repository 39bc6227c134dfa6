"""The programs of a model, each kept until what it was made from changes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import chain
from operator import is_
from typing import Any

from ..compiler.builder import NotLoweredError
from ..compiler.lowering import lower
from ..compiler.program import Program
from ..layers.base import Shape, in_a_row
from .compiled_model import CompiledModel
from .data_adapter import Examples
from .steps import EagerSteps, ProgramSteps, Steps


class Programs:
    """A model's programs for fit, evaluate and predict, made when first asked for.

    Who runs one takes it out and puts it back: what comes in between, from a callback or another
    thread, gets one of its own. A copy of a model begins without.
    """

    def __init__(self) -> None:
        self._programs: dict[str, tuple[list[Any], Program]] = {}
        self._told: set[str] = set()

    def __reduce__(self) -> tuple[type[Programs], tuple[()]]:
        return Programs, ()

    def steps(self, model: CompiledModel, purpose: str, examples: Examples, size: int) -> Steps:
        """What goes through the examples for 'fit', 'evaluate' or 'predict', `size` at a time."""
        if model.run_eagerly:
            return EagerSteps(model, examples)
        size = min(size, len(examples[0]))
        origin = _made_from(model, purpose)
        program = self.find(model, purpose, origin)
        self._programs.pop(purpose, None)
        if program is None or not program.fits(size, *examples):
            shapes = [array.shape for array in examples]
            try:
                program = make_program(model, purpose, size, shapes)
            except NotLoweredError as why:
                self._tell(model, why)
                return EagerSteps(model, examples)
        own = program

        def close() -> None:
            own.unbind()
            self._programs[purpose] = origin, own

        try:
            return ProgramSteps(model, examples, own, close)
        except BaseException:
            close()
            raise

    def find(
        self, model: CompiledModel, purpose: str, origin: list[Any] | None = None
    ) -> Program | None:
        """The last one, if there was one and the model is still as it was."""
        known, program = self._programs.get(purpose, ([], None))
        origin = _made_from(model, purpose) if origin is None else origin
        same = len(known) == len(origin) and all(map(is_, known, origin))
        return program if same else None

    def _tell(self, model: CompiledModel, why: NotLoweredError) -> None:
        """Say, once, that and why it is slower than it could be."""
        if not why.quiet and str(why) not in self._told:
            self._told.add(str(why))
            text = f"{model.name} runs layer by layer, which is slower: {why}"
            warnings.warn(text, stacklevel=5)


def make_program(model: CompiledModel, purpose: str, size: int, shapes: Sequence[Shape]) -> Program:
    """A new program for batches of up to `size`; raises `NotLoweredError` if there is none."""
    if model.in_a_row is None:
        why = f"{type(model).__name__} has a call of its own"
        raise NotLoweredError(why, quiet=True)
    return lower(
        model,
        model.in_a_row,
        size,
        shapes,
        loss=None if purpose == "predict" else model.loss,
        loss_weight=model.loss_weight,
        optimizer=model.optimizer if purpose == "fit" else None,
    )


def _made_from(model: CompiledModel, purpose: str) -> list[Any]:
    """All that a program is made from, to be compared by identity."""
    layers = in_a_row(model.layers)
    origin = list(chain.from_iterable(layer.settings() for layer in layers))
    origin += layers
    if purpose != "predict":
        origin += [model.loss, *getattr(model.loss, "__dict__", {}).values(), model.loss_weight]
    if purpose == "fit":
        assert model.optimizer is not None
        origin += [model.optimizer, *model.optimizer.settings()]
    return origin
