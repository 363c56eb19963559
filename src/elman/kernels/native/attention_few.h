// Attention of a few queries, forward: keys and values are read where they lie, for packing them would take longer than
// all that is done with them. Included once per instruction set.

#pragma once

#include "attention_forward.h"

namespace {

constexpr int64_t kFewQueries = 4;

// x (D numbers, zeros up to whole vectors) times each of n rows.
template <class X> void dots_of_rows(const Number<X>* x, const X* rows, int64_t stride, int64_t n, int64_t D, Number<X>* to) {
  using T = Number<X>;
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < n; i += L) {
    Vector<T> sums[L] = {};
    const int64_t mine = less(L, n - i);
    for (int64_t d = 0; d < D; d += L) {
      const Vector<T> factor = load(x + d);
      const int64_t few = lanes_at<T>(D, d);
      for (int64_t k = 0; k < mine; ++k) sums[k] += factor * load(rows + (i + k) * stride + d, few);
    }
    turn_square<T>(sums);
#pragma GCC unroll 16
    for (int k = 1; k < L; ++k) sums[0] += sums[k];
    store(to + i, sums[0], mine);
  }
}

// y (D numbers, whole vectors) += the sum of n rows, each times a weight.
template <class X>
void add_weighted_rows(const Number<X>* weights, const X* rows, int64_t stride, int64_t n, int64_t D, Number<X>* y) {
  using T = Number<X>;
  constexpr int L = kLanes<T>, kAtOnce = 4;
  for (int64_t d = 0; d < D; d += L) {
    Vector<T> sums[kAtOnce] = {};
    const int64_t few = lanes_at<T>(D, d);
    int64_t i = 0;
    for (; i + kAtOnce <= n; i += kAtOnce)
#pragma GCC unroll 4
      for (int k = 0; k < kAtOnce; ++k) sums[k] += weights[i + k] * load(rows + (i + k) * stride + d, few);
    for (; i < n; ++i) sums[0] += weights[i] * load(rows + i * stride + d, few);
    store(y + d, load(y + d) + ((sums[0] + sums[1]) + (sums[2] + sums[3])));
  }
}

template <class S> struct AttendFew {
  using T = Number<S>;
  static constexpr int L = kLanes<T>;
  Columns<S> columns;
  const Attend& a;
  const T scale;
  const bool prepared;  // new keys, which are then few
  Buffer<T> logits, query, keys, y;

  static bool serves(const Attend& a) {
    return a.T <= kFewQueries && !a.kept && (a.S <= kFewQueries || (!a.gain_k && !a.cosines));
  }
  explicit AttendFew(const Attend& a)
      : columns(a, Ready::kNothing), a(a), scale(T(1) / root(T(a.D))), prepared(a.gain_k || a.cosines),
        logits(columns.most / L), query(kFewQueries * columns.row / L), keys(kFewQueries * columns.row / L),
        y(columns.row / L) {
    if (query.data) memset(query.data, 0, kFewQueries * columns.row * sizeof(T));
  }
  bool failed() const { return columns.failed() || !logits.data || !query.data || !keys.data || !y.data; }

  bool run(int64_t unit) {
    if (!columns.begin(unit)) return false;
    const int64_t heads = a.N / a.G, row = columns.row;
    Vector<T>* const strip = columns.strip_buffer.data;
    if (prepared)
      for (int64_t t = 0; t < columns.at.keys; t += L) {
        columns.prepare(new_keys(), a.k_at.step, t, columns.at.keys, a.gain_k, strip);
        turn_out<T>(strip, less(L, columns.at.keys - t), a.D, (T*)keys.data + t * row, row);
      }
    for (int64_t head = columns.g * heads; head < (columns.g + 1) * heads; ++head) {
      const S* const q = columns.template of<S>(a.q, a.q_at, head);
      if (a.gain_q || a.cosines) {
        for (int64_t first = 0; first < columns.at.steps; first += L) {
          columns.prepare(q, a.q_at.step, first, columns.at.queries, a.gain_q, strip);
          for (int64_t d = 0; d < a.D; ++d) strip[d] *= scale;
          turn_out<T>(strip, less(L, columns.at.steps - first), a.D, (T*)query.data + first * row, row);
        }
      } else {
        for (int64_t t = 0; t < columns.at.queries; ++t)
          for (int64_t d = 0; d < a.D; d += L)
            store((T*)query.data + t * row + d, scale * load(q + t * a.q_at.step + d, lanes_at<T>(a.D, d)));
      }
      for (int64_t t = 0; t < columns.at.steps; ++t) one(head, t);
    }
    columns.copy_memory();
    if (prepared) columns.remember((const T*)keys.data, row, columns.after.keys, 0, columns.at.keys);
    else columns.remember(new_keys(), a.k_at.step, columns.after.keys, 0, columns.at.keys);
    columns.remember(new_values(), a.v_at.step, columns.after.values, 0, columns.at.keys);
    return true;
  }

 private:
  const S* new_keys() const { return columns.template of<S>(a.k, a.k_at, columns.g); }
  const S* new_values() const { return columns.template of<S>(a.v, a.v_at, columns.g); }

  void one(int64_t head, int64_t t) {
    const bool real = t < columns.at.queries;
    const int64_t from = real ? columns.from[t] : 0, to = real ? columns.to[t] : 0, at_stats = (columns.b * a.N + head) * a.T + t;
    T *const x = (T*)logits.data, *const sum_of_rows = (T*)y.data;
    for_keys(from, to, [&](int64_t column, auto rows, int64_t stride, int64_t n) {
      dots_of_rows((const T*)query.data + t * columns.row, rows, stride, n, a.D, x + column);
    });
    T largest, inverse;
    weigh(x, from, to, largest, inverse);
    memset(sum_of_rows, 0, columns.row * sizeof(T));
    for_values(from, to, [&](int64_t column, auto rows, int64_t stride, int64_t n) {
      add_weighted_rows(x + column, rows, stride, n, a.D, sum_of_rows);
    });
    S* const out = columns.y_of(head, t);
    for (int64_t d = 0; d < a.D; d += L) store(out + d, load(sum_of_rows + d) * inverse, lanes_at<T>(a.D, d));
    if (a.largest) ((T*)a.largest)[at_stats] = largest, ((T*)a.inverse)[at_stats] = inverse;
  }

  // The logits of the columns [from, to) become weights, to be multiplied by `inverse`.
  static void weigh(T* x, int64_t from, int64_t to, T& largest, T& inverse) {
    Vector<T> top = Vector<T>{} + T(kLowest), sums{};
    for (int64_t j = from; j < to; j += L) {
      Vector<T> some = Vector<T>{} + T(kLowest);
      if (to - j >= L) some = load(x + j);
      else for (int64_t lane = 0; lane < to - j; ++lane) some[lane] = x[j + lane];
      top = some > top ? some : top;
    }
    largest = top[0];
    for (int lane = 1; lane < L; ++lane) largest = top[lane] > largest ? top[lane] : largest;
    for (int64_t j = from; j < to; j += L) {
      const int64_t n = less(L, to - j);
      Vector<T> weight = exp_of_negative<T>(load(x + j, n) - largest);
      for (int64_t lane = n; lane < L; ++lane) weight[lane] = 0;
      sums += weight;
      store(x + j, weight, n);
    }
    const T sum = total<T>(sums);
    inverse = sum == 0 ? 0 : 1 / sum;
  }

  // Calls body(column, rows, stride, n) for the pieces in which the columns [from, to) lie.
  template <class F> void for_keys(int64_t from, int64_t to, F body) const {
    for_old(columns.before.keys, from, to, body);
    if (prepared) for_new((const T*)keys.data, columns.row, from, to, body);
    else for_new(new_keys(), a.k_at.step, from, to, body);
  }
  template <class F> void for_values(int64_t from, int64_t to, F body) const {
    for_old(columns.before.values, from, to, body);
    for_new(new_values(), a.v_at.step, from, to, body);
  }
  template <class F> void for_old(const T* memory, int64_t from, int64_t to, F body) const {
    for_pieces(columns.at, [&](int64_t column, int64_t slot, int64_t n) {
      const int64_t first = more(from, column), last = less(to, column + n);
      if (first < last) body(first, memory + (slot + first - column) * a.D, a.D, last - first);
    });
  }
  template <class X, class F> void for_new(const X* rows, int64_t stride, int64_t from, int64_t to, F body) const {
    const int64_t live = columns.at.live, first = more(from, live);
    if (first < to) body(first, rows + (first - live) * stride, stride, to - first);
  }
};

}  // namespace
