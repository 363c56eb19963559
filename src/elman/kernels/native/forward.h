// Some rows through all of time. Included once per instruction set.

#pragma once

#include "beside.h"
#include "cells.h"
#include "dots.h"
#include "panels.h"
#include "pieces.h"
#include "rows.h"
#include "sweep.h"
#include "variations.h"

namespace {

constexpr int64_t kRowsAhead = 4;
// Of one row, the nonlinearities of so many panels follow one another: those of a panel alone would wait for each other.
// Their sums lie where those of the steps projected ahead do.
constexpr int64_t kPanelsTogether = kRowsBeside < 4 ? kRowsBeside : 4;

// Packed weights up to this size stay in the second-level cache from step to step.
constexpr int64_t kSecondLevelBytes = 512 * 1024;

template <class S, class Cell, bool kVaried> struct Forward {
  using T = Number<S>;
  static constexpr bool kWhole = kVaried;  // its phases are of all units
  const Sweep& s;
  Panels<S> panels, panels_x, panels_r;  // of W_hh; of W_ih, which hold the same units; of W_hr
  int64_t width, width_h;                // of a row's c and of its h

  explicit Forward(const Sweep& sweep)
      : s(sweep),
        panels{s.H, Cell::kGates, s.P, !kVaried && worth_packing(s)},
        panels_x{s.H, Cell::kGates, s.x ? s.D : 0, panels.close},
        panels_r{s.P, 1, s.weight_r ? s.H : 0},
        width(panels.vectors() * kLanes<T>),
        width_h(panels_r.vectors() * kLanes<T>) {}

  // What is held of some rows, in vectors: h before and after a step, c, and twice what the products read of h. Of
  // varied cells also every sum of a step, and what W_hr reads.
  int64_t memory_vectors(int64_t rows) const {
    const int64_t plain = rows * (4 * panels_r.vectors() + panels.vectors());
    return kVaried ? plain + (rows * (Cell::kGates + 1) + Varied<S, Cell>::kScratch + 1) * panels.vectors() : plain;
  }

  T* c_of(const Rows<S>& rows) const { return rows.memory + 2 * rows.count * width_h; }
  T* sums_of_step(const Rows<S>& rows) const { return rows.memory + rows.count * (4 * width_h + width); }

  // Whether the next steps of one row are projected beside its products with W_hh, as long as these do not wait for more
  // distant caches.
  bool is_beside() const {
    return !kVaried && kPair<S> == 1 && s.x && s.B == 1 && panels.size() * BYTES <= kSecondLevelBytes;
  }

  // So many steps of some rows are projected at once, as many as a large product needs; what it makes of them still
  // lies in the caches when the recurrence comes to it.
  int64_t steps_ahead(int64_t rows) const {
    if (is_beside()) return kRowsBeside;
    return !s.x || rows >= kRowsOfBlock ? 1 : kRowsOfBlock / rows;
  }

  // Of S: what is projected ahead, and a copy of the input where these rows are not all.
  int64_t ahead_size(int64_t rows) const {
    if (!s.x) return 0;
    return projected_size(rows) + steps_ahead(rows) * rows * (rows < s.B ? s.D : 0);
  }

  // A varied cell's projections lie as its gates do, and in their place where somebody keeps them; a plain cell's as
  // the products make them: panel after panel, of all steps ahead.
  int64_t projected_size(int64_t rows) const {
    const int64_t all = steps_ahead(rows) * rows;
    if (kVaried) return s.gates ? 0 : all * Cell::kGates * s.H;
    return (is_beside() ? 2 : 1) * all * panels.vectors() * Cell::kGates * kLanes<T> * kPair<S>;
  }

  // Of the steps that are projected together with this phase's.
  Vector<T>* projected(int64_t phase, const Rows<S>& rows, int64_t panel) const {
    const int64_t steps = steps_ahead(rows.count), all = steps * rows.count * Cell::kGates;
    const int64_t turn = is_beside() ? phase / steps % 2 : 0;
    return (Vector<T>*)rows.ahead + all * (turn * panels.vectors() + panels.first(panel));
  }

  S* gates_at(const Rows<S>& rows, int64_t t, int64_t r) const {
    constexpr int G = Cell::kGates;
    if (s.gates || !kVaried) return row_of<S>(s.gates, t * s.B + rows.first + r, G * s.H);
    const int64_t steps = steps_ahead(rows.count), phase = step_of(t);  // which is its own inverse
    return rows.ahead + (phase % steps * rows.count + r) * G * s.H;
  }

  static void expect(const Sweep& s) {
    const int64_t size = s.T * s.B * s.H;
    expect_large(s.gates, size * Cell::kGates * sizeof(S));
    expect_large(s.h, s.T * s.B * s.P * sizeof(S));
    expect_large(s.c, size * sizeof(T));
    expect_large(s.hidden, size * sizeof(S));
    expect_large(s.normed_x, size * Cell::kGates * sizeof(S));
    expect_large(s.normed, size * Cell::kGates * sizeof(S));
  }

  // Packing takes as long as a few products of one row do without it: a server's single step goes without. What the
  // core projects itself is always read packed.
  static bool worth_packing(const Sweep& s) { return s.x || s.T * s.B > 4; }

  int64_t packed_size() const { return panels.size() + panels_x.size() + (s.weight_r ? panels_r.size() : 0); }
  int64_t packs() const { return panels.count() + (s.weight_r ? panels_r.count() : 0); }
  void pack(int64_t i, Vector<T>* packed) const {
    if (i >= panels.count()) return panels_r.pack(i - panels.count(), (const T*)s.weight_r, s.H, 1, packed + offset_r());
    panels.pack(i, (const T*)s.weight, s.P, 1, packed);
    if (s.x) panels_x.pack(i, (const T*)s.weight_x, s.D, 1, packed + panels.size());
  }
  int64_t offset_r() const { return panels.size() + panels_x.size(); }

  int64_t phases() const { return s.T; }
  int64_t step_of(int64_t phase) const { return s.reverse ? s.T - 1 - phase : phase; }

  Memory<S> memory_at(const Rows<S>& rows, int64_t phase) const {
    const int64_t size = rows.count * width_h, other = phase % 2 * size;
    T* h = rows.memory + other;
    const bool apart = kPair<S> > 1 || (kVaried && s.recurrent);
    return {h, apart ? (S*)(c_of(rows) + rows.count * width + other) : (S*)h};
  }

  void begin(const Rows<S>& rows) const {
    const Memory<S> memory = memory_at(rows, 0);
    T* c = c_of(rows);
    for (int64_t r = 0; r < rows.count; ++r) {
      read_row(row_of<T>(s.h_first, rows.first + r, s.P), s.P, memory.h + r * width_h, width_h);
      if (Cell::kCell) read_row(row_of<T>(s.c_first, rows.first + r, s.H), s.H, c + r * width, width);
    }
    make_ready(rows, 0, 0, panels.count());
  }

  static void read_row(const T* from, int64_t size, T* to, int64_t padded) {
    memset(to, 0, padded * sizeof(T));
    if (from) memcpy(to, from, size * sizeof(T));
  }

  // One step, as far as it concerns the units of some panels.
  void run(int64_t phase, const Rows<S>& rows, int64_t panel, int64_t panel_end, const Vector<T>* packed,
           Vector<T>* sums) const {
    const int64_t t = step_of(phase);
    const Memory<S> before = memory_at(rows, phase), after = memory_at(rows, phase + 1);
    if (s.x && (is_beside() ? phase == 0 : phase % steps_ahead(rows.count) == 0))
      project(phase, rows, panel, panel_end, packed + panels.size(), sums);
    if (kVaried && s.gain_x && phase % steps_ahead(rows.count) == 0) normalize_projected(phase, rows);
    if (panel_end - panel < panels.count()) {  // the other units lie in the caches of those who finished them
      const char* p = (const char*)before.rounded;
      for (int64_t at = 0; at < int64_t(rows.count * width_h * sizeof(S)); at += 64) __builtin_prefetch(p + at);
    }
    if constexpr (kVaried) varied_step(t, rows, packed, sums, before, after);
    else one_step(phase, rows, panel, panel_end, packed, sums, before, after, c_of(rows));
    make_ready(rows, phase + 1, panel, panel_end);
  }

  void end(const Rows<S>& rows) const {
    const Memory<S> memory = memory_at(rows, s.T);
    const T* c = c_of(rows);
    for (int64_t r = 0; r < rows.count; ++r) {
      memcpy(row_of<T>(s.h_final, rows.first + r, s.P), memory.h + r * width_h, s.P * sizeof(T));
      if (Cell::kCell) memcpy(row_of<T>(s.c_final, rows.first + r, s.H), c + r * width, s.H * sizeof(T));
    }
  }

  // The memory before a step, as the products will read it: cleared where a sequence begins, and rounded.
  void make_ready(const Rows<S>& rows, int64_t phase, int64_t panel, int64_t panel_end) const {
    const Memory<S> memory = memory_at(rows, phase);
    T* c = c_of(rows);
    const int64_t start = panels.first(panel) * kLanes<T>, size = panels.first(panel_end) * kLanes<T> - start;
    const int64_t size_h = kVaried ? width_h : size;
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t at = r * width_h + start;
      if (phase < s.T && is_cleared(s, step_of(phase), rows.first + r)) {
        memset(memory.h + at, 0, size_h * sizeof(T));
        if (Cell::kCell) memset(c + r * width + start, 0, size * sizeof(T));
      }
      if (kVaried && s.recurrent) memory.round(at, size_h, row_of<T>(s.recurrent, rows.first + r, s.P), s.P);
      else memory.round(at, size_h);
    }
  }

  int64_t steps_projected(int64_t phase, int64_t rows) const {
    const int64_t most = steps_ahead(rows);
    return s.T - phase < most ? s.T - phase : most;
  }

  // W_ih x_t and the biases, of the steps from this phase on.
  void project(int64_t phase, const Rows<S>& rows, int64_t panel, int64_t panel_end, const Vector<T>* packed_x,
               Vector<T>* sums) const {
    constexpr int G = Cell::kGates;
    const int64_t steps = steps_projected(phase, rows.count), size = rows.count * s.D;
    const int64_t t = s.reverse ? s.T - phase - steps : phase;
    const T* bias = kVaried && s.gain_x ? nullptr : (const T*)s.bias_x;
    const S* x = row_of<S>(s.x, t * s.B + rows.first, s.D);
    if (rows.count < s.B) {
      S* copy = rows.ahead + projected_size(rows.count);
      for (int64_t i = 0; i < steps; ++i) memcpy(copy + i * size, x + i * s.B * s.D, size * sizeof(S));
      x = copy;
    }
    for (; panel < panel_end; ++panel) {
      const int panel_width = panels.width(panel);
      Vector<T> first_sums[kMaxWidth];
      load_bias(bias, panel, first_sums);
      Vector<T>* to = kVaried ? sums : projected(phase, rows, panel);
      product<S>(x, s.D, steps * rows.count, packed_x + panels_x.offset(panel), panel_width, s.D, to, first_sums);
      if (!kVaried) continue;
      for (int64_t i = 0; i < steps * rows.count; ++i) {
        S* gates = gates_at(rows, t + i / rows.count, i % rows.count);
        for (int v = 0; v < panel_width; ++v) {
          const int64_t unit = (panels.first(panel) + v / G) * kLanes<T>;
          store(gates + v % G * s.H + unit, sums[i * panel_width + v], lanes_at<T>(s.H, unit));
        }
      }
    }
  }

  void load_bias(const T* bias, int64_t panel, Vector<T>* sums) const {
    constexpr int G = Cell::kGates;
    for (int v = 0; v < panels.width(panel); ++v) sums[v] = Vector<T>{};
    T* to = (T*)sums;
    for (int64_t v = panels.first(panel); v < panels.first(panel + 1); ++v)
      for (int g = 0; g < G; ++g, to += panels.gate_size(panel)) {
        const int64_t n = lanes_at<T>(s.H, v * kLanes<T>);
        store(to, load_or_zero(bias, g * s.H + v * kLanes<T>, n), n);
      }
  }

  // A panel's product of one row, and beside it a part of the projection of the steps after those already projected.
  INLINE void product_and_part(int64_t phase, const Rows<S>& rows, int64_t panel, const Vector<T>* packed, const S* before,
                               Vector<T>* sums) const {
    const int64_t part = phase % kRowsBeside, next = phase - part + kRowsBeside, steps = steps_projected(next, 1);
    const Vector<T>* weights = packed + panels.offset(panel);
    const int panel_width = panels.width(panel);
    if (steps <= 0) return product<S>(before, width_h, 1, weights, panel_width, remembered(phase), sums);
    const int64_t k = s.D * part / kRowsBeside, size = s.D * (part + 1) / kRowsBeside - k;
    const S* x = (const S*)s.x + (s.reverse ? s.T - next - steps : next) * s.D + k;
    const Vector<T>* weights_x = packed + panels.size() + panels_x.offset(panel) + k * panel_width;
    Vector<T>* to = projected(next, rows, panel);
    if (part == 0)
      for (int64_t i = 0; i < steps; ++i) load_bias((const T*)s.bias_x, panel, to + i * panel_width);
    if constexpr (kPair<S> == 1)
      product_beside<T>(before, weights, panel_width, remembered(phase), sums, {x, s.D, steps, size, weights_x, to});
  }

  // The same steps, where what they read of the input is normalized.
  void normalize_projected(int64_t phase, const Rows<S>& rows) const {
    constexpr int G = Cell::kGates;
    for (int64_t i = steps_projected(phase, rows.count); i-- > 0;) {
      const int64_t t = step_of(phase + i);
      for (int64_t r = 0; r < rows.count; ++r)
        normalize(gates_at(rows, t, r), G, s.H, s.H, normalization_x_at<S>(s, t * s.B + rows.first + r, G * s.H));
    }
  }

  // What a panel reads and writes of a row lies in many places of buffers too large for the caches.
  INLINE void fetch(const Rows<S>& rows, int64_t t, int64_t r, int64_t panel) const {
    const S* gates = s.keep || !s.x ? gates_at(rows, t, r) : nullptr;
    const int64_t row = t * s.B + rows.first + r;
    for (int64_t v = panels.first(panel); v < panels.first(panel + 1); ++v) {
      for (int g = 0; gates && g < Cell::kGates; ++g) __builtin_prefetch(gates + g * s.H + v * kLanes<T>, 1);
      __builtin_prefetch(row_of<S>(s.h, row, s.H) + v * kLanes<T>, 1);
      if (s.c) __builtin_prefetch(row_of<T>(s.c, row, s.H) + v * kLanes<T>, 1);
    }
  }

  void unpacked_product(const S* before, int64_t rows, int64_t panel, Vector<T>* sums) const {
    const int panel_width = panels.width(panel);
    for (int v = 0; v < panel_width; ++v) {
      const int64_t at = (panels.first(panel) + v / Cell::kGates) * kLanes<T>, g = v % Cell::kGates;
      dots_of_few<S>(before, width_h, rows, (const T*)s.weight + (g * s.H + at) * s.P, lanes_at<T>(s.H, at), s.P,
                      sums + v, panel_width);
    }
  }

  void one_step(int64_t phase, const Rows<S>& rows, int64_t first_panel, int64_t panel_end, const Vector<T>* packed,
                Vector<T>* sums, Memory<S> before, Memory<S> after, T* c) const {
    constexpr int G = Cell::kGates;
    const int64_t t = step_of(phase), steps = steps_ahead(rows.count), place = phase % steps;
    const int64_t ahead = s.reverse ? steps_projected(phase - place, rows.count) - 1 - place : place;
    const Vector<T>* all = projected(phase, rows, 0);
    const int64_t start = panels.first(first_panel) * kLanes<T>, end = panels.first(panel_end) * kLanes<T>;
    const bool backwards = phase % 2;  // the weights that the step before read last lie in the nearest cache
    const int64_t count = panel_end - first_panel, most = is_beside() ? kPanelsTogether : 1;
    for (int64_t i = 0; i < count; i += most) {
      const int64_t next = i + most < count ? i + most : count;
      const auto panel_of = [&](int64_t j) { return backwards ? panel_end - 1 - j : first_panel + j; };
      for (int64_t j = i; j < next; ++j) {
        const int64_t panel = panel_of(j);
        Vector<T>* to = sums + (j - i) * kMaxWidth;
        for (int64_t r = 0; r < kRowsAhead && r < rows.count; ++r) fetch(rows, t, r, panel);
        if (is_beside()) product_and_part(phase, rows, panel, packed, before.rounded, to);
        else product_of_panel(phase, panel, rows.count, packed, before, to);
      }
      for (int64_t j = i; j < next; ++j) {
        const int64_t panel = panel_of(j);
        units_of_panel(t, ahead, rows, panel, all + panels.first(panel) * steps * rows.count * G,
                       sums + (j - i) * kMaxWidth, before, after, c);
      }
      if constexpr (Cell::kCell)
        for (int64_t j = i; j < next; ++j) outputs_of_panel(t, rows, panel_of(j), sums + (j - i) * kMaxWidth, before, after, c);
    }
    for (int64_t r = 0; r < rows.count; ++r)
      if (t >= length_of(s, rows.first + r)) {
        const int64_t row = t * s.B + rows.first + r;
        pass_over(row, r, start, end, before, after);
        if (s.c) memset(row_of<T>(s.c, row, s.H) + start, 0, ((end < s.H ? end : s.H) - start) * sizeof(T));
      }
  }

  // `ahead` is the place of the step t among those projected together, whose sums are `projected`. Of the LSTM the new
  // c, and o in the place of the first sum: h follows when c of all rows is there, for each row would wait for its own.
  INLINE void units_of_panel(int64_t t, int64_t ahead, const Rows<S>& rows, int64_t panel, const Vector<T>* projected,
                             Vector<T>* sums, Memory<S> before, Memory<S> after, T* c) const {
    constexpr int G = Cell::kGates;
    const int panel_width = panels.width(panel);
    const int64_t gate_size = panels.gate_size(panel);
    const bool is_close = panels.is_close(panel);
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t b = rows.first + r, row = t * s.B + b;
      if (r + kRowsAhead < rows.count) fetch(rows, t, r + kRowsAhead, panel);
      if (t >= length_of(s, b)) continue;
      const ForwardRow<S> it = row_at(row, gates_at(rows, t, r), r, before, after, c);
      for (int v = 0; v < panel_width; v += G) {
        const int64_t at = (panels.first(panel) + v / G) * kLanes<T>, n = lanes_at<T>(s.H, at);
        const Vector<T>* of_x = s.x ? projected + (ahead * rows.count + r) * panel_width + v : nullptr;
        const Vector<T>* of_h = sums + r * panel_width + v;
        Vector<T> apart_x[G], apart_h[G];
        if (is_close) {
          if (of_x) of_x = take_apart<T>((const T*)of_x, gate_size, n, apart_x);
          of_h = take_apart<T>((const T*)of_h, gate_size, n, apart_h);
        }
        if (!of_x) of_x = take_apart<S>(it.gates + at, s.H, n, apart_x);
        if constexpr (Cell::kCell) sums[r * panel_width + v] = Cell::template memory<S>(of_x, of_h, it, at, n);
        else Cell::template forward<S>(of_x, of_h, it, at, n);
      }
    }
  }

  // n units of every gate, which lie `size` numbers apart.
  template <class From>
  static __attribute__((noinline)) const Vector<T>* take_apart(const From* gates, int64_t size, int64_t n, Vector<T>* to) {
    for (int g = 0; g < Cell::kGates; ++g) to[g] = load(gates + g * size, n);
    return to;
  }

  INLINE void outputs_of_panel(int64_t t, const Rows<S>& rows, int64_t panel, const Vector<T>* sums, Memory<S> before,
                               Memory<S> after, T* c) const {
    const int64_t at = panels.first(panel) * kLanes<T>, n = lanes_at<T>(s.H, at), width = panels.width(panel);
    for (int64_t r = 0; r < rows.count; ++r)
      if (t < length_of(s, rows.first + r))
        Cell::template output<S>(sums[r * width], row_at(t * s.B + rows.first + r, nullptr, r, before, after, c), at, n);
  }

  // How deep the product with W_hh is: of a fresh memory it is zero.
  int64_t remembered(int64_t phase) const { return phase == 0 && !s.h_first ? 0 : s.P; }

  INLINE void product_of_panel(int64_t phase, int64_t panel, int64_t rows, const Vector<T>* packed, Memory<S> before,
                               Vector<T>* sums) const {
    if (worth_packing(s))
      product<S>(before.rounded, width_h, rows, packed + panels.offset(panel), panels.width(panel), remembered(phase), sums);
    else
      unpacked_product(before.rounded, rows, panel, sums);
  }

  INLINE ForwardRow<S> row_at(int64_t row, S* gates, int64_t r, Memory<S> before, Memory<S> after, T* c) const {
    return {s.H,
            s.keep != 0,
            (const T*)s.bias,
            gates,
            row_of<S>(s.hidden, row, s.H),
            row_of<S>(s.h, row, s.P),
            row_of<T>(s.c, row, s.H),
            before.h + r * width_h,
            after.h + r * width_h,
            c + r * width};
  }

  // Padding: of h's numbers [start, end), the last of which may be beyond P.
  void pass_over(int64_t row, int64_t r, int64_t start, int64_t end, Memory<S> before, Memory<S> after) const {
    memcpy(after.h + r * width_h + start, before.h + r * width_h + start, (end - start) * sizeof(T));
    memset(row_of<S>(s.h, row, s.P) + start, 0, ((end < s.P ? end : s.P) - start) * sizeof(S));
  }

  // Every product first, for a row's nonlinearities may need all of its sums (see variations.h).
  void varied_step(int64_t t, const Rows<S>& rows, const Vector<T>* packed, Vector<T>* sums, Memory<S> before,
                   Memory<S> after) const {
    constexpr int G = Cell::kGates;
    T *all = sums_of_step(rows), *scratch = all + rows.count * G * width;
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      product_of_panel(step_of(t), panel, rows.count, packed, before, sums);
      const int panel_width = panels.width(panel);
      for (int64_t r = 0; r < rows.count; ++r)
        for (int v = 0; v < panel_width; ++v)
          store<T>(all + (r * G + v % G) * width + (panels.first(panel) + v / G) * kLanes<T>, sums[r * panel_width + v]);
    }
    S* to_project = (S*)(scratch + (Varied<S, Cell>::kScratch + 1) * width);  // (rows, H), padded
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t b = rows.first + r, row = t * s.B + b;
      if (t >= length_of(s, b)) {
        pass_over(row, r, 0, width_h, before, after);
        if (s.c) memset(row_of<T>(s.c, row, s.H), 0, s.H * sizeof(T));
        continue;
      }
      T* mine = all + r * G * width;
      if (s.gain) normalize(mine, G, s.H, width, normalization_at<S>(s, row, G * s.H));
      ForwardRow<S> it = row_at(row, gates_at(rows, t, r), r, before, after, c_of(rows));
      Variation<S> variation = variation_at<S>(s, row, b);
      if (s.weight_r) {  // what the cell makes is not yet h
        it.h = to_project + r * width;
        it.h_after = scratch + Varied<S, Cell>::kScratch * width;
        variation.zoneout = nullptr;
        memset(it.h, 0, width * sizeof(S));
      }
      Varied<S, Cell>::forward(mine, width, it, variation, scratch);
      if (s.weight_r && s.hidden) memcpy(row_of<S>(s.hidden, row, s.H), it.h, s.H * sizeof(S));
    }
    if (s.weight_r) through_projection(t, rows, to_project, packed + offset_r(), sums, before, after);
  }

  // h_t = W_hr times what the cell made (Sak et al. 2014), then zoneout.
  void through_projection(int64_t t, const Rows<S>& rows, const S* made, const Vector<T>* packed_r, Vector<T>* sums,
                          Memory<S> before, Memory<S> after) const {
    for (int64_t panel = 0; panel < panels_r.count(); ++panel) {
      const int panel_width = panels_r.width(panel);
      if (worth_packing(s)) product<S>(made, width, rows.count, packed_r + panels_r.offset(panel), panel_width, s.H, sums);
      for (int64_t r = 0; r < rows.count; ++r) {
        const int64_t b = rows.first + r, row = t * s.B + b;
        if (t >= length_of(s, b)) continue;
        const Variation<S> it = variation_at<S>(s, row, b);
        for (int v = 0; v < panel_width; ++v) {
          const int64_t at = (panels_r.first(panel) + v) * kLanes<T>, n = lanes_at<T>(s.P, at);
          const Vector<T> sum = worth_packing(s) ? sums[r * panel_width + v]
                                                 : dots<S>(made + r * width, (const T*)s.weight_r + at * s.H, n, s.H);
          const Vector<T> h = zone<S>(sum, load(before.h + r * width_h + at), it.zoneout, at, n);
          store(after.h + r * width_h + at, h);
          store(row_of<S>(s.h, row, s.P) + at, h, n);
        }
      }
    }
  }
};

}  // namespace
