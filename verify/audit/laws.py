"""The laws that every whole construction obeys: of the package, by tests/laws, and of anyone's own.

    error         measured ≤ certified, of the output and of every block, on histories that a search aims at the worst
    certificate   certified ≤ asked for, and rounding far below it
    size          layers, heads, registers and neurons are those that are claimed
    frame         what tokens bring is there at the end, bit by bit, and later tokens change no earlier row
    decoder       one step at a time gives what the whole history gives
    magnitudes    what blocks hand on stays within what they say: clip radii are made of these
    clipping      no token at any layer reaches half the clip radius
    impostors     an algorithm that is nearly the right one is objected to
    refusals      what is no specification, and a history that is too long, is refused in one line

In a test file of one's own, run by pytest, a test a law:

    from counts import ENTRY
    from verify.audit import laws
    test_laws = laws.every(ENTRY)

`weightwright verify` tries them too (`verify.claims.general`). Those of a primitive are in block_laws.py.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import hypothesis
import numpy as np
import torch
from hypothesis import Phase
from hypothesis import strategies as st
from jaxtyping import Float

from constructions.construction import Construction
from constructions.history import EpisodeHistory
from constructions.inputs.bandits import History
from verify.audit.cases import Case, Kept
from verify.audit.impostors import unmasked
from verify.audit.search import SEARCH, Outline, search

LONG = 8
"""So many decisions at most where the literal layers run twice."""

FAR = 200
"""So many at most where they run once, or decisions are taken one by one."""


Law = Callable[[Case, int], Kept]
"""From a case and how many examples are tried to what was found."""


def every(*cases: Any, examples: int | None = None) -> Callable[..., None]:
    """A test for pytest, run for every law of every case; a row of a catalog stands for its main specification.

    Args:
        cases: rows, or `Case`s.
        examples: histories that are tried for a law; as many as Hypothesis' profile has if left out.

    >>> from verify.catalog import CATALOG
    >>> test_laws = every(CATALOG["linucb"])
    >>> len(test_laws.pytestmark[0].args[1])
    9
    """
    import pytest  # of those alone who test

    found = [case if isinstance(case, Case) else Case(case) for case in cases]
    pairs = [pytest.param(case, law, id=f"{case.name} {law}") for case in found for law in LAWS]

    @pytest.mark.parametrize(("case", "law"), pairs)
    def test_laws(case: Case, law: str) -> None:
        kept = LAWS[law](case, examples or hypothesis.settings.default.max_examples)  # type: ignore[union-attr]
        if not kept.holds:
            raise AssertionError(f"{case.name}: {kept}")

    return test_laws


def audit(case: Case, examples: int = 20) -> Iterator[Kept]:
    """Every law, one after the other.

    >>> from verify.catalog import CATALOG, Entry
    >>> row = CATALOG["linucb"]
    >>> case = Case(row, row.spec(dim=2, actions=2, horizon=3, error=0.1, solver="newton"), size={"layers": 6})
    >>> [kept.law for kept in audit(case, examples=2) if not kept.holds]
    ['size']
    """
    yield from (law(case, examples) for law in LAWS.values())


def worst(
    case: Case, law: Callable[..., float], examples: int, *more: Any, steps: int | None = None
) -> tuple[float, str]:
    """The largest value of a law that Hypothesis finds among histories, and where; `more` strategies give arguments."""
    found, where = -math.inf, ""

    @hypothesis.settings(SEARCH, max_examples=examples, phases=(Phase.generate, Phase.target))
    @hypothesis.given(st.tuples(case.histories(steps), *more))
    def climb(drawn: tuple) -> None:
        nonlocal found, where
        outline, *given = drawn
        value = law(outline.history(case.spec), *given)
        value = math.inf if math.isnan(value) else float(value)
        hypothesis.target(min(value, 1e300))
        if value > found:
            found, where = value, repr(outline)

    climb()
    return found, where


# ---------------------------------------------------------------- the laws


def _error(case: Case, examples: int) -> Kept:
    batch = max(1, min(4, examples))
    found = search(case.built, case.entry.truth, 2 * examples, batch, case.entry.histories)
    blocks = {name: worst.ratio for name, worst in found.blocks.items()} | {
        case.built.guarantee.of: found.ratio
    }
    name = max(blocks, key=lambda name: blocks[name])
    outline = found.blocks[name].outline if name in found.blocks else found.outline
    return Kept("error", found.score, 1.0, f"error over what is promised, of {name}, at {outline!r}")


def _certificate(case: Case, examples: int) -> Kept:
    asked, certificate = case.asked, case.built.certificate
    if asked is None:
        asked = getattr(case.spec, "error", None)
    if asked is None:
        return Kept("certificate", certificate, np.finfo(float).max, "nothing was asked for")
    if case.asked is None and case.built.rounding > 0.05 * certificate:
        return Kept(
            "certificate",
            case.built.rounding,
            0.05 * certificate,
            "rounding, and a twentieth of the certificate",
        )
    return Kept("certificate", certificate, asked)


def _size(case: Case, examples: int) -> Kept:
    size = case.built.size()
    wrong = [
        f"{name} {getattr(size, name)}, not {value}"
        for name, value in (case.size or {}).items()
        if getattr(size, name) != value
    ]
    wrong += [
        f"{name} {getattr(size, name)} above {most}"
        for name, most in (case.most or {}).items()
        if not getattr(size, name) <= most
    ]
    if size.width != case.built.tokens.stream.width:
        wrong.append(f"width {size.width}, not the stream's {case.built.tokens.stream.width}")
    return Kept("size", len(wrong), 0, "; ".join(wrong))


def _frame(case: Case, examples: int) -> Kept:
    built, steps = case.built, min(case.built.tokens.decisions, LONG)
    written = {name for block in built.blocks for name in block.writes}
    kept = [register.slice for name, register in built.tokens.stream.registers.items() if name not in written]

    def law(history: History, other: Outline, cut: int) -> float:
        tokens, rest = (built.tokens.encode(one) for one in (history, other.history(case.spec)))
        cut = min(cut, len(tokens))
        output, changed = (
            built.transformer(torch.as_tensor(x)).numpy(force=True)
            for x in (tokens, np.concatenate([tokens[:cut], rest[cut:]]))
        )
        moved = [_apart(output[:, place], tokens[:, place]) for place in kept]
        return max(_apart(output[:cut], changed[:cut]), *moved)

    found = worst(case, law, _few(examples), case.histories(steps), st.integers(1, 2 * steps), steps=steps)
    return _kept("frame", found, 0.0)


def _decoder(case: Case, examples: int) -> Kept:
    built = case.built

    def law(history: History) -> float:
        whole = built.policy(built.outputs([history], logits_only=True)[0])
        return _apart(np.array(list(_steps(built, history))), whole)

    policy = built.rounding * (2 if built.guarantee.of == "scores" else 1)
    return _kept("decoder", worst(case, law, _few(examples), steps=_far(case)), 2 * policy)


def _steps(built: Construction, history: History) -> Iterator[Float[np.ndarray, " entries"]]:
    """What a decoder gives at each step of a history."""
    decoder, draws = built.decoder(), getattr(history, "draws", None)
    seen = history.states if isinstance(history, EpisodeHistory) else history.contexts
    for step in range(history.steps):
        yield decoder.observe(seen[step], *(() if draws is None else (draws[step],)))
        if step < history.steps - 1:
            decoder.record(int(history.actions[step]), float(history.rewards[step]))


def _magnitudes(case: Case, examples: int) -> Kept:
    def law(history: History) -> float:
        _, cache = case.built.run_with_cache(history)
        ratios = [
            np.linalg.norm(cache[block.name], axis=1).max()
            / (block.promise.magnitude + block.groups**0.5 * block.promise.total.rounding)
            for block in case.built.blocks
        ]
        return float(max(ratios))

    return _kept("magnitudes", worst(case, law, _few(examples)), 1.0)


def _clipping(case: Case, examples: int) -> Kept:
    def law(history: History) -> float:
        tokens = torch.as_tensor(case.built.tokens.encode(history))
        largest = float(tokens.norm(dim=-1).max())
        for layer in case.built.transformer.run():
            tokens = layer(tokens)
            largest = max(largest, float(tokens.norm(dim=-1).max()))
        return largest

    found = worst(case, law, _few(examples), steps=_far(case))
    return _kept("clipping", found, case.built.transformer.clip_radius / 2)


def _impostors(case: Case, examples: int) -> Kept:
    built = case.built if case.sharper is None else case.entry.build(replace(case.spec, error=case.sharper))
    found = unmasked(built, case.entry.truth, max(10, examples), case.entry.histories)
    wrong = [one for one in found if one.outcome in ("refused", "missed")]
    if case.same is not None:
        wrong += [one for one in found if one.outcome == "too close"]
        wrong += [one for one in found if (one.outcome == "the same") != (one.impostor in case.same)]
    return Kept("impostors", len(wrong), 0, "; ".join(map(str, wrong)))


def _refusals(case: Case, examples: int) -> Kept:
    said = [(str(change), message, case.refuses(change)) for change, message in case.refused]
    steps = case.built.tokens.decisions + 1
    outline = replace(case.entry.histories.battery(case.spec)[0], steps=steps)
    try:
        case.built.outputs([outline.history(case.spec)])
        said.append((f"{steps} steps", "history: wanted at most", ""))
    except ValueError as error:
        said.append((f"{steps} steps", "history: wanted at most", str(error)))
    wrong = [
        f"{what}: wanted {start!r}, got {got!r}" for what, start, got in said if not got.startswith(start)
    ]
    return Kept("refusals", len(wrong), 0, "; ".join(wrong))


LAWS: dict[str, Law] = {
    "error": _error,
    "certificate": _certificate,
    "size": _size,
    "frame": _frame,
    "decoder": _decoder,
    "magnitudes": _magnitudes,
    "clipping": _clipping,
    "impostors": _impostors,
    "refusals": _refusals,
}
"""By name."""


def _few(examples: int) -> int:
    """Of laws that hold for all histories or for none, and take long."""
    return max(1, examples // 3)


def _far(case: Case) -> int | None:
    """Of how many decisions histories are, where there may be more than FAR; else of any number."""
    return FAR if case.built.tokens.decisions > FAR else None


def _kept(law: str, found: tuple[float, str], allowed: float) -> Kept:
    """What `worst` has found, beside what is allowed."""
    return Kept(law, found[0], allowed, found[1])


def _apart(left: np.ndarray, right: np.ndarray) -> float:
    """The largest difference of an entry; NaN is infinite."""
    with np.errstate(invalid="ignore"):
        gaps = np.abs(np.where(left == right, 0.0, left - right))
    return float(np.nan_to_num(gaps, nan=np.inf).max(initial=0.0))
