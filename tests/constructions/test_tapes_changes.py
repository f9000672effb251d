"""Tapes of which only what has changed is worked out hold what they hold when all is worked out."""

import numpy as np
import pytest

from constructions.tapes import changes, machine_code
from constructions.tapes import compiled as machine
from constructions.tapes.crowds import Table
from constructions.tapes.deck import Deck
from constructions.tapes.levels import level
from constructions.tapes.tape import Tape

GIVEN, FACTORS = 7, 3
FEW = np.array([0.0, 0.0, 1.0, -2.0, 0.5])
"""Numbers of few digits: sums of them are exact in any order."""


HEADS = {"place": "here", "token": 0, "tokens": 1, "heads": 2, "common": True, "cap": 1e300}
"""Two heads that look back at one token, their own."""

NOBODY = Table(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0), np.zeros((0, 1)))


def drawn(chance: np.random.Generator) -> tuple[Tape, np.ndarray]:
    """A tape: sums, products, bends, matrices and heads on what stands before, and where what is given stands."""
    tape = Tape()
    given = tape.new(GIVEN)
    known = [given]
    for n in range(8):
        slots = np.concatenate(known)
        count = int(chance.integers(1, 90))
        rows = np.sort(chance.integers(0, count, 2 * count))
        left, right = chance.choice(slots, (2, 2 * count))
        if chance.random() < 0.5:
            factors = chance.integers(0, FACTORS, 2 * count)
            known.append(tape.sum(rows, left, chance.choice(FEW, 2 * count), factors, count))
        else:
            known.append(tape.products(rows, left, right, count))
        known.append(tape.relu(chance.choice(slots, 5)))
        turned = bool(chance.integers(2))
        few = chance.choice(slots, 6), chance.choice(slots, 12)
        known.append(tape.matrices(few[0], 2, few[1], 4 if turned else 3, turned))
        known[-1] = known[-1][known[-1] > 0]
        if n == 3:
            query, keys, gates, values = chance.choice(slots, (4, 2))
            known.append(tape.crowd(query, keys, gates, values, 2, **HEADS))
    return tape, level(tape)[given]


@pytest.mark.parametrize("seed", range(6))
def test_what_changes_is_all_that_has_to_be_worked_out(seed, monkeypatch):
    monkeypatch.setattr(machine, "LARGE", 0)
    chance = np.random.default_rng(seed)
    tape, given = drawn(chance)
    factors = np.ones(FACTORS)
    some = Deck(tape.operations, tape.size, factors, 1, machine)
    for _ in range(40):
        which = chance.random(GIVEN) < chance.choice([0.0, 0.2, 1.0])
        some.slots[given[which]] = chance.choice(FEW, which.sum())
        factors[1:] = chance.choice(FEW, FACTORS - 1) if chance.random() < 0.5 else factors[1:]
        some.crowds.begin({"here": NOBODY})
        some.play()
        every = Deck(tape.operations, tape.size, factors, 1)
        every.slots[given] = some.slots[given]
        every.crowds.begin({"here": NOBODY})
        every.play()
        np.testing.assert_array_equal(some.slots, every.slots)


def test_what_has_not_changed_is_not_worked_out(monkeypatch):
    """A number that somebody else has written stays until what it is made of changes."""
    tape = Tape()
    given, none = tape.new(2), np.zeros(1, np.int64)
    out = tape.sum(none, given[[0]], [3.0], none, 1), tape.sum(none, given[[1]], [5.0], none, 1)
    place = level(tape)
    (first,), (second,) = place[out[0]], place[out[1]]
    monkeypatch.setattr(machine, "LARGE", 0)
    deck = Deck(tape.operations, tape.size, np.ones(1), 1, machine)
    deck.slots[place[given]] = [1.0, 1.0]
    deck.play()
    assert deck.slots[[first, second]].tolist() == [3.0, 5.0]
    deck.slots[[first, second]], deck.slots[place[given[0]]] = [70.0, 70.0], 2.0
    deck.play()
    assert deck.slots[[first, second]].tolist() == [6.0, 70.0]


def test_what_is_marked_goes_by_the_size_of_a_tape():
    tape = Tape()
    given, none = tape.new(1), np.zeros(1, np.int64)
    tape.sum(none, given, [3.0], none, 1)
    level(tape)
    deck = Deck(tape.operations, tape.size, np.ones(1), 1, machine)
    assert [call for call, _ in deck.calls] == [machine_code.play]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "LARGE", 0)
        deck = Deck(tape.operations, tape.size, np.ones(1), 1, machine)
    assert [call for call, _ in deck.calls] == [changes.notice, changes.notice, changes.play]
