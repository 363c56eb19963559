"""Conventions in words, for `elman interop` and its documentation."""

from __future__ import annotations

from elman.interop.convention import Array, Convention

LETTERS = {
    "weight_ih": "W_ih",
    "weight_hh": "W_hh",
    "bias_ih": "b_ih",
    "bias_hh": "b_hh",
    "weight_hr": "W_hr",
    "weight_peephole": "peepholes",
}
PADDING = {"repeat": "the last output again", "zero": "zeros", "read": "read on as if there were none", None: "-"}
EMPTY = {"initial": "the initial state", "zero": "zeros", "read": "as if all its padding were real", None: "-"}


def describe(convention: Convention) -> dict[str, str]:
    """A row of the table, by the names of its columns."""
    return {
        "convention": convention.name,
        "layer": layer(convention),
        "gates": " ".join(convention.gates),
        "matrices": matrices(convention),
        "biases": biases(convention),
        "besides": "; ".join(also(convention)) or "-",
        "state": ", ".join(convention.state),
        "outputs at padding": PADDING[convention.padding],
        "final state of an empty row": EMPTY[convention.empty],
        "measured with": convention.version,
    }


def layer(convention: Convention) -> str:
    """The layer of `elman.nn` with the option that is not the default.

    >>> from elman.interop import CONVENTIONS
    >>> layer(CONVENTIONS["haiku.GRU"]), layer(CONVENTIONS["keras.LSTM"])
    ('GRU(reset_after=False)', 'LSTM')
    """
    cell = convention.specification
    defaults = {option.name: option.default for option in cell.options}
    chosen = [f"{name}={value!r}" for name, value in convention.options.items() if value != defaults[name]]
    return cell.layer + (f"({', '.join(chosen)})" if chosen else "")


def matrices(convention: Convention) -> str:
    """The form of the matrices."""
    first = convention.arrays[0]
    x = "[x; h]" if "weight_hh" in first.fields else "x"
    order = "unit by unit" if convention.interleaved else "gate by gate"
    if first.gates is not None:
        order = "an array for each gate" if len(first.gates) == 1 else f"{first.gates} apart from the rest"
    return (f"{x} W" if convention.transposed else "W x") + f", {order}"


def biases(convention: Convention) -> str:
    """The number and the place of the biases.

    >>> from elman.interop import CONVENTIONS
    >>> [biases(CONVENTIONS[name]) for name in ("torch.GRU", "flax.linen.LSTMCell", "mlx.GRU")]
    ['b_ih and b_hh', 'b_hh', 'b_ih, and b_hh of n']
    """
    gates = {
        field: [gate for gate in convention.gates if (field, gate) in convention.held]
        for field in ("bias_ih", "bias_hh")
    }
    whole = [LETTERS[field] for field, some in gates.items() if len(some) == len(convention.gates)]
    parts = [
        f", and {LETTERS[f]} of {' '.join(some)}" for f, some in gates.items() if 0 < len(some) < len(convention.gates)
    ]
    return " and ".join(whole) + "".join(parts)


def also(convention: Convention) -> list[str]:
    """What else differs from torch.nn."""
    found = {
        "r before the product": convention.cell == "gru" and not convention.reset_after,
        "z for 1 - z": convention.update_writes,
        f"f's sum + {convention.forget_offset:g}": convention.forget_offset,
        f"c clipped to ±{convention.cell_clip or 0:g}": convention.cell_clip is not None,
        ", ".join(convention.activations): convention.activations,
    }
    return [words for words, there in found.items() if there]


def array_in_words(convention: Convention, array: Array) -> tuple[str, str, str]:
    """The full name, the shape and the contents of an array.

    >>> from elman.interop import CONVENTIONS
    >>> keras = CONVENTIONS["keras.GRU"]
    >>> array_in_words(keras, keras.arrays[2])
    ('cell.bias', '(2, 3H)', 'b_ih, b_hh of z r n; may be left out')
    """
    parts = convention.places(array)
    n = len(parts[0]) * (1 if array.stacked or array.fields[0] == "weight_ih" else len(parts))
    inputs = [{"weight_ih": "D", "weight_hh": "H", "weight_hr": "H"}.get(field, "") for field in array.fields]
    rows = "P" if array.fields == ("weight_hr",) else "H" if n == 1 else f"{n}H"
    shape = [rows, "+".join(inputs)] if inputs[0] else [str(len(parts)), rows] if array.stacked else [rows]
    if inputs[0] and convention.is_transposed(array):
        shape.reverse()
    naming = convention.namings[0]
    name = naming.forward.format(name=array.name, layer=0)
    if naming.is_split:
        name, shape = array.name, ["1 or 2", *shape]
    gates = f" of {' '.join(gate for _, gate in parts[0])}" if parts[0][0][1] else ""
    contents = ", ".join(LETTERS[field] for field in array.fields) + gates
    return (
        name,
        f"({', '.join(shape)}{',' if len(shape) == 1 else ''})",
        contents + "; may be left out" * array.optional,
    )


def names_in_words(convention: Convention) -> str:
    """How names are made of those in the convention, written NAME, in one direction and in both.

    >>> from elman.interop import CONVENTIONS
    >>> names_in_words(CONVENTIONS["keras.GRU"]), names_in_words(CONVENTIONS["haiku.LSTM"])
    ('cell.NAME; in both directions forward_layer.cell.NAME, backward_layer.cell.NAME', 'NAME')
    """
    naming = convention.namings[0]
    if naming.is_split:
        return "NAME, whose first axis has the directions"
    both = f"; in both directions {', '.join(naming.both)}" if naming.both else ""
    return (naming.forward + both).replace("{name}", "NAME").replace("{layer}", "LAYER")
