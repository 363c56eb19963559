// Layer normalization of one row, forward and backward (Ba et al. 2016). Included once per instruction set.

#pragma once

#include "vectors.h"

namespace {

constexpr double kEpsilon = 1e-5;  // added to the variance

inline float root(float x) { return __builtin_sqrtf(x); }
inline double root(double x) { return __builtin_sqrt(x); }

template <class T> INLINE T total(Vector<T> v) {
  T sum = 0;
  for (int lane = 0; lane < kLanes<T>; ++lane) sum += v[lane];
  return sum;
}

// y = (x - mean) * scale has mean 0 and variance 1.
template <class T> struct Standard {
  T mean = 0, scale = 1;
};

// Of `count` times H numbers, each H of them padded with zeros to `width`.
template <class T> Standard<T> standard_of(const T* x, int64_t count, int64_t H, int64_t width) {
  Vector<T> sum = {}, squares = {};
  for (int64_t at = 0; at < count * width; at += kLanes<T>) sum += load(x + at);
  const T mean = total<T>(sum) / T(count * H);
  for (int64_t g = 0; g < count; ++g)
    for (int64_t at = 0; at < H; at += kLanes<T>) {
      Vector<T> off = load(x + g * width + at) - mean;
      for (int64_t lane = H - at; lane < kLanes<T>; ++lane) off[lane] = 0;
      squares += off * off;
    }
  return {mean, T(1) / root(total<T>(squares) / T(count * H) + T(kEpsilon))};
}

// The G sums of every unit, each gate's padded to `width`, in place; `normed` (G * H,) is what backward wants.
template <class S>
void normalize(Number<S>* sums, int64_t G, int64_t H, int64_t width, const Number<S>* gain, S* normed,
               Number<S>* scale) {
  using T = Number<S>;
  const Standard<T> by = standard_of<T>(sums, G, H, width);
  for (int64_t g = 0; g < G; ++g)
    for (int64_t at = 0; at < H; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(H, at);
      const Vector<T> y = (load(sums + g * width + at) - by.mean) * by.scale;
      if (normed) store(normed + g * H + at, y, n);
      store(sums + g * width + at, y * load(gain + g * H + at, n));
    }
  if (scale) *scale = by.scale;
}

// From the derivatives by the normalized sums times `gain`, those by the sums; `size` numbers each.
template <class S>
void normalize_backward(const S* dy, const S* normed, Number<S> scale, const Number<S>* gain, int64_t size, S* dsums,
                        Number<S>* dgain) {
  using T = Number<S>;
  Vector<T> sum = {}, products = {};
  for (int64_t at = 0; at < size; at += kLanes<T>) {
    const int64_t n = lanes_at<T>(size, at);
    const Vector<T> y = load(normed + at, n), by_gain = load(dy + at, n) * y, d = load(dy + at, n) * load(gain + at, n);
    sum += d;
    products += d * y;
    store(dgain + at, load(dgain + at, n) + by_gain, n);
  }
  const T mean = total<T>(sum) / T(size), slope = total<T>(products) / T(size);
  for (int64_t at = 0; at < size; at += kLanes<T>) {
    const int64_t n = lanes_at<T>(size, at);
    const Vector<T> d = load(dy + at, n) * load(gain + at, n);
    store(dsums + at, scale * (d - mean - load(normed + at, n) * slope), n);
  }
}

}  // namespace
