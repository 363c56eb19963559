// Vectors of BYTES bytes and the functions of them that a cell needs. Included once per instruction set.
//
// Nothing here calls a function of the standard library that is not the compiler's own: the linker would keep one
// copy of it for all instruction sets, maybe the one this processor cannot run.

#pragma once

#include <cstdint>
#include <cstring>

#if BYTES == 64
#include <immintrin.h>
#endif

namespace {

// A number of 16 bits: the upper half of a float. It is only ever stored, and computed with as a float.
struct Bfloat16 {
  uint16_t bits;
};

// What a number that is stored as S is computed with as.
template <class S> struct NumberOf {
  using Type = S;
};
template <> struct NumberOf<Bfloat16> {
  using Type = float;
};
template <class S> using Number = typename NumberOf<S>::Type;

template <class T> struct VectorOf;
template <> struct VectorOf<float> {
  typedef float Type __attribute__((vector_size(BYTES)));
  typedef int32_t Bits __attribute__((vector_size(BYTES)));
  typedef uint32_t Words __attribute__((vector_size(BYTES)));
  typedef uint16_t Halves __attribute__((vector_size(BYTES / 2)));
  static constexpr int kMantissa = 23, kTerms = 7;
  static constexpr float kRound = 12582912.0f + 127;  // 1.5 * 2^23: adding it rounds to an integer, and the bias of exponents to that
  static constexpr float kLn2High = 0.693145751953f, kLn2Low = 1.42860682030941723e-6f;
  static constexpr float kLargest = 87.0f;            // e^x and e^-x are normal numbers up to here
};
template <> struct VectorOf<double> {
  typedef double Type __attribute__((vector_size(BYTES)));
  typedef int64_t Bits __attribute__((vector_size(BYTES)));
  static constexpr int kMantissa = 52, kTerms = 13;
  static constexpr double kRound = 6755399441055744.0 + 1023;  // 1.5 * 2^52
  static constexpr double kLn2High = 0.693147180369123816490, kLn2Low = 1.90821492927058770002e-10;
  static constexpr double kLargest = 708.0;
};

template <class T> using Vector = typename VectorOf<T>::Type;
template <class T> constexpr int kLanes = BYTES / sizeof(T);

#define INLINE inline __attribute__((always_inline))

INLINE int64_t less(int64_t x, int64_t y) { return x < y ? x : y; }

// How many numbers of a row of H are in the vector at `at`.
template <class T> INLINE int64_t lanes_at(int64_t H, int64_t at) { return H - at < kLanes<T> ? H - at : kLanes<T>; }

template <class T> INLINE Vector<T> load(const T* from) {
  Vector<T> v;
  memcpy(&v, from, sizeof v);
  return v;
}

// The first n lanes; zeros in the others.
template <class T> INLINE Vector<T> load(const T* from, int64_t n) {
  if (n == kLanes<T>) return load(from);
#if BYTES == 64
  if constexpr (sizeof(T) == 4) return (Vector<T>)_mm512_maskz_loadu_ps((1 << n) - 1, from);
  else return (Vector<T>)_mm512_maskz_loadu_pd((1 << n) - 1, from);
#endif
  Vector<T> v = {};
  for (int64_t lane = 0; lane < n; ++lane) v[lane] = from[lane];
  return v;
}

// One instruction, where GCC makes six of the conversion.
INLINE VectorOf<float>::Words words_of(VectorOf<float>::Halves halves) {
#if BYTES == 64
  return (VectorOf<float>::Words)_mm512_maskz_cvtepu16_epi32(-1, (__m256i)halves);
#else
  return __builtin_convertvector(halves, VectorOf<float>::Words);
#endif
}

// The same of bfloat16, as floats.
INLINE Vector<float> widen(VectorOf<float>::Halves halves) { return (Vector<float>)(words_of(halves) << 16); }

INLINE Vector<float> load(const Bfloat16* from) {
  VectorOf<float>::Halves halves;
  memcpy(&halves, from, sizeof halves);
  return widen(halves);
}

INLINE Vector<float> load(const Bfloat16* from, int64_t n) {
  if (n == kLanes<float>) return load(from);
  VectorOf<float>::Halves halves = {};
  for (int64_t lane = 0; lane < n; ++lane) halves[lane] = from[lane].bits;
  return widen(halves);
}

template <class T> INLINE void store(T* to, Vector<T> v) { memcpy(to, &v, sizeof v); }

template <class T> INLINE void store(T* to, Vector<T> v, int64_t n) {
  if (n == kLanes<T>) return store(to, v);
#if BYTES == 64
  if constexpr (sizeof(T) == 4) return _mm512_mask_storeu_ps(to, (1 << n) - 1, (__m512)v);
  else return _mm512_mask_storeu_pd(to, (1 << n) - 1, (__m512d)v);
#endif
  for (int64_t lane = 0; lane < n; ++lane) to[lane] = v[lane];
}

// Rounded to the nearest, ties to even; NaN stays NaN.
INLINE VectorOf<float>::Halves narrow(Vector<float> v) {
#if defined(DOT_OF_PAIRS)
  return (VectorOf<float>::Halves)_mm512_cvtneps_pbh((__m512)v);
#else
  typedef VectorOf<float>::Words Words;
  const Words bits = (Words)v, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Words is_number = (Words)(v == v);
  return __builtin_convertvector((rounded & is_number) | (0x7fc0 & ~is_number), VectorOf<float>::Halves);
#endif
}

INLINE void store(Bfloat16* to, Vector<float> v) {
  const VectorOf<float>::Halves halves = narrow(v);
  memcpy(to, &halves, sizeof halves);
}

INLINE void store(Bfloat16* to, Vector<float> v, int64_t n) {
  if (n == kLanes<float>) return store(to, v);
  const VectorOf<float>::Halves halves = narrow(v);
  for (int64_t lane = 0; lane < n; ++lane) to[lane].bits = halves[lane];
}

// 1 / n! for n <= N: a table, for a compiler may leave it to the processor to call a constexpr function.
template <class T, int N> struct InverseFactorials {
  T of[N + 1] = {};
  constexpr InverseFactorials() {
    double factorial = 1;
    for (int n = 0; n <= N; ++n, factorial *= n) of[n] = T(1 / factorial);
  }
};

// e^x = scale * (1 + p), where p = e^r - 1 to full relative accuracy and scale = 2^n.
template <class T> struct Exponential {
  Vector<T> scale, p;
};

// For x in +-kLargest; NaN stays NaN. Fewer TERMS of the series do for what is rounded to fewer bits.
template <class T, int TERMS = VectorOf<T>::kTerms> INLINE Exponential<T> exponential(Vector<T> x) {
  using Of = VectorOf<T>;
  using Bits = typename Of::Bits;
  const Vector<T> zero = {};
  const Vector<T> shifted = x * T(1.44269504088896340736) + Of::kRound;
  const Vector<T> n = shifted - Of::kRound;
  const Vector<T> r = x - n * Of::kLn2High - n * Of::kLn2Low;  // |r| <= ln 2 / 2
  static constexpr InverseFactorials<T, TERMS> kInverse;
  Vector<T> q = zero + kInverse.of[TERMS];
#pragma GCC unroll 16
  for (int k = TERMS - 1; k >= 2; --k) q = q * r + kInverse.of[k];
  return {(Vector<T>)((Bits)shifted << Of::kMantissa), r * r * q + r};  // the exponent of 2^n is shifted's last bits
}

// The lesser of x and a number, and the greater; NaN stays NaN.
#if BYTES == 64
INLINE Vector<float> at_most(Vector<float> x, float most) {
  return (Vector<float>)_mm512_maskz_min_ps(-1, _mm512_set1_ps(most), (__m512)x);
}
INLINE Vector<float> at_least(Vector<float> x, float least) {
  return (Vector<float>)_mm512_maskz_max_ps(-1, _mm512_set1_ps(least), (__m512)x);
}
INLINE Vector<double> at_most(Vector<double> x, double most) {
  return (Vector<double>)_mm512_maskz_min_pd(-1, _mm512_set1_pd(most), (__m512d)x);
}
INLINE Vector<double> at_least(Vector<double> x, double least) {
  return (Vector<double>)_mm512_maskz_max_pd(-1, _mm512_set1_pd(least), (__m512d)x);
}
#else
template <class V, class T> INLINE V at_most(V x, T most) { return x > most ? V{} + most : x; }
template <class V, class T> INLINE V at_least(V x, T least) { return x < least ? V{} + least : x; }
#endif

template <class T> INLINE Vector<T> sigmoid(Vector<T> x) {
  constexpr T kLargest = VectorOf<T>::kLargest;
  const Exponential<T> e = exponential<T>(-at_least(at_most(x, kLargest), -kLargest));
  return T(1) / (e.scale * e.p + (e.scale + T(1)));
}

// (1 - e^-2|x|) / (1 + e^-2|x|), without cancellation near 0.
template <class T> INLINE Vector<T> tanh(Vector<T> x) {
  typedef typename VectorOf<T>::Bits Bits;
  const Bits sign = (Bits)(-Vector<T>{}), own = (Bits)x & sign;
  const Vector<T> least = at_least((Vector<T>)((Bits)x | sign), -VectorOf<T>::kLargest / 2);  // -|x|
  const Exponential<T> e = exponential<T>(least + least);
  const Vector<T> minus_one = e.scale * e.p + (e.scale - T(1));  // e^-2|x| - 1
  const Vector<T> y = minus_one / (minus_one + T(2));
  return (Vector<T>)(((Bits)y & ~sign) | own);
}

}  // namespace
