// The scores of additive attention, without the tensor (B, T, S, H) of the values of tanh. Included once per
// instruction set.

#pragma once

#include "alignment.h"
#include "pieces.h"
#include "vectors.h"

namespace {

// About so many multiplications is what one tanh costs.
constexpr double kWorkOfTanh = 24;

// The rows of the batch over the threads: body(b, number of keys).
template <class F> void in_rows(const Alignment& m, F body) {
  const double work = kWorkOfTanh * double(m.B) * double(m.T) * double(m.S) * double(m.H);
  in_pieces(m, m.B, work, [&](int64_t piece, int64_t pieces) {
    for (int64_t b = m.B * piece / pieces; b < m.B * (piece + 1) / pieces; ++b) body(b, m.lengths ? m.lengths[b] : m.S);
  });
}

template <class T> int32_t align(const Alignment* given) {
  const Alignment& m = *given;
  in_rows(m, [&](int64_t b, int64_t length) {
    const T *keys = (const T*)m.keys + b * m.S * m.H, *energy = (const T*)m.energy;
    for (int64_t t = 0; t < m.T; ++t) {
      const T* query = (const T*)m.queries + (b * m.T + t) * m.H;
      T* scores = (T*)m.scores + (b * m.T + t) * m.S;
      for (int64_t s = 0; s < m.S; ++s) scores[s] = 0;
      for (int64_t s = 0; s < length; ++s) {
        Vector<T> sum = {};
        for (int64_t at = 0; at < m.H; at += kLanes<T>) {
          const int64_t n = lanes_at<T>(m.H, at);
          sum += load(energy + at, n) * tanh<T>(load(query + at, n) + load(keys + s * m.H + at, n));
        }
        for (int lane = 0; lane < kLanes<T>; ++lane) scores[s] += sum[lane];
      }
    }
  });
  return 0;
}

template <class T> int32_t align_backward(const Alignment* given) {
  const Alignment& m = *given;
  in_rows(m, [&](int64_t b, int64_t length) {
    const T *keys = (const T*)m.keys + b * m.S * m.H, *energy = (const T*)m.energy;
    T *dkeys = (T*)m.dkeys + b * m.S * m.H, *denergy = (T*)m.denergy + b * m.H;
    for (int64_t i = 0; i < m.S * m.H; ++i) dkeys[i] = 0;
    for (int64_t i = 0; i < m.H; ++i) denergy[i] = 0;
    for (int64_t t = 0; t < m.T; ++t) {
      const int64_t row = b * m.T + t;
      const T *query = (const T*)m.queries + row * m.H, *dscores = (const T*)m.dscores + row * m.S;
      for (int64_t at = 0; at < m.H; at += kLanes<T>) {
        const int64_t n = lanes_at<T>(m.H, at);
        const Vector<T> q = load(query + at, n), v = load(energy + at, n);
        Vector<T> by_query = {}, by_energy = load(denergy + at, n);
        for (int64_t s = 0; s < length; ++s) {
          const Vector<T> y = tanh<T>(q + load(keys + s * m.H + at, n));
          const Vector<T> by_sum = dscores[s] * v * (T(1) - y * y);
          by_query += by_sum;
          by_energy += dscores[s] * y;
          T* to = dkeys + s * m.H + at;
          store(to, load(to, n) + by_sum, n);
        }
        store((T*)m.dqueries + row * m.H + at, by_query, n);
        store(denergy + at, by_energy, n);
      }
    }
  });
  return 0;
}

}  // namespace
