"""Loss and regret while a model trains, as JSON and as a picture."""

import json
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from constructions import files

NOT_REGRET = ("step", "steps", "length", "loss", "seconds", "cpu")
"""What a row of a curve holds besides regrets."""

COLOURS = {"trained": "C0", "greedy": "C2", "empirical": "0.6"}
"""The true algorithm, by whatever name, is C1."""


def write(folder: Path, curve: list[dict[str, float]]) -> None:
    """Write curve.json and curve.png; rows are {"step", "steps", "loss", "seconds", "cpu", regret by name}.

    `steps` are those that were planned then: a run can go on with more or fewer. `seconds` are by the clock, `cpu` those of
    the processor, summed over processes; older curves have none.
    """
    files.write(folder / "curve.json", json.dumps(curve, indent=1))
    files.write(folder / "curve.png", picture(curve))


def picture(curve: list[dict[str, float]]) -> bytes:
    """Loss and regret by step, side by side, as a PNG."""
    figure = Figure(figsize=(9, 3.5))
    loss, regret = figure.subplots(
        1, 2, gridspec_kw={"left": 0.08, "right": 0.98, "bottom": 0.15, "top": 0.95}
    )
    steps = [row["step"] for row in curve]
    loss.plot(steps, [row["loss"] for row in curve], ".-")
    loss.set(xlabel="step", ylabel="loss (nats a decision)")
    for name in [name for name in curve[-1] if name not in NOT_REGRET]:
        dotted = {} if name in ("trained", "greedy") else {"linestyle": "--"}
        colour = COLOURS.get(name, "C1")
        regret.plot(steps, [row[name] for row in curve], color=colour, label=name, **dotted)
    regret.set(xlabel="step", ylabel="regret at the horizon", ylim=(0, None))
    regret.legend()
    drawn = BytesIO()
    figure.savefig(drawn, dpi=120, format="png")
    return drawn.getvalue()
