// What a row does between the products where its cell differs from the plain ones: zoneout, peepholes and layer
// normalization (recurrent dropout and the LSTM's projection are matters of the products). Included once per
// instruction set.
//
// Layer normalization needs all of a row's sums before any nonlinearity, so a step has two phases: all products, then
// row by row all the rest. What is not wanted is null, which is asked once per vector, beside the nonlinearities.

#pragma once

#include "cells.h"
#include "normalization.h"
#include "sweep.h"

namespace {

inline bool is_varied(const Sweep& s) {
  return s.weight_r || s.recurrent || s.zoneout || s.zoneout_cell || s.peephole || s.gain || s.gain_cell;
}

template <class S> INLINE const S* part_of(const S* buffer, int64_t at) { return buffer ? buffer + at : nullptr; }

// At one row and step; null where it is not wanted.
template <class S> struct Variation {
  const Number<S> *zoneout, *zoneout_cell;                // (P,), (H,)
  const Number<S> *peephole, *gain_cell, *bias_cell;      // (3 * H,), (H,), (H,)
  Number<S> *dpeephole, *dgain_cell, *dbias_cell;         // of backward: added up over the steps of the row
};

// Zoneout: the share of the old, the rest new. Exact where the share is 0 or 1.
template <class S>
INLINE Vector<Number<S>> zone(Vector<Number<S>> now, Vector<Number<S>> old, const Number<S>* share, int64_t at,
                              int64_t n) {
  if (!share) return now;
  const Vector<Number<S>> kept = load(share + at, n);
  return kept * old + (Number<S>(1) - kept) * now;
}

// Elman's network and the GRU; `sums` as in `normalize`.
template <class S, class Cell> struct Varied {
  using T = Number<S>;
  static constexpr int64_t kScratch = 1;  // rows of `width`

  static void forward(T* sums, int64_t width, const ForwardRow<S>& row, const Variation<S>& it, T*) {
    for (int64_t at = 0; at < row.H; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(row.H, at);
      Vector<T> mine[Cell::kGates];
      for (int g = 0; g < Cell::kGates; ++g) mine[g] = load(sums + g * width + at);
      Cell::template forward<S>(GatesOf<S, Cell::kGates>(row.gates, row.H, at, n).of, mine, row, at, n);
      if (!it.zoneout) continue;
      const Vector<T> now = load(row.h_after + at), h = zone<S>(now, load(row.h_before + at), it.zoneout, at, n);
      if (Cell::kGates == 1 && row.keep) store(row.gates + at, now, n);  // of which backward takes the slope
      store(row.h + at, h, n);
      store(row.h_after + at, h);
    }
  }

  static void backward(BackwardRow<S> row, int64_t, const Variation<S>& it, T* carried) {
    if (it.zoneout) {
      for (int64_t at = 0; at < row.H; at += kLanes<T>) {
        const int64_t n = lanes_at<T>(row.H, at);
        const Vector<T> dh = load(row.dh + at) + load_or_zero(row.dh_given, at, n), kept = load(it.zoneout + at, n);
        store(carried + at, kept * dh);
        store(row.dh + at, (T(1) - kept) * dh);
      }
      row.dh_given = nullptr;
      if (Cell::kGates == 1) row.h = row.gates;
    }
    for (int64_t at = 0; at < row.H; at += kLanes<T>) Cell::template backward<S>(row, at, lanes_at<T>(row.H, at));
    if (it.zoneout)
      for (int64_t at = 0; at < row.H; at += kLanes<T>) store<T>(row.dh + at, load(row.dh + at) + load(carried + at));
  }
};

// With c' for the new c before zoneout: i and f peep at c, o at c', and h' comes of c', normalized or not.
template <class S> struct Varied<S, Lstm> {
  using T = Number<S>;
  static constexpr int64_t kScratch = 3;

  static INLINE Vector<T> seen(Vector<T> c, const Standard<T>& by, const Variation<S>& it, int64_t at, int64_t n) {
    if (!it.gain_cell) return c;
    return (c - by.mean) * by.scale * load(it.gain_cell + at, n) + load_or_zero(it.bias_cell, at, n);
  }

  static void forward(T* sums, int64_t width, const ForwardRow<S>& row, const Variation<S>& it, T* c_new) {
    const int64_t H = row.H;
    const T *p_i = it.peephole, *p_f = part_of(it.peephole, H), *p_o = part_of(it.peephole, 2 * H);
    for (int64_t at = 0; at < H; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(H, at);
      S* gates = row.gates + at;
      const Vector<T> before = load(row.c_memory + at);
      const Vector<T> i = sigmoid<T>(load(sums + at) + load(gates, n) + before * load_or_zero(p_i, at, n));
      const Vector<T> f = sigmoid<T>(load(sums + width + at) + load(gates + H, n) + before * load_or_zero(p_f, at, n));
      const Vector<T> g = tanh<T>(load(sums + 2 * width + at) + load(gates + 2 * H, n));
      const Vector<T> c = f * before + i * g;
      T* o_sum = sums + 3 * width + at;
      const Vector<T> o = sigmoid<T>(load(o_sum) + load(gates + 3 * H, n) + c * load_or_zero(p_o, at, n));
      store(c_new + at, c);
      store(o_sum, o);
      if (!row.keep) continue;
      store(gates, i, n);
      store(gates + H, f, n);
      store(gates + 2 * H, g, n);
      store(gates + 3 * H, o, n);
    }
    const Standard<T> by = it.gain_cell ? standard_of<T>(c_new, 1, H, width) : Standard<T>();
    for (int64_t at = 0; at < H; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(H, at);
      const Vector<T> now = load(c_new + at), o = load(sums + 3 * width + at);
      const Vector<T> h = zone<S>(o * tanh<T>(seen(now, by, it, at, n)), load(row.h_before + at), it.zoneout, at, n);
      const Vector<T> c = zone<S>(now, load(row.c_memory + at), it.zoneout_cell, at, n);
      store(row.c_memory + at, c);
      store(row.h_after + at, h);
      if (row.c) store(row.c + at, c, n);
      store(row.h + at, h, n);
    }
  }

  static void backward(const BackwardRow<S>& row, int64_t width, const Variation<S>& it, T* scratch) {
    T *c_new = scratch, *dseen = scratch + width, *do_sum = scratch + 2 * width;
    const int64_t H = row.H;
    for (int64_t at = 0; at < H; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(H, at);
      const S* gates = row.gates + at;
      store(c_new + at, it.zoneout_cell ? load(gates + H, n) * load_or_zero(row.c_before, at, n) +
                                              load(gates, n) * load(gates + 2 * H, n)
                                        : load(row.c + at, n));
    }
    const Standard<T> by = it.gain_cell ? standard_of<T>(c_new, 1, H, width) : Standard<T>();
    const Standard<T> dby = output(row, it, by, c_new, dseen, do_sum);
    for (int64_t at = 0; at < H; at += kLanes<T>) {
      Vector<T> dc = load(dseen + at);
      if (it.gain_cell) dc = by.scale * (dc - dby.mean - (load(c_new + at) - by.mean) * by.scale * dby.scale);
      memory(row, it, at, lanes_at<T>(H, at), load(c_new + at), dc, load(do_sum + at));
    }
  }

  // From dh to the derivatives by o's sum and by what the tanh of c' saw, before the gain; the means of the latter,
  // and of it times the normalized c'.
  static Standard<T> output(const BackwardRow<S>& row, const Variation<S>& it, const Standard<T>& by, const T* c_new,
                            T* dseen, T* do_sum) {
    Vector<T> sum = {}, products = {};
    for (int64_t at = 0; at < row.H; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(row.H, at);
      const Vector<T> c = load(c_new + at), o = load(row.gates + 3 * row.H + at, n);
      const Vector<T> y = tanh<T>(seen(c, by, it, at, n));
      Vector<T> dh = load(row.dh + at) + load_or_zero(row.dh_given, at, n);
      const Vector<T> kept = load_or_zero(it.zoneout, at, n);
      store(row.dh + at, kept * dh);
      dh = (T(1) - kept) * dh;
      Vector<T> d = dh * o * (T(1) - y * y);
      if (it.gain_cell) {
        const Vector<T> normed = (c - by.mean) * by.scale, by_gain = d * normed;
        store(it.dgain_cell + at, load(it.dgain_cell + at, n) + by_gain, n);
        if (it.dbias_cell) store(it.dbias_cell + at, load(it.dbias_cell + at, n) + d, n);
        d = d * load(it.gain_cell + at, n);
        sum += d;
        products += d * normed;
      }
      store(dseen + at, d);
      store(do_sum + at, dh * y * o * (T(1) - o));
    }
    return {total<T>(sum) / T(row.H), total<T>(products) / T(row.H)};
  }

  // From dc' on.
  static INLINE void memory(const BackwardRow<S>& row, const Variation<S>& it, int64_t at, int64_t n, Vector<T> c,
                            Vector<T> dc, Vector<T> do_sum) {
    const int64_t H = row.H;
    const S* gates = row.gates + at;
    const Vector<T> i = load(gates, n), f = load(gates + H, n), g = load(gates + 2 * H, n);
    const Vector<T> before = load_or_zero(row.c_before, at, n), kept = load_or_zero(it.zoneout_cell, at, n);
    const Vector<T> later = load(row.dc + at) + load_or_zero(row.dc_given, at, n);
    dc += (T(1) - kept) * later + do_sum * load_or_zero(part_of(it.peephole, 2 * H), at, n);
    const Vector<T> di = dc * g * i * (T(1) - i), df = dc * before * f * (T(1) - f);
    Vector<T> dc_before = kept * later + dc * f;
    if (it.peephole) {
      dc_before += di * load(it.peephole + at, n) + df * load(it.peephole + H + at, n);
      T* to = it.dpeephole + at;
      store<T>(to, load(to, n) + di * before, n);
      store<T>(to + H, load(to + H, n) + df * before, n);
      store<T>(to + 2 * H, load(to + 2 * H, n) + do_sum * c, n);
    }
    S* dgates = row.dgates + at;
    store(dgates, di, n);
    store(dgates + H, df, n);
    store(dgates + 2 * H, dc * i * (T(1) - g * g), n);
    store(dgates + 3 * H, do_sum, n);
    store(row.dc + at, dc_before);
  }
};

}  // namespace
