"""Optimisers: AdamW of all weights, or SOAP or Muon of the hidden matrices and AdamW of the rest; the average of weights.

Hidden matrices are those of the blocks: query, key and value as one, the output, and both of the MLP. Read-in, positions,
read-out, biases and LayerNorms are the rest.

Sources: AdamW, arXiv 1711.05101; SOAP, arXiv 2409.11321, its eigenbases by QR; Muon, as PyTorch has it; averages, arXiv
1212.1824 and 2312.02696.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from verify.training.model import TrainedTransformer

Kind = Literal["adamw", "soap", "muon"]
CYCLE = 10
"""Steps of SOAP from one QR step of its eigenbases to the next."""


class Optimiser:
    """Steps of a model's weights; what it remembers can be read and put back.

    Args:
        model: whose weights are changed.
        kind: "adamw", "soap" or "muon".
        rate: AdamW's largest rate.
        matrix_rate: the largest rate of the hidden matrices, if they are not AdamW's.
        decay: AdamW's weight decay; hidden matrices of SOAP and Muon have none.
        momentum: AdamW's averaging of gradients.
        memory: AdamW's averaging of their squares.
    """

    def __init__(
        self,
        model: TrainedTransformer,
        kind: Kind,
        rate: float,
        matrix_rate: float,
        decay: float,
        momentum: float,
        memory: float,
    ):
        self._names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        matrices = [one for one in model.blocks.parameters() if one.dim() == 2 and kind != "adamw"]
        hidden = {*matrices}  # by identity
        rest = [one for one in model.parameters() if one not in hidden]
        adamw = torch.optim.AdamW(rest, weight_decay=decay, betas=(momentum, memory), fused=True)
        self._parts: list[tuple[torch.optim.Optimizer, float]] = [(adamw, rate)]
        if matrices:
            self._parts.append((_of_matrices(kind, matrices), matrix_rate))

    def step(self, share: float) -> None:
        """One step from the gradients as they stand, at this share of the largest rates."""
        for part, rate in self._parts:
            for group in part.param_groups:
                group["lr"] = share * rate
            part.step()

    def tensors(self) -> dict[str, Tensor]:
        """What is remembered, by kind and name of the weight, as views: what is written into them counts."""
        return dict(self._remembered())

    def put(self, done: int) -> dict[str, Tensor]:
        """`tensors` as after so many steps, their values to be written in."""
        for parameter in self._names:
            parameter.grad = torch.zeros_like(parameter)
        self.step(0.0)
        for part, _ in self._parts:
            for counted in (*part.param_groups, *part.state.values()):
                if isinstance(count := counted.get("step"), Tensor):
                    count.fill_(done)
                elif count is not None:
                    counted["step"] = done
        return self.tensors()

    def _remembered(self) -> Iterator[tuple[str, Tensor]]:
        for part, _ in self._parts:
            for parameter, state in part.state.items():
                for kind, one in _arrays(state):
                    yield f"{kind}.{self._names[parameter]}", one


class Average:
    """The average of a model's weights, of which the last steps count most.

        x̄_t = x̄_{t−1} + (x_t − x̄_{t−1})/(1 + γ(t − 1))

    Step s has a weight in x̄_t that is about proportional to s^{1/γ − 1}: the mean age is a share γ/(1 + γ) of all t steps,
    however many these are, so that nothing need be known of how long a run will be. γ = 1 is the plain mean, γ = 0 the last
    step alone.

    Source: arXiv 1212.1824 (polynomial-decay averaging, η = 1/γ − 1); arXiv 2312.02696, section 3 (power functions).

    Args:
        model: whose weights are averaged.
        share: γ.
    """

    def __init__(self, model: TrainedTransformer, share: float):
        self._share, self._trained = share, model
        self.model = copy.deepcopy(model) if share else model
        """What is played: a model of its own, or for γ = 0 the very model that is trained."""

    @torch.no_grad()
    def step(self, done: int) -> None:
        """Take in the weights as they stand after so many steps."""
        if self._share:
            share = 1 / (1 + self._share * (done - 1))
            for mean, weight in zip(self.model.parameters(), self._trained.parameters(), strict=True):
                mean.lerp_(weight, share)

    def tensors(self) -> dict[str, Tensor]:
        """The averages by name of the weight, as views; none for γ = 0."""
        named = self.model.named_parameters() if self._share else ()
        return {f"average.{name}": value.detach() for name, value in named}


def _arrays(state: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a weight's state by kind, those of a list numbered; counts of steps have no dimension."""
    for kind, value in state.items():
        numbered = enumerate(value) if isinstance(value, list) else [("", value)]
        for number, one in numbered:
            if isinstance(one, Tensor) and one.dim():
                yield f"{kind}{number}", one


def _of_matrices(kind: Kind, matrices: list[nn.Parameter]) -> torch.optim.Optimizer:
    if kind == "muon":
        return torch.optim.Muon(matrices, weight_decay=0.0)
    from pytorch_optimizer import SOAP  # which takes a second that other commands need not wait

    return SOAP(matrices, betas=(0.95, 0.95), weight_decay=0.0, precondition_frequency=CYCLE)
