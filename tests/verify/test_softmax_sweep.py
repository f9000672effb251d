"""What a product by softmax attention loses, against its factor."""

import math

from verify.sweeps.softmax import exact, product_errors


def test_errors_of_a_product_are_within_the_lemma_and_least_where_it_says():
    record = product_errors(100, range(2, 17))
    curves = {one["label"]: dict(zip(one["x"], one["y"], strict=True)) for one in record["curves"]}
    bound = curves["float64, bound"]
    for b in bound:
        seen, left = curves["float64"].get(b, 0.0), curves["exact"][b]
        assert left <= curves["exact, bound"][b]
        assert seen <= bound[b]
        assert b < 2**-6 or seen > 0.5 * left  # the series tells where b is large
    assert any(seen > 1e3 * curves["exact"][b] for b, seen in curves["float64"].items())  # rounding, small b
    assert f"{min(bound, key=bound.__getitem__):.2g}" in record["title"]


def test_what_the_series_leaves_is_of_fourth_order():
    assert math.isclose(exact(2**-8) / exact(2**-9), 16, rel_tol=1e-3)
