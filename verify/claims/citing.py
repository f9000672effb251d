"""Statements as verdicts have them, with those that their formulas are made of, as the source of `verify.theorems` tells."""

import ast
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType

from verify import theorems
from verify.audit import Cited
from verify.theorems import Statement

Name = tuple[str, str]
"""A module, and what it is called there."""
FORMULAS = ("error", "size", "logs")
"""What of a statement is formulas; two may share an assumption, and none rests on the other."""


def cited(statement: Statement) -> Cited:
    """A statement, with those that its formulas are made of.

    >>> from verify.theorems import linucb
    >>> [one.name for one in cited(linucb.THEOREM_8_EXPLICIT).uses]
    ['soft LinUCB, step 1: the ridge estimate', 'soft LinUCB, step 2: the vectors A_t⁻¹ a_{t,k}']
    """
    uses = tuple(cited(one) for one in made_of(statement))
    return Cited(statement.name, statement.source, statement.kind, statement.assumptions, uses)


def made_of(statement: Statement) -> tuple[Statement, ...]:
    """The statements whose formulas one of this package is made of, the nearest ones; none for one of elsewhere."""
    known, parts = _statements(), _parts()
    found: dict[Name, None] = {}
    left = [part for name, one in known.items() if one is statement for part in parts[name]]
    seen = set(left)
    while left:
        name = left.pop(0)
        if name in known:
            found[name] = None
        else:  # what a statement is made of by another name
            more = [part for part in parts.get(name, ()) if part not in seen]
            seen.update(more)
            left += more
    return tuple(known[name] for name in found)


@cache
def _modules() -> tuple[ModuleType, ...]:
    names = [one.name for one in pkgutil.iter_modules(theorems.__path__, f"{theorems.__name__}.")]
    return tuple(map(import_module, names))


@cache
def _statements() -> dict[Name, Statement]:
    """Every statement, by the module that makes it and its name there."""
    known: dict[Name, Statement] = {}
    for module in _modules():
        made = {name for names, _ in _bound(module) for name in names}
        known |= {
            (module.__name__, n): x for n, x in vars(module).items() if n in made and isinstance(x, Statement)
        }
    return known


@cache
def _parts() -> dict[Name, tuple[Name, ...]]:
    """What stands on the right of each name: other names of these modules, in order."""
    found: dict[Name, tuple[Name, ...]] = {}
    for module in _modules():
        home = module.__name__
        bound = list(_bound(module))
        places = {name: (home, name) for names, _ in bound for name in names} | _imported(module)
        for names, node in bound:
            used = [places[x.id] for x in _formulas(node) if isinstance(x, ast.Name) and x.id in places]
            found |= {(home, name): tuple(dict.fromkeys(used)) for name in names}
    return found


def _bound(module: ModuleType) -> Iterator[tuple[list[str], ast.AST]]:
    """The names that a module gives to values and functions, and what makes each."""
    for node in _tree(module).body:
        if isinstance(node, ast.Assign):
            yield [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and _stored(one)], node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield [node.target.id], node.value
        elif isinstance(node, ast.FunctionDef):
            yield [node.name], node


def _formulas(node: ast.AST) -> Iterator[ast.AST]:
    """All of an expression, but of a Statement its formulas alone."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == Statement.__name__:
        for word in node.keywords:
            if word.arg in FORMULAS:
                yield from ast.walk(word.value)
    else:
        yield from ast.walk(node)


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _imported(module: ModuleType) -> dict[str, Name]:
    """What a module has from its neighbours, by the names that it has here."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in _tree(module).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{theorems.__name__}.")
        for alias in node.names
    }  # type: ignore[misc]


@cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))
