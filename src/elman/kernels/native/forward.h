// Some rows through all of time. Included once per instruction set.

#pragma once

#include "cells.h"
#include "pieces.h"
#include "product.h"
#include "rows.h"
#include "sweep.h"
#include "variations.h"

namespace {

constexpr int64_t kRowsAhead = 4;

template <class S, class Cell, bool kVaried> struct Forward {
  using T = Number<S>;
  static constexpr bool kWhole = kVaried;  // its phases are of all units
  const Sweep& s;
  Panels<S> panels, panels_x;  // those of W_ih hold the same units
  int64_t width;

  explicit Forward(const Sweep& sweep)
      : s(sweep),
        panels{s.H, Cell::kGates, s.H},
        panels_x{s.H, Cell::kGates, s.x ? s.D : 0},
        width(panels.vectors() * kLanes<T>) {}

  // The memory of some rows, in vectors: h before and after a step, c, and twice what the products read of h.
  int64_t memory_vectors(int64_t rows) const {
    const int64_t plain = rows * 5 * panels.vectors();
    return kVaried ? plain + (rows * Cell::kGates + Varied<S, Cell>::kScratch) * panels.vectors() : plain;
  }

  // So many steps of some rows are projected at once, as many as a large product needs; what it makes of them still
  // lies in the caches when the recurrence comes to it.
  int64_t steps_ahead(int64_t rows) const { return !s.x || rows >= kRowsOfBlock ? 1 : kRowsOfBlock / rows; }

  // Of S: a copy of their input, where these rows are not all, and their gates, where nobody keeps them.
  int64_t ahead_size(int64_t rows) const {
    if (!s.x) return 0;
    return steps_ahead(rows) * rows * ((rows < s.B ? s.D : 0) + (s.gates ? 0 : Cell::kGates * s.H));
  }

  S* gates_at(const Rows<S>& rows, int64_t t, int64_t r) const {
    constexpr int G = Cell::kGates;
    if (s.gates) return row_of<S>(s.gates, t * s.B + rows.first + r, G * s.H);
    const int64_t steps = steps_ahead(rows.count), phase = step_of(t);  // which is its own inverse
    return rows.ahead + (phase % steps * rows.count + r) * G * s.H;
  }

  static void expect(const Sweep& s) {
    const int64_t size = s.T * s.B * s.H;
    expect_large(s.gates, size * Cell::kGates * sizeof(S));
    expect_large(s.h, size * sizeof(S));
    expect_large(s.c, size * sizeof(T));
    expect_large(s.hidden, size * sizeof(S));
    expect_large(s.normed, size * Cell::kGates * sizeof(S));
  }

  // Packing takes as long as a few products of one row do without it: a server's single step goes without. What the
  // core projects itself is always read packed.
  static bool worth_packing(const Sweep& s) { return s.x || s.T * s.B > 4; }

  int64_t packed_size() const { return panels.size() + panels_x.size(); }
  void pack(int64_t panel, Vector<T>* packed) const {
    panels.pack(panel, (const T*)s.weight, s.H, 1, packed);
    if (s.x) panels_x.pack(panel, (const T*)s.weight_x, s.D, 1, packed + panels.size());
  }

  int64_t phases() const { return s.T; }
  int64_t step_of(int64_t phase) const { return s.reverse ? s.T - 1 - phase : phase; }

  Memory<S> memory_at(const Rows<S>& rows, int64_t phase) const {
    const int64_t size = rows.count * width, other = phase % 2 * size;
    T* h = rows.memory + other;
    return {h, kPair<S> > 1 || (kVaried && s.recurrent) ? (S*)(rows.memory + 3 * size + other) : (S*)h};
  }

  void begin(const Rows<S>& rows) const {
    const Memory<S> memory = memory_at(rows, 0);
    T* c = rows.memory + 2 * rows.count * width;
    for (int64_t r = 0; r < rows.count; ++r) {
      read_row((const T*)s.h_first, rows.first + r, memory.h + r * width);
      if (Cell::kCell) read_row((const T*)s.c_first, rows.first + r, c + r * width);
    }
    make_ready(rows, 0, 0, panels.count());
  }

  void read_row(const T* from, int64_t b, T* to) const {
    memset(to, 0, width * sizeof(T));
    memcpy(to, from + b * s.H, s.H * sizeof(T));
  }

  // One step, as far as it concerns the units of some panels.
  void run(int64_t phase, const Rows<S>& rows, int64_t panel, int64_t panel_end, const Vector<T>* packed,
           Vector<T>* sums) const {
    const int64_t t = step_of(phase), size = rows.count * width;
    const Memory<S> before = memory_at(rows, phase), after = memory_at(rows, phase + 1);
    T* c = rows.memory + 2 * size;
    if (s.x && phase % steps_ahead(rows.count) == 0) project(phase, rows, panel, panel_end, packed + panels.size(), sums);
    if (panel_end - panel < panels.count()) {  // the other units lie in the caches of those who finished them
      const char* p = (const char*)before.rounded;
      for (int64_t at = 0; at < (int64_t)(size * sizeof(S)); at += 64) __builtin_prefetch(p + at);
    }
    if constexpr (kVaried) varied_step(t, rows, packed, sums, before, after, c, rows.memory + 5 * size);
    else one_step(t, rows, panel, panel_end, packed, sums, before, after, c);
    make_ready(rows, phase + 1, panel, panel_end);
  }

  void end(const Rows<S>& rows) const {
    const Memory<S> memory = memory_at(rows, s.T);
    const T* c = rows.memory + 2 * rows.count * width;
    for (int64_t r = 0; r < rows.count; ++r) {
      memcpy((T*)s.h_final + (rows.first + r) * s.H, memory.h + r * width, s.H * sizeof(T));
      if (Cell::kCell) memcpy((T*)s.c_final + (rows.first + r) * s.H, c + r * width, s.H * sizeof(T));
    }
  }

  // The memory before a step, as the products will read it: cleared where a sequence begins, and rounded.
  void make_ready(const Rows<S>& rows, int64_t phase, int64_t panel, int64_t panel_end) const {
    const Memory<S> memory = memory_at(rows, phase);
    T* c = rows.memory + 2 * rows.count * width;
    const int64_t start = panels.first(panel) * kLanes<T>, size = panels.first(panel_end) * kLanes<T> - start;
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t at = r * width + start;
      if (phase < s.T && is_cleared(s, step_of(phase), rows.first + r)) {
        memset(memory.h + at, 0, size * sizeof(T));
        if (Cell::kCell) memset(c + at, 0, size * sizeof(T));
      }
      if (kVaried && s.recurrent) memory.round(at, size, row_of<T>(s.recurrent, rows.first + r, s.H) + start, s.H - start);
      else memory.round(at, size);
    }
  }

  // W_ih x_t and the biases, of the steps from this phase on.
  void project(int64_t phase, const Rows<S>& rows, int64_t panel, int64_t panel_end, const Vector<T>* packed_x,
               Vector<T>* sums) const {
    constexpr int G = Cell::kGates;
    const int64_t most = steps_ahead(rows.count), steps = s.T - phase < most ? s.T - phase : most;
    const int64_t t = s.reverse ? s.T - phase - steps : phase, size = rows.count * s.D;
    const S* x = row_of<S>(s.x, t * s.B + rows.first, s.D);
    if (rows.count < s.B) {
      S* copy = rows.ahead + (s.gates ? 0 : most * rows.count * G * s.H);
      for (int64_t i = 0; i < steps; ++i) memcpy(copy + i * size, x + i * s.B * s.D, size * sizeof(S));
      x = copy;
    }
    for (; panel < panel_end; ++panel) {
      const int panel_width = panels.width(panel);
      product<S>(x, s.D, steps * rows.count, packed_x + panels_x.offset(panel), panel_width, s.D, sums);
      const Vector<T>* sum = sums;
      for (int64_t i = 0; i < steps; ++i)
        for (int64_t r = 0; r < rows.count; ++r) {
          S* gates = gates_at(rows, t + i, r);
          for (int v = 0; v < panel_width; ++v, ++sum) {
            const int64_t unit = (panels.first(panel) + v / G) * kLanes<T>, at = v % G * s.H + unit;
            const int64_t n = lanes_at<T>(s.H, unit);
            store(gates + at, s.bias_x ? *sum + load((const T*)s.bias_x + at, n) : *sum, n);
          }
        }
    }
  }

  // What a panel reads and writes of a row lies in many places of buffers too large for the caches.
  INLINE void fetch(const Rows<S>& rows, int64_t t, int64_t r, int64_t panel) const {
    const S* gates = gates_at(rows, t, r);
    const int64_t row = t * s.B + rows.first + r;
    for (int64_t v = panels.first(panel); v < panels.first(panel + 1); ++v) {
      for (int g = 0; g < Cell::kGates; ++g)
        __builtin_prefetch(gates + g * s.H + v * kLanes<T>, 1);
      if (Cell::kGates > 1) __builtin_prefetch(row_of<S>(s.h, row, s.H) + v * kLanes<T>, 1);
      if (Cell::kCell) __builtin_prefetch(row_of<T>(s.c, row, s.H) + v * kLanes<T>, 1);
    }
  }

  void unpacked_product(const S* before, int64_t rows, int64_t panel, Vector<T>* sums) const {
    const int panel_width = panels.width(panel);
    for (int64_t r = 0; r < rows; ++r)
      for (int v = 0; v < panel_width; ++v) {
        const int64_t at = (panels.first(panel) + v / Cell::kGates) * kLanes<T>, g = v % Cell::kGates;
        sums[r * panel_width + v] =
            dots<S>(before + r * width, (const T*)s.weight + (g * s.H + at) * s.H, lanes_at<T>(s.H, at), s.H);
      }
  }

  void one_step(int64_t t, const Rows<S>& rows, int64_t panel, int64_t panel_end, const Vector<T>* packed,
                Vector<T>* sums, Memory<S> before, Memory<S> after, T* c) const {
    const int64_t start = panels.first(panel) * kLanes<T>, end = panels.first(panel_end) * kLanes<T>;
    for (; panel < panel_end; ++panel) {
      const int panel_width = panels.width(panel);
      for (int64_t r = 0; r < kRowsAhead && r < rows.count; ++r) fetch(rows, t, r, panel);
      product_of_panel(panel, rows.count, packed, before, sums);
      for (int64_t r = 0; r < rows.count; ++r) {
        const int64_t b = rows.first + r, row = t * s.B + b;
        if (r + kRowsAhead < rows.count) fetch(rows, t, r + kRowsAhead, panel);
        if (t >= length_of(s, b)) continue;
        const ForwardRow<S> it = row_at(row, gates_at(rows, t, r), r, before, after, c);
        for (int v = 0; v < panel_width; v += Cell::kGates) {
          const int64_t at = (panels.first(panel) + v / Cell::kGates) * kLanes<T>;
          Cell::template forward<S>(sums + r * panel_width + v, it, at, lanes_at<T>(s.H, at));
        }
      }
    }
    for (int64_t r = 0; r < rows.count; ++r)
      if (t >= length_of(s, rows.first + r)) pass_over(t * s.B + rows.first + r, r, start, end, before, after);
  }

  INLINE void product_of_panel(int64_t panel, int64_t rows, const Vector<T>* packed, Memory<S> before, Vector<T>* sums) const {
    if (worth_packing(s))
      product<S>(before.rounded, width, rows, packed + panels.offset(panel), panels.width(panel), s.H, sums);
    else
      unpacked_product(before.rounded, rows, panel, sums);
  }

  INLINE ForwardRow<S> row_at(int64_t row, S* gates, int64_t r, Memory<S> before, Memory<S> after, T* c) const {
    return {s.H,
            s.keep != 0,
            (const T*)s.bias,
            gates,
            row_of<S>(s.hidden, row, s.H),
            row_of<S>(s.h, row, s.H),
            row_of<T>(s.c, row, s.H),
            before.h + r * width,
            after.h + r * width,
            c + r * width};
  }

  // Padding: of the units [start, end), the last of which may be beyond H.
  void pass_over(int64_t row, int64_t r, int64_t start, int64_t end, Memory<S> before, Memory<S> after) const {
    memcpy(after.h + r * width + start, before.h + r * width + start, (end - start) * sizeof(T));
    const int64_t size = (end < s.H ? end : s.H) - start;
    memset(row_of<S>(s.h, row, s.H) + start, 0, size * sizeof(S));
    if (Cell::kCell) memset(row_of<T>(s.c, row, s.H) + start, 0, size * sizeof(T));
  }

  // Every product first, for a row's nonlinearities may need all of its sums (see variations.h).
  void varied_step(int64_t t, const Rows<S>& all, const Vector<T>* packed, Vector<T>* sums, Memory<S> before,
                   Memory<S> after, T* c, T* whole) const {
    constexpr int G = Cell::kGates;
    const int64_t first = all.first, rows = all.count;
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      product_of_panel(panel, rows, packed, before, sums);
      const int panel_width = panels.width(panel);
      for (int64_t r = 0; r < rows; ++r)
        for (int v = 0; v < panel_width; ++v)
          store<T>(whole + (r * G + v % G) * width + (panels.first(panel) + v / G) * kLanes<T>,
                   sums[r * panel_width + v]);
    }
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t b = first + r, row = t * s.B + b;
      if (t >= length_of(s, b)) {
        pass_over(row, r, 0, width, before, after);
        continue;
      }
      T* mine = whole + r * G * width;
      if (s.gain)
        normalize<S>(mine, G, s.H, width, (const T*)s.gain, row_of<S>(s.normed, row, G * s.H), row_of<T>(s.scale, row, 1));
      Varied<S, Cell>::forward(mine, width, row_at(row, gates_at(all, t, r), r, before, after, c), variation_at<S>(s, row, b),
                               whole + rows * G * width);
    }
  }
};

}  // namespace
