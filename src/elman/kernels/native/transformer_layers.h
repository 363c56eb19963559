// The layers of a Transformer over the tokens of some rows, one row behind the other. Included once per instruction set.

#pragma once

#include "attention.h"
#include "dense_forward.h"
#include "transformer.h"

namespace {

// Calls f(linear, N, K, where its packed weights begin, in vectors) for the linear layers of a model, the output layer last;
// returns where the packed weights end.
template <class T, class F> int64_t for_linears(const TransformerModel& m, F f) {
  int64_t at = 0;
  const auto one = [&](const TransformerLinear& linear, int64_t N, int64_t K) {
    f(linear, N, K, at);
    at += Panels<T>{N, 1, K}.size();
  };
  for (int64_t l = 0; l < m.count; ++l) {
    const TransformerLayer& layer = m.layers[l];
    one(layer.qkv, 3 * m.H, m.H), one(layer.out, m.H, m.H), one(layer.inner, m.F, m.H), one(layer.last, m.H, m.F);
  }
  one(m.output, m.V, m.H);
  return at;
}

template <class T> int32_t transformer_arrange(const TransformerModel* model) {
  const int64_t vectors = for_linears<T>(*model, [&](const TransformerLinear& linear, int64_t N, int64_t K, int64_t at) {
    const Panels<T> panels{N, 1, K};
    for (int64_t p = 0; model->arranged && p < panels.count(); ++p)
      panels.pack(p, (const T*)linear.weight, K, 1, (Vector<T>*)model->arranged + at);
  });
  if (!model->arranged) *model->size = vectors * BYTES;
  return 0;
}

// Tokens that are read together: those of each row one behind the other, the rows with many of them first.
template <class T> struct TransformerTokens {
  int64_t M, rows, many;            // tokens; rows, of which the first have more than a few
  AttendRow* row;                   // (rows,); keys and values follow layer by layer
  T** memory;                       // (rows,)
  int64_t *lengths, *positions;     // (rows,)
  const T *cosines, *sines;         // (M, D / 2) or null
};

template <class T> struct TransformerPass {
  static constexpr int L = kLanes<T>;
  const TransformerCall& c;
  const TransformerModel& m;
  const int64_t H, N, D;
  T *x, *qkv, *mixed, *inner;  // (M, H), (M, 3 * H), (M, H), (M, F)

  explicit TransformerPass(const TransformerCall& c) : c(c), m(*c.model), H(m.H), N(m.N), D(m.H / m.N) {}

  // All layers over x: what the output layer reads of each token, in `mixed`. Not 0: it failed.
  int32_t run(const TransformerTokens<T>& it) const {
    int32_t failed = 0;
    int64_t at = 0;
    for (int64_t l = 0; l < m.count && !failed; ++l) {
      const TransformerLayer& layer = m.layers[l];
      const auto linear = [&](const TransformerLinear& of, int64_t size, int64_t K, const T* from, T* to, bool onto, bool gelu) {
        if (!failed) failed = apply(of, size, K, it.M, at, from, to, onto ? to : nullptr, gelu);
        at += Panels<T>{size, 1, K}.size();
      };
      linear(layer.qkv, 3 * H, H, x, qkv, false, false);
      if (!failed) failed = prepare_heads(layer, it);
      if (!failed) failed = attend_rows(l, it);
      linear(layer.out, H, H, mixed, x, true, false);
      linear(layer.inner, m.F, H, x, inner, false, true);
      linear(layer.last, H, m.F, inner, x, true, false);
    }
    Dense norm = dense_of(m.output, m.V, H, it.M, x);
    if (m.output.gain) DenseForward<T>(norm).prepare(0, it.M, mixed, H);
    else memcpy(mixed, x, it.M * H * sizeof(T));
    return failed;
  }

  // Logits (M, V) of what `run` left. Not 0: it failed.
  int32_t logits_of(const T* hidden, int64_t M, T* to) const {
    TransformerLinear plain = m.output;
    plain.gain = plain.shift = nullptr;
    const int64_t at = for_linears<T>(m, [](auto&&...) {}) - Panels<T>{m.V, 1, H}.size();
    return apply(plain, m.V, H, M, at, hidden, to, nullptr, false);
  }

 private:
  Dense dense_of(const TransformerLinear& of, int64_t size, int64_t K, int64_t M, const T* from) const {
    Dense d = {};
    d.M = M, d.K = K, d.N = size, d.threads = c.threads, d.parallel_for = c.parallel_for, d.scale = 1, d.eps = m.epsilon;
    if (of.gain) d.x = from, d.gain = of.gain, d.shift = of.shift;
    else d.input = (void*)from;
    d.bias = of.bias;
    return d;
  }

  int32_t apply(const TransformerLinear& of, int64_t size, int64_t K, int64_t M, int64_t at, const T* from, T* to,
                const T* residual, bool gelu) const {
    Dense d = dense_of(of, size, K, M, from);
    d.packed = (const Vector<T>*)m.arranged + at, d.residual = residual, d.added = residual != nullptr, d.gelu = gelu, d.y = to;
    return dense_forward<T>(&d);
  }

  // Layer normalization and rotation of queries and keys where they lie: strips of tokens, whichever rows these are of.
  int32_t prepare_heads(const TransformerLayer& layer, const TransformerTokens<T>& it) const {
    if (!layer.gain_q && !layer.gain_k && !it.cosines) return 0;
    int32_t failed = 0;  // written by any thread, always with the same value
    const int64_t strips = (it.M + L - 1) / L;
    in_pieces(c, strips, 4.0 * double(it.M) * double(H), [&](int64_t piece, int64_t pieces) {
      const Buffer<T> strip(up(D, L) + 2), turns(2 * up(D / 2, L) + 2);
      if (!strip.data || !turns.data) {
        failed = 1;
        return;
      }
      for (int64_t i = strips * piece / pieces; i < strips * (piece + 1) / pieces; ++i)
        prepare_strip(layer, it, i * L, strip.data, turns.data, turns.data + up(D / 2, L));
    });
    return failed;
  }

  void prepare_strip(const TransformerLayer& layer, const TransformerTokens<T>& it, int64_t t, Vector<T>* strip,
                     Vector<T>* cosines, Vector<T>* sines) const {
    const int64_t half = D / 2, n = less(it.M - t, L);
    if (it.cosines) {
      turn_in(it.cosines + t * half, half, n, half, cosines);
      turn_in(it.sines + t * half, half, n, half, sines);
    }
    for (int64_t head = 0; head < 2 * N; ++head) {
      T* const lies = qkv + (t * 3 * N + head) * D;
      const T* const gain = (const T*)(head < N ? layer.gain_q : layer.gain_k);
      turn_in((const T*)lies, 3 * H, n, D, strip);
      if (gain) {
        standardize<T>(strip, D, T(m.epsilon));
        for (int64_t d = 0; d < D; ++d) strip[d] *= gain[d];
      }
      if (it.cosines) rotate<T>(strip, D, cosines, sines, T(1));
      turn_out<T>(strip, n, D, lies, 3 * H);
    }
  }

  // Which kernel reads a row depends on its own tokens alone, so that the others do not change its numbers.
  int32_t attend_rows(int64_t l, const TransformerTokens<T>& it) const {
    for (int64_t i = 0; i < it.rows; ++i) {
      const int64_t of_layer = N * it.row[i].C * D;
      it.row[i].keys = it.memory[i] + 2 * l * of_layer, it.row[i].values = it.memory[i] + (2 * l + 1) * of_layer;
    }
    const int32_t failed = attend_some(it, 0, it.many);
    return failed ? failed : attend_some(it, it.many, it.rows);
  }

  int32_t attend_some(const TransformerTokens<T>& it, int64_t first, int64_t last) const {
    if (first == last) return 0;
    Attend a = {};
    a.B = last - first, a.N = a.G = N, a.D = D, a.window = m.window, a.causal = 1;
    a.threads = c.threads, a.parallel_for = c.parallel_for;
    a.q_at = a.k_at = a.v_at = {0, 3 * H, D};
    a.q = qkv, a.k = qkv + H, a.v = qkv + 2 * H, a.y = mixed;
    a.rows = it.row + first, a.lengths = it.lengths + first, a.position = it.positions + first;
    for (int64_t i = first; i < last; ++i) a.T = a.S = more(a.T, it.lengths[i]), a.C = more(a.C, it.row[i].C);
    return attend<T>(&a);
  }
};

}  // namespace
