"""Symmetries that a policy ought to have, and by how much it lacks them.

LinUCB and Thompson sampling do not care how arms are numbered, in which orthonormal basis they are written, or in which
order the past came: they see Σ a aᵀ and Σ r a, or counts, only. A true algorithm violates them by rounding.

A **built** transformer violates them by at most twice its certificate, if that is two-sided (LinUCB, Thompson sampling with
two arms): a transformation g keeps every norm, so that h and g(h) are both admissible, and

    |log built(gh) − log built(h)|
        ≤ |log built(gh) − log true(gh)| + |log true(gh) − log true(h)| + |log true(h) − log built(h)|

where the second term is 0 and each of the others at most the certificate. (g carries arms back where it numbers them anew.)

A **trained** one violates them by what it has not learnt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import hypothesis
import numpy as np
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from jaxtyping import Float, Int

from constructions.history import BanditHistory
from constructions.inputs.bandits import History
from verify.audit import SEARCH, Outline, Stepwise, words
from verify.catalog import Entry

Policy = Callable[[Any], Float[np.ndarray, "steps arms"]]
"""Log-probabilities at every step of a history."""


@dataclass(frozen=True, eq=False)
class Image:
    """A history transformed.

    Attributes:
        history: what became of it.
        places: the new number of each old arm.
        first: from which step (from 0) on the policy ought to be the same.
    """

    history: History
    places: Int[np.ndarray, " arms"]
    first: int = 0


Symmetry = Callable[[Any, np.random.Generator], Image]
"""A transformation drawn at random."""


def permute_arms(history: BanditHistory, generator: np.random.Generator) -> Image:
    """Arms numbered anew, in the same way at every step; where they are the unit vectors, coordinates go with them.

    >>> history = BanditHistory([[[1.0], [2.0]]] * 2, actions=[0], rewards=[0.5])
    >>> image = permute_arms(history, np.random.default_rng(3))
    >>> image.history.contexts[0].tolist(), image.history.actions.tolist(), image.places.tolist()
    ([[2.0], [1.0]], [1], [1, 0])
    """
    _, arms, dim = history.contexts.shape
    order = generator.permutation(arms)
    places, contexts = np.argsort(order), history.contexts
    one_hot = arms == dim and bool((contexts == np.eye(arms)).all())
    renamed = contexts if one_hot else contexts[:, order]
    return Image(BanditHistory(renamed, places[history.actions], history.rewards, history.draws), places)


def rotate_features(history: BanditHistory, generator: np.random.Generator) -> Image:
    """The action vectors, and draws if there are any, in another orthonormal basis, uniform among all."""
    _, arms, dim = history.contexts.shape
    basis, triangle = np.linalg.qr(generator.normal(size=(dim, dim)))
    basis = basis * np.sign(np.diag(triangle))
    draws = None if history.draws is None else history.draws @ basis
    turned = BanditHistory(history.contexts @ basis, history.actions, history.rewards, draws)
    return Image(turned, np.arange(arms))


def reorder_past(history: BanditHistory, generator: np.random.Generator) -> Image:
    """The past in another order, each context with its action and reward; the pending decision ought to be the same."""
    order = generator.permutation(history.steps - 1)
    whole = np.append(order, history.steps - 1)
    draws = None if history.draws is None else history.draws[whole]
    past = history.contexts[whole], history.actions[order], history.rewards[order], draws
    return Image(BanditHistory(*past), np.arange(history.contexts.shape[1]), first=history.steps - 1)


def linear(spec: Any) -> dict[str, Symmetry]:
    """What LinUCB and linear Thompson sampling have, at every specification."""
    return {
        "arms permuted": permute_arms,
        "features rotated": rotate_features,
        "past reordered": reorder_past,
    }


def bernoulli(spec: Any) -> dict[str, Symmetry]:
    """What Thompson sampling for Bernoulli arms has, at every specification."""
    return {"arms permuted": permute_arms, "past reordered": reorder_past}


@dataclass(frozen=True)
class Violation:
    """By how much two policies differ that ought to be the same.

    Attributes:
        total_variation: ½ Σ_k |p_k − q_k|, the largest over steps.
        log_difference: |log p_k − log q_k|, the largest over steps and arms; infinite where one of them only is 0.
        step: where the total variation is largest, from 1.
    """

    total_variation: float
    log_difference: float
    step: int


def violation(
    policy: Policy, symmetry: Symmetry, history: History, generator: np.random.Generator
) -> Violation:
    """How much one transformation of one history changes the policy."""
    image = symmetry(history, generator)
    before, after = policy(history)[image.first :], policy(image.history)[image.first :, image.places]
    with np.errstate(invalid="ignore"):
        gaps = np.where(before == after, 0.0, np.abs(before - after))
    distances = np.abs(np.exp(before) - np.exp(after)).sum(axis=1) / 2
    worst = int(distances.argmax())
    return Violation(float(distances[worst]), float(gaps.max()), image.first + worst + 1)


@dataclass(frozen=True)
class Found:
    """The largest violations that a search found, and the history at which the total variation was.

    Attributes:
        violation: the one of the largest total variation.
        log_difference: the largest of all.
        outline: the history in words.
    """

    violation: Violation
    log_difference: float
    outline: Outline


def worst(policy: Policy, symmetry: Symmetry, entry: Entry, spec: Any, histories: int = 100) -> Found:
    """Look for the largest total variation over so many histories, with Hypothesis climbing it.

    Args:
        policy: whose symmetry is tried.
        symmetry: the transformation, drawn anew for each history.
        entry: the row of the catalog that histories are of.
        spec: one of its specifications: the bounds that they keep within.
        histories: how many.
    """
    tried: list[Found] = []

    @hypothesis.settings(SEARCH, max_examples=histories, phases=(Phase.generate, Phase.target))
    @hypothesis.given(_stepwise(entry).outlines(spec))
    def climb(outline: Outline) -> None:
        generator = np.random.default_rng([outline.seed, 1])  # type: ignore[attr-defined]
        history: Any = outline.history(spec)
        found = violation(policy, symmetry, history, generator)
        hypothesis.target(found.total_variation)
        tried.append(Found(found, found.log_difference, outline))

    climb()
    largest = max(tried, key=lambda found: found.violation.total_variation)
    return Found(largest.violation, max(found.log_difference for found in tried), largest.outline)


def _stepwise(entry: Entry) -> Stepwise:
    """Where the row's histories come from, if they can be told step by step."""
    if not isinstance(entry.histories, Stepwise):
        raise ValueError(
            f"histories: wanted outlines, decisions, step and told in those of the row {entry.name}"
        )
    return entry.histories


@dataclass(frozen=True)
class Case:
    """A history that Hypothesis can shrink: what was played and what it paid, step by step.

    Attributes:
        past: what the row's histories are told by, `step` of them drawn for each.
        seed: of what they leave open, and of the transformation.
    """

    past: tuple[tuple[float, ...], ...]
    seed: int

    def history(self, entry: Entry, spec: Any) -> History:
        """The history."""
        return _stepwise(entry).told(spec, self.past, self.seed)

    def violation(self, policy: Policy, symmetry: Symmetry, entry: Entry, spec: Any) -> Violation:
        """That of the policy here."""
        return violation(policy, symmetry, self.history(entry, spec), np.random.default_rng([self.seed, 1]))


def smallest(
    policy: Policy, symmetry: Symmetry, entry: Entry, spec: Any, least: float, examples: int = 200
) -> Case | None:
    """The smallest history with a total variation of at least `least`; None if none was found among so many examples.

    Rewards are whole numbers. What is found is shrunk, then shorter histories are searched until none is found.
    """
    source, found = _stepwise(entry), None
    step, longest = source.step(spec), source.decisions(spec) - 1
    while longest >= 0:
        drawn = st.tuples(st.lists(step, max_size=longest).map(tuple), st.integers(0, 2**16))
        try:
            found = Case(
                *hypothesis.find(
                    drawn,
                    lambda drawn: (
                        Case(*drawn).violation(policy, symmetry, entry, spec).total_variation >= least
                    ),
                    settings=hypothesis.settings(SEARCH, max_examples=examples),
                )
            )
        except NoSuchExample:
            break
        longest = len(found.past) - 1
    return found


def measured(
    policy: Policy,
    symmetries: Mapping[str, Symmetry],
    entry: Entry,
    spec: Any,
    runs: Sequence[History],
    least: float = 0.1,
    histories: int = 100,
    true: Policy | None = None,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> list[dict[str, Any]]:
    """A record for each symmetry; `tell` is told how many are done and wanted.

    "typical" is the mean over runs of the largest total variation, "worst" what a search of admissible histories finds,
    and "smallest" the smallest history with a total variation of at least `least`, if one was found. "true" is "typical" of
    another policy, which has the symmetries: the control.
    """
    records = []
    for done, (name, symmetry) in enumerate(symmetries.items(), 1):
        found, case = (
            worst(policy, symmetry, entry, spec, histories),
            smallest(policy, symmetry, entry, spec, least, histories),
        )
        records.append(
            {
                "symmetry": name,
                "typical": _typical(policy, symmetry, runs),
                "true": None if true is None else _typical(true, symmetry, runs),
                "worst": asdict(found.violation),
                "log_difference": found.log_difference,
                "witness": words(found.outline),
                "smallest": None if case is None else asdict(case),
                "smallest_violation": None
                if case is None
                else asdict(case.violation(policy, symmetry, entry, spec)),
            }
        )
        tell(done, len(symmetries))
    return records


def _typical(policy: Policy, symmetry: Symmetry, runs: Sequence[History]) -> float:
    """The mean of the largest total variation over histories, with the same transformations for every policy."""
    generator = np.random.default_rng(0)
    return float(
        np.mean([violation(policy, symmetry, history, generator).total_variation for history in runs])
    )
