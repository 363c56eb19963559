// Panels of queries' rows, and sums over queries as products leave them. Included once per instruction set.

#pragma once

#include "attention_forward.h"

namespace {

// Rows of D numbers, of queries, as the panels of a product that sums over queries; and sums of that shape over keys.
template <class S> struct ByRows {
  using T = Number<S>;
  Vector<T>* data;
  Panels<S> panels;  // K: so many rows

  void put(const T* rows, int64_t stride, int64_t first, int64_t count) const {
    for (int64_t p = 0; p < panels.count(); ++p)
      for (int64_t v = 0; v < panels.width(p); ++v) {
        Vector<T>* const to = data + panels.offset(p) + first / kPair<S> * panels.width(p) + v;
        panels_of(count).pack_vector(rows + (panels.first(p) + v) * kLanes<T>, 1, stride, kLanes<T>, to, panels.width(p));
      }
  }

 private:
  Panels<S> panels_of(int64_t count) const { return {panels.H, 1, count}; }
};

// Sums (columns, D) as products leave them: panel by panel, of each the vectors of a column side by side.
template <class T> struct Sums {
  Vector<T>* data;
  Panels<T> panels;  // K: so many columns

  Vector<T>* at(int64_t panel, int64_t column) const { return data + panels.offset(panel) + column * panels.width(panel); }
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
  template <class X> void read(int64_t column, X* to) const {
    for_pieces(column, [&](const T* from, int64_t d, int64_t n) {
      for (int64_t i = 0; i < n; i += kLanes<T>) store(to + d + i, load(from + i), lanes_at<T>(n, i));
    });
  }
};

}  // namespace
