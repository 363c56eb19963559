// A few rows times a matrix as it lies, row after row, that is read once: in sums along the rows. Included once per
// instruction set.

#pragma once

#include "product.h"
#include "turn.h"

namespace {

// The numbers of a weight as a product reads them: rounded to S.
template <class S> INLINE Vector<Number<S>> rounded(Vector<Number<S>> v) {
  if constexpr (kPair<S> > 1) return widen(narrow(v));
  else return v;
}

// In lane i, the sum of v[i]'s lanes; a sum is the same wherever among the vectors its own stands.
template <class T, int S = 1> INLINE Vector<T> sums_across(Vector<T>* v) {
  constexpr int L = kLanes<T>;
  if constexpr (S < L) {
#pragma GCC unroll 16
    for (int i = 0; i < L; i += 2 * S) {
      exchange<T, S>(v[i], v[i + S], typename LanesUpTo<L>::Type());
      v[i] += v[i + S];
    }
    return sums_across<T, 2 * S>(v);
  }
  return v[0];
}

// sums[r][j] += a[r] * rows[j], of n numbers at k.
template <class S, int ROWS, int AT_ONCE>
INLINE void add_dots(const S* a, int64_t stride, const Number<S>* const* rows, int64_t k, int64_t n,
                     Vector<Number<S>> (*sums)[AT_ONCE]) {
  Vector<Number<S>> numbers[ROWS];
#pragma GCC unroll 4
  for (int r = 0; r < ROWS; ++r) numbers[r] = load(a + r * stride + k);
#pragma GCC unroll 8
  for (int j = 0; j < AT_ONCE; ++j) {
    const Vector<Number<S>> row = rounded<S>(load(rows[j] + k, n));
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) sums[r][j] += numbers[r] * row;
  }
}

// sums[r * L + j] = what is to be summed up to a[r] . weight[j], for j < n; AT_ONCE rows of the weight are read.
template <class S, int ROWS, int AT_ONCE>
INLINE void dots_at_once(const S* a, int64_t stride, const Number<S>* weight, int64_t n, int64_t K,
                         Vector<Number<S>>* sums) {
  using T = Number<S>;
  constexpr int L = kLanes<T>;
  const T* rows[AT_ONCE];
  Vector<T> mine[ROWS][AT_ONCE] = {};
#pragma GCC unroll 8
  for (int j = 0; j < AT_ONCE; ++j) rows[j] = weight + (j < n ? j : 0) * K;
  int64_t k = 0;
  for (; k + L <= K; k += L) add_dots<S, ROWS, AT_ONCE>(a, stride, rows, k, L, mine);
  if (k < K) add_dots<S, ROWS, AT_ONCE>(a, stride, rows, k, K - k, mine);
#pragma GCC unroll 8
  for (int j = 0; j < AT_ONCE; ++j) {
    __builtin_prefetch(rows[j] + AT_ONCE * K);  // where the processor does not see it coming
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r)
      if (j < n) sums[r * L + j] = mine[r][j];
  }
}

template <class S, int ROWS, int MOST>
void dots_of(const S* a, int64_t stride, const Number<S>* weight, int64_t n, int64_t K, Vector<Number<S>>* dots,
             int64_t dots_stride) {
  using T = Number<S>;
  constexpr int L = kLanes<T>, kAtOnce = MOST < L ? MOST : L;
  Vector<T> sums[ROWS * L] = {};
  if (n == L)
#pragma GCC unroll 16
    for (int i = 0; i < L; i += kAtOnce) dots_at_once<S, ROWS, kAtOnce>(a, stride, weight + i * K, kAtOnce, K, sums + i);
  else
    for (int i = 0; i < n; i += kAtOnce) dots_at_once<S, ROWS, kAtOnce>(a, stride, weight + i * K, n - i, K, sums + i);
#pragma GCC unroll 4
  for (int r = 0; r < ROWS; ++r) dots[r * dots_stride] = sums_across<T>(sums + r * L);
}

// a[r] . weight[i] in lane i of dots[r * dots_stride], for i < n <= a vector's lanes, and zeros in the others. The rows
// of `weight` are K long and not packed; the one to four rows of a, `stride` apart, are padded with zeros to whole
// vectors.
template <class S>
void dots_of_few(const S* a, int64_t stride, int64_t rows, const Number<S>* weight, int64_t n, int64_t K,
                 Vector<Number<S>>* dots, int64_t dots_stride) {
  constexpr int kFew = REGISTERS / 8;
  switch (rows) {
    case 1: return dots_of<S, 1, 8>(a, stride, weight, n, K, dots, dots_stride);
    case 2: return dots_of<S, 2, kFew>(a, stride, weight, n, K, dots, dots_stride);
    case 3: return dots_of<S, 3, kFew>(a, stride, weight, n, K, dots, dots_stride);
    default: return dots_of<S, 4, kFew>(a, stride, weight, n, K, dots, dots_stride);
  }
}

template <class S> Vector<Number<S>> dots(const S* a, const Number<S>* weight, int64_t n, int64_t K) {
  Vector<Number<S>> found;
  dots_of_few<S>(a, 0, 1, weight, n, K, &found, 1);
  return found;
}

}  // namespace
