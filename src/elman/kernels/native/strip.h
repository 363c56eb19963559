// A strip of rows turned: as many rows of D numbers as a vector has lanes, one vector for each of the D. What is
// computed for each row (layer normalization, rotation) then needs no sum across lanes. Included once per instruction set.

#pragma once

#include "normalization.h"
#include "panels.h"
#include "timeline.h"
#include "turn.h"

namespace {

// A vector's bytes of numbers as they lie, of which n are there.
template <class S> INLINE Vector<Number<S>> load_raw(const S* from, int64_t n) {
  constexpr int64_t kAll = BYTES / sizeof(S);
  Vector<Number<S>> v = {};
  if (n >= kAll) memcpy(&v, from, sizeof v);
  else if constexpr (kPair<S> > 1) {
    uint16_t bits[kAll] = {};
    for (int64_t i = 0; i < n; ++i) bits[i] = from[i].bits;
    memcpy(&v, bits, sizeof v);
  } else v = load(from, n);
  return v;
}

template <class S> INLINE void store_raw(S* to, Vector<Number<S>> v, int64_t n) {
  constexpr int64_t kAll = BYTES / sizeof(S);
  if (n >= kAll) memcpy(to, &v, sizeof v);
  else if constexpr (kPair<S> > 1) {
    uint16_t bits[kAll];
    memcpy(bits, &v, sizeof v);
    for (int64_t i = 0; i < n; ++i) to[i].bits = bits[i];
  } else store(to, v, n);
}

// The numbers that share the lanes of v, one vector after the other.
template <class S> INLINE void put_apart(Vector<Number<S>> v, Vector<Number<S>>* to) {
  if constexpr (kPair<S> > 1) {
    typedef typename VectorOf<Number<S>>::Words Words;
    to[0] = (Vector<Number<S>>)((Words)v << 16), to[1] = (Vector<Number<S>>)((Words)v & 0xffff0000u);
  } else to[0] = v;
}

// `rows` rows, zeros in the other lanes. In bfloat16 a square is turned in pairs of numbers, and holds twice as many; `to`
// has room for a number more.
template <class S>
void turn_in(const S* from, int64_t stride, int64_t rows, int64_t D, Vector<Number<S>>* to) {
  using T = Number<S>;
  constexpr int L = kLanes<T>, P = kPair<S>;
  for (int64_t at = 0; at < D; at += P * L) {
    const int64_t n = less(D - at, P * L);
    Vector<T> v[L];
    if (rows >= L && n == P * L) {
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) v[k] = load_raw(from + k * stride + at, P * L);
    } else {
      for (int k = 0; k < L; ++k) v[k] = k < rows ? load_raw(from + k * stride + at, n) : Vector<T>{};
    }
    turn_square<T>(v);
    if (n == P * L) {
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) put_apart<S>(v[k], to + at + P * k);
    } else {
      for (int k = 0; P * k < n; ++k) put_apart<S>(v[k], to + at + P * k);
    }
  }
}

template <class S>
void turn_out(const Vector<Number<S>>* from, int64_t rows, int64_t D, S* to, int64_t stride) {
  using T = Number<S>;
  constexpr int L = kLanes<T>, P = kPair<S>;
  for (int64_t at = 0; at < D; at += P * L) {
    const int64_t n = less(D - at, P * L);
    Vector<T> v[L];
    if (n == P * L) {
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) v[k] = Panels<S>::packed_rows(from + at + P * k);
    } else {
      for (int k = 0; k < L; ++k) {
        Vector<T> some[P] = {};
        for (int i = 0; i < P && P * k + i < n; ++i) some[i] = from[at + P * k + i];
        v[k] = Panels<S>::packed_rows(some);
      }
    }
    turn_square<T>(v);
    if (rows >= L && n == P * L) {
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) store_raw(to + k * stride + at, v[k], P * L);
    } else {
      for (int k = 0; k < less(rows, L); ++k) store_raw(to + k * stride + at, v[k], n);
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

// Of term(d) for d < D, in four sums that need not wait for each other.
template <class T, class F> INLINE Vector<T> sum_of(int64_t D, F term) {
  Vector<T> sums[4] = {};
  int64_t d = 0;
  for (; d + 4 <= D; d += 4)
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sums[i] += term(d + i);
  for (; d < D; ++d) sums[0] += term(d);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// x becomes (x - mean) * scale, of which the scale is returned.
template <class T> Vector<T> standardize(Vector<T>* x, int64_t D, T epsilon) {
  const Vector<T> mean = sum_of<T>(D, [&](int64_t d) { return x[d]; }) / T(D);
  const Vector<T> squares = sum_of<T>(D, [&](int64_t d) { return x[d] -= mean, x[d] * x[d]; });
  const Vector<T> scale = T(1) / root_of<T>(squares / T(D) + epsilon);
  for (int64_t d = 0; d < D; ++d) x[d] *= scale;
  return scale;
}

// From the derivatives by gain * y, in place, those by the numbers that y is made of; those by the gain are added.
template <class T>
void standardize_backward(Vector<T>* dy, const Vector<T>* y, Vector<T> scale, const T* gain, int64_t D,
                          Vector<T>* dgain) {
  for (int64_t d = 0; d < D; ++d) dgain[d] += dy[d] * y[d], dy[d] *= gain[d];
  const Vector<T> mean = sum_of<T>(D, [&](int64_t d) { return dy[d]; }) / T(D);
  const Vector<T> slope = sum_of<T>(D, [&](int64_t d) { return dy[d] * y[d]; }) / T(D);
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
