"""The microscope: the memory of a sequence model, the reach of its gradients, the places of its attention.

One idea a file, each a few pure functions that return small frozen dataclasses of numpy arrays. `elman inspect` draws
them. They take a model of the state contract and tokens, or any torch module that holds recurrent layers or attention
of `elman.nn` or `torch.nn`; `read` then says how the module is called.

>>> import elman
>>> from elman import lens
>>> run = elman.load("runs/demo")
>>> tokens = run.tokenizer.encode("the cat sat on the mat. ")
>>> [visit] = lens.visit_layers(run.model, lambda: run.model(tokens[None]))
>>> gates = lens.read_gates(visit)
>>> gates.layer, gates.time_scale.shape  # how many steps each unit remembers
('layer 1', (32,))
>>> flow = lens.gradient_flow(run.model, tokens[None, :-1], tokens[-1:])
>>> flow.input.norms.shape  # the gradient of the last prediction by each input before it
(23, 1)
"""

from elman.lens.activity import gates_of_unit, most_active, states_of
from elman.lens.attention import (
    AttentionScores,
    HeadScores,
    attention_weights,
    induction_scores,
    previous_token_scores,
    score_attention,
    steps_seen,
    window_lags,
)
from elman.lens.clipping import ClippingHistory, clipping_history, cosine_after_clipping
from elman.lens.decay import Decay, fit_decay
from elman.lens.gates import LayerGates, read_gates
from elman.lens.gradient_flow import Flow, GradientFlow, gradient_flow
from elman.lens.intervention import Intervention, check_interventions, hold, interventions
from elman.lens.jacobian import StepJacobian, step_jacobian
from elman.lens.jacobian_product import JacobianProduct, jacobian_product
from elman.lens.places import HoldablePlace, places
from elman.lens.source import AlignmentScores, loss_gradients, score_alignment, source_gradients
from elman.lens.tracking import Tracker, path_in_plane, text_features, track
from elman.lens.truncation import Truncation, truncation
from elman.lens.visit import LayerVisit, visit_layers

__all__ = [
    "AlignmentScores",
    "AttentionScores",
    "ClippingHistory",
    "Decay",
    "Flow",
    "GradientFlow",
    "HeadScores",
    "HoldablePlace",
    "Intervention",
    "JacobianProduct",
    "LayerGates",
    "LayerVisit",
    "StepJacobian",
    "Tracker",
    "Truncation",
    "attention_weights",
    "check_interventions",
    "clipping_history",
    "cosine_after_clipping",
    "fit_decay",
    "gates_of_unit",
    "gradient_flow",
    "hold",
    "induction_scores",
    "interventions",
    "jacobian_product",
    "loss_gradients",
    "most_active",
    "path_in_plane",
    "places",
    "previous_token_scores",
    "read_gates",
    "score_alignment",
    "score_attention",
    "source_gradients",
    "states_of",
    "step_jacobian",
    "steps_seen",
    "text_features",
    "track",
    "truncation",
    "visit_layers",
    "window_lags",
]
