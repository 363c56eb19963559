"""A linear-chain conditional random field: scores of whole paths of tags, their sum, the best one, its marginals."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.nn.sequences import Lengths, as_lengths

WIDEST = 300.0  # nats between scores, up to which products of their exponentials stay within double precision


class CRF(nn.Module):
    """Scores of paths of K tags (Lafferty, McCallum and Pereira 2001, "Conditional random fields").

        s(y) = Σ_t x_t[y_t] + Σ_t W[y_{t−1}, y_t]            y_0 = y_{L+1} = K: outside of the sequence
        log p(y) = s(y) − log Z,  Z = Σ_y' exp s(y')

    `weight` (K + 1, K + 1) holds W: from row K a path begins, to column K it ends. The methods take scores x (B, T, K)
    and `lengths` (B,); steps from a row's length on are padding, and their numbers, even NaN, change nothing.

    `allowed` (K + 1, K + 1), booleans, says which of these steps a path may take; None: all. `best` and `marginals`
    leave out every other path. `loss` counts all paths, so that a sentence whose own tags break a rule has a finite
    loss. Sums are in double precision, under autocast too. Raises `UserError` where `allowed` has another shape.
    """

    allowed: Tensor

    def __init__(self, num_tags: int, allowed: Tensor | None = None) -> None:
        super().__init__()
        size = (num_tags + 1, num_tags + 1)
        allowed = torch.ones(size, dtype=torch.bool) if allowed is None else allowed
        if allowed.shape != size or allowed.dtype != torch.bool:
            got = f"{allowed.dtype} of shape {tuple(allowed.shape)}"
            raise UserError("allowed", expected=f"booleans of shape {size}", got=got)
        self.num_tags = num_tags
        self.weight = nn.Parameter(torch.zeros(size))
        self.register_buffer("allowed", allowed)

    def loss(self, scores: Tensor, targets: Tensor, lengths: Lengths = None) -> Tensor:
        """−log p (B,) of the targets (B, T); where a target is negative, the step may have any tag."""
        scores, weight, lengths = self._take(scores, lengths)
        given = (targets < 0) & _real(lengths, scores.shape[1])
        if given.any():  # the sum over the paths that agree with the targets
            others = torch.ones_like(scores, dtype=torch.bool).scatter_(2, targets.clamp(min=0)[..., None], False)
            agreeing = scores.masked_fill(others & (targets >= 0)[..., None], -torch.inf)
            return log_partition(scores, weight, lengths) - log_partition(agreeing, weight, lengths)
        return log_partition(scores, weight, lengths) - path_score(scores, targets, weight, lengths)

    @torch.no_grad()
    def marginals(self, scores: Tensor, lengths: Lengths = None) -> Tensor:
        """The probability (B, T, K) that an allowed path has tag k at step t; zeros at padding."""
        scores, weight, lengths = self._take(scores, lengths, self.allowed)
        if not scores.numel():
            return scores
        if _is_narrow(scores, weight):
            _, a, factors = _forward(scores, weight, lengths)
            return (a * _backward(weight, lengths, a, factors)[0]).transpose(0, 1)
        with torch.enable_grad():
            scores = scores.requires_grad_()
            return torch.autograd.grad(log_partition(scores, weight, lengths).sum(), scores)[0]

    @torch.no_grad()
    def best(self, scores: Tensor, lengths: Lengths = None) -> Tensor:
        """The allowed path (B, T) of the highest score (Viterbi 1967); zeros at padding."""
        scores, weight, lengths = self._take(scores, lengths, self.allowed)
        B, T, K = scores.shape
        real, stay = _real(lengths, T), torch.arange(K, device=scores.device).expand(B, K)
        highest = weight[K, :K] + scores[:, 0] if T else scores.new_zeros(B, K)  # of the paths to each tag
        back = [stay]  # the tag before each tag, at every step
        for t in range(1, T):
            values, before = (highest[:, :, None] + weight[:K, :K]).max(1)  # (B, K)
            highest = torch.where(real[:, t, None], values + scores[:, t], highest)
            back.append(torch.where(real[:, t, None], before, stay))
        path = [(highest + weight[:K, K]).argmax(1, keepdim=True)]
        for before in back[:0:-1]:
            path.append(before.gather(1, path[-1]))
        return torch.cat(path[::-1], 1)[:, :T].masked_fill(~real, 0)

    def _take(self, scores: Tensor, lengths: Lengths, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Scores in double precision, 0 at padding; the weight, −∞ where a step is not allowed; the lengths."""
        B, T, K = scores.shape
        if self.num_tags != K:
            raise UserError("scores", expected=f"shape (B, T, {self.num_tags})", got=f"shape {tuple(scores.shape)}")
        lengths = as_lengths([T] * B if lengths is None else lengths, B, T, scores.device)
        weight = self.weight.double()
        if allowed is not None:
            weight = weight.masked_fill(~allowed, -torch.inf)
        return scores.double().masked_fill(~_real(lengths, T)[..., None], 0.0), weight, lengths

    def extra_repr(self) -> str:
        """For `repr`."""
        return f"{self.num_tags}"


def path_score(scores: Tensor, path: Tensor, weight: Tensor, lengths: Tensor) -> Tensor:
    """s(y) (B,) of paths (B, T) of tags."""
    _, T, K = scores.shape
    real = _real(lengths, T)
    path = path.masked_fill(~real, 0)
    steps = nn.functional.pad(path.masked_fill(~real, K), (1, 1), value=K)  # (B, T + 2)
    taken = _real(lengths + (lengths > 0), T + 1)
    between = weight[steps[:, :-1], steps[:, 1:]].masked_fill(~taken, 0.0)
    return scores.gather(2, path[..., None])[..., 0].masked_fill(~real, 0.0).sum(1) + between.sum(1)


def log_partition(scores: Tensor, weight: Tensor, lengths: Tensor) -> Tensor:
    """log Z (B,) of scores (B, T, K) that are 0 at padding; 0 for a length of 0. A weight may be −∞."""
    if scores.numel() and _is_narrow(scores, weight):
        return _LogPartition.apply(scores, weight, lengths)
    return log_partition_reference(scores, weight, lengths)


def log_partition_reference(scores: Tensor, weight: Tensor, lengths: Tensor) -> Tensor:
    """What `log_partition` computes, step by step, of any numbers."""
    B, T, K = scores.shape
    if not T:
        return scores.new_zeros(B)
    real = _real(lengths, T)
    reached = weight[K, :K] + scores[:, 0]  # log of the sum over the paths to each tag
    for t in range(1, T):
        further = torch.logsumexp(reached[:, :, None] + weight[:K, :K], 1) + scores[:, t]
        reached = torch.where(real[:, t, None], further, reached)
    return torch.logsumexp(reached + weight[:K, K], 1).masked_fill(lengths == 0, 0.0)


def _real(lengths: Tensor, T: int) -> Tensor:
    """(B, T), False at padding."""
    return torch.arange(T, device=lengths.device) < lengths[:, None]


def _is_narrow(scores: Tensor, weight: Tensor) -> bool:
    """Whether exponentials of the scores, of the weights and of their sums are within double precision."""
    scores, finite = scores.detach(), _finite(weight.detach())
    return bool((scores.amax(-1) - scores.amin(-1)).amax() + finite.amax() - finite.amin() < WIDEST)


class _LogPartition(torch.autograd.Function):
    """The forward-backward algorithm on exponentials: a product of matrices a step, whose numbers sum to 1 again.

        a_t = (a_{t−1} E) ⊙ e_t / c_t            E = exp W,  e_t = exp x_t,  log Z = Σ_t log c_t
        b_t = E (e_{t+1} ⊙ b_{t+1} / c_{t+1})    a_t ⊙ b_t = p(y_t), the gradient of log Z by x_t

    Rabiner 1989, "A tutorial on hidden Markov models". The gradient has no gradient of its own.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, weight: Tensor, lengths: Tensor) -> Tensor:
        log_z, *sums = _forward(scores, weight, lengths)
        ctx.save_for_backward(weight, lengths, *sums)
        return log_z

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, lengths, a, factors = ctx.saved_tensors
        K, B = len(weight) - 1, len(lengths)
        b, products = _backward(weight, lengths, a, factors)
        by_scores = a * b * grad[:, None]  # (T, B, K)
        by_weight = torch.zeros_like(weight)
        pairs = a[:-1].flatten(0, 1).t() @ (products[1:] * grad[:, None]).flatten(0, 1)  # (K, K)
        by_weight[:K, :K] = pairs * (weight[:K, :K] - _finite(weight).amax()).exp()
        by_weight[K, :K] = by_scores[0].sum(0)
        by_weight[:K, K] = by_scores[_last(lengths), torch.arange(B, device=grad.device)].sum(0)
        return by_scores.transpose(0, 1), by_weight, None


def _forward(scores: Tensor, weight: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log Z (B,), a (T, B, K) and the factors e / c (T, B, K)."""
    B, T, K = scores.shape
    highest, top = scores.amax(-1), _finite(weight).amax()
    e = (scores - highest[..., None]).transpose(0, 1).exp()  # (T, B, K)
    E = (weight - top).exp()
    inner, a, c = E[:K, :K].contiguous(), torch.empty_like(e), e.new_empty(T, B, 1)
    for t in range(T):
        if t:
            torch.mm(a[t - 1], inner, out=a[t]).mul_(e[t])
        else:
            torch.mul(E[K, :K], e[0], out=a[0])
        torch.sum(a[t], -1, keepdim=True, out=c[t])
        a[t].div_(c[t])
    end = a[_last(lengths), torch.arange(B, device=e.device)] @ E[:K, K]  # (B,)
    steps = (c[..., 0].t().log() + highest).masked_fill(~_real(lengths, T), 0.0)
    log_z = steps.sum(1) + end.log() + top * (lengths + 1)
    return log_z.masked_fill(lengths == 0, 0.0), a, e.div_(c)


def _backward(weight: Tensor, lengths: Tensor, a: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """b (T, B, K), 0 at padding, and its products with the factors (T, B, K)."""
    K, (T, B, _) = len(weight) - 1, a.shape
    E = (weight - _finite(weight).amax()).exp()
    rows, last = torch.arange(B, device=a.device), _last(lengths)
    b, products, inner = torch.zeros_like(a), torch.empty_like(a), E[:K, :K].t().contiguous()
    b[last, rows] = E[:K, K] / (a[last, rows] @ E[:K, K])[:, None] * (lengths > 0)[:, None]
    for t in range(T - 1, 0, -1):
        torch.mul(factors[t], b[t], out=products[t])
        b[t - 1].addmm_(products[t], inner)
    return b, products


def _last(lengths: Tensor) -> Tensor:
    """The last step (B,) of each row; 0 where there is none."""
    return (lengths - 1).clamp(min=0)


def _finite(weight: Tensor) -> Tensor:
    """The weight with the largest of its numbers in place of −∞."""
    return torch.where(weight == -torch.inf, weight.amax(), weight)
