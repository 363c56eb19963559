// Two products at once: that of one row with a panel, which waits for the second-level cache, and a part of that of
// several rows with another panel, which waits for the multipliers. Included once per instruction set.

#pragma once

#include "product.h"

namespace {

// The sums of so many rows are held in registers beside those of the one row, a number and a row of the panel.
constexpr int kRowsBeside = REGISTERS == 32 ? 5 : 2;

template <class T> struct Beside {
  const T* a;  // (rows, K), its rows `stride` apart
  int64_t stride, rows, K;
  const Vector<T>* panel;
  Vector<T>* sums;  // (rows, width)
};

// sums[v] += number * panel[v]
template <class T, int WIDTH> INLINE void add_row(T number, const Vector<T>* panel, Vector<T>* sums) {
#pragma GCC unroll 4
  for (int v = 0; v < WIDTH; ++v) sums[v] += number * panel[v];
}

template <class T, int WIDTH, int ROWS>
void tile_beside(const T* a, const Vector<T>* panel, int64_t K, Vector<T>* sums, const Beside<T>& other) {
  Vector<T> s[WIDTH] = {}, others[ROWS][WIDTH];
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < WIDTH; ++v) others[r][v] = other.sums[r * WIDTH + v];
  int64_t k = 0;
  for (int64_t i = 0; i < other.K; ++i) {
    if (k + kRowsBeside <= K)
#pragma GCC unroll 8
      for (int j = 0; j < kRowsBeside; ++j, ++k) add_row<T, WIDTH>(a[k], panel + k * WIDTH, s);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) add_row<T, WIDTH>(other.a[r * other.stride + i], other.panel + i * WIDTH, others[r]);
  }
  for (; k < K; ++k) add_row<T, WIDTH>(a[k], panel + k * WIDTH, s);
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < WIDTH; ++v) other.sums[r * WIDTH + v] = others[r][v];
#pragma GCC unroll 4
  for (int v = 0; v < WIDTH; ++v) sums[v] = s[v];
}

template <class T, int WIDTH, int ROWS = kRowsBeside>
void product_beside_of(const T* a, const Vector<T>* panel, int64_t K, Vector<T>* sums, const Beside<T>& other) {
  if constexpr (ROWS > 1) {
    if (other.rows < ROWS) return product_beside_of<T, WIDTH, ROWS - 1>(a, panel, K, sums, other);
  }
  tile_beside<T, WIDTH, ROWS>(a, panel, K, sums, other);
}

// sums (width) = a (K) times a panel; the sums of `other`, of one to kRowsBeside rows, += its product. In the order of
// k, as `product` adds.
template <class T>
void product_beside(const T* a, const Vector<T>* panel, int width, int64_t K, Vector<T>* sums, const Beside<T>& other) {
  switch (width) {
    case 1: return product_beside_of<T, 1>(a, panel, K, sums, other);
    case 2: return product_beside_of<T, 2>(a, panel, K, sums, other);
    case 3: return product_beside_of<T, 3>(a, panel, K, sums, other);
    default: return product_beside_of<T, 4>(a, panel, K, sums, other);
  }
}

}  // namespace
