"""Arguments that many functions take: names ('relu', 'adam', ...), numbers, axes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Self


T = TypeVar("T")


Registered = TypeVar("Registered", bound=Callable[..., Any])


#: What users have registered, or gave for a while: classes and functions of their own, by name.
_custom: dict[str, Any] = {}


_registered: dict[Any, str] = {}  # those of them that are registered


_names: dict[Any, str] = {}  # the package's own functions


def find(what: str, table: Mapping[str, T], name: Any) -> T:
    """The entry called `name`; ValueError that lists the names there are, TypeError if no string.

    >>> find("fruit", {"apple": 1}, "apple")
    1
    """
    if not isinstance(name, str):
        raise TypeError(f"{what}: expected a name or an object of the kind, got {name!r}")
    _, own, alone = name.rpartition(">")
    for known in (name, alone):
        if known in _custom:
            registered: T = _custom[known]
            return registered
    if own:
        raise ValueError(
            f"{what}: {alone!r} is none of this package's: expected it in custom_objects="
            f"{{{alone!r}: {alone}}}, or registered by saving.register_keras_serializable"
        )
    if name not in table:
        raise ValueError(f"{what}: expected one of {', '.join(sorted(table))}, got {name!r}")
    return table[name]


def named(table: dict[str, T]) -> dict[str, T]:
    """The table itself; `serialize` knows the functions in it by these names, or their own."""
    for name, thing in table.items():
        if thing not in _names or name == getattr(thing, "__name__", None):
            _names[thing] = name
    return table


def public_classes(module: Mapping[str, Any], base: type[T]) -> dict[str, type[T]]:
    """The classes derived from `base` that a module has in `__all__` and so far, by their names."""
    things = [module.get(name) for name in module["__all__"]]
    kinds = [thing for thing in things if isinstance(thing, type) and issubclass(thing, base)]
    return {kind.__name__: kind for kind in kinds if kind is not base}


def public_functions(module: Mapping[str, Any]) -> dict[str, Any]:
    """The functions of `__all__` of a module that users name, by the names they write."""
    names = [name for name in module["__all__"] if name not in ("get", "serialize", "deserialize")]
    return named({name: module[name] for name in names if not isinstance(module[name], type)})


def make(what: str, table: Mapping[str, Any], identifier: Any) -> Any:
    """A new object of the class of that name, or of what `serialize` made of one.

    table: classes, by the names that users write; those of the classes themselves do as well.

    >>> make("number", {"complex": complex}, {"class_name": "complex", "config": {"imag": 2}})
    2j
    """
    config: Mapping[str, Any] = {}
    if isinstance(identifier, Mapping) and set(identifier) == {"class_name", "config"}:
        identifier, config = identifier["class_name"], identifier["config"]
        if not isinstance(config, Mapping):
            raise TypeError(f"{what}: config: expected a dict, got {config!r}")
    own = {kind.__name__: kind for kind in table.values() if isinstance(kind, type)}
    shown = table if isinstance(identifier, str) and identifier not in own else own
    kind = find(what, shown, identifier)
    if not isinstance(kind, type):  # a function that was registered
        return kind
    return kind.from_config(config) if hasattr(kind, "from_config") else kind(**config)


def config_of(thing: Any, without: Collection[str] = ()) -> dict[str, Any]:
    """The arguments that make another one like it, as JSON can hold them.

    without: names of arguments to leave out.

    Of a class of this package they are read from the attributes that are called as the arguments
    of `__init__` are, as these are now; of others, they are what the object was made with.

    >>> class Pair(Configured):
    ...     def __init__(self, first, second=None):
    ...         self.first, self.second = first, second
    >>> config_of(Pair(1, (2, 3)))
    {'first': 1, 'second': [2, 3]}
    """
    given = getattr(thing, "_arguments", None)
    values: Mapping[str, Any] = {} if given is None else given.values
    config = {}
    overridden = not is_own(type(thing).get_config)  # then what is not found here may come there
    for name, kind in _arguments_of(type(thing)).items():
        if name in without:
            continue
        try:
            own = name in values and not is_own(kind)
            config[name] = serialize(values[name] if own else getattr(thing, name))
        except (AttributeError, TypeError) as error:
            if not overridden:
                raise TypeError(
                    f"{type(thing).__name__}: get_config: {name}: {error}; override get_config"
                ) from error
    return config


def _arguments_of(kind: type) -> dict[str, type]:
    """The names of a class's arguments, and of those it hands on: each with the class it is of."""
    arguments: dict[str, type] = {}
    for each in kind.__mro__:
        if "__init__" not in vars(each):
            continue
        hands_on = False
        for name, parameter in inspect.signature(vars(each)["__init__"]).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                hands_on = True
            elif name != "self" and parameter.kind is not parameter.VAR_POSITIONAL:
                arguments.setdefault(name, each)
        if not hands_on:
            break
    return arguments


def is_own(kind: Any) -> bool:
    """Whether a class or function is of this package."""
    return str(kind.__module__).split(".")[0] == __name__.split(".")[0]


class Arguments:
    """What an object was made with: name -> value, without what could not be written down."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def __deepcopy__(self, memo: dict[int, Any]) -> Arguments:
        return self

    def __reduce__(self) -> tuple[type[Arguments], tuple[dict[str, Any]]]:
        plain = {}
        for name, value in self.values.items():
            with suppress(TypeError):
                plain[name] = serialize(value)
        return Arguments, (plain,)


def serialize(value: Any) -> Any:
    """A value as JSON can hold it: an object by class and configuration, a function by its name.

    What is registered has 'package>' before its name; other classes and functions that are none
    of this package's have '>'.

    >>> serialize((1, "a", None))
    [1, 'a', None]
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): serialize(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [serialize(each) for each in value]
    if hasattr(value, "get_config"):
        return {"class_name": name_of(type(value)), "config": value.get_config()}
    if isinstance(value, Hashable) and callable(value) and hasattr(value, "__name__"):
        return name_of(value)
    raise TypeError(f"expected numbers, names, functions or objects with get_config, got {value!r}")


def name_of(thing: Any) -> str:
    """The name by which `find` finds a class or function.

    Raises TypeError for a lambda, which has none.

    >>> name_of(complex)
    '>complex'
    """
    if thing in _registered:
        return _registered[thing]
    if thing in _names:
        return _names[thing]
    if thing.__name__ == "<lambda>":
        raise TypeError("expected a function with a name, to be found by it again; got a lambda")
    own = isinstance(thing, type) and is_own(thing)
    return thing.__name__ if own else f">{thing.__name__}"


class Configured:
    """What can say how to make another one like it.

    What a class of one's own is made with is kept. A class may override `get_config`, and put what
    it adds beside what `super().get_config()` returns.
    """

    _arguments: Arguments

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note what it is made with."""
        made = super().__new__(cls)
        if not is_own(cls):
            signature = inspect.signature(cls.__init__)
            try:
                given = signature.bind(made, *args, **kwargs)
            except TypeError:  # __init__ is going to say what is wrong, or it is being unpickled
                return made
            given.apply_defaults()
            _, *values = given.arguments.items()
            more = {p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD}
            own = {name: value for name, value in values if name not in more}
            made._arguments = Arguments(own)
        return made

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it."""
        return config_of(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Another one, of what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        """As one would write it."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in config_of(self).items())
        return f"{type(self).__name__}({arguments})"


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Within it, classes and functions of one's own are known by these names.

    custom_objects: name -> class or function.

    >>> from micrograd_ext import layers
    >>> from micrograd_ext.saving import custom_object_scope
    >>> with custom_object_scope({"same": lambda x: x}):
    ...     layer = layers.Dense(2, activation="same")
    """
    if not isinstance(custom_objects or {}, Mapping):
        raise TypeError(
            "custom_objects: expected a dict from names to classes and functions, "
            f"got {custom_objects!r}"
        )
    before = dict(_custom)
    _custom.update(custom_objects or {})
    try:
        yield
    finally:
        _custom.clear()
        _custom.update(before)


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[Registered], Registered]:
    """A decorator: the class or function can be loaded again without `custom_objects`.

    Args:
        package: what stands before its name, that it may be told from others'.
        name: its own by default.

    >>> from micrograd_ext import layers, saving
    >>> @saving.register_keras_serializable(package="docs")
    ... def doubled(x):
    ...     return 2 * x
    >>> layers.Activation(doubled).get_config()["activation"]
    'docs>doubled'
    """

    def register(thing: Registered) -> Registered:
        if not callable(thing):
            raise TypeError(
                f"register_keras_serializable: expected a class or a function, got {thing!r}"
            )
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ValueError(
                f"register_keras_serializable: expected {thing.__name__} to have get_config"
            )
        full = f"{package}>{name or thing.__name__}"
        _custom[full] = thing
        _registered[thing] = full
        return thing

    return register
