"""Weight compilers on jobs that both sides can do: Tracr 1.0.0, torchwright 0.2.0 and this project, in one run.

    job                       ours                                       theirs
    causal histogram          one attention head                         Tracr, `lib.make_hist`, causal=True
    sort of distinct values   counting sort, read at added query tokens  Tracr, `lib.make_sort_unique`, bidirectional
    reciprocal by Newton      two own-token products a step              torchwright, same steps; its own op of 150 chords

All get the same random inputs. Errors are worst absolute differences to NumPy; `certified` bounds ours, rounding included.
Times are those of one thread (JAX is asked for one), forward ones medians of interleaved runs without encoding and decoding;
only their ratios mean anything. First compilations include imports and, in Tracr's first row of a size, JAX's own kernels.

Not comparable: Tracr compiles programs of a language, RASP, torchwright graphs of Python calls, both into models for common
runtimes; our weights were placed by hand for one job, which is less convenient and should be smaller. Theirs attend by
softmax in float32 and store dense matrices; ours attend by ReLU over the position (arXiv 2310.08566) in float64 and store
sparse ones, with two indices besides each weight; `dense` counts the paper's D×D matrices. Our sort's sequence is twice as
long, as a causal model must see all values first. Tracr makes a count c, seen as 1/(c + 1), one-hot by ramps of width
1/mlp_exactness: its default, 100, is right up to c = 9; a second row gives it 10,000, where its documentation advises 1 to
100. torchwright gets width 32 instead of its default, 1024.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from timeit import default_timer as clock
from timeit import timeit
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from constructions import files
from constructions.fast.rewrite import compile_weights
from constructions.inputs.bandits import position
from constructions.parts.assemble import assemble
from constructions.parts.block import EXACT, Block, Bound, Head, Position, Promise, Step, Units
from constructions.parts.links import read, stack
from constructions.parts.stream import Register, Stream
from constructions.primitives.copying import combine
from constructions.primitives.product import own_token
from constructions.sizes import measured

HISTOGRAM_LENGTHS, SORT_LENGTHS, NEWTON_STEPS, TRIALS, RUNS = (25, 100, 200), (25, 100), (3, 5), 5, 51
LOW, HIGH, START = 0.5, 2.0, 0.8  # 1/a for a in [0.5, 2], Newton from 0.8: |1 − 0.8 a| ≤ 0.6
VALUES, NUMBERS, CHORDS = 8, 100, 150  # values in a histogram's sequence; reciprocals at a time, one a token


@dataclass(frozen=True)
class Built:
    """A compiled job: `decode(run(encode(input)))` is the answer, and `run` is what is timed."""

    encode: Callable[[np.ndarray], Any]
    run: Callable[[Any], Any]
    decode: Callable[[Any], np.ndarray]
    weights: list[np.ndarray]
    dense: int | None = None
    certified: float | None = None


def ours(stream: Stream, stages: list, fill: Callable, tokens: int, answers: int, bound: Bound) -> Built:
    """Assemble and rewrite stages; `fill` makes the first register from an input, the last `answers` tokens answer."""
    source, output = next(iter(stream.registers.values())), stages[-1][-1].output
    model = assemble(stream, frozenset({source.name, "position"}), stages, 4.0 * (tokens + stream.width) ** 2)
    program = compile_weights(model, stream["position"].slice, tokens)
    weights = [weight.numpy() for weight in model.parameters()]

    def encode(values: np.ndarray) -> torch.Tensor:
        matrix = np.zeros((1, tokens, stream.width))
        matrix[0, :, stream["position"].slice] = position(np.arange(1, tokens + 1))
        matrix[0, : len(values), source.slice] = fill(values)
        return torch.as_tensor(matrix)

    dense, answer = measured(model).dense, (0, slice(-answers, None), output.start)
    return Built(encode, program.run, lambda h: h[answer].numpy(), weights, dense, bound.whole)


def exact(step: Step, output: Register, largest: float, truth: Callable) -> Block:
    """A block that works on integers below `largest`, which float64 holds exactly."""
    return Block(output.name, "", (step,), output, truth, Promise("one-hot values", EXACT, EXACT, largest))


def histogram(length: int) -> Built:
    """How often the token's value has occurred so far, itself included.

    With one-hot values x the score is relu(B⟨x_i, x_j⟩ + i − B), B > length: i, to undo the 1/i, where values agree, else 0.
    """
    stream = Stream.of(value=VALUES, count=1, position=3)
    value, place, gate = read(stream["value"]), Position.of(stream["position"]), 2.0 ** length.bit_length()
    query, key = stack(gate * value, place.index - gate * place.one), stack(value, place.one)
    step, out = Step((Head("same value", query, key, place.one, stream["count"]),)), stream["count"]
    block = exact(step, out, length, lambda x: (x["value"] * x["value"].cumsum(0)).sum(1, keepdims=True))
    return ours(stream, [[block]], lambda x: np.eye(VALUES)[x], length, length, EXACT)


def sort(length: int) -> Built:
    """Counting sort of values below n = 2·length: query token k, from 0, after the values holds the k-th smallest.

    One head counts c_v = #{values ≤ v}, so k = i − 1 − c_last. The k-th smallest is #{v : c_v ≤ k}, which two neurons for
    each v read off the integers: relu(k + 1 − c_v) − relu(k − c_v).
    """
    n = 2 * length
    stream = Stream.of(value=n, up_to=n, sorted=1, position=3)
    place, counts, out = Position.of(stream["position"]), stream["up_to"], stream["sorted"]
    below = list(accumulate(read(stream["value"].part(v, of=n)) for v in range(n)))
    head = Head("values up to v", place.index, below[-1], stack(*below), counts)
    each = [read(counts.part(v, of=n)) for v in range(n)]
    beyond = [place.index - each[-1] - count for count in each]  # k + 1 − c_v
    reads, neurons = stack(*beyond, *(link - place.one for link in beyond)), np.arange(2 * n)
    units = Units("c_v ≤ k", reads, ((out, 0 * neurons, neurons, np.repeat([1.0, -1.0], n)),))

    def truth(registers):
        c = registers["value"].cumsum(0).cumsum(1)
        return (c + c[:, -1:] <= np.arange(len(c))[:, None]).sum(1, keepdims=True)

    block = exact(Step((head,), (units,)), out, n * n, truth)
    return ours(stream, [[block]], lambda x: np.eye(n)[x], n, length, EXACT)


def newton(steps: int) -> Built:
    """1/a by x ← 2x − x(ax), each product an own-token attention layer.

    Exactly, each step squares 1 − ax, so |x − 1/a| ≤ 0.6^(2^steps)/0.5. Roundings, to first order: an error ξ of x becomes
    2(1 − ax)ξ, one of the product ax is doubled (|x| ≤ 2), and those of the other product and of the sum are added.
    """
    names = [f"{letter}{step}" for step in range(1, steps + 1) for letter in ("ax", "xax", "x")]
    stream = Stream.of(a=1, x0=1, **dict.fromkeys(names, 1), position=3)
    old, rounding, residual = stream["x0"], 0.0, 1 - LOW * START
    place, kind = stream["position"], {"position": stream["position"], "bound": HIGH / LOW, "tokens": NUMBERS}
    stages = [[combine("x0", "", terms=((START, place.part(2, of=3)),), to=old, bound=START)]]
    for step in range(steps):
        ax, xax, new = (stream[name] for name in names[3 * step : 3 * step + 3])
        first = own_token(ax.name, "", left=old, right=stream["a"], to=ax, **kind)
        second = own_token(xax.name, "", left=old, right=ax, to=xax, **kind)
        third = combine(new.name, "", terms=((2.0, old), (-1.0, xax)), to=new, bound=HIGH / LOW)
        stages += [[first], [second], [third]]
        own = [block.promise.own.rounding for block in (first, second, third)]
        old, rounding, residual = new, 2 * residual * rounding + sum(own) + own[0], residual**2
    return ours(stream, stages, lambda x: x[:, None], NUMBERS, NUMBERS, Bound(residual / LOW, rounding))


def tracr(length: int, exactness: int, program: str, sources: int, values: int, causal: bool) -> Built:
    """A program of Tracr's library on so many copies of its tokens, compiled and jitted."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    jax, rasp = import_module("jax"), import_module("tracr.rasp.rasp")
    library, compiling = import_module("tracr.compiler.lib"), import_module("tracr.compiler.compiling")
    kind = {"vocab": set(range(values)), "max_seq_len": length, "causal": causal, "compiler_bos": "begin"}
    kind |= {"mlp_exactness": exactness}
    model = compiling.compile_rasp_to_model(getattr(library, program)(*[rasp.tokens] * sources), **kind)
    forward, (into, out) = jax.jit(model.forward), (model.input_encoder, model.output_encoder)
    return Built(
        lambda inputs: jax.numpy.array([into.encode(["begin", *inputs.tolist()])]),
        lambda tokens: forward(model.params, tokens).unembedded_output.block_until_ready(),
        lambda output: np.array(out.decode(output[0].tolist())[1:], dtype=float),
        [np.asarray(weight) for weight in jax.tree_util.tree_leaves(model.params)],
    )


def torchwright(steps: int) -> Built:
    """1/a by torchwright: so many Newton steps, or 0 for its own operation."""
    compiler, gated = import_module("torchwright.compiler"), import_module("torchwright.ops.swiglu")
    linear, nodes = import_module("torchwright.ops.linear"), import_module("torchwright.ops.inout_nodes")
    a = nodes.create_input("a", 1, value_range=(LOW, HIGH))
    inverse = nodes.create_literal_value(torch.tensor([START]))
    for _ in range(steps):
        inverse = gated.multiply(inverse, linear.add_const(linear.negate(gated.multiply(a, inverse)), 2.0))
    if not steps:
        inverse = gated.reciprocal(a, LOW, HIGH, step=(HIGH - LOW) / CHORDS)
    model = compiler.compile_headless(inverse, d=32, d_head=16, d_hidden=4 * CHORDS)
    parts = [part for layer in model.net.layers for part in (layer.attn.attn, *vars(layer.mlp).values())]
    found = [value for part in parts for value in getattr(part, "__dict__", {}).values()]
    return Built(
        lambda inputs: torch.as_tensor(inputs[:, None], dtype=torch.float32),
        model,
        lambda output: output.double().numpy().ravel(),
        [part.numpy() for part in found if isinstance(part, torch.Tensor)],
    )


def jobs() -> Iterator[tuple]:
    """Every job in every size: name, inputs, the answer in NumPy, and (package, note, compile) of those who do it."""
    generator = np.random.default_rng(0)

    def sides(build: Callable, length: int, *program) -> Iterator[tuple[str, str, Callable[[], Built]]]:
        yield "weightwright", "", partial(build, length)
        for exactness in (100, 10_000):
            yield "tracr", f"mlp_exactness={exactness}", partial(tracr, length, exactness, *program)

    for n in HISTOGRAM_LENGTHS:
        inputs = generator.integers(VALUES, size=(TRIALS, n))
        both = sides(histogram, n, "make_hist", 0, VALUES, True)
        yield f"causal histogram, length {n}", inputs, lambda x: np.tril(x[:, None] == x).sum(1), both
    for n in SORT_LENGTHS:
        inputs = [generator.permutation(2 * n)[:n] for _ in range(TRIALS)]
        yield f"sort, length {n}", inputs, np.sort, sides(sort, n, "make_sort_unique", 2, 2 * n, False)
    for k in NEWTON_STEPS:
        ways = (("weightwright", newton, k), ("torchwright", torchwright, k), ("torchwright", torchwright, 0))
        named = [(who, f"{m} steps" if m else "own operation", partial(build, m)) for who, build, m in ways]
        yield "reciprocal", generator.uniform(LOW, HIGH, (TRIALS, NUMBERS)), np.reciprocal, named


def measure(name: str, inputs: Iterable, truth: Callable, sides: Iterable) -> list[dict]:
    """The rows of one job."""
    measured, present = [], []
    for package, note, compiled in sides:
        measured.append(row := {"job": name, "package": package, "note": note})
        try:
            start, _, middle, built, end = clock(), compiled(), clock(), compiled(), clock()
        except ImportError:
            row["note"] = "not installed: pip install weightwright[compilers]"
            continue
        row["first compile, s"], row["next compile, s"] = middle - start, end - middle
        row["stored"], row["nonzero"] = (int(sum(map(f, built.weights))) for f in (np.size, np.count_nonzero))
        row["dense"], row["certified"] = built.dense or row["stored"], built.certified
        errors = [abs(built.decode(built.run(built.encode(x))) - truth(x)).max() for x in inputs]
        row["worst error"] = float(max(errors))
        present.append((row, partial(built.run, built.encode(inputs[0]))))
    times = np.median([[timeit(run, number=1) for _, run in present] for _ in range(RUNS)], axis=0).tolist()
    for (row, _), seconds in zip(present, times, strict=True):
        row |= {"forward, s": seconds, "forward, × ours": seconds / times[0]}
    return measured


def rows() -> list[dict]:
    """One record a job, size and package; a package that is not installed has a note instead of numbers."""
    torch.set_num_threads(1)
    return [row for job in jobs() for row in measure(*job)]


def main(out: Annotated[Path, typer.Option(help="Folder for compilers.json.")] = Path("reports")) -> None:
    """Measure, print a table, write the record."""
    found = rows()
    columns = list(found[0])[3:]
    table = Table("job", "package", *columns)
    for row in found:
        values = [row.get(column) for column in columns]
        texts = ["—" if x is None else f"{x:,}" if isinstance(x, int) else f"{x:.3g}" for x in values]
        table.add_row(row["job"], f"{row['package']} {row['note']}", *texts)
    Console(markup=False, width=max(Console().width, 150)).print(table)
    files.write(out / "compilers.json", json.dumps(found, indent=1))


if __name__ == "__main__":
    typer.run(main)
