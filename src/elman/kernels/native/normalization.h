// Layer normalization of one row, forward and backward (Ba et al. 2016). Included once per instruction set.

#pragma once

#include "turn.h"

namespace {

constexpr double kEpsilon = 1e-5;  // added to the variance

inline float root(float x) { return __builtin_sqrtf(x); }
inline double root(double x) { return __builtin_sqrt(x); }

// v with lanes S apart exchanged.
template <class T, int S, int... I> INLINE Vector<T> crossed(Vector<T> v, Lanes<I...>) {
#if defined(__clang__)
  return __builtin_shufflevector(v, v, (I ^ S)...);
#else
  typedef typename VectorOf<T>::Bits Bits;
  return __builtin_shuffle(v, Bits{(I ^ S)...});
#endif
}

template <class T, int S = kLanes<T> / 2> INLINE T total(Vector<T> v) {
  if constexpr (S == 0) return v[0];
  else return total<T, S / 2>(v + crossed<T, S>(v, typename LanesUpTo<kLanes<T>>::Type()));
}

// y = (x - mean) * scale has mean 0 and variance 1.
template <class T> struct Standard {
  T mean = 0, scale = 1;
};

// Of `count` times H numbers, of which each H lie `stride` apart.
template <class S> Standard<Number<S>> standard_of(const S* x, int64_t count, int64_t H, int64_t stride,
                                                         Number<S> eps = Number<S>(kEpsilon)) {
  using T = Number<S>;
  Vector<T> sum = {}, squares = {};
  for (int64_t g = 0; g < count; ++g)
    for (int64_t at = 0; at < H; at += kLanes<T>) sum += load(x + g * stride + at, lanes_at<T>(H, at));
  const T mean = total<T>(sum) / T(count * H);
  for (int64_t g = 0; g < count; ++g)
    for (int64_t at = 0; at < H; at += kLanes<T>) {
      Vector<T> off = load(x + g * stride + at, lanes_at<T>(H, at)) - mean;
      for (int64_t lane = H - at; lane < kLanes<T>; ++lane) off[lane] = 0;
      squares += off * off;
    }
  return {mean, T(1) / root(total<T>(squares) / T(count * H) + eps)};
}

template <int ROWS, class Each> struct RowsOf {
  Each of[ROWS];
};

// Of each of some rows of H numbers, one behind the other.
template <int ROWS, class T> INLINE RowsOf<ROWS, Standard<T>> standard_of_rows(const T* x, int64_t H, T eps) {
  RowsOf<ROWS, Standard<T>> found;
  Vector<T> sums[ROWS] = {}, squares[ROWS] = {};
  for (int64_t at = 0; at < H; at += kLanes<T>)
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) sums[r] += load(x + r * H + at, lanes_at<T>(H, at));
#pragma GCC unroll 4
  for (int r = 0; r < ROWS; ++r) found.of[r].mean = total<T>(sums[r]) / T(H);
  for (int64_t at = 0; at < H; at += kLanes<T>) {
    const int64_t n = lanes_at<T>(H, at);
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) {
      Vector<T> off = load(x + r * H + at, n) - found.of[r].mean;
      for (int64_t lane = n; lane < kLanes<T>; ++lane) off[lane] = 0;
      squares[r] += off * off;
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < ROWS; ++r) found.of[r].scale = T(1) / root(total<T>(squares[r]) / T(H) + eps);
  return found;
}

// What belongs to the layer normalization of one row's sums: a gain (G * H,), perhaps a bias, and where to leave for
// backward the sums without them (G * H,) and what they were multiplied by; null where nobody wants them.
template <class S> struct Normalization {
  const Number<S> *gain, *bias;
  S* normed;
  Number<S>* scale;
};

// A row's sums, in place, those of each gate `stride` apart.
template <class S, class R>
void normalize(R* sums, int64_t G, int64_t H, int64_t stride, const Normalization<S>& it) {
  using T = Number<S>;
  const Standard<T> by = standard_of(sums, G, H, stride);
  for (int64_t g = 0; g < G; ++g)
    for (int64_t at = 0; at < H; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(H, at), unit = g * H + at;
      const Vector<T> y = (load(sums + g * stride + at, n) - by.mean) * by.scale;
      if (it.normed) store(it.normed + unit, y, n);
      Vector<T> sum = y * load(it.gain + unit, n);
      if (it.bias) sum += load(it.bias + unit, n);
      store(sums + g * stride + at, sum, n);
    }
  if (it.scale) *it.scale = by.scale;
}

// From the derivatives by what `normalize` left, those by the sums; of gate g the former are at dy_of(g). That by the
// gain is added to `dgain` (G * H,).
template <class S, class F>
void normalize_backward(F dy_of, int64_t G, int64_t H, const Normalization<S>& it, S* dsums, Number<S>* dgain) {
  using T = Number<S>;
  Vector<T> sum = {}, products = {};
  for (int64_t g = 0; g < G; ++g)
    for (int64_t at = 0; at < H; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(H, at), unit = g * H + at;
      const Vector<T> y = load(it.normed + unit, n), dy = load(dy_of(g) + at, n), d = dy * load(it.gain + unit, n);
      sum += d;
      products += d * y;
      store(dgain + unit, load(dgain + unit, n) + dy * y, n);
    }
  const T mean = total<T>(sum) / T(G * H), slope = total<T>(products) / T(G * H), scale = *it.scale;
  for (int64_t g = 0; g < G; ++g)
    for (int64_t at = 0; at < H; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(H, at), unit = g * H + at;
      const Vector<T> d = load(dy_of(g) + at, n) * load(it.gain + unit, n);
      store(dsums + unit, scale * (d - mean - load(it.normed + unit, n) * slope), n);
    }
}

}  // namespace
