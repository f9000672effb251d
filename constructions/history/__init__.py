"""What has been seen: contexts or states, actions and rewards, checked once, at the door; as tables, and as files."""

from pathlib import Path

from constructions import files
from constructions.history.admitted import drawn, finite_policy, in_unit_interval, taken, within
from constructions.history.bandits import BanditHistory
from constructions.history.episodes import EpisodeHistory
from constructions.history.kept import FORMAT

__all__ = [
    "BanditHistory",
    "EpisodeHistory",
    "drawn",
    "finite_policy",
    "in_unit_interval",
    "load_history",
    "taken",
    "within",
]


def load_history(path: str | Path) -> BanditHistory | EpisodeHistory:
    """The history in a file that `save` wrote.

    Raises:
        ValueError: if the file is missing, damaged, none of ours, or holds no history.
    """
    wanted = "a history written by `save`"
    data = files.read(path, wanted)
    try:
        fields = files.unpacked(data)
        told, form = fields.pop(files.SUM, None), str(fields.pop("format", None))
        if form != FORMAT:
            raise ValueError(f"format {form[:40]!r}")
        if "horizon" in fields:
            history = EpisodeHistory(**fields | {"horizon": fields["horizon"][()]})
        else:
            history = BanditHistory(**fields)
        if str(told) != files.digest(fields):
            raise ValueError(files.CHANGED)
        return history
    except Exception as error:  # whatever a damaged file makes of zip, NumPy and the checks above
        raise files.refusal(path, wanted, error) from error
