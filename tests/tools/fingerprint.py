"""All that a construction is, in numbers of one line: layout, sizes, promises and weights of 40 constructions.

PYTHONPATH=tests/tools:docs/examples python tests/tools/fingerprint.py      writes the record anew
"""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import soft_ucb1
from construction_cases import LINUCB

from constructions import linucb, thompson, ucbvi
from constructions.games import hedge
from constructions.prediction import lasso, td
from constructions.thompson import nodes

RECORD = Path(__file__).with_name("fingerprint.json")
SPECS = {
    **{
        f"linucb {solver} {exploration} {root}": (
            linucb,
            replace(LINUCB, solver=solver, exploration=exploration, root=root, error=0.05, horizon=3),
        )
        for solver in ("gd", "agd", "chebyshev", "newton")
        for exploration in (0.0, 1.0)
        for root in (("interpolation", "products") if solver == "newton" else ("interpolation",))
    },
    **{
        f"linucb {solver} as stated": (linucb, linucb.Spec(2, 3, 9, 0.1, solver, depth="stated"))
        for solver in ("gd", "agd")
    },
    **{
        f"thompson {solver} {form} {arms}": (
            thompson,
            thompson.Spec(2, arms, 6, 0.1, solver, form, nodes=8, separation=0.05),
        )
        for solver in ("pade", "zolotarev", "chebyshev", "newton")
        for form, arms in (("policy", 2), ("policy", 3), ("sampling", 3))
    },
    "thompson bernoulli": (thompson, thompson.BernoulliSpec(3, 9, 0.1)),
    "hedge": (hedge, hedge.Spec(3, 9)),
    "lasso": (lasso, lasso.Spec(2, 9, 2, 5)),
    **{f"td {c}": (td, td.Spec(2, 9, 2, sweeps=3, trace=c)) for c in (0.0, 0.9)},
    "soft UCB1 of 3": (soft_ucb1, soft_ucb1.Spec(3, 50)),
    "soft UCB1 of 2": (soft_ucb1, soft_ucb1.Spec(2, 64)),
    **{
        f"ucbvi {form} {arms}": (ucbvi, ucbvi.Spec(2, arms, 3, 4, exploration=0.03, form=form))
        for arms in (1, 2, 3, 5)
        for form in ("theorem", "slim", "narrow")
    },
}


def weights(transformer) -> dict[str, list]:
    """Of the tensors of one role in all layers: entries, those not 0, a sum that sees where each stands, one of sizes."""
    roles: dict[str, list[np.ndarray]] = {}
    for name, tensor in transformer.state_dict().items():
        role = ".".join(part for part in name.split(".") if not part.isdigit())
        roles.setdefault(role, []).append(tensor.double().numpy().ravel())
    found = {}
    for role, tensors in roles.items():
        values = np.concatenate(tensors)
        placed = math.fsum(values * np.cos(np.arange(values.size)))
        found[role] = [values.size, int(np.count_nonzero(values)), placed, math.fsum(np.abs(values))]
    return found


def fingerprint(spec, build) -> dict:
    """All that a construction is, in JSON's types."""
    built = build(spec)
    found = {
        "size": asdict(built.size()),
        "stream": [[one.name, one.start, one.size] for one in built.tokens.stream.registers.values()],
        "blocks": [
            [one.name, one.repeat, one.groups, len(one.steps), one.promise.magnitude]
            + [
                getattr(bound, part)
                for bound in (one.promise.own, one.promise.total)
                for part in ("error", "rounding")
            ]
            for one in built.blocks
        ],
        "clip": built.transformer.clip_radius,
        "certificate": built.certificate,
        "weights": weights(built.transformer),
    }
    if isinstance(spec, thompson.Spec) and spec.form == "policy" and spec.actions > 2:
        found["chance"] = asdict(nodes.chance(spec))
    return json.loads(json.dumps(found))


if __name__ == "__main__":
    made = {name: fingerprint(spec, home.build) for name, (home, spec) in SPECS.items()}
    lines = (f"{json.dumps(name)}: {json.dumps(record)}" for name, record in made.items())
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
