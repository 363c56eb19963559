// The forward pass of dense.h. Included once per instruction set.

#pragma once

#include "dense.h"
#include "gelu.h"
#include "normalization.h"
#include "pieces.h"
#include "product.h"

namespace {

// What n numbers are multiplied by where some are dropped.
template <class T> INLINE Vector<T> mask_of(const Dense& d, const int16_t* bits, int64_t n) {
  typedef int16_t Shorts __attribute__((vector_size(2 * kLanes<T>)));
  typedef typename VectorOf<T>::Bits Bits;
  Shorts drawn = {};
  if (n == kLanes<T>) memcpy(&drawn, bits, sizeof drawn);
  else memcpy(&drawn, bits, n * sizeof *bits);
  const Bits wide = __builtin_convertvector(drawn, Bits);
  return wide >= Bits{} + d.least ? Vector<T>{} + T(d.scale) : Vector<T>{};
}

template <class S> struct DenseForward {
  using T = Number<S>;
  const Dense& d;
  Panels<S> panels;

  explicit DenseForward(const Dense& d) : d(d), panels{d.N, 1, d.K} {}

  // What the product reads of some rows, in `room` where nobody keeps it.
  const S* prepared(int64_t first, int64_t rows, S* room) const {
    S* const to = d.input ? (S*)d.input + first * d.K : room;
    if (d.x)
      for (int64_t r = 0; r < rows; ++r) {
        const T* x = (const T*)d.x + (first + r) * d.K;
        if (d.gain) norm(x, first + r, to + r * d.K);
        else
          for (int64_t at = 0; at < d.K; at += kLanes<T>) {
            const int64_t n = lanes_at<T>(d.K, at);
            store(to + r * d.K + at, load(x + at, n), n);
          }
      }
    return to;
  }

  void norm(const T* x, int64_t row, S* to) const {
    const T *gain = (const T*)d.gain, *shift = (const T*)d.shift;
    const Standard<T> by = standard_of(x, 1, d.K, d.K, T(d.eps));
    for (int64_t at = 0; at < d.K; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(d.K, at);
      Vector<T> y = (load(x + at, n) - by.mean) * by.scale * load(gain + at, n);
      if (shift) y += load(shift + at, n);
      store(to + at, y, n);
    }
    if (!d.mean) return;
    ((T*)d.mean)[row] = by.mean;
    ((T*)d.rate)[row] = by.scale;
  }

  // y from the sums of `rows` rows and `width` vectors of columns.
  template <class Y> void finish(int64_t first, int64_t rows, int64_t column, int width, const Vector<T>* sums) const {
    const T* bias = (const T*)d.bias;
    for (int64_t r = 0; r < rows; ++r)
      for (int v = 0; v < width; ++v) {
        const int64_t at = column + v * kLanes<T>, n = lanes_at<T>(d.N, at), place = (first + r) * d.N + at;
        Vector<T> sum = sums[r * width + v];
        if (bias) sum += load(bias + at, n);
        if (d.gelu) {
          const Gelu<T> it = gelu<T>(sum);
          if (d.slope) store((S*)d.slope + place, it.slope, n);
          sum = it.value;
        }
        if (d.bits) sum *= mask_of<T>(d, d.bits + place, n);
        if (d.residual) sum += load((const T*)d.residual + place, n);
        store((Y*)d.y + place, sum, n);
      }
  }

  void run(int64_t first, int64_t rows, const Vector<T>* packed, S* room, Vector<T>* sums) const {
    const S* a = prepared(first, rows, room);
    for (int64_t p = 0; p < panels.count(); ++p) {
      const int width = panels.width(p);
      product<S>(a, d.K, rows, packed + panels.offset(p), width, d.K, sums);
      const int64_t column = panels.first(p) * kLanes<T>;
      if (d.added) finish<T>(first, rows, column, width, sums);
      else finish<S>(first, rows, column, width, sums);
    }
  }
};

// All panels of a matrix, packed by the threads together; null without memory.
template <class S> bool pack_all(const Dense& d, const Panels<S>& panels, int64_t column_stride, int64_t row_stride,
                                 Vector<Number<S>>* packed) {
  if (!packed) return false;
  in_pieces(d, panels.count(), double(d.N) * double(d.K), [&](int64_t piece, int64_t pieces) {
    const int64_t last = panels.count() * (piece + 1) / pieces;
    for (int64_t p = panels.count() * piece / pieces; p < last; ++p)
      panels.pack(p, (const Number<S>*)d.weight, column_stride, row_stride, packed);
  });
  return true;
}

template <class S> int32_t dense_forward(const Dense* given) {
  using T = Number<S>;
  const Dense& d = *given;
  if (d.M == 0 || d.N == 0) return 0;
  const DenseForward<S> it(d);
  const Buffer<T> packed(it.panels.size());
  if (!pack_all<S>(d, it.panels, d.K, 1, packed.data)) return 1;
  int32_t failed = 0;  // written by any thread, always with the same value
  const double work = double(d.M) * double(d.N) * double(d.K);
  in_pieces(d, (d.M + kMaxRows - 1) / kMaxRows, work, [&](int64_t piece, int64_t pieces) {
    const Buffer<T> sums(kRowsOfBlock * kMaxWidth), room(d.input ? 0 : kRowsOfBlock * d.K / kLanes<T> + 1);
    if (!sums.data || !room.data) {
      failed = 1;
      return;
    }
    const int64_t last = d.M * (piece + 1) / pieces;
    for (int64_t first = d.M * piece / pieces; first < last; first += kRowsOfBlock)
      it.run(first, last - first < kRowsOfBlock ? last - first : kRowsOfBlock, packed.data, (S*)room.data, sums.data);
  });
  return failed;
}

}  // namespace
