// Some rows back through all of time. Included once per instruction set.

#pragma once

#include "cells.h"
#include "panels.h"
#include "pieces.h"
#include "rows.h"
#include "sweep.h"
#include "variations.h"

namespace {

template <class S, class Cell, bool kVaried> struct Backward {
  using T = Number<S>;
  static constexpr bool kWhole = kVaried;  // its phases are of all units
  const Sweep& s;
  Panels<S> panels, panels_r;  // of W_hh and of W_hr
  int64_t width, width_h;      // of a row's dc and of its dh

  explicit Backward(const Sweep& sweep)
      : s(sweep),
        panels{s.P, 1, Cell::kGates * s.H},
        panels_r{s.H, 1, s.weight_r ? s.P : 0},
        width(panels_r.vectors() * kLanes<T>),
        width_h(panels.vectors() * kLanes<T>) {}

  // What is held of some rows, in vectors: the derivatives by the memory, dh and dc. Of varied cells also those by what
  // W_hr reads, and of one row its derivatives before they are normalized.
  int64_t memory_vectors(int64_t rows) const {
    const int64_t plain = rows * (panels.vectors() + panels_r.vectors());
    return kVaried ? plain + (rows + Varied<S, Cell>::kScratch + Cell::kDerivatives) * panels_r.vectors() : plain;
  }

  static void expect(const Sweep& s) {
    const int64_t size = s.T * s.B * s.H * sizeof(S);
    expect_large(s.dgates, size * (s.gain ? Cell::kGates : Cell::kDerivatives));
    expect_large(s.dsums, size * Cell::kGates);
    expect_large(s.dprojected, s.T * s.B * s.P * sizeof(S));
  }

  // A single step from a state that nobody differentiates by has no product.
  static bool worth_packing(const Sweep& s) { return s.T > 1 || s.dh_first || s.weight_r; }

  int64_t packed_size() const { return panels.size() + (s.weight_r ? panels_r.size() : 0); }
  int64_t steps_ahead(int64_t) const { return 1; }
  int64_t ahead_size(int64_t) const { return 0; }
  int64_t packs() const { return panels.count() + (s.weight_r ? panels_r.count() : 0); }
  void pack(int64_t i, Vector<T>* packed) const {
    if (i < panels.count()) panels.pack(i, (const T*)s.weight, 1, s.P, packed);
    else panels_r.pack(i - panels.count(), (const T*)s.weight_r, 1, s.H, packed + panels.size());
  }

  // A phase is a step's nonlinearities, and before these the product that leads there from the step after it. So one
  // that works on some units alone needs of the others only what the phase before it has left. The last phase is the
  // product that leads to the initial state.
  int64_t phases() const { return s.T + (s.dh_first ? 1 : 0); }
  int64_t step_of(int64_t phase) const { return s.reverse ? phase : s.T - 1 - phase; }

  T* dc_of(const Rows<S>& rows) const { return rows.memory + rows.count * width_h; }

  void begin(const Rows<S>& rows) const {
    T *dh = rows.memory, *dc = dc_of(rows);
    memset(dh, 0, rows.count * (width_h + width) * sizeof(T));
    if (kVaried) begin_sums(rows.first, rows.count);
    for (int64_t r = 0; r < rows.count; ++r) {
      if (s.dh_final) memcpy(dh + r * width_h, row_of<T>(s.dh_final, rows.first + r, s.P), s.P * sizeof(T));
      if (s.dc_final) memcpy(dc + r * width, row_of<T>(s.dc_final, rows.first + r, s.H), s.H * sizeof(T));
    }
  }

  void run(int64_t phase, const Rows<S>& rows, int64_t panel, int64_t panel_end, const Vector<T>* packed,
           Vector<T>* sums) const {
    T *dh = rows.memory, *dc = dc_of(rows);
    const int64_t start = panels.first(panel) * kLanes<T>, end = panels.first(panel_end) * kLanes<T>;
    const int64_t end_c = kVaried ? width : end;
    if (phase > 0) {
      const int64_t t = step_of(phase - 1);
      through_weight(t, rows.first, rows.count, panel, panel_end, packed, sums, dh);
      for (int64_t r = 0; r < rows.count; ++r)
        if (is_cleared(s, t, rows.first + r)) {
          memset(dh + r * width_h + start, 0, (end - start) * sizeof(T));
          memset(dc + r * width + start, 0, (end_c - start) * sizeof(T));
        }
    }
    if (phase == s.T) return;
    const int64_t t = step_of(phase);
    T *made = dc + rows.count * width, *scratch = made + rows.count * width;  // of varied cells
    const bool projected = kVaried && s.weight_r;
    if (projected) through_projection(t, rows, packed + panels.size(), sums, dh, made);
    for (int64_t r = 0; r < rows.count; ++r)
      nonlinearities(t, rows.first + r, start, end_c < s.H ? end_c : s.H, projected ? made + r * width : dh + r * width_h,
                     dc + r * width, scratch);
  }

  void end(const Rows<S>& rows) const {
    const T *dh = rows.memory, *dc = dc_of(rows);
    for (int64_t r = 0; s.dh_first && r < rows.count; ++r) {
      memcpy(row_of<T>(s.dh_first, rows.first + r, s.P), dh + r * width_h, s.P * sizeof(T));
      if (Cell::kCell) memcpy(row_of<T>(s.dc_first, rows.first + r, s.H), dc + r * width, s.H * sizeof(T));
    }
  }

  // What is added up over the steps of a row begins with zeros.
  void begin_sums(int64_t first, int64_t rows) const {
    const auto begin = [&](void* sums, int64_t size) {
      if (sums) memset((T*)sums + first * size, 0, rows * size * sizeof(T));
    };
    begin(s.dpeephole, 3 * s.H);
    begin(s.dgain_x, Cell::kGates * s.H);
    begin(s.dgain, Cell::kGates * s.H);
    begin(s.dbias, Cell::kDerivatives * s.H);
    begin(s.dgain_cell, s.H);
    begin(s.dbias_cell, s.H);
  }

  // Of the units [start, end); of varied cells, of all.
  void nonlinearities(int64_t t, int64_t b, int64_t start, int64_t end, T* dh, T* dc, [[maybe_unused]] T* scratch) const {
    const bool normed = kVaried && s.gain;
    const int parts = normed ? Cell::kGates : Cell::kDerivatives;
    const int64_t row = t * s.B + b, length = length_of(s, b);
    S* dgates = row_of<S>(s.dgates, row, parts * s.H);
    if (t >= length) {
      for (int part = 0; part < parts; ++part) memset(dgates + part * s.H + start, 0, (end - start) * sizeof(S));
      if (normed) memset(row_of<S>(s.dsums, row, Cell::kGates * s.H), 0, Cell::kGates * s.H * sizeof(S));
      return;
    }
    const int64_t before = step_before(s, t, length);
    const bool blank = is_cleared(s, t, b);
    BackwardRow<S> it = {
        s.H,
        row_of<S>(s.gates, row, Cell::kGates * s.H),
        row_of<S>(s.hidden, row, s.H),
        row_of<S>(s.h, row, s.H),
        row_of<T>(s.c, row, s.H),
        blank || before < 0 ? nullptr : row_of<S>(s.h, before * s.B + b, s.H),
        blank || before >= 0 ? nullptr : row_of<T>(s.h_first, b, s.H),
        blank        ? nullptr
        : before < 0 ? row_of<T>(s.c_first, b, s.H)
                     : row_of<T>(s.c, before * s.B + b, s.H),
        row_of<S>(s.dh, row, s.P),
        row_of<T>(s.dc, row, s.H),
        dgates,
        dh,
        dc};
    if constexpr (kVaried) {
      Variation<S> variation = variation_at<S>(s, row, b);
      if (s.weight_r) it.dh_given = nullptr, variation.zoneout = nullptr;  // they were seen to before the projection
      if (normed) it.dgates = (S*)(scratch + Varied<S, Cell>::kScratch * width);
      Varied<S, Cell>::backward(it, width, variation, scratch);
      if (normed) before_normalization(row, b, it.dgates, dgates);
    } else {
      for (int64_t at = start; at < end; at += kLanes<T>)
        Cell::template backward<S>(it, at, lanes_at<T>(s.H, at));
    }
  }

  // From the derivatives by what enters the nonlinearities, those by W_ih x_t and by W_hh h_{t-1}.
  void before_normalization(int64_t row, int64_t b, const S* derivatives, S* dgates) const {
    constexpr int G = Cell::kGates, first = Cell::kFirstOfHidden;
    const int64_t size = G * s.H;
    normalize_backward<S>([&](int64_t g) { return derivatives + (g + first) * s.H; }, G, s.H,
                          normalization_at<S>(s, row, size), row_of<S>(s.dsums, row, size), row_of<T>(s.dgain, b, size));
    normalize_backward<S>([&](int64_t g) { return derivatives + (g + first) % G * s.H; }, G, s.H,
                          normalization_x_at<S>(s, row, size), dgates, row_of<T>(s.dgain_x, b, size));
    if (!s.dbias) return;
    const int64_t all = Cell::kDerivatives * s.H;
    T* dbias = row_of<T>(s.dbias, b, all);
    for (int64_t at = 0; at < all; at += kLanes<T>) {
      const int64_t n = lanes_at<T>(all, at);
      store(dbias + at, load(dbias + at, n) + load(derivatives + at, n), n);
    }
  }

  // From the derivatives by h_t to those by what W_hr makes it of.
  void through_projection(int64_t t, const Rows<S>& rows, const Vector<T>* packed_r, Vector<T>* sums, T* dh, T* made) const {
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t b = rows.first + r, row = t * s.B + b;
      S* to = row_of<S>(s.dprojected, row, s.P);
      if (t >= length_of(s, b)) {
        memset(to, 0, s.P * sizeof(S));
        continue;
      }
      const Variation<S> it = variation_at<S>(s, row, b);
      for (int64_t at = 0; at < s.P; at += kLanes<T>) {
        const int64_t n = lanes_at<T>(s.P, at);
        const Vector<T> by_h = load(dh + r * width_h + at) + load_or_zero(row_of<S>(s.dh, row, s.P), at, n);
        const Vector<T> kept = load_or_zero(it.zoneout, at, n);
        store(dh + r * width_h + at, kept * by_h);
        store(to + at, (T(1) - kept) * by_h, n);
      }
    }
    const S* projected = row_of<S>(s.dprojected, t * s.B + rows.first, s.P);
    for (int64_t panel = 0; panel < panels_r.count(); ++panel) {
      const int panel_width = panels_r.width(panel);
      product<S>(projected, s.P, rows.count, packed_r + panels_r.offset(panel), panel_width, s.P, sums);
      for (int64_t r = 0; r < rows.count; ++r)
        for (int v = 0; v < panel_width; ++v)
          store<T>(made + r * width + (panels_r.first(panel) + v) * kLanes<T>, sums[r * panel_width + v]);
    }
  }

  // dh += W_hh^T dgates; the rows of padding have zeros there.
  void through_weight(int64_t t, int64_t first, int64_t rows, int64_t panel, int64_t panel_end, const Vector<T>* packed,
                      Vector<T>* sums, T* dh) const {
    const bool normed = kVaried && s.gain;
    const int64_t stride = (normed ? Cell::kGates : Cell::kDerivatives) * s.H;
    const S* dgates = normed ? row_of<S>(s.dsums, t * s.B + first, stride)
                             : row_of<S>(s.dgates, t * s.B + first, stride) + Cell::kFirstOfHidden * s.H;
    if (panel_end - panel < panels.count())  // the other units lie in the caches of those who finished them
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t at = 0; at < panels.K; at += 64 / sizeof(S)) __builtin_prefetch(dgates + r * stride + at, 0, 2);
    for (; panel < panel_end; ++panel) {
      const int panel_width = panels.width(panel);
      product<S>(dgates, stride, rows, packed + panels.offset(panel), panel_width, panels.K, sums);
      for (int64_t r = 0; r < rows; ++r)
        for (int v = 0; v < panel_width; ++v) {
          const int64_t at = (panels.first(panel) + v) * kLanes<T>;
          T* to = dh + r * width_h + at;
          Vector<T> sum = sums[r * panel_width + v];
          if (kVaried && s.recurrent)
            sum *= load(row_of<T>(s.recurrent, first + r, s.P) + at, lanes_at<T>(s.P, at));
          store<T>(to, load<T>(to) + sum);
        }
    }
  }
};

}  // namespace
