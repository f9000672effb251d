"""How hard Hypothesis searches: "quick" in every test run, "nightly" with HYPOTHESIS_PROFILE=nightly."""

import os

import pytest
import torch
from hypothesis import settings

settings.register_profile("quick", derandomize=True, deadline=None, max_examples=8, print_blob=True)
settings.register_profile("nightly", deadline=None, max_examples=50, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
settings.load_profile(PROFILE)

torch.set_num_threads(1)  # the matrices are small: threads would only wait for one another


SLOW = {
    "test_cli.py::test_the_record_is_json_and_the_page_shows_every_claim",
    "test_cli.py::test_every_small_claim_but_the_fits_holds",
    "test_cli.py::test_every_main_bound_is_enclosed_inside_its_certificate",
    "test_audit.py::test_a_tiny_certificate_counts_the_error_of_the_policy",
    "test_construction_laws.py::test_wrong_algorithms_are_caught_along_lines",
    "test_mutation.py::test_a_wrong_weight_within_the_certificate_is_caught_by_what_the_neurons_stand_for",
    "test_cli_models.py::test_what_applies_is_asked_of_a_model_of_episodes",
    "test_cli_models.py::test_probe_from_the_command_line",
    "test_sweeping.py::test_the_command_tabulates_draws_and_goes_on",
    "test_decoder.py::test_the_battery_is_decided_alike_one_by_one",
    "test_decoder.py::test_a_batch_is_its_members",
    "test_bernoulli_claims.py::test_all_claims_hold",
    "test_bernoulli_claims.py::test_regret_fails_for_a_transformer_that_knows_nothing",
    "test_bernoulli_claims.py::test_sizes_and_orders_fail_for_others",
    "test_exact.py::test_no_difference_on_histories_that_are_found[theorem]",
    "test_refinement.py::test_measured_error_is_at_most_the_certificate[0.0001-chebyshev]",
    "test_together.py::test_eight_threads_at_once_get_what_one_after_another_get[linucb newton]",
    "test_together.py::test_eight_threads_at_once_get_what_one_after_another_get[thompson bernoulli]",
    "test_faults.py::test_a_command_that_is_told_to_end_says_one_line[15-143]",
    "test_errata.py::test_a_wrong_repair_is_not_confirmed[step size of the poles]",
    "test_errata.py::test_a_literal_form_that_is_right_is_not_confirmed[step size of the poles]",
}
"""What takes long, and whose kind is tried by day on something smaller: by night only, as if so marked."""


def pytest_collection_modifyitems(items):
    if PROFILE != "nightly":
        for item in items:
            if (
                item.get_closest_marker("nightly") or item.nodeid.rpartition("/")[2] in SLOW
            ):  # keywords hold folders too
                item.add_marker(pytest.mark.skip(reason="runs with HYPOTHESIS_PROFILE=nightly"))
