// Some rows back through all of time. Included once per instruction set.

#pragma once

#include "cells.h"
#include "pieces.h"
#include "product.h"
#include "rows.h"
#include "sweep.h"
#include "variations.h"

namespace {

template <class S, class Cell, bool kVaried> struct Backward {
  using T = Number<S>;
  static constexpr bool kWhole = kVaried;  // its phases are of all units
  const Sweep& s;
  Panels<S> panels;
  int64_t width;

  explicit Backward(const Sweep& sweep)
      : s(sweep), panels{s.H, 1, Cell::kGates * s.H}, width(panels.vectors() * kLanes<T>) {}

  // What is held of some rows, in vectors: the derivatives by the memory, dh and dc.
  int64_t memory_vectors(int64_t rows) const {
    const int64_t plain = rows * 2 * panels.vectors();
    return kVaried ? plain + Varied<S, Cell>::kScratch * panels.vectors() : plain;
  }

  static void expect(const Sweep& s) {
    const int64_t size = s.T * s.B * s.H * sizeof(S);
    expect_large(s.dgates, size * Cell::kDerivatives);
    expect_large(s.dsums, size * Cell::kGates);
  }

  // A single step from a state that nobody differentiates by has no product.
  static bool worth_packing(const Sweep& s) { return s.T > 1 || s.dh_first; }

  int64_t packed_size() const { return panels.size(); }
  int64_t steps_ahead(int64_t) const { return 1; }
  int64_t ahead_size(int64_t) const { return 0; }
  void pack(int64_t panel, Vector<T>* packed) const { panels.pack(panel, (const T*)s.weight, 1, s.H, packed); }

  // A phase is a step's nonlinearities, and before these the product that leads there from the step after it. So one
  // that works on some units alone needs of the others only what the phase before it has left. The last phase is the
  // product that leads to the initial state.
  int64_t phases() const { return s.T + (s.dh_first ? 1 : 0); }
  int64_t step_of(int64_t phase) const { return s.reverse ? phase : s.T - 1 - phase; }

  void begin(const Rows<S>& rows) const {
    T *dh = rows.memory, *dc = dh + rows.count * width;
    memset(dh, 0, 2 * rows.count * width * sizeof(T));
    if (kVaried) begin_sums(rows.first, rows.count);
    for (int64_t r = 0; r < rows.count; ++r) {
      if (s.dh_final) memcpy(dh + r * width, (const T*)s.dh_final + (rows.first + r) * s.H, s.H * sizeof(T));
      if (s.dc_final) memcpy(dc + r * width, (const T*)s.dc_final + (rows.first + r) * s.H, s.H * sizeof(T));
    }
  }

  void run(int64_t phase, const Rows<S>& rows, int64_t panel, int64_t panel_end, const Vector<T>* packed,
           Vector<T>* sums) const {
    T *dh = rows.memory, *dc = dh + rows.count * width;
    const int64_t start = panels.first(panel) * kLanes<T>, end = panels.first(panel_end) * kLanes<T>;
    if (phase > 0) {
      const int64_t t = step_of(phase - 1);
      through_weight(t, rows.first, rows.count, panel, panel_end, packed, sums, dh);
      for (int64_t r = 0; r < rows.count; ++r)
        if (is_cleared(s, t, rows.first + r)) {
          memset(dh + r * width + start, 0, (end - start) * sizeof(T));
          memset(dc + r * width + start, 0, (end - start) * sizeof(T));
        }
    }
    if (phase == s.T) return;
    T* own = dc + rows.count * width;  // of varied cells
    for (int64_t r = 0; r < rows.count; ++r)
      nonlinearities(step_of(phase), rows.first + r, start, end < s.H ? end : s.H, dh + r * width, dc + r * width, own);
  }

  void end(const Rows<S>& rows) const {
    const T *dh = rows.memory, *dc = dh + rows.count * width;
    for (int64_t r = 0; s.dh_first && r < rows.count; ++r) {
      memcpy((T*)s.dh_first + (rows.first + r) * s.H, dh + r * width, s.H * sizeof(T));
      if (Cell::kCell) memcpy((T*)s.dc_first + (rows.first + r) * s.H, dc + r * width, s.H * sizeof(T));
    }
  }

  // What is added up over the steps of a row begins with zeros.
  void begin_sums(int64_t first, int64_t rows) const {
    const auto begin = [&](void* sums, int64_t size) {
      if (sums) memset((T*)sums + first * size, 0, rows * size * sizeof(T));
    };
    begin(s.dpeephole, 3 * s.H);
    begin(s.dgain, Cell::kGates * s.H);
    begin(s.dgain_cell, s.H);
    begin(s.dbias_cell, s.H);
  }

  // Of the units [start, end); of varied cells, of all.
  void nonlinearities(int64_t t, int64_t b, int64_t start, int64_t end, T* dh, T* dc, [[maybe_unused]] T* own) const {
    const int64_t row = t * s.B + b, length = length_of(s, b);
    S* dgates = row_of<S>(s.dgates, row, Cell::kDerivatives * s.H);
    if (t >= length) {
      for (int part = 0; part < Cell::kDerivatives; ++part)
        memset(dgates + part * s.H + start, 0, (end - start) * sizeof(S));
      if (kVaried && s.gain) memset(row_of<S>(s.dsums, row, Cell::kGates * s.H), 0, Cell::kGates * s.H * sizeof(S));
      return;
    }
    const int64_t before = step_before(s, t, length);
    const bool blank = is_cleared(s, t, b);
    const BackwardRow<S> it = {
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
        row_of<S>(s.dh, row, s.H),
        row_of<T>(s.dc, row, s.H),
        dgates,
        dh,
        dc};
    if constexpr (kVaried) {
      Varied<S, Cell>::backward(it, width, variation_at<S>(s, row, b), own);
      const int64_t size = Cell::kGates * s.H;
      if (s.gain)
        normalize_backward<S>(dgates + Cell::kFirstOfHidden * s.H, row_of<S>(s.normed, row, size), ((const T*)s.scale)[row],
                              (const T*)s.gain, size, row_of<S>(s.dsums, row, size), row_of<T>(s.dgain, b, size));
    } else {
      for (int64_t at = start; at < end; at += kLanes<T>)
        Cell::template backward<S>(it, at, lanes_at<T>(s.H, at));
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
          T* to = dh + r * width + at;
          Vector<T> sum = sums[r * panel_width + v];
          if (kVaried && s.recurrent)
            sum *= load(row_of<T>(s.recurrent, first + r, s.H) + at, lanes_at<T>(s.H, at));
          store<T>(to, load<T>(to) + sum);
        }
    }
  }
};

}  // namespace
