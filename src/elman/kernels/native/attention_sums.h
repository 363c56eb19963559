// Panels of queries' rows, and sums over queries as products leave them. Included once per instruction set.

#pragma once

#include "attention_forward.h"
#include "dots.h"

namespace {

// Rows of D numbers, of queries, as the panels of a product that sums over queries; and sums of that shape over keys.
template <class S> struct ByRows {
  using T = Number<S>;
  Vector<T>* data;
  Panels<S> panels;  // K: so many rows

  // A strip of queries, turned, as the rows from `first` on.
  void put_strip(const Vector<T>* strip, int64_t first) const {
    for (int64_t p = 0; p < panels.count(); ++p)
      for (int64_t v = 0, width = panels.width(p); v < width; v += P) {
        const Vector<T>* const from = strip + (panels.first(p) + v) * L;
        Vector<T>* const to = data + panels.offset(p) + first / P * width + v;
        const bool both = P > 1 && v + 1 < width;
        Vector<T> square[L];
#pragma GCC unroll 16
        for (int k = 0; k < L; ++k) square[k] = one_after_the_other(from[k], both ? from[L + k] : Vector<T>{});
        turn_square<T>(square);
#pragma GCC unroll 16
        for (int k = 0; k < L / P; ++k) to[k * width] = square[k];
        if (both)
#pragma GCC unroll 16
          for (int k = L / P; k < L; ++k) to[(k - L / P) * width + 1] = square[k];
      }
  }

  // Rows of dy, each times its query's `inverse`, of which `count` are there, as the rows from `first` on. Returns their
  // products with those of y, lane by lane.
  Vector<T> put_rows(const S* dy, const S* y, int64_t stride, int64_t count, const T* inverse, int64_t first) const {
    Vector<T> products[L];
    for (int64_t p = 0; p < panels.count(); ++p) {
      const int64_t width = panels.width(p), begin = panels.first(p) * L;
      Vector<T>* to = data + panels.offset(p) + first / P * width;
      for (int r = 0; r < L; r += P, to += width) {
        Vector<T> sums[P] = {};
        for (int64_t v = 0, at = begin; v < width; ++v, at += L) {
          const int64_t n = lanes_at<T>(panels.H, at);
          Vector<T> rows[P] = {};
#pragma GCC unroll 2
          for (int i = 0; i < P; ++i)
            if (r + i < count) {
              rows[i] = load(dy + (r + i) * stride + at, n) * inverse[r + i];
              sums[i] += rows[i] * load(y + (r + i) * stride + at, n);
            }
          to[v] = Panels<S>::packed_rows(rows);
        }
        for (int i = 0; i < P; ++i) products[r + i] = p ? products[r + i] + sums[i] : sums[i];
      }
    }
    return sums_across<T>(products);
  }

 private:
  static constexpr int L = kLanes<T>, P = kPair<S>;

  static INLINE Vector<T> one_after_the_other(Vector<T> first, Vector<T> second) {
    if constexpr (P > 1) {
      const VectorOf<float>::Halves halves[2] = {narrow(first), narrow(second)};
      memcpy(&first, halves, sizeof first);
    }
    return first;
  }
};

// Sums (columns, D) as products leave them: panel by panel, of each the vectors of a column side by side.
template <class T> struct Sums {
  Vector<T>* data;
  Panels<T> panels;  // K: so many columns

  Vector<T>* at(int64_t panel, int64_t column) const { return data + panels.offset(panel) + column * panels.width(panel); }
  void clear(int64_t from, int64_t to) const {
    for (int64_t p = 0; p < panels.count(); ++p)
      memset(at(p, from), 0, (up(to, kTile) - from) * panels.width(p) * sizeof(Vector<T>));
  }
  // Calls body(numbers, d, n) for the pieces of a column: numbers d to d + n.
  template <class F> void for_pieces(int64_t column, F body) const {
    for (int64_t p = 0; p < panels.count(); ++p) {
      const int64_t d = panels.first(p) * kLanes<T>;
      body((T*)at(p, column), d, less(panels.H - d, panels.width(p) * kLanes<T>));
    }
  }
  void turn_to(int64_t column, int64_t rows, Vector<T>* strip) const {
    for (int64_t p = 0; p < panels.count(); ++p) {
      const int64_t d = panels.first(p) * kLanes<T>, width = panels.width(p) * kLanes<T>;
      turn_in((const T*)at(p, column), width, rows, less(panels.H - d, width), strip + d);
    }
  }
  void add(int64_t column, const T* x) const {
    for_pieces(column, [&](T* to, int64_t d, int64_t n) {
      for (int64_t i = 0; i < n; ++i) to[i] += x[d + i];
    });
  }
  // `count` columns, into rows.
  template <class X> void read(int64_t column, int64_t count, X* to, int64_t stride) const {
    for (int64_t p = 0; p < panels.count(); ++p) {
      const Vector<T>* from = at(p, column);
      const int64_t width = panels.width(p), begin = panels.first(p) * kLanes<T>, H = panels.H;
      for (int64_t i = 0; i < count; ++i, from += width)
        for (int64_t v = 0, d = begin; v < width; ++v, d += kLanes<T>) store(to + i * stride + d, from[v], lanes_at<T>(H, d));
    }
  }
};

}  // namespace
