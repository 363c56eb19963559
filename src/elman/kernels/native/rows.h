// Where a row of the batch has what belongs to it. Included once per instruction set.

#pragma once

#include "sweep.h"
#include "variations.h"

namespace {

template <class T> T* row_of(const void* buffer, int64_t row, int64_t size) {
  return buffer ? (T*)buffer + row * size : nullptr;
}

// The step whose state the row has when it comes to t, or -1 for the initial state.
INLINE int64_t step_before(const Sweep& s, int64_t t, int64_t length) {
  const int64_t before = s.reverse ? t + 1 : t - 1;
  return before < length ? before : -1;
}

INLINE int64_t length_of(const Sweep& s, int64_t b) { return s.lengths ? s.lengths[b] : s.T; }
INLINE bool is_cleared(const Sweep& s, int64_t t, int64_t b) { return s.cleared && s.cleared[t * s.B + b]; }

// Some rows of the batch, and what is held of them from step to step.
template <class S> struct Rows {
  int64_t first, count;
  Number<S>* memory;
  S* ahead;  // scratch for some steps ahead, aligned as a vector
};

// The memory of some rows: P numbers each, padded with zeros to whole vectors. What the product with
// the weights reads of it is rounded to S; where that is what it holds anyway, both are the same.
template <class S> struct Memory {
  using T = Number<S>;
  T* h;
  S* rounded;

  void round(int64_t from, int64_t size) const {
    if constexpr (kPair<S> > 1)
      for (int64_t at = from; at < from + size; at += kLanes<T>) store(rounded + at, load(h + at));
  }

  // The same, times a mask of n numbers.
  void round(int64_t from, int64_t size, const T* mask, int64_t n) const {
    for (int64_t at = 0; at < size; at += kLanes<T>)
      store(rounded + from + at, load(h + from + at) * load(mask + at, lanes_at<T>(n, at)));
  }
};

// What varies at a row and step (see sweep.h).
template <class S> Variation<S> variation_at(const Sweep& s, int64_t row, int64_t b) {
  using T = Number<S>;
  return {row_of<T>(s.zoneout, row, s.zoneout_stride),
          row_of<T>(s.zoneout_cell, row, s.zoneout_cell_stride),
          (const T*)s.peephole,
          (const T*)s.gain_cell,
          (const T*)s.bias_cell,
          row_of<T>(s.dpeephole, b, 3 * s.H),
          row_of<T>(s.dgain_cell, b, s.H),
          row_of<T>(s.dbias_cell, b, s.H)};
}

// Of the sums of W_ih x_t, and of those of W_hh h_{t-1}; `size` is G * H.
template <class S> Normalization<S> normalization_x_at(const Sweep& s, int64_t row, int64_t size) {
  using T = Number<S>;
  return {(const T*)s.gain_x, (const T*)s.bias_x, row_of<S>(s.normed_x, row, size), row_of<T>(s.scale_x, row, 1)};
}

template <class S> Normalization<S> normalization_at(const Sweep& s, int64_t row, int64_t size) {
  using T = Number<S>;
  return {(const T*)s.gain, nullptr, row_of<S>(s.normed, row, size), row_of<T>(s.scale, row, 1)};
}

}  // namespace
