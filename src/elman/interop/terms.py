"""The terms of a step that conventions write differently: the sign of z, an offset of f, and the place of biases."""

from __future__ import annotations

import numpy as np

from elman.errors import UserError
from elman.interop.blocks import Blocks
from elman.interop.convention import Convention

BIASES = ("bias_ih", "bias_hh")


def to_ours(convention: Convention, blocks: Blocks) -> Blocks:
    """The blocks in elman's convention, with both biases or none; exact in every bit, and `to_theirs` undoes it.

    An offset goes to the bias that the framework does not have, so that no weight is rounded.
    """
    blocks = _turned(convention, blocks)
    if not convention.forget_offset and not any(field in BIASES for field, _ in blocks):
        return blocks
    blocks = _zeros(convention, blocks) | blocks
    if convention.forget_offset:
        free = next((field for field in BIASES[::-1] if (field, "f") not in convention.held), "bias_hh")
        blocks[free, "f"] = blocks[free, "f"] + np.asarray(convention.forget_offset, blocks[free, "f"].dtype)
    return blocks


def to_theirs(convention: Convention, blocks: Blocks, suffix: str) -> tuple[Blocks, list[str]]:
    """The blocks in the framework's convention, and in words what was folded; `suffix` ends the names of parameters.

    Raises:
        UserError: the framework has no place for a bias.
    """
    folds = []
    biases = [array for array in convention.arrays if array.fields[0] in BIASES]
    if not any(field in BIASES for field, _ in blocks):
        if all(array.optional for array in biases) and not convention.forget_offset:
            return _turned(convention, blocks), []
        blocks = _zeros(convention, blocks) | blocks
        folds.append(f"bias_ih{suffix} and bias_hh{suffix}, which the layer does not have, are taken for zeros")
    found, added = dict(blocks), dict[tuple[str, str], list[str]]()
    for gate in convention.gates:
        own, other = sorted(BIASES, key=lambda field: (field, gate) not in convention.held)
        rest = found[other, gate]
        if gate == "f" and convention.forget_offset:
            rest = rest - np.asarray(convention.forget_offset, rest.dtype)
        if (other, gate) in convention.held:
            found[other, gate] = rest
            continue
        del found[other, gate]
        if rest.any():
            if convention.cell == "gru" and convention.reset_after and gate == "n":
                what = f"{convention.name} has one bias of n, and the reset gate acts on {BIASES[1]}{suffix} alone"
                raise UserError(what, expected=f"zeros in {other}{suffix} of n", got="other numbers")
            found[own, gate] = found[own, gate] + rest
            added.setdefault((other, own), []).append(gate)
    for (other, own), gates in added.items():
        folds.append(f"{other}{suffix} of {', '.join(gates)} is added to {own}{suffix}")
    return _turned(convention, found), folds


def _turned(convention: Convention, blocks: Blocks) -> Blocks:
    """With z for 1 - z, where the framework's z is elman's 1 - z: sigmoid(-a) = 1 - sigmoid(a)."""
    if not convention.update_writes:
        return blocks
    return {(field, gate): -block if gate == "z" else block for (field, gate), block in blocks.items()}


def _zeros(convention: Convention, blocks: Blocks) -> Blocks:
    """Zeros for every bias."""
    like = blocks["weight_ih", convention.gates[0]]
    return {(field, gate): np.zeros(len(like), like.dtype) for field in BIASES for gate in convention.gates}
