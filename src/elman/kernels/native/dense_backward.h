// The backward pass of dense.h. Included once per instruction set.
//
// Each thread takes its rows, some hundreds at a time: the derivatives by the sums, from these those by what the product
// read and (layer normalization) by x, and of the same rows the part of the weight's derivative, which stays in the
// thread's own cache. The parts of the threads are added at the end.

#pragma once

#include "dense_forward.h"
#include "packed_rows.h"

namespace {

// So many rows make the weight's derivative worth its way through the cache, while what is packed of them stays there.
constexpr int64_t kRowsOfSum = 2 * kRowsOfBlock;

// What a thread adds up over its rows: the derivatives by the weights, one behind the other; that by W in the panels of
// its columns.
template <class T> struct WeightSums {
  T *weight, *bias, *gain, *shift;
  static int64_t columns(const Dense& d) { return (d.K + kLanes<T> - 1) / kLanes<T> * kLanes<T>; }
  static int64_t size(const Dense& d) { return (d.N * columns(d) + d.N + 2 * d.K + kLanes<T> - 1) / kLanes<T> * kLanes<T>; }
  WeightSums(const Dense& d, T* from)
      : weight(from), bias(weight + d.N * columns(d)), gain(bias + d.N), shift(gain + d.K) {}
};

template <class S> struct DenseBackward {
  using T = Number<S>;
  static constexpr int64_t L = kLanes<T>;
  const Dense& d;
  Panels<S> panels;  // of W, for dx
  bool changed;      // the derivatives by the sums are not dy itself

  explicit DenseBackward(const Dense& d)
      : d(d), panels{d.K, 1, d.N}, changed(d.gelu || d.bits || (d.added && kPair<S> > 1)) {}

  // The derivatives by the sums of some rows: dy times the slope of GELU, or times what is kept. In `room`, or dy itself.
  template <class Y> const S* dsums(int64_t first, int64_t rows, S* room) const {
    if (!changed) return (const S*)d.dy + first * d.N;
    const Mask<T> mask(d);
    const S* const slope = d.gelu ? (const S*)d.slope : nullptr;
    const Y* const dy = (const Y*)d.dy;
    const int64_t begin = first * d.N, end = (first + rows) * d.N;
    const auto derive = [&](int64_t place, int64_t n) {
      Vector<T> dsum = load(dy + place, n);
      if (mask.bits) dsum *= mask.at(place, n);
      if (slope) dsum *= load(slope + place, n);
      store(room + (place - begin), dsum, n);
    };
    int64_t place = begin;
    for (; place + L <= end; place += L) derive(place, L);
    if (place < end) derive(place, end - place);
    return room;
  }

  // The derivatives by what the product read, of up to kRowsOfBlock rows.
  void inputs(int64_t first, int64_t rows, const S* dsums, const Vector<T>* packed, T* room, Vector<T>* sums,
              const WeightSums<T>& parts) const {
    const int64_t width = panels.vectors() * L;  // of a row of `room`
    for (int64_t p = 0; p < panels.count(); ++p) {
      const int64_t column = panels.first(p) * L;
      product<S>(dsums, d.N, rows, packed + panels.offset(p), panels.width(p), d.N, sums);
      if (d.gain) put(sums, rows, panels.width(p), room + column, width, width - column);
      else if (d.x) put(sums, rows, panels.width(p), (T*)d.dx + first * d.K + column, d.K, d.K - column);
      else put(sums, rows, panels.width(p), (S*)d.dx + first * d.K + column, d.K, d.K - column);
    }
    if (!d.gain) return;
    int64_t r = 0;
    for (; r + kRowsTogether <= rows; r += kRowsTogether) norm<kRowsTogether>(first + r, room + r * width, width, parts);
    for (; r < rows; ++r) norm<1>(first + r, room + r * width, width, parts);
  }

  // Sums of `width` vectors of columns, of which `left` at most are there, to rows `stride` apart.
  template <class P>
  static void put(const Vector<T>* sums, int64_t rows, int width, P* to, int64_t stride, int64_t left) {
    for (int64_t r = 0; r < rows; ++r, to += stride)
      for (int v = 0; v < width; ++v, ++sums) {
        if (left >= width * L) store(to + v * L, *sums);
        else store(to + v * L, *sums, lanes_at<T>(left, v * L));
      }
  }

  // From the derivatives by some normalized rows, those by the rows.
  template <int ROWS> void norm(int64_t row, T* dnormed, int64_t width, const WeightSums<T>& parts) const {
    const int64_t K = d.K;
    const T *const x = (const T*)d.x + row * K, *const gain = (const T*)d.gain;
    const T *const mean = (const T*)d.mean + row, *const rate = (const T*)d.rate + row;
    T *const dgain = parts.gain, *const dshift = parts.shift, *const dx = (T*)d.dx + row * K;
    Vector<T> sums[ROWS] = {}, products[ROWS] = {};
    for (int64_t at = 0; at < K; at += L) {
      const int64_t n = lanes_at<T>(K, at);
      const Vector<T> times = load(gain + at, n);
      Vector<T> by_gain = load(dgain + at, n), by_shift = load(dshift + at, n);
#pragma GCC unroll 4
      for (int r = 0; r < ROWS; ++r) {
        const Vector<T> y = (load(x + r * K + at, n) - mean[r]) * rate[r], dy = load(dnormed + r * width + at);
        const Vector<T> g = dy * times;  // zeros beyond K
        by_gain += dy * y, by_shift += dy;
        sums[r] += g, products[r] += g * y;
      }
      store(dgain + at, by_gain, n);
      store(dshift + at, by_shift, n);
    }
    T offset[ROWS], slope[ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) offset[r] = total<T>(sums[r]) / T(K), slope[r] = total<T>(products[r]) / T(K);
    for (int64_t at = 0; at < K; at += L) {
      const int64_t n = lanes_at<T>(K, at);
      const Vector<T> times = load(gain + at, n);
#pragma GCC unroll 4
      for (int r = 0; r < ROWS; ++r) {
        const Vector<T> y = (load(x + r * K + at, n) - mean[r]) * rate[r];
        store(dx + r * K + at, rate[r] * (load(dnormed + r * width + at) * times - offset[r] - y * slope[r]), n);
      }
    }
  }

  // The part of dW = sum of dsums^T input over these rows, both packed.
  void weights(int64_t rows, const Panels<S>& of_sums, const Vector<T>* dsums, const Panels<S>& of_input,
               const Vector<T>* input, const WeightSums<T>& parts) const {
    const int64_t depth_of_rows = depth<S>(rows) * kPair<S>;
    for (int64_t p = 0; p < of_input.count(); ++p)
      for (int64_t q = 0; q < of_sums.count(); ++q) {
        const int64_t row = of_sums.first(q) * L, wide = of_sums.width(q) * L;
        Vector<T>* const sums = (Vector<T>*)parts.weight + of_input.first(p) * d.N + row * of_input.width(p);
        add_product<S, true>((const S*)(dsums + of_sums.offset(q)), wide, less(d.N - row, wide),
                             input + of_input.offset(p), of_input.width(p), depth_of_rows, sums);
      }
  }

  // Vectors that a thread needs: for derivatives by sums, for those by normalized rows, and for what is packed.
  int64_t room_of_sums() const { return changed ? kRowsOfBlock * d.N * int64_t(sizeof(S)) / BYTES + 1 : 0; }
  int64_t room_of_inputs() const { return d.gain ? kRowsOfBlock * panels.vectors() : 0; }
  int64_t room_of_weights() const {
    return Panels<S>{d.N, 1, kRowsOfSum}.size() + Panels<S>{d.K, 1, kRowsOfSum}.size();
  }

  void run(int64_t first, int64_t rows, const Vector<T>* packed, Vector<T>* room, Vector<T>* sums,
           const WeightSums<T>& parts) const {
    const Panels<S> of_sums = {d.N, 1, rows}, of_input = {d.K, 1, rows};
    Vector<T>* const of_inputs = room + room_of_sums(), *const packed_sums = of_inputs + room_of_inputs();
    Vector<T>* const packed_input = packed_sums + of_sums.size();
    for (int64_t r = 0; r < rows; r += kRowsOfBlock) {
      const int64_t count = less(rows - r, kRowsOfBlock);
      const S* mine = d.added ? dsums<T>(first + r, count, (S*)room) : dsums<S>(first + r, count, (S*)room);
      if (d.dweight) {
        pack_rows<S>(mine, count, of_sums, r, packed_sums, parts.bias);
        pack_rows<S>((const S*)d.input + (first + r) * d.K, count, of_input, r, packed_input, nullptr);
      }
      if (d.dx) inputs(first + r, count, mine, packed, (T*)of_inputs, sums, parts);
    }
    if (d.dweight) weights(rows, of_sums, packed_sums, of_input, packed_input, parts);
  }
};

template <class S> void add_parts(const DenseBackward<S>& it, const Number<S>* others, int64_t parts) {
  using T = Number<S>;
  constexpr int64_t L = kLanes<T>;
  const Dense& d = it.d;
  const int64_t size = WeightSums<T>::size(d);
  const WeightSums<T> from(d, (T*)others);
  const auto add = [&](void* to, int64_t place, const T* first, int64_t count) {
    for (int64_t at = 0; at < count; at += L) {
      const int64_t n = lanes_at<T>(count, at);
      Vector<T> sum = load(first + at, n);
      for (int64_t part = 1; part < parts; ++part) sum += load(first + part * size + at, n);
      store((T*)to + place + at, sum, n);
    }
  };
  if (d.dweight) {
    const T* next = from.weight;
    for (int64_t p = 0; p < it.panels.count(); ++p) {
      const int64_t column = it.panels.first(p) * L, wide = it.panels.width(p) * L;
      for (int64_t row = 0; row < d.N; ++row, next += wide)
        add(d.dweight, row * d.K + column, next, less(wide, d.K - column));
    }
    add(d.dbias, 0, from.bias, d.N);
  }
  if (d.dgain) {
    add(d.dgain, 0, from.gain, d.K);
    add(d.dshift, 0, from.shift, d.K);
  }
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
    const Buffer<T> room(it.room_of_sums() + it.room_of_inputs() + it.room_of_weights()), sums(kRowsOfBlock * kMaxWidth);
    if (!room.data || !sums.data) {
      failed = 1;
      return;
    }
    if (piece == 0) parts = pieces;
    T* const mine = (T*)all.data + piece * size;
    memset(mine, 0, size * sizeof(T));
    const int64_t last = d.M * (piece + 1) / pieces;
    for (int64_t first = d.M * piece / pieces; first < last; first += kRowsOfSum)
      it.run(first, less(last - first, kRowsOfSum), packed.data, room.data, sums.data, WeightSums<T>(d, mine));
  });
  if (!failed) add_parts(it, (const T*)all.data, parts);
  return failed;
}

}  // namespace
