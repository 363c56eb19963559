"""Stores whole models of Keras as files, and beside each what Keras computes of inputs with masks of every form.

    KERAS_BACKEND=jax python tests/interop/record_keras_models.py [-o FOLDER]

NAME.keras or NAME.h5 is a file that Keras wrote, and NAME.npz has the inputs `x` and the outputs `y` of one call. Rows
of inputs are masked nowhere, on the right, on the left, in holes, and everywhere; all weights are drawn, biases too.
This script needs NumPy and Keras alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from pathlib import Path

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
from keras import layers as k

HERE = Path(__file__).parent / "recorded" / "keras_models"
V, D, T = 7, 3, 6
ROWS = ("314156", "265300", "000412", "102003", "040600", "000000", "500000")
TOKENS = np.array([[int(token) for token in row] for row in ROWS], np.int32)


def of_tokens(*layers, masked=True):
    return keras.Sequential([k.Input((None,), dtype="int32"), k.Embedding(V, D, mask_zero=masked), *layers])


def of_values(*layers):
    return keras.Sequential([k.Input((None, D)), k.Masking(0.5), *layers])


def cells():
    seq = {"return_sequences": True}
    return of_tokens(
        k.LSTM(4, name="encoder", dropout=0.1, **seq),
        k.GRU(3, **seq),
        k.GRU(4, reset_after=False, **seq),
        k.SimpleRNN(3, use_bias=False),
        k.Dense(3, activation="softmax"),
    )


def directions():
    seq = {"return_sequences": True}
    return of_tokens(
        k.Bidirectional(k.GRU(2, **seq)),
        k.SimpleRNN(3, activation="relu", **seq),
        k.Bidirectional(k.LSTM(3), "sum"),
        k.Dense(2),
    )


def tagger():
    both = k.Bidirectional(k.LSTM(3, return_sequences=True, recurrent_dropout=0.1, dropout=0.2), merge_mode="concat")
    return of_tokens(k.SpatialDropout1D(0.2), both, k.Dropout(0.5), k.TimeDistributed(k.Dense(4, activation="softmax")))


def merges():
    """Masks that a Functional model computes by operations of their own, and that join."""
    seq, inputs = {"return_sequences": True}, k.Input((None,), dtype="int32", name="words")
    x = k.Embedding(V, D, mask_zero=True)(inputs)
    parts = [k.Bidirectional(k.SimpleRNN(2, **seq), "mul")(x), k.GRU(2, **seq)(x)]
    joined = k.Concatenate()([*parts, k.Add()(parts), k.Multiply()(parts), k.Average()(parts)])
    return keras.Model(inputs, k.SimpleRNN(2, **seq)(joined))


def half_masked():
    """A mask ends where it meets a value without one."""
    inputs = k.Input((None,), dtype="int32")
    masked, plain = k.Embedding(V, 2, mask_zero=True)(inputs), k.Embedding(V, 2)(inputs)
    both = k.Concatenate()([k.SimpleRNN(2, return_sequences=True)(masked), plain])
    return keras.Model(inputs, k.Bidirectional(k.SimpleRNN(2), merge_mode="ave")(both))


def backward():
    inputs = k.Input((None,), dtype="int32")
    x = k.Embedding(V, D, mask_zero=True)(inputs)
    read = k.LSTM(2, go_backwards=True, return_sequences=True, name="back")(x)
    parts = [
        read,
        k.GRU(2, return_sequences=True)(read),
        k.LSTM(2, return_sequences=True, zero_output_for_mask=True)(x),
    ]
    return keras.Model(inputs, k.Concatenate()(parts))


def zeros_for_masked():
    return of_tokens(
        k.GRU(3, return_sequences=True, zero_output_for_mask=True), k.LSTM(4, zero_output_for_mask=True), k.Dense(1)
    )


def two_classes():
    """A backward layer of another class, and of another merge."""
    pair = k.Bidirectional(
        k.LSTM(3, return_sequences=True), backward_layer=k.GRU(3, return_sequences=True, go_backwards=True)
    )
    last = k.Bidirectional(k.GRU(2), backward_layer=k.SimpleRNN(2, go_backwards=True), merge_mode="sum")
    return of_tokens(pair, last, k.Dense(2, activation="sigmoid"))


def values():
    return of_values(
        k.Dense(4, activation="tanh"),
        k.LayerNormalization(),
        k.LSTM(3, return_sequences=True),
        k.BatchNormalization(),
        k.LeakyReLU(0.1),
        k.LayerNormalization(center=False, epsilon=1e-5),
        k.Activation("hard_sigmoid"),
        k.GlobalAveragePooling1D(),
        k.Dense(2),
    )


def greatest():
    return of_values(
        k.GRU(4, return_sequences=True), k.GlobalMaxPooling1D(), k.Dense(3, "elu", use_bias=False), k.Softmax()
    )


def nested():
    inner = keras.Sequential(
        [k.LSTM(3, return_sequences=True), k.Dense(2, activation="gelu", name="inner_dense")], name="inner"
    )
    return of_tokens(inner, k.GRU(3), k.Dense(2, name="head"), k.Activation("softmax"))


def language_model():
    return of_tokens(k.LSTM(4, return_sequences=True), k.Dense(V), masked=False)


MODELS = {
    "cells": cells, "directions": directions, "tagger": tagger, "merges": merges, "half_masked": half_masked,
    "backward": backward, "zeros_for_masked": zeros_for_masked, "two_classes": two_classes, "values": values,
    "greatest": greatest, "nested": nested, "language_model": language_model,
}  # fmt: skip
LEGACY = ("cells", "half_masked", "values", "nested")


def inputs_for(model, random):
    if "int" in model.inputs[0].dtype:
        return TOKENS
    x = random.standard_normal((*TOKENS.shape, D)).astype(np.float32)
    x[TOKENS == 0] = 0.5
    x[0, 0, 1] = 0.5  # one number of a step alone masks nothing
    return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=HERE)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, make in MODELS.items():
        keras.utils.set_random_seed(1)
        keras.backend.clear_session()
        random, model = np.random.default_rng(zlib.crc32(name.encode())), make()
        for weight in model.weights:
            drawn = random.standard_normal(weight.shape) * 0.6
            weight.assign(np.abs(drawn) + 0.3 if "variance" in weight.path else drawn)
        if name == "language_model":
            model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        x = inputs_for(model, random)
        y = np.asarray(model(x))
        # An average of a row without steps is NaN in Keras.
        assert np.isfinite(np.delete(y, 5, 0)).all(), name
        np.savez_compressed(out / f"{name}.npz", x=x, y=y, version=keras.__version__)
        for end in (".keras", ".h5")[: 1 + (name in LEGACY)]:
            model.save(out / f"{name}{end}")
            print(f"{name}{end}", (out / f"{name}{end}").stat().st_size, y.shape, file=sys.stderr)


if __name__ == "__main__":
    main()
