"""What every report says of the laws of whole constructions."""

from dataclasses import replace
from functools import partial

import pytest

from constructions import linucb
from verify.audit import laws
from verify.catalog import CATALOG
from verify.claims import general

ROW, SPEC = CATALOG["linucb"], linucb.Spec(2, 2, 3, 0.1, "newton")


def decoded_otherwise(built):
    """Step by step, another temperature's policy."""
    object.__setattr__(built, "decoder", linucb.build(replace(SPEC, temperature=0.101)).decoder)
    return built


def leaking(built):
    """Every token is moved by the mean of all, later ones too."""
    built.transformer.register_forward_hook(lambda _, tokens, output: output + 1e-9 * tokens[0].mean())
    return built


def about_laws(verdicts) -> tuple:
    main, *rest = [one for one in verdicts if one.source == "verify.audit.laws"]
    return main, {one.claim.partition(":")[0]: one for one in rest}


@pytest.mark.parametrize(("examples", "names"), [(1, 4), (3, 5)])
def test_a_main_claim_tells_how_many_laws_are_broken_and_one_claim_each_which(examples, names):
    main, each = about_laws(general.kept_laws(ROW, partial(linucb.build, SPEC), examples).work())
    assert (main.main, main.measured, main.stated, main.holds) == (True, 0, 0, True)
    assert main.claim == f"laws that are broken, of {', '.join(each)}"
    assert len(each) == names
    assert all(one.holds and not one.main for one in each.values())


@pytest.mark.parametrize(("change", "law"), [(decoded_otherwise, "decoder"), (leaking, "frame")])
def test_a_broken_law_fails_the_main_claim_and_its_own(change, law):
    main, each = about_laws(general.kept_laws(ROW, lambda: change(linucb.build(SPEC)), 3).work())
    assert (main.measured, main.note, main.holds) == (1, law, False)
    assert [name for name, one in each.items() if not one.holds] == [law]
    assert "LinearOutline(" in each[law].note


def test_every_report_has_them_and_the_other_laws_by_other_claims():
    report = general.report(ROW, SPEC, histories=40, trials=0)
    main, each = about_laws(report.verdicts)
    assert main.holds
    assert laws.LAWS.keys() - each.keys() == {"error", "certificate", "size", "impostors", "clipping"}


@pytest.mark.parametrize("name", [name for name, row in CATALOG.items() if row.claims])
def test_so_has_every_audit_of_claims(name):
    told = [part.told for part in CATALOG[name].found("claims")(40, 0).parts]
    assert told.count(general.kept_laws(ROW, partial(linucb.build, SPEC)).told) == 1
