"""How a tagger depends on the words of a sentence, by gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from elman.arrays import Floats
from elman.lens.observe import differentiable, evaluating, from_vectors
from elman.models.layered_tagger import LayeredTagger
from elman.models.tagger import Tagger


def tag_gradients(model: Tagger, words: Tensor, spelling: Tensor, characters: Tensor) -> tuple[Floats, list[int]]:
    """How much each tag depends on each word of a sentence: ‖∂ log softmax(scores_t)[y_t] / ∂x_s‖ (T, T), and y (T,).

    words (T,), spelled as the rows `spelling` (T,) of characters (U, C). x_s is what the encoder reads of word s, and y
    the best tags. With a CRF, these are the gradients of what it is given: its search weighs the neighbours beside.
    """
    with evaluating(model, constant=True), torch.enable_grad(), differentiable():
        x, scores = _scores(model, words, spelling, characters)
        best = model.best(scores.detach(), torch.tensor([len(words)], device=x.device))[0]
        chosen = scores[0].log_softmax(-1).gather(1, best[:, None])[:, 0]
        norms = [torch.autograd.grad(one, x, retain_graph=True)[0].norm(dim=-1)[0] for one in chosen]
        return torch.stack(norms).double().cpu().numpy(), best.tolist()


def loss_gradients_of_words(
    model: Tagger, words: Tensor, spelling: Tensor, characters: Tensor, targets: Tensor
) -> Floats:
    """‖∂L / ∂x_s‖ (T,) of the loss L = −log p(targets) of a sentence; the arguments are those of `tag_gradients`."""
    with evaluating(model, constant=True), torch.enable_grad(), differentiable():
        x, scores = _scores(model, words, spelling, characters)
        loss = model.nats(scores, targets[None], torch.tensor([len(words)], device=x.device)).sum()
        return torch.autograd.grad(loss, x)[0][0].norm(dim=-1).double().cpu().numpy()


def _scores(model: Tagger, words: Tensor, spelling: Tensor, characters: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors (1, T, D) of the words, a leaf of the graph, and the scores (1, T, K) of the tags."""
    if isinstance(model, LayeredTagger):
        (scores, _), x = from_vectors(model, words[None], model.scores)
        return x, scores
    x = model.embed(words[None], spelling[None], characters).detach().requires_grad_()
    return x, model.output_layer(model.encoder(x)[0])
