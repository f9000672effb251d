"""How hard Hypothesis searches: "quick" in every test run, "nightly" with HYPOTHESIS_PROFILE=nightly."""

import os

from hypothesis import settings

settings.register_profile("quick", derandomize=True, deadline=None, max_examples=8, print_blob=True)
settings.register_profile("nightly", deadline=None, max_examples=50, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
settings.load_profile(PROFILE)
