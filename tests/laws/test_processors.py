"""A spec builds the same weights, certificates and promises on every processor, to the last bit."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import other_processor
import pytest
from flint import arb, ctx

from constructions.rounding.outward import nearest, power_of_two
from constructions.thompson.nodes import rotation

HERE = Path(__file__).parents[1] / "tools"


def test_where_other_functions_are_a_rounding_off_the_same_is_built():
    path = os.pathsep.join(map(str, (HERE, HERE.parents[1] / "docs" / "examples", HERE.parents[1])))
    command = [sys.executable, "-W", "ignore", str(HERE / "other_processor.py")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert not done.returncode, done.stderr
    elsewhere, here = json.loads(done.stdout), other_processor.seals()
    assert elsewhere.keys() == here.keys()
    assert not [name for name in here if here[name] != elsewhere[name]]


@pytest.mark.parametrize(
    "line",
    ["np.exp(x)", "x ** 0.5", "np.outer(x, x) @ x", "math.log(3.0)", "np.linalg.qr(np.outer(x, x))[0]"],
)
def test_another_processor_rounds_otherwise(line):
    """What is not rounded rightly by every processor differs in the child; what is, does not."""
    code = f"""
import sys; sys.path.insert(0, {str(HERE)!r})
import other_processor as o, ast, math, numpy as np
x = np.array([0.3, 0.7, 1.1])
there = {line}
o.elsewhere()
tree = ast.fix_missing_locations(o.Other().visit(ast.parse({line!r}, mode="eval")))
here = eval(compile(tree, "line", "eval"), dict(np=np, math=math, x=x, _power=o.power, _matmul=o.matmul))
assert np.all(np.nextafter(there, np.inf) == here), (there, here)
assert o.power(3.0, 2) == 9.0 and o.power(2.0, -30) == 2.0 ** -30 and o.power(0.1, 2) > 0.1 ** 2
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("function", [arb.exp, arb.log])
def test_nearest_is_the_nearest(function):
    """As numbers of 300 bits say; of 20,000 a library's own exponential misses some."""
    numbers = np.random.default_rng(0).uniform(0.01, 5, 20_000)
    found = nearest(function, numbers)
    with ctx.workprec(300):
        for x, one in zip(numbers.tolist(), found.tolist(), strict=True):
            exact = function(arb(x))
            off = abs(exact - one)
            assert all(off <= abs(exact - math.nextafter(one, way)) for way in (-math.inf, math.inf))
    assert nearest(function, float(numbers[0])) == found[0]


@pytest.mark.parametrize("number", [-1.0, 0.0, math.nan])
def test_nearest_refuses_what_has_no_value(number):
    with pytest.raises(ValueError, match="wanted f"):
        nearest(arb.log, number)


@pytest.mark.parametrize("number", [1e-300, 0.3, 0.5, 1.0, 1 + 2**-52, 3.0, 2.0**40, 1e300])
def test_a_power_of_two_is_the_least(number):
    found = power_of_two(number)
    assert found / 2 < number <= found
    assert math.frexp(found)[0] == 0.5


@pytest.mark.parametrize("size", [1, 2, 5, 20])
def test_the_rotation_is_that_of_lapack(size):
    matrix = np.random.default_rng(size).normal(size=(size, size))
    np.testing.assert_allclose(rotation(matrix), np.linalg.qr(matrix)[0], rtol=0, atol=1e-12)
