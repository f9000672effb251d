"""A trained model beside a construction: which of its registers stand in the model's layers, as linear functions.

What is read, and the controls, are those of `verify.probes.linear_probes`; the table is HTML that needs no script.
"""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import numpy as np

from constructions.construction import Construction
from constructions.history import EpisodeHistory
from verify.catalog import Entry
from verify.comparison.stand_ins import home
from verify.inspector.record import plain
from verify.probes import linear_probes
from verify.training.policy import Trained

PROBLEMS = 100
"""Problems that are played, half to fit the readouts and half to measure them: seconds."""


def readouts(
    trained: Trained,
    title: str,
    built: Construction,
    entry: Entry,
    problems: int = PROBLEMS,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> dict[str, Any]:
    """What can be read of a construction's registers in the layers of a model, for `record["trained"]`.

    Args:
        trained: the model.
        title: what it is called.
        built: the construction.
        entry: its row of the catalog, which says what its algorithm knows: the registers.
        problems: of the model's training, fresh; half of them fit, the other half measure.
        tell: told registers done and wanted.

    Returns:
        model, problems, decisions (of each problem), and registers: the records of `linear_probes.probes`, R² by level, of
        which the first is what the first layer reads.

    Raises:
        ValueError: if the row has no registers, or the model is for other problems than the construction.
    """
    if entry.registers is None:
        raise ValueError(f"registers: wanted some in the row {entry.name}, got none")
    recipe = trained.recipe
    wanted, got = _problem(built.tokens, entry), _problem(recipe.tokens, home(recipe))
    if wanted != got:
        raise ValueError(f"trained: wanted a model for {wanted}, as {entry.name} is, got {title} for {got}")
    found = linear_probes.probes(trained, problems, tell=tell, row=entry)
    return {
        "model": title,
        "problems": problems,
        "decisions": recipe.horizon,
        "registers": [
            {name: told if name == "register" else list(map(plain, told)) for name, told in one.items()}
            for one in found
        ],
    }


def _problem(tokens: Any, entry: Entry) -> str:
    """What such tokens tell of, in words: the kind of problems, and the sizes that histories must agree in."""
    episodes = entry.seen is EpisodeHistory
    kind = (
        "episodes"
        if episodes
        else "Bernoulli arms"
        if getattr(tokens, "bernoulli", False)
        else "linear bandits"
    )
    sizes = ("states", "actions", "horizon") if episodes else ("dim", "actions")
    return ", ".join([kind, *(f"{name} {getattr(tokens.spec, name)}" for name in sizes)])


def table(found: Mapping[str, Any]) -> str:
    """A row a register, a column a layer, as HTML: R² of the readout, and below it that of its shuffled control."""
    places = ["input", *(str(layer) for layer in range(1, len(found["registers"][0]["trained"])))]
    labels = [places[0], *(f"layer {place}" for place in places[1:])]
    heads = "".join(f"<th scope='col'>{place}</th>" for place in places)
    rows = "".join(_row(one, labels) for one in found["registers"])
    return f"<thead><tr><th scope='col'>register</th>{heads}</tr></thead><tbody>{rows}</tbody>"


def _row(one: Mapping[str, Any], labels: list[str]) -> str:
    levels = zip(labels, one["trained"], one["shuffled"], one["random weights"], strict=True)
    cells = "".join(_cell(label, *map(float, values)) for label, *values in levels)
    return f"<tr><th scope='row'>{escape(one['register'])}</th>{cells}</tr>"


def _cell(label: str, found: float, shuffled: float, random: float) -> str:
    heat = round(100 * min(max(found, 0.0), 1.0)) if np.isfinite(found) else 0
    title = f"R² {found:.4f}; shuffled {shuffled:.4f}; random weights {random:.4f}".replace("-", "−")
    return (
        f"<td data-label='{label}' style='--heat:{heat}%' title='{title}'>"
        f"<b>{_short(found)}</b><small>{_short(shuffled)}</small></td>"
    )


def _short(value: float) -> str:
    """R² as the table has it.

    >>> _short(0.456), _short(-0.001), _short(-0.05), _short(float("nan"))
    ('0.46', '0.00', '−0.05', '–')
    """
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−") if np.isfinite(value) else "–"
