// Rows made columns, a square of vectors at a time. Included once per instruction set.

#pragma once

#include "vectors.h"

namespace {

template <int... I> struct Lanes {};
template <int N, int... I> struct LanesUpTo : LanesUpTo<N - 1, N - 1, I...> {};
template <int... I> struct LanesUpTo<0, I...> {
  using Type = Lanes<I...>;
};

// The numbers of x where their lane's bit S is clear, else those of y, S lanes lower; and the other way round.
template <class T, int S, int... I> INLINE void exchange(Vector<T>& x, Vector<T>& y, Lanes<I...>) {
  constexpr int L = kLanes<T>;
#if defined(__clang__)
  const Vector<T> low = __builtin_shufflevector(x, y, (I & S ? L + I - S : I)...);
  y = __builtin_shufflevector(x, y, (I & S ? L + I : I + S)...);
#else
  typedef typename VectorOf<T>::Bits Bits;
  const Vector<T> low = __builtin_shuffle(x, y, Bits{(I & S ? L + I - S : I)...});
  y = __builtin_shuffle(x, y, Bits{(I & S ? L + I : I + S)...});
#endif
  x = low;
}

template <class T, int S = 1> INLINE void turn_square(Vector<T>* v) {
  constexpr int L = kLanes<T>;
  if constexpr (S < L) {
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i)
      if (!(i & S)) exchange<T, S>(v[i], v[i + S], typename LanesUpTo<L>::Type());
    turn_square<T, 2 * S>(v);
  }
}

// The same of a square: to[j * to_stride + i] = from[i * from_stride + j] for i and j of a vector's lanes.
template <class T> INLINE void turn_whole(const T* from, int64_t from_stride, T* to, int64_t to_stride) {
  constexpr int L = kLanes<T>;
  Vector<T> v[L];
#pragma GCC unroll 16
  for (int k = 0; k < L; ++k) v[k] = load(from + k * from_stride);
  turn_square<T>(v);
#pragma GCC unroll 16
  for (int k = 0; k < L; ++k) store(to + k * to_stride, v[k]);
}

// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < columns. Where `rows` is no multiple of a vector's
// lanes, `to` is written on to the next one, with zeros.
template <class T>
void turn(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < rows; i += L) {
    const int64_t mine = lanes_at<T>(rows, i);
    for (int64_t j = 0; j < columns; j += L) {
      const int64_t n = lanes_at<T>(columns, j);
      if (mine == L && n == L) {
        turn_whole(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
        continue;
      }
      Vector<T> v[L];
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) v[k] = k < mine ? load(from + (i + k) * from_stride + j, n) : Vector<T>{};
      turn_square<T>(v);
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k)
        if (k < n) store(to + (j + k) * to_stride + i, v[k]);
    }
  }
}

#if defined(DOT_OF_PAIRS)
// In lane i the numbers of lane i of both, as bfloat16.
template <int... I> INLINE Vector<float> side_by_side(Vector<float> first, Vector<float> second, Lanes<I...>) {
  const VectorOf<float>::Words order = {(I * 0x10001u + 0x100000u)...};
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
  return (Vector<float>)_mm512_maskz_permutexvar_epi16(-1, (__m512i)order, both);
}
#endif

}  // namespace
