"""Histories as files, whole or not at all."""

from pathlib import Path
from typing import Any

import numpy as np

from constructions import files

FORMAT = "weightwright history 1"


def write(path: str | Path, history: Any) -> None:
    """Whole or not at all."""
    fields = {name: np.asarray(value) for name, value in vars(history).items() if value is not None}
    about = {"format": np.array(FORMAT), files.SUM: np.array(files.digest(fields))}
    files.write(path, files.packed(about | fields))
