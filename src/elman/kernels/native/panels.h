// How a matrix is packed into the panels that `product` reads. Included once per instruction set.

#pragma once

#include "product.h"
#include "turn.h"

namespace {

// How H columns (of units, or of what they are projected to), once for each of G gates, are cut into panels: one of the
// LSTM and the GRU holds all gates of one vector of units, so that these can be finished together; with one gate it holds
// up to `most` vectors of units. Where the gates are `close`, those of a last panel that has fewer units than a vector has
// lanes lie directly behind each other: 8 units of 4 gates in two vectors of 16 lanes instead of four.
template <class S> struct Panels {
  int64_t H, G, K;
  bool close = false;
  int64_t most = kMaxWidth;  // vectors of a panel of one gate

  static constexpr int lanes = kLanes<Number<S>>;
  int64_t vectors() const { return (H + lanes - 1) / lanes; }
  int64_t count() const { return G > 1 ? vectors() : (vectors() + most - 1) / most; }
  int64_t first(int64_t panel) const { return G > 1 ? panel : vectors() * panel / count(); }  // its first vector of units
  INLINE bool is_close(int64_t panel) const { return close && G > 1 && H - panel * lanes < lanes; }
  INLINE int64_t gate_size(int64_t panel) const {  // from one gate's columns to those of the next
    return is_close(panel) ? H - panel * lanes : lanes;
  }
  INLINE int width(int64_t panel) const {
    return int(is_close(panel) ? (G * gate_size(panel) + lanes - 1) / lanes : (first(panel + 1) - first(panel)) * G);
  }
  int64_t offset(int64_t panel) const { return first(panel) * G * depth<S>(K); }  // in vectors, as all that follow
  int64_t size() const { return vectors() * G * depth<S>(K); }

  // Column u of gate g at row k is weight[(g * H + u) * column_stride + k * row_stride]; zeros beyond H and K. One of
  // the strides is 1.
  void pack(int64_t panel, const Number<S>* weight, int64_t column_stride, int64_t row_stride,
            Vector<Number<S>>* packed) const {
    if (is_close(panel)) return pack_close(panel, weight, column_stride, row_stride, packed);
    const int panel_width = width(panel);
    for (int v = 0; v < panel_width; ++v) {
      const int64_t u = (first(panel) + v / G) * lanes;
      pack_vector(weight + (v % G * H + u) * column_stride, column_stride, row_stride, lanes_at<Number<S>>(H, u),
                  packed + offset(panel) + v, panel_width);
    }
  }

  void pack_close(int64_t panel, const Number<S>* weight, int64_t column_stride, int64_t row_stride,
                  Vector<Number<S>>* packed) const {
    const int64_t n = gate_size(panel), row = width(panel) * lanes;
    Number<S>* to = (Number<S>*)(packed + offset(panel));
    Vector<Number<S>> rows[lanes] = {};
    memset((void*)to, 0, row * depth<S>(K) * sizeof *to);
    for (int64_t g = 0; g < G; ++g, to += n) {
      const Number<S>* from = weight + (g * H + first(panel) * lanes) * column_stride;
      for (int64_t k = 0; k < K; k += lanes) {
        const int64_t few = load_rows(from, column_stride, row_stride, n, k, rows);
        for (int64_t i = 0; i < few; i += kPair<S>)
          store<Number<S>>(to + (k + i) / kPair<S> * row, packed_rows(rows + i), n);
      }
    }
  }

  // n columns into every `width`-th vector.
  void pack_vector(const Number<S>* from, int64_t column_stride, int64_t row_stride, int64_t n, Vector<Number<S>>* to,
                   int64_t width) const {
    using T = Number<S>;
    Vector<T> rows[lanes];
    for (int64_t k = 0; k < K; k += lanes) {
      if (column_stride != 1 && kPair<S> == 1) {
        const int64_t few = lanes_at<T>(K, k);
        if (n == lanes && few == lanes) turn_whole<T>(from + k, column_stride, (T*)(to + k * width), width * lanes);
        else turn(from + k, column_stride, n, few, (T*)(to + k * width), width * lanes);
        continue;
      }
      const int64_t few = load_rows(from, column_stride, row_stride, n, k, rows);
      for (int64_t i = 0; i < few; i += kPair<S>) to[(k + i) / kPair<S> * width] = packed_rows(rows + i);
    }
  }

  // The n columns at some rows from k on, whose number is returned; zeros in the other lanes, and in a row that has no pair.
  INLINE int64_t load_rows(const Number<S>* from, int64_t column_stride, int64_t row_stride, int64_t n, int64_t k,
                           Vector<Number<S>>* rows) const {
    const int64_t few = lanes_at<Number<S>>(K, k);
    if (column_stride == 1)
      for (int64_t i = 0; i < few; ++i) rows[i] = load(from + (k + i) * row_stride, n);
    else
      turn(from + k, column_stride, n, few, (Number<S>*)rows, lanes);
    if (few % kPair<S>) rows[few] = Vector<Number<S>>{};
    return few;
  }

  static INLINE Vector<Number<S>> packed_rows(const Vector<Number<S>>* rows) {
    if constexpr (kPair<S> > 1) {
#if defined(DOT_OF_PAIRS)
      return side_by_side(rows[0], rows[1], typename LanesUpTo<lanes>::Type());
#else
      return (Vector<Number<S>>)(words_of(narrow(rows[0])) | words_of(narrow(rows[1])) << 16);
#endif
    } else {
      return rows[0];
    }
  }
};

}  // namespace
