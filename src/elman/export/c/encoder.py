"""An encoder's step in C."""

from __future__ import annotations

from elman.errors import UserError
from elman.export.c.layers import Stack, stack
from elman.export.c.source import CSource
from elman.models.encoder import RecurrentEncoder
from elman.models.sequence_encoder import SequenceEncoder


def check_encoder(encoder: SequenceEncoder) -> RecurrentEncoder:
    """The encoder, if it is recurrent and reads in one direction. Raises `UserError` for others."""
    if not isinstance(encoder, RecurrentEncoder):
        what = "this model is a Transformer, whose memory grows with every step: C is for recurrent models"
        raise UserError(what, remedy="export --to onnx, or train --model lstm")
    if not encoder.causal:
        what = "this model reads in both directions: it needs the whole sequence, and takes no steps in C"
        raise UserError(what, remedy=f"train one with --set {encoder.one_directional}, or export --to onnx")
    return encoder


def encoder_stack(source: CSource, encoder: SequenceEncoder) -> Stack:
    """The layers of an encoder. Raises `UserError` for an encoder that takes no steps, or is no recurrent one."""
    own = check_encoder(encoder)
    return stack(source, own.layers, residual=own.settings.residual)
