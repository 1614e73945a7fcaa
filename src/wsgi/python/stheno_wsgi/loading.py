"""From ``MODULE:CALLABLE`` to the application."""

from __future__ import annotations

import ast
import functools
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any


class NoApplication(Exception):
    """There is no such application. ``line`` says what to do."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


def load(spec: str, factory: bool, folder: str) -> Callable[..., Any]:
    """Imports the application that ``spec`` names, with ``folder`` first on ``sys.path``.

    ``module`` means ``module:application``. After the colon comes a dotted name, or a call of one with literal
    arguments: ``module:create_app('x', k=1)``. With ``factory`` the name is called without arguments.

    Raises :class:`NoApplication` if there is no such name, and whatever the module itself raises.
    """
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module_name, _, expression = spec.partition(":")
    expression = expression or ("create_app" if factory else "application")
    module = _import(module_name, folder)
    name, call = _parse(expression, spec)
    try:
        found = functools.reduce(getattr, name.split("."), module)
    except AttributeError:
        raise NoApplication(_no_such_name(module, name, spec)) from None
    if call is not None or factory:
        args, kwargs = call or ([], {})
        if not callable(found):
            raise NoApplication(f"{spec}: {name} is {_kind(found)}, and cannot be called")
        found = found(*args, **kwargs)
    if not callable(found):
        raise NoApplication(f"{spec}: that is {_kind(found)}, not a WSGI application: it cannot be called")
    return found  # type: ignore[no-any-return]


def _import(name: str, folder: str) -> Any:
    if not all(part.isidentifier() for part in name.split(".")) or os.path.isfile(os.path.join(folder, name)):
        is_file = name.endswith(".py")
        advice = f"write {name[:-3].replace(os.sep, '.')}" if is_file else "give MODULE:CALLABLE"
        raise NoApplication(f"{name!r} is not a module name: {advice}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # For a module that this one imports, the traceback says more.
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise NoApplication(f"there is no module {error.name!r} in {folder}, nor where Python looks") from None
        raise


def _parse(expression: str, spec: str) -> tuple[str, tuple[list[Any], dict[str, Any]] | None]:
    """The name, and the arguments of a call."""
    wrong = NoApplication(f"{spec}: give a name after the colon, or a call of one with literal arguments")
    try:
        node = ast.parse(expression, mode="eval").body
    except SyntaxError:
        raise wrong from None
    if not isinstance(node, ast.Call):
        return _dotted(node, wrong), None
    try:
        args = [ast.literal_eval(argument) for argument in node.args]
        kwargs = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
    except ValueError:
        raise wrong from None
    if len(kwargs) < len(node.keywords):
        raise wrong
    return _dotted(node.func, wrong), (args, kwargs)


def _dotted(node: ast.expr, wrong: NoApplication) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, wrong)}.{node.attr}"
    raise wrong


def _no_such_name(module: Any, name: str, spec: str) -> str:
    line = f"{spec}: the module has no {name!r}"
    candidates = [other for other in ("application", "app", "wsgi", "wsgi_app") if hasattr(module, other)]
    return f"{line}; it has {', '.join(candidates)}" if candidates else line


def _kind(thing: Any) -> str:
    return f"of type {type(thing).__name__}"

