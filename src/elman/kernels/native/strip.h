// A strip of rows turned: as many rows of D numbers as a vector has lanes, one vector for each of the D. What is
// computed for each row (layer normalization, rotation) then needs no sum across lanes. Included once per instruction set.

#pragma once

#include "normalization.h"
#include "product.h"
#include "timeline.h"
#include "turn.h"

namespace {

// `rows` rows, zeros in the other lanes.
template <class S>
void turn_in(const S* from, int64_t stride, int64_t rows, int64_t D, Vector<Number<S>>* to) {
  using T = Number<S>;
  constexpr int L = kLanes<T>;
  for (int64_t at = 0; at < D; at += L) {
    const int64_t n = lanes_at<T>(D, at);
    Vector<T> v[L];
    if (rows >= L && n == L) {
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) v[k] = load(from + k * stride + at);
    } else {
      for (int k = 0; k < L; ++k) v[k] = k < rows ? load(from + k * stride + at, n) : Vector<T>{};
    }
    turn_square<T>(v);
    if (n == L) {
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) to[at + k] = v[k];
    } else {
      for (int k = 0; k < n; ++k) to[at + k] = v[k];
    }
  }
}

template <class S>
void turn_out(const Vector<Number<S>>* from, int64_t rows, int64_t D, S* to, int64_t stride) {
  using T = Number<S>;
  constexpr int L = kLanes<T>;
  for (int64_t at = 0; at < D; at += L) {
    const int64_t n = lanes_at<T>(D, at);
    Vector<T> v[L];
    if (n == L) {
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) v[k] = from[at + k];
    } else {
      for (int k = 0; k < L; ++k) v[k] = k < n ? from[at + k] : Vector<T>{};
    }
    turn_square<T>(v);
    if (rows >= L && n == L) {
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) store(to + k * stride + at, v[k]);
    } else {
      for (int k = 0; k < less(rows, L); ++k) store(to + k * stride + at, v[k], n);
    }
  }
}

template <class T> INLINE Vector<T> root_of(Vector<T> v) {
  T of[kLanes<T>];
  memcpy(of, &v, sizeof v);
  for (int lane = 0; lane < kLanes<T>; ++lane) of[lane] = root(of[lane]);
  memcpy(&v, of, sizeof v);
  return v;
}

// x becomes (x - mean) * scale, of which the scale is returned.
template <class T> Vector<T> standardize(Vector<T>* x, int64_t D, T epsilon) {
  Vector<T> sum = {}, squares = {};
  for (int64_t d = 0; d < D; ++d) sum += x[d];
  const Vector<T> mean = sum / T(D);
  for (int64_t d = 0; d < D; ++d) x[d] -= mean, squares += x[d] * x[d];
  const Vector<T> scale = T(1) / root_of<T>(squares / T(D) + epsilon);
  for (int64_t d = 0; d < D; ++d) x[d] *= scale;
  return scale;
}

// From the derivatives by gain * y, in place, those by the numbers that y is made of; those by the gain are added.
template <class T>
void standardize_backward(Vector<T>* dy, const Vector<T>* y, Vector<T> scale, const T* gain, int64_t D,
                          Vector<T>* dgain) {
  Vector<T> sum = {}, products = {};
  for (int64_t d = 0; d < D; ++d) {
    dgain[d] += dy[d] * y[d];
    dy[d] *= gain[d];
    sum += dy[d], products += dy[d] * y[d];
  }
  const Vector<T> mean = sum / T(D), slope = products / T(D);
  for (int64_t d = 0; d < D; ++d) dy[d] = scale * (dy[d] - mean - y[d] * slope);
}

// By the angles of the strip's rows; a `sign` of -1 turns back.
template <class T>
void rotate(Vector<T>* x, int64_t D, const Vector<T>* cosines, const Vector<T>* sines, T sign) {
  for (int64_t i = 0, half = D / 2; i < half; ++i) {
    const Vector<T> low = x[i], high = x[i + half], sine = sign * sines[i];
    x[i] = low * cosines[i] - high * sine;
    x[i + half] = high * cosines[i] + low * sine;
  }
}

// In place: the strip as a panel of one vector of columns that is D rows deep; x has room for a row more.
template <class S> void make_panel(Vector<Number<S>>* x, int64_t D) {
  if constexpr (kPair<S> > 1) {
    x[D] = Vector<Number<S>>{};
    for (int64_t d = 0; d < D; d += 2) x[d / 2] = Panels<S>::packed_rows(x + d);
  }
}

}  // namespace
