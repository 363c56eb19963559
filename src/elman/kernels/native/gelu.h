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

// In place of Phi(x) - 1/2 and of the slope - 1/2: odd polynomials, x times one in 2 (x / 4.5)^2 - 1, minimax up to 4.5 and
// 1/2 from there on. Off by 4e-6 and 7e-5, a hundredth and a thirtieth of what rounding to bfloat16 is off by, in less than
// two thirds of the time.
constexpr float kReach = 4.5f;
constexpr int kTermsOfRounded = 9;
constexpr float kPhi[kTermsOfRounded + 1] = {0.156906068f,   -0.0771835893f, 0.0546365455f,  -0.040272966f,
                                             0.0288623869f,  -0.0183355026f, 0.0096460348f,  -0.00629246701f,
                                             0.00496590976f, -0.00182130816f};
constexpr float kSlope[kTermsOfRounded + 1] = {0.159451246f,  -0.089944005f,  0.0859349743f, -0.0949020907f,
                                               0.106726378f,  -0.0902447924f, 0.0442525856f, -0.0409042388f,
                                               0.058139421f,  -0.0273983646f};

INLINE Gelu<float> gelu_of_rounded(Vector<float> x) {
  const Vector<float> zero = {};
  Vector<float> near = x > kReach ? zero + kReach : x;
  near = near < -kReach ? zero - kReach : near;
  const Vector<float> square = near * near * (2 / (kReach * kReach)) - 1.0f;
  Vector<float> phi = zero + kPhi[kTermsOfRounded], slope = zero + kSlope[kTermsOfRounded];
#pragma GCC unroll 16
  for (int k = kTermsOfRounded - 1; k >= 0; --k) {
    phi = phi * square + kPhi[k];
    slope = slope * square + kSlope[k];
  }
  return {x * (phi * near + 0.5f), slope * near + 0.5f};
}

// As accurate as numbers of S are.
template <class S> INLINE Gelu<Number<S>> gelu_for(Vector<Number<S>> x) {
  if constexpr (sizeof(S) < sizeof(float)) return gelu_of_rounded(x);
  else return gelu<S>(x);
}

}  // namespace
