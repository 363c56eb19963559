// What each cell does on one vector of units of one row, between the products. Included once per instruction set.
//
// `at` is the first of those units and n how many they are: less than a vector's lanes at the end of a row.

#pragma once

#include "vectors.h"

namespace {

// One row at one step. Pointers into the caller's buffers end at H; the row's own memory is padded to whole vectors.
// S is what the caller's buffers hold, where they are large; what is remembered is never rounded to it.
template <class S> struct ForwardRow {
  int64_t H;
  bool keep;
  const Number<S>* bias;  // null: zeros
  S *gates, *hidden, *h;  // gates and hidden: written where they are kept
  Number<S>* c;           // null where nobody asked for it
  const Number<S>* h_before;
  Number<S> *h_after, *c_memory;
};

template <class S> struct BackwardRow {
  int64_t H;
  const S *gates, *hidden, *h;
  const Number<S>* c;
  const S* h_before;                  // null: see h_first
  const Number<S> *h_first, *c_before;  // null: zeros
  const S* dh_given;                  // null: zeros
  const Number<S>* dc_given;          // null: zeros
  S* dgates;
  Number<S> *dh, *dc;  // in: by the state after this step, as far as later steps are concerned; out: by the state before it,
               // but for the product of dgates with W_hh, which the caller adds to dh
};

template <class S> INLINE Vector<Number<S>> load_or_zero(const S* row, int64_t at, int64_t n) {
  return row ? load(row + at, n) : Vector<Number<S>>{};
}

// One vector of units of every gate, of a row that holds gate after gate.
template <class S, int G> struct GatesOf {
  Vector<Number<S>> of[G];
  INLINE GatesOf(const S* gates, int64_t size, int64_t at, int64_t n) {
    for (int g = 0; g < G; ++g) of[g] = load(gates + g * size + at, n);
  }
};

// The cells' `forward` is given a vector of units of every gate: W_ih x_t and the biases, and W_hh h_{t-1}.

struct Tanh {
  template <class T> static INLINE Vector<T> value(Vector<T> x) { return tanh<T>(x); }
  template <class T> static INLINE Vector<T> times_slope(Vector<T> dy, Vector<T> y) { return dy * (T(1) - y * y); }
};
struct Relu {
  template <class T> static INLINE Vector<T> value(Vector<T> x) { return x < T(0) ? Vector<T>{} : x; }
  template <class T> static INLINE Vector<T> times_slope(Vector<T> dy, Vector<T> y) {
    return y <= T(0) ? Vector<T>{} : dy;
  }
};

template <class Nonlinearity> struct Elman {
  static constexpr int kGates = 1, kDerivatives = 1, kFirstOfHidden = 0;
  static constexpr bool kCell = false;

  template <class S>
  static INLINE void forward(const Vector<Number<S>>* of_x, const Vector<Number<S>>* of_h, const ForwardRow<S>& row,
                             int64_t at, int64_t n) {
    using T = Number<S>;
    const Vector<T> h = Nonlinearity::template value<T>(of_h[0] + of_x[0]);
    store(row.h + at, h, n);
    store(row.h_after + at, h);
  }

  template <class S> static INLINE void backward(const BackwardRow<S>& row, int64_t at, int64_t n) {
    using T = Number<S>;
    const Vector<T> dh = load(row.dh + at) + load_or_zero(row.dh_given, at, n);
    store(row.dgates + at, Nonlinearity::template times_slope<T>(dh, load(row.h + at, n)), n);
    store(row.dh + at, Vector<T>{});
  }
};

struct Gru {
  static constexpr int kGates = 3, kDerivatives = 4, kFirstOfHidden = 1;
  static constexpr bool kCell = false;

  template <class S>
  static INLINE void forward(const Vector<Number<S>>* of_x, const Vector<Number<S>>* of_h, const ForwardRow<S>& row,
                             int64_t at, int64_t n) {
    using T = Number<S>;
    const Vector<T> n_h = of_h[2] + load_or_zero(row.bias, at, n);
    const Vector<T> r = sigmoid<T>(of_h[0] + of_x[0]);
    const Vector<T> z = sigmoid<T>(of_h[1] + of_x[1]);
    const Vector<T> news = tanh<T>(of_x[2] + r * n_h);
    const Vector<T> h = news + z * (load(row.h_before + at) - news);
    store(row.h + at, h, n);
    store(row.h_after + at, h);
    if (!row.keep) return;
    S* gates = row.gates + at;
    store(gates, r, n);
    store(gates + row.H, z, n);
    store(gates + 2 * row.H, news, n);
    store(row.hidden + at, n_h, n);
  }

  template <class S> static INLINE void backward(const BackwardRow<S>& row, int64_t at, int64_t n) {
    using T = Number<S>;
    const S* gates = row.gates + at;
    const Vector<T> r = load(gates, n), z = load(gates + row.H, n), news = load(gates + 2 * row.H, n);
    const Vector<T> dh = load(row.dh + at) + load_or_zero(row.dh_given, at, n);
    const Vector<T> before = row.h_before ? load(row.h_before + at, n) : load_or_zero(row.h_first, at, n);
    const Vector<T> dn = dh * (T(1) - z) * (T(1) - news * news);
    const Vector<T> dr = dn * load(row.hidden + at, n) * r * (T(1) - r);
    const Vector<T> dz = dh * (before - news) * z * (T(1) - z);
    S* dgates = row.dgates + at;
    store(dgates, dn, n);
    store(dgates + row.H, dr, n);
    store(dgates + 2 * row.H, dz, n);
    store(dgates + 3 * row.H, dn * r, n);
    store(row.dh + at, dh * z);
  }
};

struct Lstm {
  static constexpr int kGates = 4, kDerivatives = 4, kFirstOfHidden = 0;
  static constexpr bool kCell = true;

  template <class S>
  static INLINE void forward(const Vector<Number<S>>* of_x, const Vector<Number<S>>* of_h, const ForwardRow<S>& row,
                             int64_t at, int64_t n) {
    output<S>(memory<S>(of_x, of_h, row, at, n), row, at, n);
  }

  // The new c; o, by which `output` makes h of it.
  template <class S>
  static INLINE Vector<Number<S>> memory(const Vector<Number<S>>* of_x, const Vector<Number<S>>* of_h,
                                         const ForwardRow<S>& row, int64_t at, int64_t n) {
    using T = Number<S>;
    const Vector<T> i = sigmoid<T>(of_h[0] + of_x[0]);
    const Vector<T> f = sigmoid<T>(of_h[1] + of_x[1]);
    const Vector<T> g = tanh<T>(of_h[2] + of_x[2]);
    const Vector<T> o = sigmoid<T>(of_h[3] + of_x[3]);
    const Vector<T> c = f * load(row.c_memory + at) + i * g;
    store(row.c_memory + at, c);
    if (row.c) store(row.c + at, c, n);
    if (!row.keep) return o;
    S* gates = row.gates + at;
    store(gates, i, n);
    store(gates + row.H, f, n);
    store(gates + 2 * row.H, g, n);
    store(gates + 3 * row.H, o, n);
    return o;
  }

  template <class S>
  static INLINE void output(Vector<Number<S>> o, const ForwardRow<S>& row, int64_t at, int64_t n) {
    const Vector<Number<S>> h = o * tanh<Number<S>>(load(row.c_memory + at));
    store(row.h_after + at, h);
    store(row.h + at, h, n);
  }

  template <class S> static INLINE void backward(const BackwardRow<S>& row, int64_t at, int64_t n) {
    using T = Number<S>;
    const S* gates = row.gates + at;
    const int64_t H = row.H;
    const Vector<T> i = load(gates, n), f = load(gates + H, n);
    const Vector<T> g = load(gates + 2 * H, n), o = load(gates + 3 * H, n);
    const Vector<T> y = tanh<T>(load(row.c + at, n));
    const Vector<T> dh = load(row.dh + at) + load_or_zero(row.dh_given, at, n);
    const Vector<T> dc = load(row.dc + at) + load_or_zero(row.dc_given, at, n) + dh * o * (T(1) - y * y);
    S* dgates = row.dgates + at;
    store(dgates, dc * g * i * (T(1) - i), n);
    store(dgates + H, dc * load_or_zero(row.c_before, at, n) * f * (T(1) - f), n);
    store(dgates + 2 * H, dc * i * (T(1) - g * g), n);
    store(dgates + 3 * H, dh * y * o * (T(1) - o), n);
    store(row.dh + at, Vector<T>{});
    store(row.dc + at, dc * f);
  }
};

}  // namespace
