"""Shapes are checked in every test run, and what is marked nightly is left to `make nightly`."""

import jaxtyping
import pytest
import shape_types
import torch
from effort import PROFILE

jaxtyping.jaxtyped = shape_types.sparingly  # before any module of the package is read

torch.set_num_threads(1)  # the matrices are small: threads would only wait for one another


def pytest_collection_modifyitems(items):
    if PROFILE != "nightly":
        for item in items:
            if item.get_closest_marker("nightly"):  # keywords hold folders too
                item.add_marker(pytest.mark.skip(reason="runs with HYPOTHESIS_PROFILE=nightly"))
