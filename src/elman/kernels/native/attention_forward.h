// Attention, forward: strips of queries, one lane a query, against blocks of keys. Included once per instruction set.
//
//     logits^T (keys, queries) = K Q^T,  weights^T = exp(logits^T - largest),  y^T (D, queries) = V^T weights^T
//
// What the first product leaves is, after the exponential, the panel of the second one; and no sum is across lanes.

#pragma once

#include "columns.h"

namespace {

constexpr int64_t kBlockKeys = 256;  // columns of a block
constexpr double kLowest = -1e30;    // below every logit

// e^x for x <= 0; for what becomes bfloat16, to 2^-14 of it.
template <class S> INLINE Vector<Number<S>> exp_of_negative(Vector<Number<S>> x) {
  using T = Number<S>;
  constexpr int kTerms = kPair<S> > 1 ? 4 : VectorOf<T>::kTerms;
  const Exponential<T> e = exponential<T, kTerms>(at_least(x, -VectorOf<T>::kLargest));
  return e.scale * e.p + e.scale;
}

template <bool MASKED> struct Tile {
  static constexpr bool masked = MASKED;
};

// Calls body(column, tile) for the columns of whole tiles, which are `masked` where a lane may not see all of one.
template <class T, class F> INLINE void for_columns(const Span<T>& span, int64_t from, int64_t to, F body) {
  for (int64_t tile = from; tile < to; tile += kTile)
    if (span.every_lane(tile)) {
#pragma GCC unroll 8
      for (int64_t j = tile; j < tile + kTile; ++j) body(j, Tile<false>());
    } else {
      for (int64_t j = tile; j < tile + kTile; ++j) body(j, Tile<true>());
    }
}

// A strip of queries on its way through the keys.
template <class S> struct QueryStrip {
  using T = Number<S>;
  Vector<T>*panel, *y;  // (D,), turned; y without the last division
  const Vector<T>* kept;
  Span<T> span;
  Vector<T> largest, sum;

  // The columns [from, to), whose logits are in `logits`; what the values are multiplied by replaces these.
  void weigh(Vector<T>* logits, int64_t from, int64_t to, int64_t D) {
    const Vector<T> lowest = Vector<T>{} + T(kLowest);
    Vector<T> top = largest;
    for_columns(span, from, to, [&](int64_t j, auto of) {
      Vector<T> x = logits[j - from];
      if constexpr (of.masked) x = span.sees(j) ? x : lowest;
      top = x > top ? x : top;
    });
    if (from > span.first) {
      const Vector<T> factor = exp_of_negative<S>(largest - top);
      sum *= factor;
      for (int64_t d = 0; d < D; ++d) y[d] *= factor;
    }
    largest = top;
    Vector<T> even{}, sum_of_block{};
    const Vector<T>* const factors = kept;
    for_columns(span, from, to, [&](int64_t j, auto of) {
      Vector<T> weight = exp_of_negative<S>(logits[j - from] - top);
      if constexpr (of.masked) weight = span.sees(j) ? weight : Vector<T>{};
      sum_of_block += weight;
      if (factors) weight *= factors[j];
      if constexpr (kPair<S> == 1) {
        logits[j - from] = weight;
      } else if (j % 2 == 0) {
        even = weight;
      } else {
        const Vector<T> pair[2] = {even, weight};
        logits[(j - from) / 2] = Panels<S>::packed_rows(pair);
      }
    });
    sum += sum_of_block;
  }
};

template <class S> struct AttendForward {
  using T = Number<S>;
  static constexpr int L = kLanes<T>;
  Columns<S> columns;
  const Attend& a;
  const T scale;
  Buffer<T> strips, logits, kept;

  explicit AttendForward(const Attend& a)
      : columns(a, Ready::kForward), a(a), scale(T(1) / root(T(a.D))), strips(kStrips * 2 * (columns.row + 2)), logits(kBlockKeys),
        kept(a.kept ? kStrips * columns.most : 0) {}
  bool failed() const { return columns.failed() || !strips.data || !logits.data || !kept.data; }

  bool run(int64_t unit) {
    if (!columns.begin(unit)) return false;
    columns.make_ready();
    const int64_t heads = a.N / a.G;
    for (int64_t head = columns.g * heads; head < (columns.g + 1) * heads; ++head)
      for (int64_t t = 0; t < columns.at.steps; t += kStrips * L) some(head, t);
    return true;
  }

  // Up to kStrips strips of queries of one head, from query t on.
  void some(int64_t head, int64_t t) {
    const int64_t n = less(kStrips, (columns.at.steps - t + L - 1) / L), queries = columns.at.queries;
    QueryStrip<S> strip[kStrips];
    int64_t last = 0;
    for (int64_t i = 0; i < n; ++i) {
      begin(strip[i], head, t + i * L, more(0, queries - t - i * L), i);
      last = more(last, strip[i].span.last);
    }
    for (int64_t first = 0; first < last; first += kBlockKeys)
      for (int64_t i = 0; i < n; ++i) {
        const int64_t from = more(first, strip[i].span.first), to = less(first + kBlockKeys, strip[i].span.last);
        if (from < to) block(strip[i], from, to);
      }
    for (int64_t i = 0; i < n; ++i) end(strip[i], head, t + i * L);
  }

  void begin(QueryStrip<S>& strip, int64_t head, int64_t t, int64_t queries, int64_t i) {
    strip.panel = strips.data + 2 * i * (columns.row + 2), strip.y = strip.panel + columns.row + 2;
    strip.span = Span<T>(columns.from + t, columns.to + t, queries);
    strip.largest = Vector<T>{} + T(kLowest), strip.sum = Vector<T>{};
    columns.prepare(columns.template of<S>(a.q, a.q_at, head), a.q_at.step, t, columns.at.queries, a.gain_q, strip.panel);
    for (int64_t d = 0; d < a.D; ++d) strip.panel[d] *= scale, strip.y[d] = Vector<T>{};
    make_panel<S>(strip.panel, a.D);
    strip.kept = nullptr;
    if (!a.kept) return;
    Vector<T>* const mine = kept.data + i * columns.most;
    const T* const given = (const T*)a.kept + ((columns.b * a.N + head) * a.T + t) * (a.C + a.S);
    turn_kept<T>(a, columns.at, given, queries, mine);
    strip.kept = mine;
  }

  void block(QueryStrip<S>& strip, int64_t from, int64_t to) {
    const Side<S>&keys = columns.keys, &values = columns.values;
    product<S>(keys.rows + from * keys.row, keys.row, to - from, strip.panel, 1, a.D, logits.data);
    strip.weigh(logits.data, from, to, a.D);
    add_product<S, true>(values.across + from * values.row, values.row, a.D, logits.data, 1, to - from, strip.y);
  }

  void end(QueryStrip<S>& strip, int64_t head, int64_t t) const {
    const Vector<T> inverse = strip.sum == T(0) ? Vector<T>{} : T(1) / strip.sum;
    for (int64_t d = 0; d < a.D; ++d) strip.y[d] *= inverse;
    const int64_t rows = less(columns.at.steps - t, L);
    turn_out<S>(strip.y, rows, a.D, columns.y_of(head, t), a.N * a.D);
    if (!a.largest) return;
    const int64_t at = (columns.b * a.N + head) * a.T + t;
    store((T*)a.largest + at, strip.largest, rows);
    store((T*)a.inverse + at, inverse, rows);
  }
};

}  // namespace
