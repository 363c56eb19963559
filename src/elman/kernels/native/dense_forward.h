// The forward pass of dense.h. Included once per instruction set.

#pragma once

#include "dense.h"
#include "dots.h"
#include "gelu.h"
#include "normalization.h"
#include "panels.h"
#include "pieces.h"

namespace {

// What numbers are multiplied by where some are dropped.
template <class T> struct Mask {
  typedef int16_t Shorts __attribute__((vector_size(2 * kLanes<T>)));
  typedef typename VectorOf<T>::Bits Bits;
  const int16_t* bits;
  Bits least;
  Vector<T> scale;
  explicit Mask(const Dense& d) : bits(d.bits), least(Bits{} + d.least), scale(Vector<T>{} + T(d.scale)) {}

  INLINE Vector<T> at(int64_t place, int64_t n) const {
    Shorts drawn = {};
    if (n == kLanes<T>) memcpy(&drawn, bits + place, sizeof drawn);
    else memcpy(&drawn, bits + place, n * sizeof *bits);
    return __builtin_convertvector(drawn, Bits) >= least ? scale : Vector<T>{};
  }
};

// So few rows, that nobody keeps for backward, are not worth packing W.
constexpr int64_t kUnpackedRows = 4;

// The layer normalization of so many rows waits for their sums across lanes together.
constexpr int kRowsTogether = 4;

template <class S> struct DenseForward {
  using T = Number<S>;
  const Dense& d;
  Panels<S> panels;

  explicit DenseForward(const Dense& d) : d(d), panels{d.N, 1, d.K} {}

  // What the product reads of some rows, rounded to P, into rows `stride` apart. Not for what lies in `input` already.
  template <class P> void prepare(int64_t first, int64_t rows, P* to, int64_t stride) const {
    const int64_t K = d.K;
    int64_t r = 0;
    if (d.gain) {
      for (; r + kRowsTogether <= rows; r += kRowsTogether) norm<kRowsTogether>(first + r, to + r * stride, stride);
      for (; r < rows; ++r) norm<1>(first + r, to + r * stride, stride);
    }
    for (; r < rows; ++r) {
      const T* x = (const T*)d.x + (first + r) * K;
      for (int64_t at = 0, n; at < K; at += kLanes<T>) n = lanes_at<T>(K, at), store(to + r * stride + at, load(x + at, n), n);
    }
  }

  template <int ROWS, class P> void norm(int64_t row, P* to, int64_t stride) const {
    const T *const gain = (const T*)d.gain, *const shift = (const T*)d.shift, *const x = (const T*)d.x + row * d.K;
    const int64_t K = d.K;
    const RowsOf<ROWS, Standard<T>> by = standard_of_rows<ROWS>(x, K, T(d.eps));
    for (int64_t at = 0; at < K; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(K, at);
      const Vector<T> times = load(gain + at, n), plus = shift ? load(shift + at, n) : Vector<T>{};
#pragma GCC unroll 4
      for (int r = 0; r < ROWS; ++r)
        store(to + r * stride + at, (load(x + r * K + at, n) - by.of[r].mean) * by.of[r].scale * times + plus, n);
    }
    if (!d.mean) return;
    for (int r = 0; r < ROWS; ++r) {
      ((T*)d.mean)[row + r] = by.of[r].mean;
      ((T*)d.rate)[row + r] = by.of[r].scale;
    }
  }

  // y from the sums of `rows` rows and `width` vectors of columns.
  void finish(int64_t first, int64_t rows, int64_t column, int width, const Vector<T>* sums) const {
    if (d.added) d.gelu ? finish<T, true>(first, rows, column, width, sums) : finish<T, false>(first, rows, column, width, sums);
    else d.gelu ? finish<S, true>(first, rows, column, width, sums) : finish<S, false>(first, rows, column, width, sums);
  }

  template <class Y, bool GELU>
  void finish(int64_t first, int64_t rows, int64_t column, int width, const Vector<T>* sums) const {
    const bool whole = column + width * kLanes<T> <= d.N;
    whole ? finish<Y, GELU, true>(first, rows, column, width, sums) : finish<Y, GELU, false>(first, rows, column, width, sums);
  }

  // Locals, for the compiler must take it that a store may change what `d` holds; and a function of its own, for there are
  // not registers enough for more.
  template <class Y, bool GELU, bool WHOLE>
  __attribute__((noinline)) void finish(int64_t first, int64_t rows, int64_t column, int width, const Vector<T>* sums) const {
    const int64_t N = d.N;
    const T *const bias = (const T*)d.bias, *const residual = (const T*)d.residual;
    const Mask<T> mask(d);
    S* const slope = (S*)d.slope;
    Y* const y = (Y*)d.y;
    for (int64_t r = 0; r < rows; ++r) {
      int64_t at = column, place = (first + r) * N + column;
      for (int v = 0; v < width; ++v, ++sums, at += kLanes<T>, place += kLanes<T>) {
        const int64_t n = WHOLE ? kLanes<T> : lanes_at<T>(N, at);
        Vector<T> sum = *sums;
        if (bias) sum += load(bias + at, n);
        if constexpr (GELU) {
          const Gelu<T> it = gelu_for<S>(sum);
          if (slope) store(slope + place, it.slope, n);
          sum = it.value;
        }
        if (mask.bits) sum *= mask.at(place, n);
        if (residual) sum += load(residual + place, n);
        store(y + place, sum, n);
      }
    }
  }

  // Some rows, and the panels [from, to).
  void run(int64_t first, int64_t rows, int64_t from, int64_t to, const Vector<T>* packed, S* room, Vector<T>* sums) const {
    S* const a = d.input ? (S*)d.input + first * d.K : room;
    if (d.x) prepare(first, rows, a, d.K);
    for (int64_t p = from; p < to; ++p) {
      product<S>(a, d.K, rows, packed + panels.offset(p), panels.width(p), d.K, sums);
      finish(first, rows, panels.first(p) * kLanes<T>, panels.width(p), sums);
    }
  }

  // Few rows make little of each weight, so W is read as it lies, and nothing is rounded: the columns of the vectors
  // [from, to). a (M, stride) is padded with zeros to whole vectors.
  void run_few(int64_t from, int64_t to, const T* a, int64_t stride) const {
    Vector<T> sums[kUnpackedRows];
    for (int64_t at = from * kLanes<T>; at < to * kLanes<T>; at += kLanes<T>) {
      const T* weight = (const T*)d.weight + at * d.K;
      dots_of_few<T>(a, stride, d.M, weight, lanes_at<T>(d.N, at), d.K, sums, 1);
      finish(0, d.M, at, 1, sums);
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

template <class S> int32_t dense_forward_few(const DenseForward<S>& it, double work) {
  using T = Number<S>;
  constexpr int64_t L = kLanes<T>;
  const Dense& d = it.d;
  const int64_t stride = (d.K + L - 1) / L * L, vectors = (d.N + L - 1) / L;
  const Buffer<T> padded(d.M * stride / L);
  if (!padded.data) return 1;
  T* const a = (T*)padded.data;
  memset(a, 0, d.M * stride * sizeof(T));
  if (d.x) it.prepare(0, d.M, a, stride);
  else
    for (int64_t r = 0; r < d.M; ++r)
      for (int64_t at = 0; at < d.K; at += L)
        store(a + r * stride + at, load((const S*)d.input + r * d.K + at, lanes_at<T>(d.K, at)));
  in_pieces(d, vectors, work, [&](int64_t piece, int64_t pieces) {
    it.run_few(vectors * piece / pieces, vectors * (piece + 1) / pieces, a, stride);
  });
  return 0;
}

template <class S> int32_t dense_forward(const Dense* given) {
  using T = Number<S>;
  const Dense& d = *given;
  if (d.M == 0 || d.N == 0) return 0;
  const DenseForward<S> it(d);
  const double work = double(d.M) * double(d.N) * double(d.K);
  if (d.M <= kUnpackedRows && !d.packed && !(d.x && d.input) && !d.slope) return dense_forward_few(it, work);
  const Buffer<T> own(d.packed ? 0 : it.panels.size());
  if (!own.data || (!d.packed && !pack_all<S>(d, it.panels, d.K, 1, own.data))) return 1;
  const Vector<T>* const packed = d.packed ? (const Vector<T>*)d.packed : own.data;
  const int64_t tiles = (d.M + kMaxRows - 1) / kMaxRows, panels = it.panels.count();
  const bool by_panels = d.packed && tiles == 1;  // rows too few for the threads
  int32_t failed = 0;  // written by any thread, always with the same value
  in_pieces(d, by_panels ? panels : tiles, work, [&](int64_t piece, int64_t pieces) {
    const Buffer<T> sums(kRowsOfBlock * kMaxWidth), room(d.input ? 0 : kRowsOfBlock * d.K / kLanes<T> + 1);
    if (!sums.data || !room.data) {
      failed = 1;
      return;
    }
    if (by_panels)
      return it.run(0, d.M, panels * piece / pieces, panels * (piece + 1) / pieces, packed, (S*)room.data, sums.data);
    const int64_t last = d.M * (piece + 1) / pieces;
    for (int64_t first = d.M * piece / pieces; first < last; first += kRowsOfBlock)
      it.run(first, less(last - first, kRowsOfBlock), 0, panels, packed, (S*)room.data, sums.data);
  });
  return failed;
}

}  // namespace
