// The loss of an output layer, a row of logits at a time. Included once per instruction set.

#pragma once

#include "loss.h"
#include "pieces.h"
#include "vectors.h"

namespace {

// About so many multiplications is what one logit costs.
constexpr double kWorkOfLogit = 24;

// The first n lanes of v, and the same number in the others.
template <class T> INLINE Vector<T> or_else(Vector<T> v, int64_t n, T number) {
  if (n < kLanes<T>)
    for (int64_t lane = n; lane < kLanes<T>; ++lane) v[lane] = number;
  return v;
}

template <class S> struct RowsOfLogits {
  using T = Number<S>;
  static constexpr int L = kLanes<T>;
  const Loss& m;

  // One row, all of which lies in the first-level cache between its passes; `row` is scratch for it, and the gradient
  // is added to `columns`.
  void take(int64_t r, Vector<T>* row, Vector<T>* columns) const {
    const int64_t vectors = (m.V + L - 1) / L;
    S* const x = (S*)m.logits + r * m.V;
    constexpr T kLeast = -__builtin_inf();
    Vector<T> most = Vector<T>{} + kLeast, total = {}, sum = {};
    for (int64_t i = 0; i < vectors; ++i) {
      const int64_t n = lanes_at<T>(m.V, i * L);
      Vector<T> v = load(x + i * L, n);
      if (m.bias) v += load((const T*)m.bias + i * L, n);
      total += v;
      row[i] = or_else<T>(v, n, kLeast);
      most = row[i] > most ? row[i] : most;
    }
    T greatest = kLeast, mean = 0, all = 0;
    for (int lane = 0; lane < L; ++lane) {
      greatest = most[lane] > greatest ? most[lane] : greatest;
      mean += total[lane] / T(m.V);
    }
    const T smoothing = T(m.smoothing), sharp = T(1) - smoothing;
    T* const wanted = (T*)row + m.targets[r];
    m.others[r] = double(greatest) - double(sharp) * double(*wanted) - (m.smoothing ? m.smoothing * double(mean) : 0);
    for (int64_t i = 0; i < vectors; ++i) {
      const Vector<T> below = row[i] - greatest;
      const Exponential<T> e = exponential<T>(below < -VectorOf<T>::kLargest ? -VectorOf<T>::kLargest : below);
      row[i] = below < -VectorOf<T>::kLargest ? Vector<T>{} : e.scale * e.p + e.scale;
      sum += row[i];
    }
    for (int lane = 0; lane < L; ++lane) all += sum[lane];
    m.sums[r] = double(all);
    if (!m.learn) return;
    const T scale = T(1) / all, even = smoothing / T(m.V);
    *wanted -= sharp * all;
    for (int64_t i = 0; i < vectors; ++i) {
      const Vector<T> gradient = row[i] * scale - even;
      columns[i] += gradient;
      store(x + i * L, gradient, lanes_at<T>(m.V, i * L));
    }
  }
};

// Each thread takes its rows, and has column sums of its own, which are added in the order of the threads.
template <class S> int32_t loss_of_rows(const Loss* given) {
  using T = Number<S>;
  const Loss& m = *given;
  if (m.N == 0 || m.V == 0) return 0;
  const RowsOfLogits<S> rows{m};
  const int64_t vectors = (m.V + kLanes<T> - 1) / kLanes<T>, most = m.threads < m.N ? m.threads : m.N;
  const Buffer<T> scratch(2 * vectors * (most < 1 ? 1 : most));
  if (!scratch.data) return 1;
  int64_t parts = 1;
  in_pieces(m, most, kWorkOfLogit * double(m.N) * double(m.V), [&](int64_t piece, int64_t pieces) {
    if (piece == 0) parts = pieces;
    Vector<T>*const row = scratch.data + 2 * piece * vectors, *const columns = row + vectors;
    for (int64_t i = 0; i < vectors; ++i) columns[i] = Vector<T>{};
    for (int64_t r = m.N * piece / pieces; r < m.N * (piece + 1) / pieces; ++r) rows.take(r, row, columns);
  });
  if (!m.dbias || !m.learn) return 0;
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t v = 0; v < m.V; ++v) ((T*)m.dbias)[v] += ((const T*)(scratch.data + (2 * part + 1) * vectors))[v];
  return 0;
}

}  // namespace
