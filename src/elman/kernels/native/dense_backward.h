// The backward pass of dense.h. Included once per instruction set.
//
// Each thread takes its rows, some hundreds at a time: the derivatives by the sums, from these those by what the product
// read and (layer normalization) by x, and of the same rows the part of the weight's derivative, which stays in the
// thread's own cache. The parts of the threads are added at the end.

#pragma once

#include "dense_forward.h"

namespace {

// So many rows make the weight's derivative worth its way through the cache.
constexpr int64_t kRowsOfSum = 5 * kRowsOfBlock;

// Rows k and k + 1 of n columns (one row, where numbers have no pairs; `second` null: zeros), as a panel holds them; what
// they hold is added to `sum`.
template <class T> INLINE Vector<T> steps(const T* first, const T*, int64_t n, Vector<T>& sum) {
  const Vector<T> row = load(first, n);
  sum += row;
  return row;
}

INLINE Vector<float> steps(const Bfloat16* first, const Bfloat16* second, int64_t n, Vector<float>& sum) {
  typedef VectorOf<float>::Words Words;
  const Vector<float> upper = second ? load(second, n) : Vector<float>{}, lower = load(first, n);
  sum += lower + upper;
  return (Vector<float>)((Words)lower >> 16 | (Words)upper);
}

// What a thread adds up over its rows: the derivatives by the weights, one behind the other.
template <class T> struct WeightSums {
  T *weight, *bias, *gain, *shift;
  static int64_t size(const Dense& d) { return d.N * d.K + d.N + 2 * d.K; }
  WeightSums(const Dense& d, T* from) : weight(from), bias(weight + d.N * d.K), gain(bias + d.N), shift(gain + d.K) {}
};

template <class S> struct DenseBackward {
  using T = Number<S>;
  static constexpr int64_t L = kLanes<T>;
  const Dense& d;
  Panels<S> panels;  // of W, for dx

  explicit DenseBackward(const Dense& d) : d(d), panels{d.K, 1, d.N} {}

  // The derivatives by the sums of some rows: dy times the slope of GELU, or times what is kept.
  template <class Y> const S* dsums(int64_t first, int64_t rows) const {
    if (!d.dsums) return (const S*)d.dy + first * d.N;
    const Mask<T> mask(d);
    const S* const slope = d.gelu ? (const S*)d.slope : nullptr;
    const Y* const dy = (const Y*)d.dy;
    S* const to = (S*)d.dsums;
    const int64_t begin = first * d.N, end = (first + rows) * d.N;
    const auto derive = [&](int64_t place, int64_t n) {
      Vector<T> dsum = load(dy + place, n);
      if (mask.bits) dsum *= mask.at(place, n);
      if (slope) dsum *= load(slope + place, n);
      store(to + place, dsum, n);
    };
    int64_t place = begin;
    for (; place + L <= end; place += L) derive(place, L);
    if (place < end) derive(place, end - place);
    return to + first * d.N;
  }

  // The derivatives by what the product read, of up to kRowsOfBlock rows.
  void inputs(int64_t first, int64_t rows, const S* dsums, const Vector<T>* packed, T* room, Vector<T>* sums,
              const WeightSums<T>& parts) const {
    const int64_t width = panels.vectors() * L;  // of a row of `room`
    for (int64_t p = 0; p < panels.count(); ++p) {
      const int vectors = panels.width(p);
      product<S>(dsums, d.N, rows, packed + panels.offset(p), vectors, d.N, sums);
      for (int64_t r = 0; r < rows; ++r)
        for (int v = 0; v < vectors; ++v) {
          const int64_t at = (panels.first(p) + v) * L, n = lanes_at<T>(d.K, at), place = (first + r) * d.K + at;
          const Vector<T> sum = sums[r * vectors + v];
          if (d.gain) store(room + r * width + at, sum);
          else if (d.x) store((T*)d.dx + place, sum, n);
          else store((S*)d.dx + place, sum, n);
        }
    }
    if (d.gain)
      for (int64_t r = 0; r < rows; ++r) norm(first + r, room + r * width, parts);
  }

  // From the derivatives by the normalized row, those by the row.
  void norm(int64_t row, T* dnormed, const WeightSums<T>& parts) const {
    const T *x = (const T*)d.x + row * d.K, *gain = (const T*)d.gain;
    const T mean = ((const T*)d.mean)[row], rate = ((const T*)d.rate)[row];
    Vector<T> sum = {}, products = {};
    for (int64_t at = 0; at < d.K; at += L) {
      const int64_t n = lanes_at<T>(d.K, at);
      const Vector<T> y = (load(x + at, n) - mean) * rate, dy = load(dnormed + at), g = dy * load(gain + at, n);
      store(parts.gain + at, load(parts.gain + at, n) + dy * y, n);
      store(parts.shift + at, load(parts.shift + at, n) + dy, n);
      store(dnormed + at, g);
      sum += g;  // zeros beyond K
      products += g * y;
    }
    const T offset = total<T>(sum) / T(d.K), slope = total<T>(products) / T(d.K);
    for (int64_t at = 0; at < d.K; at += L) {
      const int64_t n = lanes_at<T>(d.K, at);
      const Vector<T> y = (load(x + at, n) - mean) * rate;
      store((T*)d.dx + row * d.K + at, rate * (load(dnormed + at) - offset - y * slope), n);
    }
  }

  // Rows as the panels of a product that adds up over them; the sums of each column are added to `columns`, if any.
  static void pack(const S* from, int64_t rows, int64_t size, const Panels<S>& to, Vector<T>* packed, T* columns) {
    for (int64_t p = 0; p < to.count(); ++p) {
      const int64_t at = to.first(p) * L;
      Vector<T>* const place = packed + to.offset(p);
      switch (to.width(p)) {
        case 1: pack_panel<1>(from + at, rows, size, size - at, place, columns ? columns + at : nullptr); break;
        case 2: pack_panel<2>(from + at, rows, size, size - at, place, columns ? columns + at : nullptr); break;
        case 3: pack_panel<3>(from + at, rows, size, size - at, place, columns ? columns + at : nullptr); break;
        default: pack_panel<4>(from + at, rows, size, size - at, place, columns ? columns + at : nullptr);
      }
    }
  }

  // One panel, of `left` columns at most.
  template <int WIDTH>
  static void pack_panel(const S* from, int64_t rows, int64_t size, int64_t left, Vector<T>* to, T* columns) {
    Vector<T> sums[WIDTH] = {};
    const bool whole = left >= WIDTH * L;
    for (int64_t k = 0; k < rows; k += kPair<S>, to += WIDTH, from += kPair<S> * size)
#pragma GCC unroll 4
      for (int v = 0; v < WIDTH; ++v) {
        const S* const next = k + 1 < rows ? from + size + v * L : nullptr;
        to[v] = whole ? steps(from + v * L, next, L, sums[v]) : steps(from + v * L, next, lanes_at<T>(left, v * L), sums[v]);
      }
    if (columns)
      for (int v = 0; v < WIDTH; ++v) {
        const int64_t n = lanes_at<T>(left, v * L);
        store(columns + v * L, load(columns + v * L, n) + sums[v], n);
      }
  }

  // The part of dW = sum of dsums^T input over these rows.
  void weights(int64_t rows, const S* dsums, const S* input, Vector<T>* room, Vector<T>* sums,
               const WeightSums<T>& parts) const {
    const Panels<S> of_sums = {d.N, 1, rows}, of_input = {d.K, 1, rows};
    Vector<T>* const packed = room + of_sums.size();
    pack(dsums, rows, d.N, of_sums, room, parts.bias);
    pack(input, rows, d.K, of_input, packed, nullptr);
    const int64_t depth_of_rows = depth<S>(rows) * kPair<S>;
    for (int64_t p = 0; p < of_input.count(); ++p)
      for (int64_t q = 0; q < of_sums.count(); ++q) {
        const int width = of_input.width(p);
        const int64_t row = of_sums.first(q) * L, wide = of_sums.width(q) * L;
        const int64_t count = d.N - row < wide ? d.N - row : wide;
        product<S, true>((const S*)(room + of_sums.offset(q)), wide, count, packed + of_input.offset(p), width,
                         depth_of_rows, sums);
        for (int64_t r = 0; r < count; ++r)
          for (int v = 0; v < width; ++v) {
            const int64_t at = (of_input.first(p) + v) * L, n = lanes_at<T>(d.K, at);
            T* to = parts.weight + (row + r) * d.K + at;
            store(to, load(to, n) + sums[r * width + v], n);
          }
      }
  }

  // Numbers and vectors that a thread needs.
  int64_t room_of_inputs() const { return kRowsOfBlock * panels.vectors(); }
  int64_t room_of_weights() const {
    return Panels<S>{d.N, 1, kRowsOfSum}.size() + Panels<S>{d.K, 1, kRowsOfSum}.size();
  }

  void run(int64_t first, int64_t rows, const Vector<T>* packed, Vector<T>* room, Vector<T>* sums,
           const WeightSums<T>& parts) const {
    const S* of_sums = nullptr;
    for (int64_t r = 0; r < rows; r += kRowsOfBlock) {
      const int64_t count = rows - r < kRowsOfBlock ? rows - r : kRowsOfBlock;
      const S* mine = d.added ? dsums<T>(first + r, count) : dsums<S>(first + r, count);
      if (r == 0) of_sums = mine;
      if (d.dx) inputs(first + r, count, mine, packed, (T*)room, sums, parts);
    }
    if (d.dweight) weights(rows, of_sums, (const S*)d.input + first * d.K, room, sums, parts);
  }
};

template <class T> void add_parts(const Dense& d, const T* others, int64_t parts) {
  const int64_t size = WeightSums<T>::size(d);
  const WeightSums<T> from(d, (T*)others);
  const auto add = [&](void* to, const T* first, int64_t count) {
    if (!to) return;
    for (int64_t at = 0; at < count; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(count, at);
      Vector<T> sum = load(first + at, n);
      for (int64_t part = 1; part < parts; ++part) sum += load(first + part * size + at, n);
      store((T*)to + at, sum, n);
    }
  };
  add(d.dweight, from.weight, d.N * d.K);
  add(d.dbias, from.bias, d.N);
  add(d.dgain, from.gain, d.K);
  add(d.dshift, from.shift, d.K);
}

template <class S> int32_t dense_backward(const Dense* given) {
  using T = Number<S>;
  const Dense& d = *given;
  const DenseBackward<S> it(d);
  const Buffer<T> packed(d.dx ? it.panels.size() : 0);
  if (!(d.dx ? pack_all<S>(d, it.panels, 1, d.K, packed.data) : packed.data != nullptr)) return 1;
  const int64_t size = WeightSums<T>::size(d), rows = (d.M + kMaxRows - 1) / kMaxRows;
  const int64_t most = d.threads < rows ? d.threads : rows;
  const Buffer<T> all((most < 1 ? 1 : most) * size / kLanes<T> + 1);
  if (!all.data) return 1;
  int32_t failed = 0;  // written by any thread, always with the same value
  int64_t parts = 1;
  const double work = 2 * double(d.M) * double(d.N) * double(d.K);
  in_pieces(d, most, work, [&](int64_t piece, int64_t pieces) {
    const int64_t of_inputs = it.room_of_inputs(), of_weights = it.room_of_weights();
    const Buffer<T> room(of_inputs < of_weights ? of_weights : of_inputs), sums(kRowsOfBlock * kMaxWidth);
    if (!room.data || !sums.data) {
      failed = 1;
      return;
    }
    if (piece == 0) parts = pieces;
    T* const mine = (T*)all.data + piece * size;
    memset(mine, 0, size * sizeof(T));
    const int64_t last = d.M * (piece + 1) / pieces;
    for (int64_t first = d.M * piece / pieces; first < last; first += kRowsOfSum)
      it.run(first, last - first < kRowsOfSum ? last - first : kRowsOfSum, packed.data, room.data, sums.data,
             WeightSums<T>(d, mine));
  });
  if (!failed) add_parts(d, (const T*)all.data, parts);
  return failed;
}

}  // namespace
