"""Check a certificate from its file alone: python check_certificate.py FILE. Needs NumPy and python-flint, nothing of ours.

layers    L, M, D, D' and |||θ|||; each register has one writer, inputs none; blocks tell all that layers read and write
gates     a head that is to see its own token alone scores ≤ 0 at all earlier ones, for every admissible history
errors    what errors of a block's inputs become in its output, from its weights and the sizes of its inputs
bound     own + carried = total for each block, and the certificate from the output's total; nothing reaches the clip radius
outputs   in ball arithmetic on the file's histories, to 25 digits, and how far from what it says of the true algorithm
What is not derived here must stand in the file's list of what is trusted, and is printed: it is for proofs to say.
"""

import itertools
import json
import math
import sys
from collections import defaultdict
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
from flint import arb, ctx

FORMAT = "weightwright certificate 1"
number = float.fromhex
ROOM = 1 + 1e-12  # for float64's rounding of a few sums and products of bounds


def need(true, what):
    """Refuse the file unless something is true."""
    if not true:
        raise ValueError(what)


def matrix(entries, rows, columns):
    """A sparse matrix, (row, column, weight): each place once, inside, and not 0."""
    found = tuple((row, column, number(weight)) for row, column, weight in entries)
    inside = all(row in rows and column in columns and weight for row, column, weight in found)
    need(inside and len({entry[:2] for entry in found}) == len(found), "matrix: an entry twice, outside or 0")
    return found


def times(entries, stream):
    """A sparse matrix times balls: {row: array}."""
    found = {}
    for row, column, weight in entries:
        found[row] = stream[column] * arb(weight) + found.get(row, 0)
    return found


class Layer:
    """A stored layer: heads (query, key, value), W1 and W2, all sparse; the rows of a value are entries of the stream."""

    def __init__(self, record, width):
        self.repeat, self.neurons = record["repeat"], record["neurons"]
        self.softmax, every, units = record["attention"] == "softmax", range(width), range(self.neurons)
        self.heads = [[matrix(part, every, every) for part in head] for head in record["heads"]]
        self.first, self.second = matrix(record["W1"], units, every), matrix(record["W2"], every, units)
        self.parts = [*(part for head in self.heads for part in head), self.first, self.second]

    def run(self, stream):
        """Attention, then MLP, on balls of shape (width, tokens)."""
        moved = stream.copy()
        for head in self.heads:
            q, k, v = (times(part, stream) for part in head)
            for i in range(stream.shape[1]):
                scores = [sum((q[r][i] * k[r][j] for r in q if r in k), arb(0)) for j in range(i + 1)]
                shares = [x.exp() if self.softmax else x.nonnegative_part() for x in scores]
                total = sum(shares) if self.softmax else i + 1
                for j, to in ((j, to) for j in range(i + 1) if not shares[j].is_zero() for to in v):
                    moved[to, i] += shares[j] * v[to][j] / total
        for neuron, row in (hidden := times(self.first, moved)).items():
            hidden[neuron] = np.array([ball.nonnegative_part() for ball in row])
        for to, row in times([entry for entry in self.second if entry[1] in hidden], hidden).items():
            moved[to] += row
        return moved


class Certificate:
    """The file: layers, registers as ranges of stream entries, and the claims as they stand there."""

    def __init__(self, record):
        need(record["format"] == FORMAT, f"format: wanted {FORMAT}")
        self.sizes, self.said, self.blocks = record["sizes"], record["statement"], record["blocks"]
        self.longest, self.radius = record["longest"], number(record["clip_radius"])
        self.layers = [Layer(layer, self.sizes["width"]) for layer in record["layers"]]
        self.ends = list(itertools.accumulate(layer.repeat for layer in self.layers))
        self.registers = {name: range(at, at + size) for name, (at, size) in record["registers"].items()}
        self.owner = {entry: name for name, entries in self.registers.items() for entry in entries}
        need(sorted(self.entries(self.registers)) == [*range(self.sizes["width"])], "registers: not all once")
        self.power = dict(zip(self.registers["position"], (1, 2, 0), strict=True))  # i, i² and 1
        self.at = {e: (self.power.get(e, 0), () if e in self.power else (e,)) for e in self.owner}
        self.maker = {name: block for block in self.blocks for name in block["output"]}
        self.inputs = {*self.registers}.difference(*(block["writes"] for block in self.blocks))

    def entries(self, names):
        """The stream entries of registers, side by side."""
        return [entry for name in names for entry in self.registers[name]]


@cache
def operator_norm(entries):
    """The largest singular value."""
    row, column = (np.unique([entry[n] for entry in entries], return_inverse=True)[1] for n in (0, 1))
    a = np.zeros((row.max(initial=0) + 1, column.max(initial=0) + 1))
    a[row, column] = [weight for *_, weight in entries]
    return np.linalg.norm(a, 2)


def check_layers(c):
    """L, M, D, D' and |||θ|||; who reads and writes what, attention by attention and MLP by MLP."""
    once, norm = len(c.registers) - len(c.inputs) == sum(len(block["writes"]) for block in c.blocks), 0.0
    need(once and "position" in c.inputs, "flow: a register has two writers, or the position one")
    for end, x in zip(c.ends, c.layers, strict=True):
        q, k, v = ([operator_norm(head[n]) for head in x.heads] for n in range(3))
        norm = max(norm, max([0, *q, *k]) + sum(v) + operator_norm(x.first) + operator_norm(x.second))
        attention, mlp = (2 * end - 1, x.parts[:-2], x.parts[2:-2:3]), (2 * end, [x.first], [x.second])
        for step, reads, writes in (attention, mlp):
            here = [block for block in c.blocks if block["first"] <= step <= block["last"]]
            reads, writes = {e for p in reads for _, e, _ in p}, {e for p in writes for e, *_ in p}
            for what, entries in (("reads", reads), ("writes", writes)):
                left = {c.owner[e] for e in entries}.difference(*(block[what] for block in here))
                need(not left, f"flow: no block {what} {', '.join(left)} in layer {end}")
    found = {"layers": c.ends[-1], "heads": max(len(x.heads) for x in c.layers), "width": len(c.owner)}
    found |= {"hidden": max(x.neurons for x in c.layers), "norm": c.sizes["norm"]}
    need(c.sizes == found and abs(norm - number(found["norm"])) <= 1e-9 * norm, f"sizes: {found}, {norm}")


class Inputs:
    """The vectors that a block tells as its inputs: which entry belongs to which, their sizes and errors."""

    def __init__(self, c, block):
        self.vector, self.error = {entry: entry for entry in c.power}, dict.fromkeys(c.power, 0.0)
        self.size = {entry: float(c.longest**power) for entry, power in c.power.items()}
        for n, told in enumerate(block["inputs"]):
            start, length = told["entries"]
            for entry in range(start, start + length):
                name = self.vector[entry] = n, (entry - start) * told["groups"] // length
                self.size[name], self.error[name] = number(told["size"]), number(told["error"])

    def bounds(self, terms, owner):
        """Of Σ coefficient · Π entries, {(target, entries): coefficient}: the largest error and size of a vector."""
        tensors, error, size = defaultdict(dict), defaultdict(float), defaultdict(float)
        if any(e not in self.vector for _, entries in terms for e in entries):
            return math.inf, math.inf
        for (to, entries), coefficient in terms.items():
            tensors[owner[to], tuple(self.vector[e] for e in entries)][to, *entries] = coefficient
        for (to, names), tensor in tensors.items():
            norm = ROOM * min(spectral(tensor, n) for n in range(len(names) + 1))
            size[to] += norm * math.prod(self.size[name] for name in names)
            for n, name in enumerate(names):
                rest = math.prod(self.size[other] for other in names[:n] + names[n + 1 :])
                error[to] += norm * rest * self.error[name]
        return max(error.values(), default=0.0), max(size.values(), default=0.0)


def spectral(tensor, n):
    """Bound on a tensor's norm, its axis n against the others: the root of largest row sum times largest column sum."""
    rows, columns = defaultdict(float), defaultdict(float)
    for place, weight in tensor.items():
        rows[place[n]] += weight
        columns[place[:n] + place[n + 1 :]] += weight
    return math.sqrt(max(rows.values()) * max(columns.values()))


def score(c, query, key, _):
    """A score multiplied out, of (((power of i, of j), (entries at i, at j)), coefficient); positions are powers."""
    found = defaultdict(Fraction)
    for row, a, weight in query:
        for b, factor in ((b, Fraction(factor)) for other, b, factor in key if other == row):
            found[*zip(c.at[a], c.at[b], strict=True)] += Fraction(weight) * factor
    return frozenset(found.items())


@cache
def silence(most, terms):
    """What the rest of a score may come to, the head staying closed at earlier tokens: the least −P(i, j), j < i ≤ N."""
    alone = [(*powers, weight) for (powers, entries), weight in terms if not any(entries)]
    rooms = (-sum(w * i**p * j**q for p, q, w in alone) for i in range(most + 1) for j in range(1, i))
    return min(rooms, default=10**300)


def closed(c, inputs, head):
    """Whether a head sees its own token alone, by the sizes of what it reads."""
    rest = defaultdict(float)
    for (powers, (a, b)), weight in score(c, *head):
        rest["", a + b] += float(abs(weight)) * c.longest ** sum(powers) * bool(a + b)
    return inputs.bounds(rest, {"": ""})[1] <= silence(c.longest, score(c, *head))


def carried(c, block):
    """What errors of a block's inputs come to at most, by the Σ relu(s) v that its step adds; infinite where not told."""
    output, own, inputs = c.entries(block["output"]), {*c.entries(block["writes"])}, Inputs(c, block)
    owner = {entry: n * block["groups"] // len(output) for n, entry in enumerate(output)}
    layer, odd = c.layers[sum(2 * end < block["first"] for end in c.ends)], block["first"] % 2
    rows = defaultdict(lambda: defaultdict(float))
    for neuron, entry, weight in layer.first:
        rows[neuron][c.at[entry]] += weight
    units = [(rows[n], {(to, 0, ()): w}) for to, n, w in layer.second if to in own and not odd]
    heads = [head for head in layer.heads if own & {to for to, *_ in head[2]} and odd]
    own_tokens = all(closed(c, inputs, head) and not layer.softmax for head in heads)
    if block["first"] != block["last"] or not own_tokens:
        return math.inf
    for head in heads:
        units.append((defaultdict(float), {(to, *c.at[entry]): weight for to, entry, weight in head[2]}))
        for (powers, (a, b)), weight in score(c, *head):
            units[-1][0][sum(powers), a + b] += weight
    alone, terms = set(), defaultdict(float)
    for unit in units:
        plus, minus = (frozenset((at, f * w) for x in unit for at, w in x.items() if w) for f in (1, -1))
        pairs = itertools.product(*(x.items() for x in unit)) if minus not in alone else ()
        for ((power, entries), weight), ((to, more, entry), factor) in pairs:
            if to in owner and weight:
                largest = c.longest ** max(power + more - odd, 0)  # attention divides by i
                terms[to, entries + entry] += float(abs(weight)) * abs(factor) * largest
        alone ^= {minus if minus in alone else plus}  # relu(s) v + relu(−s) (−v) = s v, and one moves less
    return inputs.bounds(terms, owner)[0]


def of_block(c, block):
    """{obligation: (whether it is derived, in words)} of one block."""
    found, error, name = {}, dict.fromkeys(c.inputs, 0.0), block["name"]
    own, more, total = (number(block[part]) for part in ("own", "carried", "total"))
    need(abs(own + more - total) <= 1e-12 * total and min(own, more) >= 0, f"bound: {name} is not {total:g}")
    for n, m, told in block["gates"]:
        head, text = c.layers[n].heads[m], f"heads see their own token alone, scores within {number(told):g}"
        need(silence(c.longest, score(c, *head)) >= number(told), f"gates: {name}: {n}, {m}: not so: {text}")
        found[f"gate {n} {m}"] = closed(c, Inputs(c, block), head), text
    for maker in (maker for maker in c.blocks if maker["last"] < block["first"]):
        error |= dict.fromkeys(maker["output"], number(maker["total"]))
    exact = all(error.get(register) == 0 for register in {*block["reads"]} - {*block["writes"]})
    found["carried"] = exact or carried(c, block) <= more * ROOM, f"errors of inputs add {more:.3g} at most"
    found["own"] = own == 0, f"its own error is at most {own:.3g}: {block['source']}"
    for told in block["inputs"]:
        (start, length), near, size = told["entries"], number(told["error"]), number(told["size"])
        register, maker = c.owner[start], c.maker.get(c.owner[start])
        made, long = c.entries(maker["output"]) if maker else [start], length // told["groups"]
        whole = not maker or made.index(start) % long == len(made) // maker["groups"] % long == 0
        known = error.get(register, math.inf) <= near * ROOM * whole  # each vector lies in one of the maker's
        found[f"error {told['entries']}"] = known, f"{register} is within {near:.3g} of what is meant"
        found[f"size {told['entries']}"] = False, f"vectors of {register} are within {size:.6g}"
    return {f"{name}: {key}": (known, f"{name}: {text}") for key, (known, text) in found.items()}


def obligations(c):
    """{obligation: (whether it is derived, in words)}; totals, clip radius and certificate are held to one another."""
    found = {key: value for block in c.blocks for key, value in of_block(c, block).items()}
    most = math.hypot(c.longest, c.longest**2, *(number(block["magnitude"]) for block in c.blocks))
    need(most <= c.radius, f"bound: tokens may be as large as {most:g}, and are clipped at {c.radius:g}")
    certificate, asked = number(c.said["certificate"]), c.said["asked"]
    need(asked is None or certificate <= number(asked), "bound: the certificate is above what was asked for")
    most = max(number(c.maker[name]["total"]) for name in c.said["output"])
    text = f"{c.said['of']} are within {certificate:.6g}, where the output is within {most:.6g}"
    most *= 2 if c.said["of"] == "log-probabilities" else 1  # log softmax may double an error
    return found | {"certificate": (most <= certificate * ROOM <= most * (1 + 1e-9), text)}


def check_history(c, told):
    """Run the transformer; the largest error, if the file tells what the true algorithm does."""
    stream = np.array([[arb(number(x)) for x in row] for row in told["tokens"]], dtype=object).T
    for n, layer in enumerate([None, *(x for x in c.layers for _ in range(x.repeat))]):
        stream = layer.run(stream) if layer else stream
        need((stream.astype(float) ** 2).sum(0).max() <= c.radius**2, f"history: layer {n} is clipped")
    worst, policy, floor = 0.0, c.said["of"] == "log-probabilities", number(c.said["floor"])
    rows = stream[c.entries(c.said["output"])][:, told["states"]].T
    for row, texts, trues in zip(rows, told["output"], told["truth"] or told["output"], strict=True):
        total = sum((x.exp() for x in row), arb(0)).log()
        for x, text, true in zip(row - total if policy else row, texts, map(arb, trues), strict=True):
            need(abs(x - arb(text)) < arb("1e-25") * (1 + abs(x)), f"history: not the output, {text}")
            if not (policy and true.exp() < floor):
                worst = max(worst, float((true - x if c.said["one_sided"] else abs(true - x)).upper()))
    need(worst <= number(c.said["certificate"]) + 1e-25, f"history: an error of {worst:g} is too large")
    return worst


def check(record):
    """Obligations, each with whether it is derived and in words, and the largest error on each history; or a refusal."""
    check_layers(c := Certificate(record))
    found = obligations(c)
    for key, (derived, text) in found.items():
        need(derived or key in record["trusted"], f"not derived: {text}")
    with ctx.workprec(256 + 4 * c.ends[-1]):
        return found, [check_history(c, told) for told in record["histories"]]


def main(path):
    """Check a file, and tell what was found."""
    try:
        found, worst = check(record := json.loads(Path(path).read_text(encoding="utf-8")))
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        return print(f"refused: {type(error).__name__}: {error}") or 1
    trusted = dict.fromkeys(text for known, text in found.values() if not known)
    text = f"{len(worst)} histories within {max(worst, default=0):.3g}; trusted, of {len(found)} obligations:"
    print(record["kind"], record["spec"], record["sizes"], record["statement"], text, *trusted, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 2 else __doc__)
