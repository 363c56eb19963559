// Rows times a packed matrix, in tiles that stay in registers. Included once per instruction set.
//
// A matrix (K, N) is packed into panels. A panel holds a few vectors of columns (the `width`) that are wanted at
// the same time, and lays them out as they are read: for k = 0 .. K - 1, the `width` vectors of row k. In bfloat16
// a lane holds the numbers of two rows, k and k + 1, since that is what a processor multiplies at once.

#pragma once

#include "vectors.h"

namespace {

// A tile of ROWS x WIDTH vectors is held in registers (32 of them with AVX-512 or on ARM, else 16), beside either one
// row of the panel and a broadcast, or one broadcast of each row and a vector of the panel.
constexpr int kMaxWidth = 4;
constexpr int kMaxRows = 8;
constexpr int rows_per_tile(int width) {
  const int beside_panel = (REGISTERS - 1 - width) / width, beside_broadcasts = (REGISTERS - 1) / (width + 1);
  const int rows = beside_panel < width ? beside_broadcasts : beside_panel;
  return rows < 1 ? 1 : rows < kMaxRows ? rows : kMaxRows;
}

// So much of a panel is used by every row while it lies in the first-level cache.
constexpr int64_t kBlockBytes = 24 * 1024;

// So many rows make a panel worth its way to the processor, and still stay in the second-level cache.
constexpr int64_t kRowsOfBlock = 96;

// The panel is fetched from the larger caches so many steps of k before its use.
constexpr int64_t kAhead = 16;

// How many numbers of a row of S share a lane, and how many vectors deep a panel of K rows is.
template <class S> constexpr int kPair = sizeof(Number<S>) / sizeof(S);
template <class S> INLINE int64_t depth(int64_t K) { return (K + kPair<S> - 1) / kPair<S>; }

// One number of a, or a pair of them; `last` says that there is but one left.
template <class S> struct Operand {
  Number<S> number;
  Operand(const S* a, bool) : number(*a) {}
  INLINE void times(Vector<S> panel, Vector<S>& sum) const { sum += number * panel; }
};

template <> struct Operand<Bfloat16> {
  typedef VectorOf<float>::Words Words;
  uint32_t pair = 0;
  Operand(const Bfloat16* a, bool last) {
    if (last) pair = a->bits;
    else memcpy(&pair, a, sizeof pair);
  }
#if defined(DOT_OF_PAIRS)
  INLINE void times(Vector<float> panel, Vector<float>& sum) const {
    const Words both = Words{} + pair;
    sum = (Vector<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)both, (__m512bh)panel);
  }
#else
  INLINE void times(Vector<float> panel, Vector<float>& sum) const {
    const Words first = Words{} + (pair << 16), second = Words{} + (pair & 0xffff0000u);
    sum += (Vector<float>)first * (Vector<float>)((Words)panel << 16);
    sum += (Vector<float>)second * (Vector<float>)((Words)panel & 0xffff0000u);
  }
#endif
};

// A number of each row, in every lane.
template <class T, int ROWS> struct Broadcasts {
  Vector<T> of[ROWS];
  INLINE Broadcasts(const T* a, int64_t stride) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) of[r] = Vector<T>{} + a[r * stride];
  }
};

// Where the number (or pair) of row r at k lies. TURNED: `stride` rows lie side by side, and the next k behind them.
template <class S, bool TURNED> INLINE const S* number_at(const S* a, int64_t stride, int64_t r, int64_t k) {
  return TURNED ? a + (k / kPair<S> * stride + r) * kPair<S> : a + r * stride + k;
}

// What a tile fetches into the second-level cache meanwhile: from `at` on, so many bytes at each k.
struct Fetch {
  const char* at = nullptr;
  int64_t step = 0;
};

// sums[r][v] = the sum over k of a[r][k] * panel[k][v], and what it begins with: first[v], or sums[r][v] where that is null.
template <class S, int ROWS, int WIDTH, bool TURNED = false>
void tile(const S* a, int64_t stride, const Vector<Number<S>>* panel, int64_t K, Vector<Number<S>>* sums,
          const Vector<Number<S>>* first = nullptr, Fetch fetch = {}) {
  Vector<Number<S>> s[ROWS][WIDTH];
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < WIDTH; ++v) s[r][v] = first ? first[v] : sums[r * WIDTH + v];
  for (int64_t k = 0; k + kPair<S> <= K; k += kPair<S>, panel += WIDTH) {
#pragma GCC unroll 4
    for (int v = 0; ROWS > 1 && v < WIDTH * BYTES; v += 64)  // for one row the processor fetches fast enough by itself
      __builtin_prefetch((const char*)(panel + kAhead * WIDTH) + v);
    if (ROWS > 1) {
      __builtin_prefetch(fetch.at, 0, 2);
      fetch.at += fetch.step;
    }
    if constexpr (kPair<S> == 1 && ROWS < WIDTH && !TURNED) {
      const Broadcasts<S, ROWS> rows(a + k, stride);
#pragma GCC unroll 4
      for (int v = 0; v < WIDTH; ++v) {
        const Vector<Number<S>> column = panel[v];
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r) s[r][v] += rows.of[r] * column;
      }
    } else {
#pragma GCC unroll 8
      for (int r = 0; r < ROWS; ++r) {
        const Operand<S> it(number_at<S, TURNED>(a, stride, r, k), false);
#pragma GCC unroll 4
        for (int v = 0; v < WIDTH; ++v) it.times(panel[v], s[r][v]);
      }
    }
  }
  if (kPair<S> > 1 && K % kPair<S>)
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const Operand<S> it(number_at<S, TURNED>(a, stride, r, K - 1), !TURNED);
#pragma GCC unroll 4
      for (int v = 0; v < WIDTH; ++v) it.times(panel[v], s[r][v]);
    }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < WIDTH; ++v) sums[r * WIDTH + v] = s[r][v];
}

template <class S, int WIDTH, bool TURNED, int ROWS = rows_per_tile(WIDTH)>
INLINE void tile_of(int64_t rows, const S* a, int64_t stride, const Vector<Number<S>>* panel, int64_t K,
                    Vector<Number<S>>* sums, const Vector<Number<S>>* first = nullptr, Fetch fetch = {}) {
  if constexpr (ROWS > 1) {
    if (rows < ROWS) return tile_of<S, WIDTH, TURNED, ROWS - 1>(rows, a, stride, panel, K, sums, first, fetch);
  }
  tile<S, ROWS, WIDTH, TURNED>(a, stride, panel, K, sums, first, fetch);
}

template <class S, int WIDTH, bool TURNED>
void product_of(const S* a, int64_t stride, int64_t rows, const Vector<Number<S>>* panel, int64_t K,
                Vector<Number<S>>* sums, const Vector<Number<S>>* begin) {
  if (rows == 0) return;
  const int64_t tiles = (rows + rows_per_tile(WIDTH) - 1) / rows_per_tile(WIDTH);
  constexpr int64_t kMost = kBlockBytes / (WIDTH * BYTES) * kPair<S>;
  int64_t block = K;
  if (K > kMost) {
    const int64_t blocks = (K + kMost - 1) / kMost;
    block = depth<S>((K + blocks - 1) / blocks) * kPair<S>;
  }
  const int64_t step = tiles > 1 ? WIDTH * BYTES / tiles : 0;
  int64_t k = 0;
  do {
    const char* next = (const char*)(panel + depth<S>(k + block) * WIDTH);
    for (int64_t i = 0, first = 0, last; i < tiles; ++i, first = last) {
      last = rows * (i + 1) / tiles;
      tile_of<S, WIDTH, TURNED>(last - first, number_at<S, TURNED>(a, stride, first, k), stride, panel + depth<S>(k) * WIDTH,
                                less(K - k, block), sums + first * WIDTH, k ? nullptr : begin,
                                {next + i * block / kPair<S> * step, step});
    }
  } while ((k += block) < K);
}

// sums (rows, width), in vectors, = a (rows, K) times one panel, plus `begin` (width) to every row, or what the sums are
// where that is null; a lies as `number_at` says.
template <class S, bool TURNED = false>
void add_product(const S* a, int64_t stride, int64_t rows, const Vector<Number<S>>* panel, int width, int64_t K,
                 Vector<Number<S>>* sums, const Vector<Number<S>>* begin = nullptr) {
  switch (width) {
    case 1: return product_of<S, 1, TURNED>(a, stride, rows, panel, K, sums, begin);
    case 2: return product_of<S, 2, TURNED>(a, stride, rows, panel, K, sums, begin);
    case 3: return product_of<S, 3, TURNED>(a, stride, rows, panel, K, sums, begin);
    default: return product_of<S, 4, TURNED>(a, stride, rows, panel, K, sums, begin);
  }
}

// The same, plus first_sums (width), if there are any.
template <class S, bool TURNED = false>
void product(const S* a, int64_t stride, int64_t rows, const Vector<Number<S>>* panel, int width, int64_t K,
             Vector<Number<S>>* sums, const Vector<Number<S>>* first_sums = nullptr) {
  static constexpr Vector<Number<S>> kZeros[kMaxWidth] = {};
  add_product<S, TURNED>(a, stride, rows, panel, width, K, sums, first_sums ? first_sums : kZeros);
}

}  // namespace
