// GELU, x Phi(x) with the normal distribution Phi, and its derivative. Included once per instruction set.

#pragma once

#include "vectors.h"

namespace {

// Of a polynomial P in s = 1 - 8 / (u + 4) for u >= 0, with which Phi(-u) = e^(-u^2 / 2) P(s) / (u + 4). It interpolates
// erfc in the Chebyshev nodes, to a relative accuracy of 1e-8 and 4e-17: so Phi keeps its digits where it is near 0.
template <class T> struct TailOf;
template <> struct TailOf<float> {
  static constexpr int kTerms = 9;
  static constexpr float of[kTerms + 1] = {0.7552851378f,    -0.607896638f,    0.3871367096f,   -0.1865221341f,
                                           0.06040685694f,   -0.007533030278f, -0.003530255001f, 0.001578611748f,
                                           0.0002131890379f, -0.0001151794757f};
};
template <> struct TailOf<double> {
  static constexpr int kTerms = 22;
  static constexpr double of[kTerms + 1] = {
      0.755285130415751481,    -0.607896641971891756,   0.387137400742218413,     -0.186521857959694697,
      0.0603965748907229828,   -0.0075401889655676717,  -0.00347969236269969402,  0.00163081844137903808,
      0.000133344258490337253, -0.000231094812961477023, -1.90789129348843226e-6, 0.0000351441487267285358,
      7.15087015872470668e-7,  -5.91877330945121604e-6, -6.25289633815107653e-7,  1.01953348514889732e-6,
      2.63844221939081531e-7,  -1.53891919795552534e-7, -7.64296684455120437e-8,  1.42983759702724165e-8,
      1.38733755572451973e-8,  1.62268565223351499e-10, -9.29610552411400904e-10};
};

template <class T> struct Gelu {
  Vector<T> value, slope;
};

template <class T> INLINE Gelu<T> gelu(Vector<T> x) {
  using Tail = TailOf<T>;
  constexpr T kLargest = VectorOf<T>::kLargest;
  typedef typename VectorOf<T>::Bits Bits;
  const Vector<T> zero = {};
  const Bits sign = (Bits)x & (Bits)(-zero);
  const Vector<T> u = (Vector<T>)((Bits)x ^ sign);
  const Vector<T> half_square = T(0.5) * x * x;
  const Exponential<T> e = exponential<T>(half_square > kLargest ? zero - kLargest : -half_square);
  const Vector<T> bell = half_square > kLargest ? zero : e.scale * e.p + e.scale;  // e^(-x^2 / 2)
  const Vector<T> inverse = T(1) / (u + T(4)), s = T(1) - T(8) * inverse;
  Vector<T> p = zero + Tail::of[Tail::kTerms];
#pragma GCC unroll 32
  for (int k = Tail::kTerms - 1; k >= 0; --k) p = p * s + Tail::of[k];
  const Vector<T> tail = bell * inverse * p;
  const Vector<T> phi = x > T(0) ? T(1) - tail : tail;
  return {x * phi, phi + x * bell * T(0.398942280401432678)};
}

// For what is rounded to bfloat16: Phi(u) - 1/2 and the slope - 1/2, which are odd, for u >= 0 by a quadratic polynomial in
// each piece of a 1 / kPieces-th; from the last one on 1/2. Off by 8e-6 and 3e-5, a fiftieth of what rounding is off by.
// Looking up the coefficients occupies other units of the processor than multiplying does.
constexpr int kPieces = 32;
constexpr double kPiecesPerUnit = (kPieces - 1.5) / 4.7;

struct Quadratics {
  float of[3][kPieces] = {};
};

struct RoundedGelu {
  Quadratics phi, slope;

  // Each interpolates in the nodes of Chebyshev, -kNode, 0 and kNode of the way from its center to those beside it.
  constexpr RoundedGelu() {
    constexpr double kNode = 0.43301270189221932;
    for (int i = 0; i < kPieces - 1; ++i) {
      double phis[3] = {}, slopes[3] = {};
      for (int at = 0; at < 3; ++at) {
        const double u = (i + (at - 1) * kNode) / kPiecesPerUnit;
        double power = 1, bell = 0;  // e^(u^2 / 2)
        for (int k = 1; k < 80; ++k) bell += power, power *= u * u / (2 * k);
        bell = 0.398942280401432678 / bell;
        double term = u;
        for (int k = 3; k < 160; k += 2) phis[at] += bell * term, term *= u * u / k;
        slopes[at] = phis[at] + u * bell;
      }
      fit(phis, kNode, phi, i);
      fit(slopes, kNode, slope, i);
    }
    phi.of[0][kPieces - 1] = slope.of[0][kPieces - 1] = 0.5f;
  }

  static constexpr void fit(const double* y, double node, Quadratics& to, int i) {
    to.of[0][i] = float(y[1]);
    to.of[1][i] = float((y[2] - y[0]) / (2 * node));
    to.of[2][i] = float((y[2] + y[0] - 2 * y[1]) / (2 * node * node));
  }
};

// table[the last bits of each index].
INLINE Vector<float> look_up(const float* table, VectorOf<float>::Bits index) {
#if BYTES == 64
  return (Vector<float>)_mm512_permutex2var_ps((__m512)load(table), (__m512i)index, (__m512)load(table + kPieces / 2));
#else
  Vector<float> found;
  for (int lane = 0; lane < kLanes<float>; ++lane) found[lane] = table[index[lane] & (kPieces - 1)];
  return found;
#endif
}

INLINE Vector<float> at(const Quadratics& quadratics, VectorOf<float>::Bits piece, Vector<float> x) {
  const auto& of = quadratics.of;
  return look_up(of[0], piece) + x * (look_up(of[1], piece) + x * look_up(of[2], piece));
}

INLINE Gelu<float> gelu_of_rounded(Vector<float> x) {
  typedef VectorOf<float>::Bits Bits;
  static constexpr RoundedGelu kTable;
  constexpr float kRound = 8388608.0f;  // 2^23: adding it rounds to an integer, which are then the last bits
  const Bits sign = (Bits)x & (Bits)(-Vector<float>{});
  const Vector<float> u = at_most((Vector<float>)((Bits)x ^ sign) * float(kPiecesPerUnit), float(kPieces - 1));
  const Vector<float> rounded = u + kRound, within = u - (rounded - kRound);
  const Vector<float> phi = at(kTable.phi, (Bits)rounded, within), slope = at(kTable.slope, (Bits)rounded, within);
  return {x * ((Vector<float>)((Bits)phi ^ sign) + 0.5f), (Vector<float>)((Bits)slope ^ sign) + 0.5f};
}

// As accurate as numbers of S are.
template <class S> INLINE Gelu<Number<S>> gelu_for(Vector<Number<S>> x) {
  if constexpr (sizeof(S) < sizeof(float)) return gelu_of_rounded(x);
  else return gelu<S>(x);
}

}  // namespace
