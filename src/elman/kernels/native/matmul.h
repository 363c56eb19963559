// The large products around the recurrence, over all steps at once. Included once per instruction set.

#pragma once

#include "panels.h"
#include "pieces.h"
#include "sweep.h"

namespace {

// So many rows of B are read together, by `kRowsOfBlock` of A: what a thread works on stays in its second-level cache.
constexpr int64_t kDepthOfBlock = 512;

// C is small enough for every thread to have one of its own.
constexpr int64_t kFewSums = 1 << 17;

template <class T> struct Multiplication {
  const Matmul& m;

  Panels<T> panels(int64_t depth) const { return {m.N, 1, depth}; }

  // C's rows [row, row_end) and the columns of the panels [panel, panel_end), summed over k in [from, to); `whole`:
  // with what else belongs to it. False if there was no memory.
  bool block(int64_t row, int64_t row_end, int64_t panel, int64_t panel_end, int64_t from, int64_t to, T* c,
             bool whole) const {
    const int64_t most = to - from < kDepthOfBlock ? to - from : kDepthOfBlock;
    const bool turned = m.a_column != 1;
    const Panels<T> all = panels(most);
    const Buffer<T> packed(all.offset(panel_end) - all.offset(panel)), sums(kRowsOfBlock * kMaxWidth);
    const int64_t a_width = most + kLanes<T>;  // not a power of two: these share few places in a cache
    const Buffer<T> a_turned(turned ? kRowsOfBlock * a_width / kLanes<T> + 1 : 0);
    if (!packed.data || !sums.data || !a_turned.data) return false;
    for (int64_t k = from; k < to; k += most) {
      const int64_t depth = to - k < most ? to - k : most;
      const Panels<T> mine = panels(depth);
      Vector<T>* const start = packed.data - mine.offset(panel);
      for (int64_t p = panel; p < panel_end; ++p)
        mine.pack(p, (const T*)m.b + k * m.b_row, m.b_column, m.b_row, start);
      for (int64_t r = row; r < row_end; r += kRowsOfBlock) {
        const int64_t rows = row_end - r < kRowsOfBlock ? row_end - r : kRowsOfBlock;
        const T* a = (const T*)m.a + r * m.a_row + k * m.a_column;
        int64_t stride = m.a_row;
        if (turned) {
          turn(a, m.a_column, depth, rows, (T*)a_turned.data, a_width);
          a = (const T*)a_turned.data;
          stride = a_width;
        }
        for (int64_t p = panel; p < panel_end; ++p) {
          const int width = mine.width(p);
          product<T>(a, stride, rows, start + mine.offset(p), width, depth, sums.data);
          finish(c + r * m.N, rows, mine.first(p), width, sums.data, k == from, whole);
        }
      }
    }
    return true;
  }

  void finish(T* c, int64_t rows, int64_t first, int width, const Vector<T>* sums, bool begins, bool whole) const {
    const T* bias = begins && whole ? (const T*)m.bias : nullptr;
    const bool add = !begins || (whole && m.add);
    for (int64_t r = 0; r < rows; ++r)
      for (int v = 0; v < width; ++v) {
        const int64_t at = (first + v) * kLanes<T>, n = lanes_at<T>(m.N, at);
        T* to = c + r * m.N + at;
        Vector<T> sum = sums[r * width + v];
        if (add) sum += load(to, n);
        if (bias) sum += load(bias + at, n);
        store(to, sum, n);
      }
  }
};

// A sum over many steps into few numbers (a weight's derivative) is cut into pieces of the steps; else the longer side
// of C is cut, since what lies along the other one is packed by every thread for itself.
template <class T> int32_t matmul(const Matmul* given) {
  const Matmul& m = *given;
  const Multiplication<T> it{m};
  const int64_t size = m.M * m.N, panels = it.panels(m.K).count();
  const double work = double(size) * double(m.K);
  if (size == 0) return 0;
  expect_large(m.c, size * sizeof(T));
  int32_t failed = 0;  // written by any thread, always with the same value
  const auto cut = [](int64_t length, int64_t piece, int64_t pieces) { return length * piece / pieces; };
  if (size <= kFewSums && m.K > 8 * kDepthOfBlock) {
    const int64_t most = m.threads < m.K / kDepthOfBlock ? m.threads : m.K / kDepthOfBlock;
    const Buffer<T> others(most * size / kLanes<T> + 1);
    if (!others.data) return 1;
    int64_t parts = 1;
    in_pieces(m, most, work, [&](int64_t piece, int64_t pieces) {
      if (piece == 0) parts = pieces;
      T* c = piece ? (T*)others.data + (piece - 1) * size : (T*)m.c;
      if (!it.block(0, m.M, 0, panels, cut(m.K, piece, pieces), cut(m.K, piece + 1, pieces), c, piece == 0)) failed = 1;
    });
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t i = 0; i < size; ++i) ((T*)m.c)[i] += ((const T*)others.data)[(part - 1) * size + i];
  } else {
    const bool by_rows = m.M >= m.N;
    in_pieces(m, by_rows ? (m.M + kMaxRows - 1) / kMaxRows : panels, work, [&](int64_t piece, int64_t pieces) {
      const int64_t rows = by_rows ? pieces : 1, columns = by_rows ? 1 : pieces, r = by_rows ? piece : 0, n = piece - r;
      if (!it.block(cut(m.M, r, rows), cut(m.M, r + 1, rows), cut(panels, n, columns), cut(panels, n + 1, columns), 0,
                    m.K, (T*)m.c, true))
        failed = 1;
    });
  }
  return failed;
}

}  // namespace
