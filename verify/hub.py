"""Models as folders in Hugging Face's layout, built and trained alike, offline.

    FOLDER/config.json          kind, specification or settings, sizes
    FOLDER/model.safetensors    the weights: what `built.save` or `weightwright ship` writes
    FOLDER/README.md            the model card

`load` needs nothing more than Weightwright does. `Model`, for `Model.from_pretrained(FOLDER)`, needs huggingface_hub, the
extra `hub`; nothing is ever downloaded.
"""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from constructions import files, saving
from constructions import load as load_built
from constructions.construction import Construction
from constructions.history import BanditHistory, EpisodeHistory
from constructions.showing import number
from verify.training import ship, train
from verify.training.policy import Trained

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
WANTED = "a folder written by `hub.save`"
HEAD = """---
license: mit
library_name: weightwright
tags: [transformers-as-algorithms, {tag}]
---

"""


def save(model: Construction | str | Path, folder: str | Path) -> Path:
    """Write a folder that `load` and `Model.from_pretrained` read; returns it.

    Args:
        model: a construction, or a trained model by its name or file, as `weightwright ship` writes it.
        folder: where; it is made if need be.

    Raises:
        ValueError: if something is in the way, the spec alone does not build the construction, or there is no such model.
    """
    to = Path(folder)
    files.writable(to)
    for name in (WEIGHTS, CONFIG, CARD):
        files.placed(to / name)
    if isinstance(model, Construction):
        model.save(to / WEIGHTS)
        config, card = _config(load_built(to / WEIGHTS)), HEAD.format(tag="built") + _card(model)
    else:
        path = train.locate(model)
        trained, card = train.load(path), HEAD.format(tag="trained") + ship.card(path)
        files.write(to / WEIGHTS, files.read(path, WANTED))
        config = _config(trained)
    files.write(to / CARD, card)
    files.write(to / CONFIG, json.dumps(config, indent=2) + "\n")
    return to


def load(folder: str | Path) -> Construction | Trained:
    """The model in a folder. As with `constructions.load`, a certificate is infinite where a weight is not the spec's.

    Raises:
        ValueError: if a file is missing or damaged, or config.json is of another model than the weights.
    """
    path = Path(folder) / CONFIG
    try:
        config = files.typed(files.parsed(files.read(path, WANTED)), dict[str, Any])
    except ValueError as error:
        raise files.refusal(path, WANTED, error) from None
    read = load_built if config.get("model_type") == "weightwright-built" else train.load
    found = read(Path(folder) / WEIGHTS)
    if config != (own := json.loads(json.dumps(_config(found)))):
        name = next(name for name in {**own, **config} if config.get(name) != own.get(name))
        raise files.refusal(path, f"{name} as the weights have it, {own.get(name)}", config.get(name))
    return found


def _config(model: Construction | Trained) -> dict[str, Any]:
    """What config.json says."""
    if isinstance(model, Construction):
        record = {
            "model_type": "weightwright-built",
            "kind": saving.kind(model.spec),
            "spec": asdict(model.spec),
        }
        return record | {"size": model.size().record()}
    recipe = {"kind": type(model.recipe).__name__, **asdict(model.recipe)}
    return {"model_type": "weightwright-trained", "recipe": recipe, "shape": asdict(model.model.shape)}


def _card(built: Construction) -> str:
    """The card of a construction, in Markdown."""
    size, kind = built.size().record(), saving.kind(built.spec)
    floor = f" of a probability of at least {number(built.guarantee.floor)}" if built.guarantee.floor else ""
    said = f"{built.guarantee.one}{floor} by more than {number(built.certificate)}"
    rows = [f"| {name} | {number(value)} |" for name, value in size.items()]
    fields = [f"| {name} | `{value!r}` |" for name, value in asdict(built.spec).items()]
    parts = [
        f"# {kind}",
        "A transformer whose weights Weightwright has built, not trained. For every history that obeys the bounds below, at "
        f"every step, it misses no {said}, in exact arithmetic.",
        "```python\nfrom verify import hub\n\nbuilt = hub.load(FOLDER)        # or hub.Model.from_pretrained(FOLDER)\n```",
        "| size | |\n|---|---|\n" + "\n".join(rows),
        "| specification | |\n|---|---|\n" + "\n".join(fields),
    ]
    return "\n\n".join(parts) + "\n"


@cache
def _model() -> type:
    """The class of `Model`, made where huggingface_hub is."""
    try:
        from huggingface_hub import PyTorchModelHubMixin  # type: ignore[import-not-found]
    except ImportError as error:
        raise ImportError("hub: wanted huggingface_hub, got none: pip install 'weightwright[hub]'") from error

    class Model(nn.Module, PyTorchModelHubMixin):
        """A construction or a trained model, `loaded`, as a torch module with from_pretrained and save_pretrained."""

        def __init__(self, loaded: Construction | Trained):
            super().__init__()
            self.loaded = loaded
            self.transformer = loaded.transformer if isinstance(loaded, Construction) else loaded.model

        def forward(self, *tokens: Tensor) -> Tensor:
            return self.transformer(*tokens)

        def log_probabilities(self, history: BanditHistory | EpisodeHistory) -> Any:
            return self.loaded.log_probabilities(history)

        @classmethod
        def _from_pretrained(cls, *, model_id: str, **_: Any) -> "Model":
            return cls(load(model_id))

        def _save_pretrained(self, save_directory: Path) -> None:
            if not isinstance(self.loaded, Construction):
                raise ValueError(
                    "save_pretrained: wanted a construction, got a trained model: hub.save(NAME, FOLDER)"
                )
            save(self.loaded, save_directory)

    return Model


def __getattr__(name: str) -> Any:
    """`Model`, which needs huggingface_hub."""
    if name == "Model":
        return _model()
    raise AttributeError(f"module {__name__} has no attribute {name}")
