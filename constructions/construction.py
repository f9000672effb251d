"""A construction: blocks, the transformer assembled from them, and its certificate."""

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from constructions import offers, saving, showing
from constructions.activations import Activations, Hook, Sites, asked, run
from constructions.anatomy.heads import NamedHeads
from constructions.decoding import Decoder
from constructions.fast.program import Program, placement
from constructions.fast.rewrite import compile_weights
from constructions.history import finite_policy
from constructions.inputs.bandits import History, Tokens
from constructions.parts.block import Block, Bound
from constructions.parts.guarantee import Guarantee, allowed, guaranteed
from constructions.probing import Probe, probes
from constructions.seal import Made, digest
from constructions.sizes import Size, measured
from constructions.softmax import export
from constructions.transformer import Transformer


@dataclass(frozen=True, eq=False, repr=False)
class Construction:
    """Explicit weights for an algorithm, and what is promised of them.

    Promises belong to the weights, the spec and the tokens that it is first made with: these are sealed. Where one of them
    is another, by `dataclasses.replace`, a cast or a change in place, the seal is broken: `certificate` and the promises of
    `blocks` are infinite, until all is put back to the last bit. What is evaluated are always the weights as they are.
    It can be pickled if a spec alone builds it: what travels is the spec, the tokens and the transformer.

    Attributes:
        spec: what was asked for.
        tokens: how histories become tokens and logits become policies.
        sealed_blocks: in the order in which they run, with what they promise of the sealed weights.
        transformer: the torch module, forward(H: (..., N, D)) → (..., N, D).
        sealed_certificate: the certificate of the sealed weights.
        chance: what holds with a probability only, where something is left to chance.
        seal: the digest of what is promised of; made here if left out, which is to promise anew, and carried along by
            `dataclasses.replace`.
        promised: what it gives and the certificate bounds, if that is not what the spec says: for a part of a construction.

    Raises:
        ValueError: if no block writes a register of the output.
    """

    spec: Any
    tokens: Tokens
    sealed_blocks: tuple[Block, ...]
    transformer: Transformer
    sealed_certificate: float
    chance: Any = None
    seal: str = ""
    promised: Guarantee | None = None

    def __post_init__(self):
        if not self.seal:
            self.guarantee.written(self.sealed_blocks)
            object.__setattr__(self, "seal", self._digest())

    def _digest(self) -> str:
        """What the seal would be if it were made now."""
        return digest(self.transformer, repr((self.spec, self.tokens, self.guarantee)))

    @property
    def certificate(self) -> float:
        """Bound on the errors of `guarantee` for every admissible history, step and action, in exact arithmetic.

        Infinite where the seal is broken.
        """
        return self.sealed_certificate if self._digest() == self.seal else math.inf

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks in the order in which they run; they promise nothing where the seal is broken."""
        if self._digest() == self.seal:
            return self.sealed_blocks
        return tuple(block.promising(Bound(math.inf)) for block in self.sealed_blocks)

    @property
    def guarantee(self) -> Guarantee:
        """What it gives, and the certificate bounds: log-probabilities, unless the spec or `promised` says otherwise."""
        return self.promised or guaranteed(self.spec)

    @cached_property
    def output(self) -> Int[np.ndarray, " entries"]:
        """The stream entries of the output's registers, side by side."""
        return self.guarantee.entries(self.tokens.stream)

    def said(self, outputs: Float[np.ndarray, "*any width"]) -> Float[np.ndarray, "*any entries"]:
        """What the certificate speaks of, read from outputs at state tokens: log-probabilities, scores or values."""
        return self.guarantee.said(outputs[..., self.output])

    @property
    def rounding(self) -> float:
        """What float64 may add to an error (`Guarantee.rounding`)."""
        promises = [block.promise for block in self.guarantee.written(self.blocks)]
        own = max(one.total.rounding for one in promises)
        size = math.hypot(*(one.magnitude for one in promises))
        return self.guarantee.rounding(own, size, len(self.output))

    @property
    def allowed(self) -> float:
        """What an error measured in float64 is held to: the certificate, and `rounding` up to as much again."""
        return allowed(self.certificate, self.rounding)

    def size(self) -> Size:
        """Layers, heads, width, hidden and norm, measured on the weights."""
        return measured(self.transformer)

    def __repr__(self) -> str:
        return showing.line(saving.kind(self.spec), self.spec, self.transformer.counts(), self.certificate)

    def _repr_html_(self) -> str:
        kind, counts = saving.kind(self.spec), self.transformer.counts()
        return showing.html(kind, self.spec, counts, self.certificate, self.blocks)

    def record(self) -> dict[str, Any]:
        """Kind, spec, sizes and certificate as plain values, for tables and JSON."""
        kind, spec, size = saving.kind(self.spec), asdict(self.spec), self.size().record()
        return {"kind": kind, "spec": spec, "size": size, "certificate": self.certificate}

    def save(self, path: str | Path) -> None:
        """Write a safetensors file for `constructions.load`, whole or not at all.

        Raises:
            ValueError: if the spec alone does not build this, weights apart: a part of a construction, one by a plan of its
                own, or one with other layers, radius or tokens.
        """
        saving.save(path, self)

    def __reduce__(self):
        saving.sealed(self)
        return saving.rejoined, (self.spec, self.tokens, self.transformer)

    def __deepcopy__(self, memo: dict) -> "Construction":
        return replace(self, transformer=copy.deepcopy(self.transformer, memo))

    @cached_property
    def _made(self) -> Made:
        """What was made from the weights."""
        return Made()

    @property
    def program(self) -> Program:
        """The weights as they are, rewritten for fast evaluation."""
        return self._compiled("program", slice(None))

    @property
    def policy_program(self) -> Program:
        """The same, without what the output does not depend on."""
        return self._compiled("policy", self.output)

    def _compiled(self, name: str, wanted: slice | Int[np.ndarray, " entries"]) -> Program:
        place, longest = self.tokens.stream["position"].slice, self.tokens.longest
        frame = getattr(self.tokens, "frame", None)
        make = partial(compile_weights, self.transformer, place, longest, wanted, frame)
        return self._made.of(self._digest(), name, make)

    def to_torch(self, folder: str | Path | None = None, history: History | None = None) -> export.Model:
        """A plain PyTorch module of ordinary softmax layers (`softmax.export`); ValueError where attention is another."""
        return export.to_torch(self, folder, history)

    def explain(self) -> list[dict]:
        """How each stored layer is evaluated: its heads by identity, and the multiplications before and after."""
        return self.program.explain(self.tokens.longest)

    def outputs(
        self,
        histories: Sequence[History],
        dtype: torch.dtype = torch.float64,
        device: str = "cpu",
        *,
        logits_only: bool = False,
        steps: Int[np.ndarray, " steps"] | None = None,
    ) -> Float[np.ndarray, "batch steps width"]:
        """The transformer's output at the state tokens of histories of equal length, or at some `steps` (from 0) only.

        Raises:
            ValueError: if there is no history, one is not admissible or of another length, or a step is none of theirs.
        """
        place = placement(dtype, device)
        encoded, states = asked(self.tokens, histories, steps)
        program = self.policy_program if logits_only else self.program
        wanted = torch.as_tensor(states, device=place["device"])
        return program.run(torch.as_tensor(encoded, **place), wanted).numpy(force=True)

    def policy(self, outputs: Float[np.ndarray, "*batch width"]) -> Float[np.ndarray, "*batch arms"]:
        """Log-probabilities from output tokens; NaN where altered weights make it so. Values stand as they are."""
        return self.guarantee.policy(outputs[..., self.output])

    def values(
        self, history: History, dtype: torch.dtype = torch.float64, device: str = "cpu"
    ) -> Float[np.ndarray, "steps entries"]:
        """What the certificate speaks of, at every step; ValueError as `log_probabilities`, or for what is not finite."""
        return finite_policy(self.said(self.outputs([history], dtype, device, logits_only=True)[0]))

    def log_probabilities(
        self, history: History, dtype: torch.dtype = torch.float64, device: str = "cpu", offered: Any = None
    ) -> Float[np.ndarray, "steps arms"]:
        """The policy at every step of a history, in one pass, or over the arms that are on offer (`constructions.offers`).

        Raises:
            ValueError: for a history that is not admissible, a precision other than float64 and float32, a device that is
                not there, a policy that is not finite, values in place of a policy, or `offered` where none can be left out.
        """
        self.guarantee.hold_policy("log_probabilities")
        if offered is not None:
            return offers.log_probabilities(self, history, offered, dtype, device)
        return finite_policy(self.policy(self.outputs([history], dtype, device, logits_only=True)[0]))

    def heads(self) -> NamedHeads:
        """Every head: its role, layer and block, its formula, and Q, K and V with registers' names at rows and columns.

        Raises:
            ValueError: if the blocks do not account for every head and neuron.
        """
        return NamedHeads.of(self.transformer, self.tokens.stream, self.tokens.longest, self.sealed_blocks)

    @property
    def sites(self) -> Sites:
        """Where results stand, by layer and register."""
        make = partial(Sites.of, self.transformer, self.tokens.stream, self.sealed_blocks)
        return self._made.of(self._digest(), "sites", make)

    def run_with_cache(
        self,
        history: History,
        layers: Iterable[int] | None = None,
        registers: Iterable[str] | None = None,
        hooks: Sequence[Hook] = (),
        *,
        literal: bool = False,
    ) -> tuple[Float[np.ndarray, "steps arms"], Activations]:
        """The policy at every step, and what registers hold in between: `cache[layer, "ridge"]`, shape (tokens, size).

        Tied layers count as often as they repeat: 0 is the input, ℓ what stands after ℓ layers, −1 the last.
        `cache["ridge estimate"]` is a block's result, after its last layer.

        Args:
            history: what has been seen.
            layers: which are kept; if no registers are named either, the last, and of every other block its result.
            registers: which are kept, several names or one; with layers left out, after every layer.
            hooks: as for `run_with_hooks`.
            literal: run the literal layers from the start, as they stand; else those before the first hook are evaluated as
                `log_probabilities` does it, which is the same but for rounding, and sooner by far.

        Raises:
            ValueError: for a history that is not admissible, a layer, register or block that there is not, or a
                policy that is not finite.
        """
        sites, encoded = self.sites, self.tokens.encode(history)
        wanted = sites.wanted(layers, registers)
        outputs, kept = run(self.program, sites, encoded, hooks, wanted, literal=literal)
        policy = finite_policy(self.policy(outputs[self.tokens.states(history.steps)]))
        return policy, Activations(sites, kept)

    def run_with_hooks(self, history: History, hooks: Sequence[Hook]) -> Float[np.ndarray, "steps arms"]:
        """The policy at every step if hooks replace what registers hold.

        Args:
            history: what has been seen.
            hooks: pairs (place, function). A place is (layer, register), (layers, register) or a block's name, which stands
                for its result after its last layer. The function is handed what is there, shape (tokens, size), and the
                number of the layer; the array that it returns takes its place, unclipped, and None changes nothing.

        Raises:
            ValueError: for a history that is not admissible, an unknown place, no function, what it returns if that is no
                array of finite numbers or one of another shape, or a policy that is not finite.
        """
        return self.run_with_cache(history, (), (), hooks)[0]

    def probe(
        self,
        history: History,
        outputs: Float[np.ndarray, "steps width"] | None = None,
        blocks: Sequence[Block] | None = None,
    ) -> list[Probe]:
        """Block by block: true value, computed value, promise.

        Give the outputs at state tokens if you have them, and `blocks`: each look at those takes a digest of the weights.
        """
        encoded, states = self.tokens.encode(history), self.tokens.states(history.steps)
        final = self.outputs([history])[0] if outputs is None else outputs
        return probes(self.blocks if blocks is None else blocks, self.tokens.stream, encoded, states, final)

    def decoder(
        self, batch: int | None = None, dtype=torch.float64, device="cpu", *, compiled=False
    ) -> Decoder:
        """A policy that is fed one step at a time, by the weights as they are now; arguments are those of `Decoder`."""
        return Decoder(self, batch, dtype, device, compiled)
