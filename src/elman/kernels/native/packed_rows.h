// Rows as the panels of a product that adds up over them. Included once per instruction set.

#pragma once

#include "panels.h"

namespace {

template <class S> INLINE S one_of() { return S(1); }
template <> INLINE Bfloat16 one_of() { return {0x3f80}; }

// Rows are fetched so far ahead of being packed, for they lie apart.
constexpr int64_t kRowsFetched = 24;

// Rows k and k + 1 of n columns (one row, where numbers have no pairs; `second` null: zeros), as a panel holds them.
template <class T> INLINE Vector<T> steps(const T* first, const T*, int64_t n) { return load(first, n); }

INLINE Vector<float> steps(const Bfloat16* first, const Bfloat16* second, int64_t n) {
  typedef VectorOf<float>::Words Words;
  const Vector<float> upper = second ? load(second, n) : Vector<float>{};
  return (Vector<float>)((Words)load(first, n) >> 16 | (Words)upper);
}

// One panel, of `left` columns at most.
template <class S, int WIDTH>
void pack_panel(const S* from, int64_t rows, int64_t size, int64_t left, Vector<Number<S>>* to, Number<S>* columns) {
  using T = Number<S>;
  constexpr int64_t L = kLanes<T>;
  Vector<T> sums[WIDTH] = {};
  S one[kPair<S>];
  for (int i = 0; i < kPair<S>; ++i) one[i] = one_of<S>();
  const Operand<S> ones(one, false);
  const bool whole = left >= WIDTH * L;
  for (int64_t k = 0; k < rows; k += kPair<S>, to += WIDTH, from += kPair<S> * size) {
    if (k + kRowsFetched + 1 < rows)
#pragma GCC unroll 2
      for (int i = 0; i < kPair<S>; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < WIDTH; v += 64 / (L * int(sizeof(S)))) __builtin_prefetch(from + (kRowsFetched + i) * size + v * L);
#pragma GCC unroll 4
    for (int v = 0; v < WIDTH; ++v) {
      const S* const next = k + 1 < rows ? from + size + v * L : nullptr;
      to[v] = whole ? steps(from + v * L, next, L) : steps(from + v * L, next, lanes_at<T>(left, v * L));
      if (columns) ones.times(to[v], sums[v]);
    }
  }
  if (columns)
    for (int v = 0; v < WIDTH; ++v) {
      const int64_t n = lanes_at<T>(left, v * L);
      store(columns + v * L, load(columns + v * L, n) + sums[v], n);
    }
}

// Rows, from the row `begin` on, as the panels of a product that adds up over them; the sums of each column are added
// to `columns`, if any.
template <class S>
void pack_rows(const S* from, int64_t rows, const Panels<S>& to, int64_t begin, Vector<Number<S>>* packed,
               Number<S>* columns) {
  using T = Number<S>;
  constexpr int64_t L = kLanes<T>;
  for (int64_t p = 0; p < to.count(); ++p) {
    const int64_t at = to.first(p) * L;
    Vector<T>* const place = packed + to.offset(p) + begin / kPair<S> * to.width(p);
    switch (to.width(p)) {
      case 1: pack_panel<S, 1>(from + at, rows, to.H, to.H - at, place, columns ? columns + at : nullptr); break;
      case 2: pack_panel<S, 2>(from + at, rows, to.H, to.H - at, place, columns ? columns + at : nullptr); break;
      case 3: pack_panel<S, 3>(from + at, rows, to.H, to.H - at, place, columns ? columns + at : nullptr); break;
      default: pack_panel<S, 4>(from + at, rows, to.H, to.H - at, place, columns ? columns + at : nullptr);
    }
  }
}

}  // namespace
