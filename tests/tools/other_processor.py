"""Seals of constructions, built where every function that a processor may round as it likes is a rounding off.

`python other_processor.py` prints them as JSON. Rounded rightly everywhere are + − × / and √ of float64, integers and
balls. Nothing else is: not exp, log or cos of `math`, NumPy or SciPy, not powers, not sums of products by a BLAS. All of
those are one rounding larger here, `**` and `@` in the source of the package too.
"""

import ast
import importlib.abc
import importlib.machinery
import json
import math
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.special

MATH = "exp exp2 expm1 log log2 log10 log1p pow cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
MATH += "erf erfc gamma lgamma"
NUMPY = "exp exp2 expm1 log log2 log10 log1p power float_power cbrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh "
NUMPY += "arccosh arctanh geomspace logspace dot vdot inner matmul einsum tensordot"
LINEAR = "qr svd eigh eig eigvalsh solve inv cholesky lstsq pinv det matrix_power"
SPECIAL = "ndtr ndtri log_ndtr erf erfc erfcx erfinv erfcinv gammaln gamma expit logit betainc"


def moved(value: Any) -> Any:
    """The next number of float64, of every number in an answer."""
    if isinstance(value, tuple):
        return tuple(map(moved, value))
    if isinstance(value, float | np.ndarray) and np.asarray(value).dtype == float:
        other = np.nextafter(value, np.inf)
        return float(other) if type(value) is float else other
    return value


def off(function: Callable) -> Callable:
    """The same function on another processor."""
    return lambda *given, **named: moved(function(*given, **named))


def power(base: Any, exponent: Any) -> Any:
    """`**`: arrays are squared by a product, and what float64 holds exactly is not rounded."""
    found = base**exponent
    if isinstance(base, np.ndarray) and np.isscalar(exponent) and exponent == 2:
        return found
    if isinstance(found, float) and float(exponent).is_integer() and abs(exponent) < 1024:
        return found if Fraction(base) ** int(exponent) == Fraction(found) else moved(found)
    return moved(found)


def matmul(left: Any, right: Any) -> Any:
    """`@`."""
    return moved(left @ right)


class Other(ast.NodeTransformer):
    """Powers and products in source."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        name = {ast.Pow: "_power", ast.MatMult: "_matmul"}.get(type(node.op))
        if name is None:
            return node
        called = ast.Call(ast.Name(name, ast.Load()), [node.left, node.right], [])
        return ast.copy_location(called, node)


class Loader(importlib.machinery.SourceFileLoader):
    """Of changed source."""

    def source_to_code(self, data, path, *, _optimize=-1):  # type: ignore[override]
        tree = ast.fix_missing_locations(Other().visit(ast.parse(data)))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    def get_code(self, fullname):
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module):
        vars(module).update(_power=power, _matmul=matmul)
        super().exec_module(module)


class Finder(importlib.abc.MetaPathFinder):
    """Of `constructions` and the example."""

    def find_spec(self, fullname, path, target=None):
        if fullname.partition(".")[0] not in ("constructions", "soft_ucb1"):
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        if found is not None and found.origin:
            found.loader = Loader(fullname, found.origin)
        return found


def elsewhere() -> None:
    """Make this process another processor's."""
    for home, names in ((math, MATH), (np, NUMPY), (np.linalg, LINEAR), (scipy.special, SPECIAL)):
        for name in names.split():
            if hasattr(home, name):
                setattr(home, name, off(getattr(home, name)))
    sys.meta_path.insert(0, Finder())


def seals() -> dict[str, list[str]]:
    """Of every construction of the fingerprint: the digest of its weights, and all that is promised."""
    from fingerprint import SPECS

    found = {}
    for name, (home, spec) in SPECS.items():
        built = home.build(spec)
        found[name] = [built.seal, repr(built.certificate), repr([block.promise for block in built.blocks])]
    return found


if __name__ == "__main__":
    elsewhere()
    print(json.dumps(seals()))
