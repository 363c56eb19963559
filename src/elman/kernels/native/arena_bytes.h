// Weights of one byte, with a scale for each row of the weights, as an arena's calls read them. Included once per
// instruction set.
//
//     w = scale * q,  q in -127 .. 127          x = scale_x * p,  p of up to 16 bits, a scale for each row of x
//
// The products add up q * p as integers, so that the order does not matter: p is as large as the sums allow.

#pragma once

#include "arena_weights.h"

#if BYTES == 32
#include <immintrin.h>
#endif

namespace {

typedef int16_t Shorts __attribute__((vector_size(BYTES)));
typedef int8_t Bytes __attribute__((vector_size(BYTES / 2)));
using Integers = VectorOf<float>::Bits;

// The sums of the products of two neighbours, added to `sum`.
INLINE Integers plus_products(Integers sum, Shorts a, Shorts b) {
#if defined(DOT_OF_SHORTS)
  return (Integers)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif BYTES == 64
  return sum + (Integers)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif BYTES == 32
  return sum + (Integers)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
  const Integers x = (Integers)a, y = (Integers)b;
  return sum + (x << 16 >> 16) * (y << 16 >> 16) + (x >> 16) * (y >> 16);
#endif
}

// To the nearest, ties to even, for numbers of up to 22 bits.
INLINE Vector<float> to_nearest(Vector<float> x) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23
  return x + kShift - kShift;
}

struct ByteWeights {
  using Number = float;
  static constexpr int L = kLanes<float>;
  Panels<float> panels;  // of the outputs; a lane has two numbers of a row, k and k + 1

  int64_t pairs() const { return (panels.K + 1) / 2; }
  int64_t scales() const { return panels.vectors() * panels.G; }
  int64_t size() const { return scales() + (scales() * pairs() + 1) / 2; }  // in vectors: the scales, then the bytes
  const Bytes* bytes_of(const Vector<float>* arranged, int64_t panel) const {
    return (const Bytes*)(arranged + scales()) + panels.first(panel) * panels.G * pairs();
  }

  void arrange(const float* weight, Vector<float>* to) const {
    const int64_t K = panels.K;
    memset((void*)to, 0, size() * BYTES);
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      int8_t* const bytes = (int8_t*)bytes_of(to, panel);
      const int width = panels.width(panel);
      for (int v = 0; v < width; ++v)
        for (int lane = 0; lane < L; ++lane) {
          const int64_t unit = (panels.first(panel) + v / panels.G) * L + lane;
          if (unit >= panels.H) continue;
          const float* const row = weight + (v % panels.G * panels.H + unit) * K;
          float* const scale = (float*)(to + panels.first(panel) * panels.G + v) + lane;
          for (int64_t k = 0; k < K; ++k) *scale = row[k] > *scale ? row[k] : -row[k] > *scale ? -row[k] : *scale;
          *scale /= 127;
          for (int64_t k = 0; k < K && *scale > 0; ++k)
            bytes[((k / 2 * width + v) * L + lane) * 2 + k % 2] = int8_t(to_nearest(Vector<float>{} + row[k] / *scale)[0]);
        }
    }
  }

  struct Input {
    const int16_t* rows;   // (count, 2 * pairs, padded)
    const float* scales;   // (count,)
  };
  int64_t width() const { return (panels.K + 2 * L - 1) / (2 * L) * (2 * L); }
  static int64_t input_size(int64_t rows, int64_t K) {
    return rows * ((K + 2 * L - 1) / (2 * L)) + (rows + L - 1) / L;
  }

  // K of 127 times it are below 2^31.
  float largest() const {
    const int64_t most = INT32_MAX / (127 * panels.K);
    return float(most < INT16_MAX ? most : INT16_MAX);
  }

  // The rows' numbers behind K are zeros up to a whole vector.
  Input input(const float* rows, int64_t stride, int64_t count, Vector<float>* room) const {
    const int64_t K = panels.K;
    int16_t* const p = (int16_t*)room;
    float* const scales = (float*)(room + count * width() / (2 * L));
    for (int64_t r = 0; r < count; ++r) {
      const float* const x = rows + r * stride;
      Vector<float> most = {}, wrong = {};
      for (int64_t k = 0; k < K; k += L) {
        const Vector<float> v = load(x + k, lanes_at<float>(K, k));
        const Vector<float> size = v < 0 ? -v : v;
        most = size > most ? size : most, wrong += v * 0;
      }
      float greatest = 0, nothing = 0;
      for (int lane = 0; lane < L; ++lane) greatest = most[lane] > greatest ? most[lane] : greatest, nothing += wrong[lane];
      scales[r] = greatest / largest() + nothing;  // NaN where x has a number that is not finite
      const float inverse = greatest > 0 && nothing == 0 ? largest() / greatest : 0;
      for (int64_t k = 0; k < width(); k += L) {
        const Vector<float> v = k < K ? load(x + k, lanes_at<float>(K, k)) : Vector<float>{};
        const Vector<float> scaled = inverse > 0 ? to_nearest(v * inverse) : Vector<float>{};
        typedef int16_t Half __attribute__((vector_size(BYTES / 2)));
        const Half half = __builtin_convertvector(__builtin_convertvector(scaled, Integers), Half);
        memcpy(p + r * width() + k, &half, sizeof half);
      }
    }
    return {p, scales};
  }

  // sums += the products of some pairs.
  template <int ROWS, int WIDTH>
  static void tile(const int16_t* rows, int64_t stride, const Bytes* bytes, int64_t count, Integers* sums) {
    Integers s[ROWS][WIDTH];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < WIDTH; ++v) s[r][v] = sums[r * WIDTH + v];
    for (int64_t i = 0; i < count; ++i, bytes += WIDTH) {
      Shorts columns[WIDTH];
#pragma GCC unroll 4
      for (int v = 0; v < WIDTH; ++v) columns[v] = __builtin_convertvector(bytes[v], Shorts);
#pragma GCC unroll 8
      for (int r = 0; r < ROWS; ++r) {
        int32_t pair;
        memcpy(&pair, rows + r * stride + 2 * i, sizeof pair);
        const Shorts both = (Shorts)(Integers{} + pair);
#pragma GCC unroll 4
        for (int v = 0; v < WIDTH; ++v) s[r][v] = plus_products(s[r][v], columns[v], both);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < WIDTH; ++v) sums[r * WIDTH + v] = s[r][v];
  }

  template <int WIDTH, int ROWS = rows_per_tile(WIDTH)>
  static void tile_of(int64_t rows, const int16_t* x, int64_t stride, const Bytes* bytes, int64_t count, Integers* sums) {
    if constexpr (ROWS > 1) {
      if (rows < ROWS) return tile_of<WIDTH, ROWS - 1>(rows, x, stride, bytes, count, sums);
    }
    tile<ROWS, WIDTH>(x, stride, bytes, count, sums);
  }

  template <int WIDTH>
  void product_of(const Input& in, int64_t rows, const Bytes* bytes, const Vector<float>* scales, Vector<float>* sums,
                  const Vector<float>* first_sums) const {
    const int64_t most = rows_per_tile(WIDTH), tiles = (rows + most - 1) / most, block = kBlockBytes / (WIDTH * BYTES / 2);
    Integers* const whole = (Integers*)sums;
    memset((void*)sums, 0, rows * WIDTH * BYTES);
    for (int64_t pair = 0; pair < pairs(); pair += block)
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t first = rows * i / tiles, last = rows * (i + 1) / tiles;
        tile_of<WIDTH>(last - first, in.rows + first * width() + 2 * pair, width(), bytes + pair * WIDTH,
                       pairs() - pair < block ? pairs() - pair : block, whole + first * WIDTH);
      }
    for (int64_t r = 0; r < rows; ++r)
      for (int v = 0; v < WIDTH; ++v) {
        const Vector<float> sum = __builtin_convertvector(whole[r * WIDTH + v], Vector<float>) * (scales[v] * in.scales[r]);
        sums[r * WIDTH + v] = first_sums ? sum + first_sums[v] : sum;
      }
  }

  void times(const Input& in, int64_t rows, int64_t panel, const Vector<float>* arranged, Vector<float>* sums,
             const Vector<float>* first_sums) const {
    const Bytes* const bytes = bytes_of(arranged, panel);
    const Vector<float>* const scales = arranged + panels.first(panel) * panels.G;
    switch (panels.width(panel)) {
      case 1: return product_of<1>(in, rows, bytes, scales, sums, first_sums);
      case 2: return product_of<2>(in, rows, bytes, scales, sums, first_sums);
      case 3: return product_of<3>(in, rows, bytes, scales, sums, first_sums);
      default: return product_of<4>(in, rows, bytes, scales, sums, first_sums);
    }
  }
};

}  // namespace
