"""The command line. A command is imported when it is asked for: the list of them needs no library that takes seconds."""

import sys
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from constructions import __version__


class Command(NamedTuple):
    """A command: where its function is, as "module:function", what it does in a line, and an example."""

    place: str
    does: str
    example: str

    def loaded(self, name: str) -> Any:
        """The command itself; where it brought torch along, that has one thread, as layers are many and small."""
        place, _, function = self.place.partition(":")
        module, alone = import_module(place), typer.Typer(add_completion=False)
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)
        alone.command(name, epilog=f"Example: weightwright {self.example}")(getattr(module, function))
        return typer.main.get_command(alone)


COMMANDS = {
    "verify": Command(
        "verify.cli.audits:verify",
        "Audit: measured ≤ certified ≤ stated, claim by claim.",
        "verify linucb --out reports",
    ),
    "inspect": Command(
        "verify.cli.inspection:inspect",
        "Layers, heads, registers and weights, and what each is for.",
        "inspect linucb --solver newton --html",
    ),
    "plot": Command(
        "verify.cli.figures:plot",
        "Figures: of any specification, or of saved reports.",
        "plot linucb --figure depth --set dim=3 --out depth.pdf",
    ),
    "new": Command(
        "verify.cli.starting:new",
        "Write a first file of one's own, which builds, and its test.",
        "new counts",
    ),
    "certify": Command(
        "verify.cli.certification:certify",
        "Enclose errors on saved histories in balls, rounding included.",
        "certify history.npz --of linucb",
    ),
    "export-certificate": Command(
        "verify.cli.certification:export_certificate",
        "Write weights, statement and obligations to a file that check_certificate.py checks alone.",
        "export-certificate linucb --set dim=2 --out linucb.json",
    ),
    "diff": Command(
        "verify.cli.differences:diff",
        "Claims gained, lost and moved between two audits.",
        "diff reports-before reports",
    ),
    "errata": Command(
        "verify.cli.audits:errata",
        "Errors in the paper, each on a smallest witness, with its repair.",
        "errata --json",
    ),
    "sweep": Command(
        "verify.cli.sweeps:sweep",
        "Every solver's depth, size and error, by horizon and error.",
        "sweep linucb --quick --set dim=3",
    ),
    "train": Command(
        "verify.cli.training:train",
        "Train by one of the paper's recipes, on the GPU if there is one.",
        "train dpt-bernoulli --steps 8000 --resume",
    ),
    "ship": Command(
        "verify.cli.training:ship",
        "Export a checkpoint's weights, with a card that is measured.",
        "ship dpt-bernoulli models/dpt-bernoulli",
    ),
    "compare": Command(
        "verify.cli.models:compare",
        "Built, true and trained: distances by step, regret, theorem.",
        "compare dpt-bernoulli --out reports/compare",
    ),
    "contexts": Command(
        "verify.cli.models:contexts",
        "What the training context does to regret, by distribution ratio.",
        "contexts --out reports/contexts",
    ),
    "probe": Command(
        "verify.cli.models:probe",
        "Amortised or algorithmic? Symmetries, registers, attention, shifts.",
        "probe dpt-bernoulli --only symmetries --quick",
    ),
    "warm-start": Command(
        "verify.cli.warm_starts:warm_start",
        "Training from built weights: is it stationary, is it sharp.",
        "warm-start ad-linucb-small --quick --set horizon=10 --set temperature=0.3",
    ),
}


class Group(TyperGroup):
    """All commands; each is imported when it is run, or its help is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command as the list shows it."""
        known = COMMANDS.get(cmd_name)
        return known and TyperCommand(cmd_name, help=known.does)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is asked for, in full."""
        name, shown, rest = super().resolve_command(ctx, args)
        return name, name and shown and COMMANDS[name].loaded(name), rest


app = typer.Typer(
    cls=Group,
    help="\b\nTransformers that provably carry out decision-making algorithms.\n"
    "Example: weightwright verify linucb --out reports",
    no_args_is_help=True,
    add_completion=False,
)


def _version(asked: bool) -> bool:
    if asked:
        print(f"weightwright {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _begin(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What holds for all commands."""
