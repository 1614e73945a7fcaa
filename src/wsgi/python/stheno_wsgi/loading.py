"""From ``MODULE:CALLABLE`` to the application."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
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
    add_to_path(folder)
    module_name, _, expression = spec.partition(":")
    module = _import(module_name, expression, folder)
    expression = expression or ("create_app" if factory else "application")
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
    if is_asgi(found):
        raise NoApplication(f"{spec}: that is an ASGI application, and this is a WSGI server: {_instead_of_asgi(spec, name)}")
    return found  # type: ignore[no-any-return]


def is_asgi(application: Any) -> bool:
    """Whether an application is one of ASGI: it is a coroutine function, makes a coroutine when it is called, or takes
    ``scope``, ``receive`` and ``send``."""
    while isinstance(application, functools.partial):
        application = application.func
    # Of a class the instances are the application.
    called = application if inspect.isroutine(application) else getattr(application, "__call__", None)
    if inspect.isclass(application):
        called = application.__dict__.get("__call__", None)
    if inspect.iscoroutinefunction(called):
        return True
    try:
        names = list(inspect.signature(called).parameters) if called is not None else []
    except (TypeError, ValueError):
        return False
    return names[-3:] == ["scope", "receive", "send"]


def _instead_of_asgi(spec: str, name: str) -> str:
    package, _, last = spec.partition(":")[0].rpartition(".")
    if last == "asgi" and importlib.util.find_spec(f"{package}.wsgi" if package else "wsgi") is not None:
        return f"give {package}.wsgi, which is beside it"
    return f"wrap it, application = a2wsgi.ASGIMiddleware({name}) (pip install a2wsgi), or use a server for ASGI"


def patched_by() -> str | None:
    """The library that has replaced the threads of this process by its own, if one has."""
    for library, module, function, name in [("gevent", "gevent.monkey", "is_module_patched", "threading"),
                                            ("eventlet", "eventlet.patcher", "is_monkey_patched", "thread")]:
        if module in sys.modules and getattr(sys.modules[module], function)(name):
            return library
    return None


def check_threads(threads: int) -> str | None:
    """Returns a warning for a process whose threads are replaced.

    Raises :class:`NoApplication` if requests would be served by threads: a lock of such a library does not work between
    them, and the second request that waits for it would wait for ever.
    """
    library = patched_by()
    if library is None:
        return None
    if threads:
        raise NoApplication(
            f"the application has {library} patch Python's threads, whose locks would hang between the threads of this "
            f"server: leave the patching out (each request has a thread here), or keep it with gunicorn -k {library}")
    return f"{library} has patched this process, and gives no concurrency here: each worker serves one request at a time"


def add_to_path(folder: str) -> None:
    """Puts ``folder`` first on ``sys.path``, unless it is there."""
    if folder not in sys.path:
        sys.path.insert(0, folder)


def import_from(name: str, folder: str, wanted_by: str = "") -> Any:
    """Imports a module, after ``folder`` was added to ``sys.path``. An error begins with ``wanted_by``."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # For a module that this one imports, the traceback says more.
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            line = f"{wanted_by}there is no module {error.name!r} in {folder}, nor where Python looks"
            raise NoApplication(line) from None
        raise


def _import(name: str, expression: str, folder: str) -> Any:
    if not all(part.isidentifier() for part in name.split(".")) or os.path.isfile(os.path.join(folder, name)):
        advice = _instead_of_path(name, f":{expression}" if expression else "", folder) or "give MODULE:CALLABLE"
        raise NoApplication(f"{name!r} is not a module name: {advice}")
    return import_from(name, folder)


def _instead_of_path(path: str, colon: str, folder: str) -> str | None:
    """What to write instead of the path of a file or of a package, if that is what ``path`` is."""
    where = os.path.normpath(os.path.join(folder, path))
    if os.path.isfile(where + ".py"):
        where += ".py"
    is_package = os.path.isfile(os.path.join(where, "__init__.py"))
    if os.path.isfile(where) and not where.endswith(".py"):
        return f"a module is a file that ends with .py: rename it, or import it from one, and write {_stem(where)}{colon}"
    if not os.path.isfile(where) and not is_package:
        return f"there is no such file in {folder}" if path.endswith(".py") else None
    # The folders from the top of the package on are a part of the name.
    top, names = os.path.dirname(where), [_stem(where)]
    while os.path.isfile(os.path.join(top, "__init__.py")):
        top, last = os.path.split(top)
        names.insert(0, last)
    if names[-1] == "__init__":
        names.pop()
    if not names or not all(name.isidentifier() for name in names):
        return f"the name of a module has no other characters than letters, digits and _: rename {os.path.basename(where)}"
    chdir = "" if top == folder else f"--chdir {os.path.relpath(top, folder) if _is_below(top, folder) else top} "
    return f"write {chdir}{'.'.join(names)}{colon}"


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


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

