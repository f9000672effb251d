"""A construction: blocks, the transformer assembled from them, and its certificate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import log_softmax

from constructions.block import Block
from constructions.evaluate import Program, State
from constructions.history import BanditHistory
from constructions.rewrite import compile_weights
from constructions.tokens import BanditTokens
from constructions.transformer import Size, Transformer


@dataclass(frozen=True)
class Probe:
    """One block on one history: true value, computed value and promise.

    Attributes:
        block: the block's name.
        true: the ideal values, from exact inputs, at the state tokens; shape (steps, groups, size of a vector).
        computed: what the transformer holds there.
        error: the worst ℓ2 distance between the two over steps and groups.
        relative: the same divided by the largest ‖true‖.
        promise: the certified bound on `error`, errors of the block's inputs and rounding included.
        own_error: the worst distance from the ideal result for the inputs as the transformer computed them.
        own_promise: the certified bound on `own_error`, rounding included.
    """

    block: str
    true: Float[np.ndarray, "steps groups size"]
    computed: Float[np.ndarray, "steps groups size"]
    error: float
    relative: float
    promise: float
    own_error: float
    own_promise: float


@dataclass(frozen=True, eq=False)
class Construction:
    """Explicit weights for an algorithm.

    Attributes:
        spec: what was asked for.
        tokens: how histories become tokens and logits become policies.
        blocks: in the order in which they run.
        transformer: the torch module, forward(H: (..., N, D)) → (..., N, D).
        certificate: bound on |log-probability error| for every admissible history, step and action, in exact arithmetic.
    """

    spec: object
    tokens: BanditTokens
    blocks: tuple[Block, ...]
    transformer: Transformer
    certificate: float

    def size(self) -> Size:
        """Layers, heads, width, hidden and norm, measured on the weights."""
        return self.transformer.size()

    @cached_property
    def program(self) -> Program:
        """The weights rewritten for fast evaluation, as they were at first use."""
        longest = 2 * self.tokens.spec.horizon
        return compile_weights(self.transformer, self.tokens.stream["position"].slice, longest)

    def outputs(self, histories: Sequence[BanditHistory]) -> Float[np.ndarray, "batch steps width"]:
        """The transformer's output at the state tokens of histories of equal length."""
        encoded = torch.as_tensor(np.stack([self.tokens.encode(history) for history in histories]))
        return self.program.run(encoded, self.tokens.states).numpy()

    def policy(self, outputs: Float[np.ndarray, "*batch width"]) -> Float[np.ndarray, "*batch arms"]:
        """Log-probabilities from output tokens: log softmax of the logits register."""
        return log_softmax(outputs[..., self.tokens.stream["logits"].slice], axis=-1)

    def log_probabilities(self, history: BanditHistory) -> Float[np.ndarray, "steps arms"]:
        """The policy at every step of a history."""
        return self.policy(self.outputs([history])[0])

    def probe(
        self, history: BanditHistory, outputs: Float[np.ndarray, "steps width"] | None = None
    ) -> list[Probe]:
        """Block by block: true value, computed value, promise.

        Every register has one writer, so the output tokens still hold what each block computed; give them if you have them.
        """
        inputs = self.tokens.encode(history)
        final = inputs.copy()
        final[self.tokens.states] = self.outputs([history])[0] if outputs is None else outputs
        registers = self.tokens.stream.registers
        ideal = {name: inputs[:, register.slice] for name, register in registers.items()}
        held = {name: final[:, register.slice] for name, register in registers.items()}
        probes = []
        for block in self.blocks:
            name = block.output.name
            ideal[name] = block.truth(ideal)
            true, computed, own = (
                values[self.tokens.states].reshape(-1, block.groups, block.output.size // block.groups)
                for values in (ideal[name], held[name], block.truth(held))
            )
            error = _worst(computed - true)
            largest = _worst(true)
            probes.append(
                Probe(
                    block.name,
                    true,
                    computed,
                    error,
                    error / largest if largest else error,
                    block.promise.total.whole,
                    _worst(computed - own),
                    block.promise.own.whole,
                )
            )
        return probes

    def decoder(self) -> "Decoder":
        """A policy that is fed one step at a time."""
        return Decoder(self)


def _worst(difference: Float[np.ndarray, "steps groups size"]) -> float:
    """Largest ℓ2 norm of a vector; NaN counts as infinite, so that it can never pass."""
    return float(np.nan_to_num(np.linalg.norm(difference, axis=-1), nan=np.inf).max())


class Decoder:
    """Incremental decoding: observe a context, get log-probabilities, record what was done and received."""

    def __init__(self, construction: Construction):
        self._construction, self._state = construction, State()
        self._context: np.ndarray | None = None

    def observe(self, context: Float[np.ndarray, "arms dim"]) -> Float[np.ndarray, " arms"]:
        """Log-probabilities of the arms of the next step."""
        tokens, spec = self._construction.tokens, self._construction.tokens.spec
        if self._context is not None:
            raise ValueError("decoder: wanted record(action, reward) before the next context, got observe")
        if self._state.count >= 2 * spec.horizon - 1:
            raise ValueError(f"decoder: wanted at most horizon = {spec.horizon} steps, got one more")
        context = BanditHistory(np.asarray(context)[None], [], []).contexts[0]
        tokens.check_context(context)
        self._context = context
        output = self._advance(tokens.state_token(self._state.count + 1, context))
        return self._construction.policy(output)

    def record(self, action: int, reward: float) -> None:
        """Take down the arm that was played and its reward."""
        if self._context is None:
            raise ValueError("decoder: wanted observe(context) first, got record")
        pair = np.stack([self._context, self._context])
        checked = BanditHistory(pair, [action], [reward])
        self._construction.tokens.check_rewards(checked.rewards)
        token = self._construction.tokens.action_token(
            self._state.count + 1, checked.chosen[0], float(reward)
        )
        self._advance(token)
        self._context = None

    def _advance(self, token: Float[np.ndarray, " width"]) -> Float[np.ndarray, " width"]:
        chunk = torch.as_tensor(token)[None, None]
        return self._construction.program.advance(chunk, self._state)[0, 0].numpy()
