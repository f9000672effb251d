"""Shapes and types of the package are enforced under test, and only where there are any is account kept of dimensions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import shape_types
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, TypeCheckError

from constructions.construction import Construction
from constructions.rounding import outward
from constructions.thompson.nodes import rotation

CHECKED = shape_types.sparingly(typechecker=shape_types.enforce)


def test_the_package_is_checked(request):
    """Where the run asks for it."""
    wanted = bool(request.config.getoption("jaxtyping_packages"))
    for function in (rotation, outward.power_of_two, Construction.__init__):
        assert function.__code__.co_filename.endswith("shape_types.py") == wanted


@pytest.mark.parametrize("matrix", [np.zeros(3), np.ones((2, 3)), np.ones((2, 2), int), "no"])
def test_a_wrong_shape_is_refused(matrix):
    @CHECKED
    def square(x: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " n"]:
        return x[0]

    @CHECKED
    @dataclass
    class Square:
        x: Float[np.ndarray, "n n"]

    for accept in (square, Square):
        with pytest.raises(TypeCheckError):
            accept(matrix)
        accept(np.eye(2))


def test_a_wrong_answer_is_refused():
    @CHECKED
    def square(x: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " n"]:
        return x

    with pytest.raises(TypeCheckError):
        square(np.eye(2))


def test_a_wrong_type_is_refused_at_first_and_now_and_then():
    @CHECKED
    def same(x: float) -> float:
        return x

    assert not shape_types.has_dimensions(same)
    refused = []
    for number in range(shape_types.FIRST + 4 * shape_types.THEN):
        try:
            same("3")  # type: ignore[arg-type]
        except BeartypeCallHintViolation:
            refused.append(number)
    assert refused[: shape_types.FIRST] == list(range(shape_types.FIRST))
    assert len(refused) == shape_types.FIRST + 4
    assert same(3) == 3


def test_dimensions_are_found_wherever_they_stand():
    Row = Float[np.ndarray, " n"]

    def plain(x: int, y: Callable[[int], float]) -> tuple[str, ...] | None: ...
    def deep(x: tuple[int, dict[str, Row]] | None): ...
    def inward(x: Callable[[Row], int]): ...
    def outwards() -> Row: ...
    def unknown(x: "int"): ...

    assert not shape_types.has_dimensions(plain)
    assert all(map(shape_types.has_dimensions, (deep, inward, outwards, unknown)))
