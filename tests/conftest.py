"""How hard Hypothesis searches: "quick" in every test run, "nightly" with HYPOTHESIS_PROFILE=nightly."""

import os

import jaxtyping
import pytest
import shape_types
import torch
from hypothesis import settings

jaxtyping.jaxtyped = shape_types.sparingly  # before any module of the package is read

settings.register_profile("quick", derandomize=True, deadline=None, max_examples=8, print_blob=True)
settings.register_profile("nightly", deadline=None, max_examples=50, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
settings.load_profile(PROFILE)

torch.set_num_threads(1)  # the matrices are small: threads would only wait for one another


def pytest_collection_modifyitems(items):
    if PROFILE != "nightly":
        for item in items:
            if item.get_closest_marker("nightly"):  # keywords hold folders too
                item.add_marker(pytest.mark.skip(reason="runs with HYPOTHESIS_PROFILE=nightly"))
