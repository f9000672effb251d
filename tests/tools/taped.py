"""Tapes held to the literal layers, and the constructions that they are tried on: every row, solver and form, small."""

import math
from functools import cache

import numpy as np
import soft_ucb1
import torch
from random_transformers import AGREE, edited

from constructions import linucb, thompson, ucbvi
from constructions.construction import Construction
from constructions.fast.program import Program
from constructions.fast.rewrite import compile_weights
from constructions.tapes.stepping import Steps
from constructions.transformer import Transformer
from verify.audit.cases import Case
from verify.catalog import entry_of

BOUNDS = {"action_norm": (0.5, 1.0), "weight_norm": 1.0, "noise_bound": 0.5, "ridge": 2.0, "temperature": 1.0}
ARMS = {"dim": 2, "actions": 2, "horizon": 5, "error": 0.1}
SMALL = {"states": 2, "actions": 2, "horizon": 2, "episodes": 4, "exploration": 0.03}
SPECS = {
    "newton": linucb.Spec(2, 3, 5, 0.1, "newton", **BOUNDS),
    "newton products": linucb.Spec(2, 3, 5, 0.1, "newton", root="products", **BOUNDS),
    "agd": linucb.Spec(2, 3, 5, 0.1, "agd", **BOUNDS),
    "gd": linucb.Spec(2, 3, 5, 0.1, "gd", **BOUNDS),
    "chebyshev": linucb.Spec(2, 3, 5, 0.1, "chebyshev", **BOUNDS),
    "two arms": thompson.Spec(**ARMS, solver="newton"),
    "two arms zolotarev": thompson.Spec(**ARMS | {"error": 0.5}, solver="zolotarev"),
    "sampling": thompson.Spec(**ARMS, solver="newton", form="sampling"),
    "lines": thompson.Spec(**ARMS | {"actions": 3}, solver="newton", nodes=2),
    "bernoulli": thompson.BernoulliSpec(3, 8, 0.1),
    "theorem": ucbvi.Spec(**SMALL, form="theorem"),
    "slim": ucbvi.Spec(**SMALL, form="slim"),
    "narrow": ucbvi.Spec(**SMALL | {"actions": 3, "horizon": 3, "episodes": 3}, form="narrow"),
    "soft UCB1": soft_ucb1.Spec(actions=3, horizon=8),
}
AGREED = {"two arms": 1e-6, "lines": 1e-6}  # whose gates cancel more digits: so much rounding do they promise


@cache
def case(name: str) -> Case:
    """One of them."""
    spec = SPECS[name]
    return Case(soft_ucb1.ENTRY if isinstance(spec, soft_ucb1.Spec) else entry_of(spec), spec)


def built(name: str) -> Construction:
    """Its transformer."""
    return case(name).built


def longest(name: str):
    """One history of full length."""
    source = case(name).entry.histories
    return max(source.battery(SPECS[name]), key=lambda outline: outline.steps).history(SPECS[name])


def pieces(name: str):
    """Where positions and logits stand, and all registers."""
    tokens = built(name).tokens
    registers = [register.slice for register in tokens.stream.registers.values()]
    return tokens.stream["position"].slice, built(name).output, registers


def chunks_of(construction: Construction, history) -> list[int]:
    """How many tokens come with each decision."""
    return np.diff([0, *(construction.tokens.states(history.steps) + 1)]).tolist()


def steps(program: Program, registers=(), compiled: bool = False) -> Steps:
    """A program to be fed a few tokens at a time."""
    place = {"dtype": torch.float64, "device": torch.device("cpu")}
    return Steps(program, registers, **place, compiled=compiled)


def how(played: Steps) -> str:
    """By what the last tokens were played."""
    state = played.state
    return (
        "literal" if state.literal else "untaped" if state.untaped else "taped" if state.past else "not begun"
    )


def held_to_literal(
    model: Transformer, program: Program, tokens: torch.Tensor, chunks, registers=(), agree: float = AGREE
) -> str:
    """Play the tokens in chunks, by NumPy and compiled; each last one's output is that of the literal layers."""
    expected, found = model(tokens), []
    largest = float(expected.abs().max())
    if not largest < 1e8:
        return "too large"
    for compiled in (False, True):
        played, at = steps(program, registers, compiled), 0
        for part in tokens.split(chunks, dim=1):
            at += part.shape[1]
            error = np.abs(played.advance(part.numpy().copy()) - expected[:, at - 1].numpy()).max(initial=0.0)
            assert error <= agree * largest, f"not the literal form: off by {error} of {largest}"
        found.append(how(played))
    assert found[0] == found[1]
    return found[0]


def held(name: str, edits, history, broken=None) -> str:
    """The same of a construction with weights changed; `broken` is told of the program, whose tapes are then held again."""
    construction, (position, _, registers) = built(name), pieces(name)
    model = edited(construction.transformer, edits)
    model.clip_radius = math.inf
    tokens = torch.as_tensor(construction.tokens.encode(history))[None]
    program = compile_weights(model, position, construction.tokens.longest)
    given = tokens, chunks_of(construction, history), registers, AGREED.get(name, AGREE)
    found = held_to_literal(model, program, *given)
    if broken is not None:
        broken(program)
        return held_to_literal(model, program, *given)
    return found
