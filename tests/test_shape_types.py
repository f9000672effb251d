"""Shapes and types of the package are enforced under test, and only where there are any is account kept of dimensions."""

from collections.abc import Callable

import numpy as np
import pytest
import shape_types
from jaxtyping import Float, TypeCheckError

from constructions import outward
from constructions.thompson.nodes import rotation


@pytest.fixture(autouse=True)
def _enforced(request):
    if not request.config.getoption("jaxtyping_packages"):
        pytest.skip("shape types are not enforced in this run")


@pytest.mark.parametrize("matrix", [np.zeros(3), np.ones((2, 3)), np.ones((2, 2), int), "no"])
def test_a_wrong_shape_is_refused(matrix):
    with pytest.raises(TypeCheckError):
        rotation(matrix)
    assert rotation(np.eye(2)).shape == (2, 2)


def test_a_wrong_type_is_refused_where_there_are_no_shapes():
    assert not shape_types.has_dimensions(outward.power_of_two)
    with pytest.raises(Exception, match="violates type hint"):
        outward.power_of_two("3")  # type: ignore[arg-type]
    assert outward.power_of_two(3) == 4


def test_dimensions_are_found_wherever_they_stand():
    Row = Float[np.ndarray, " n"]

    def plain(x: int, y: Callable[[int], float]) -> tuple[str, ...] | None: ...
    def deep(x: tuple[int, dict[str, Row]] | None): ...
    def inward(x: Callable[[Row], int]): ...
    def outwards() -> Row: ...
    def unknown(x: "int"): ...

    assert not shape_types.has_dimensions(plain)
    assert all(map(shape_types.has_dimensions, (deep, inward, outwards, unknown)))
