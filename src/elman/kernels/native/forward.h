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
  const Sweep& s;
  Panels<S> panels;
  int64_t width;

  explicit Forward(const Sweep& sweep) : s(sweep), panels{s.H, Cell::kGates, s.H}, width(panels.vectors() * kLanes<T>) {}

  int64_t scratch_vectors(int64_t rows) const {
    const int64_t plain = rows * (5 * panels.vectors() + kMaxWidth);
    return kVaried ? plain + (rows * Cell::kGates + Varied<S, Cell>::kScratch) * panels.vectors() : plain;
  }

  static void expect(const Sweep& s) {
    const int64_t size = s.T * s.B * s.H;
    expect_large(s.h, size * sizeof(S));
    expect_large(s.c, size * sizeof(T));
    expect_large(s.hidden, size * sizeof(S));
    expect_large(s.normed, size * Cell::kGates * sizeof(S));
  }

  // Packing takes as long as a few products of one row do without it: a server's single step goes without.
  static bool worth_packing(const Sweep& s) { return s.T * s.B > 4; }

  void pack(int64_t panel, Vector<T>* packed) const { panels.pack(panel, (const T*)s.weight, s.H, 1, packed); }

  // What the products read of the memory of the rows from `first` on.
  void round(Memory<S> memory, int64_t first, int64_t rows) const {
    if (!kVaried || !s.recurrent) return memory.round(rows * width);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t at = 0; at < width; at += kLanes<T>) {
        const Vector<T> mask = load(row_of<T>(s.recurrent, first + r, s.H) + at, lanes_at<T>(s.H, at));
        store(memory.rounded + r * width + at, load(memory.h + r * width + at) * mask);
      }
  }

  // The rows [first, last) through all of time.
  void run(int64_t first, int64_t last, const Vector<T>* packed, Vector<T>* scratch) const {
    const int64_t rows = last - first, size = rows * width;
    Vector<T>* sums = scratch;
    T* memory = (T*)(sums + rows * kMaxWidth);
    T* c = memory + 2 * size;
    Memory<S> before = {memory, (S*)memory}, after = {memory + size, (S*)(memory + size)};
    if (kPair<S> > 1 || (kVaried && s.recurrent)) {
      before.rounded = (S*)(memory + 3 * size);
      after.rounded = (S*)(memory + 4 * size);
    }
    for (int64_t r = 0; r < rows; ++r) {
      read_row((const T*)s.h_first, first + r, before.h + r * width);
      if (Cell::kCell) read_row((const T*)s.c_first, first + r, c + r * width);
    }
    round(before, first, rows);
    for (int64_t step = 0; step < s.T; ++step) {
      const int64_t t = s.reverse ? s.T - 1 - step : step;
      for (int64_t r = 0; r < rows; ++r)
        if (is_cleared(s, t, first + r)) {
          memset(before.h + r * width, 0, width * sizeof(T));
          memset(before.rounded + r * width, 0, width * sizeof(S));
          if (Cell::kCell) memset(c + r * width, 0, width * sizeof(T));
        }
      if constexpr (kVaried) varied_step(t, first, rows, packed, sums, before, after, c, memory + 5 * size);
      else one_step(t, first, rows, packed, sums, before, after, c);
      round(after, first, rows);
      const Memory<S> swap = before;
      before = after;
      after = swap;
    }
    for (int64_t r = 0; r < rows; ++r) {
      memcpy((T*)s.h_final + (first + r) * s.H, before.h + r * width, s.H * sizeof(T));
      if (Cell::kCell) memcpy((T*)s.c_final + (first + r) * s.H, c + r * width, s.H * sizeof(T));
    }
  }

  void read_row(const T* from, int64_t b, T* to) const {
    memset(to, 0, width * sizeof(T));
    memcpy(to, from + b * s.H, s.H * sizeof(T));
  }

  // What a panel reads and writes of a row lies in many places of buffers too large for the caches.
  INLINE void fetch(int64_t row, int64_t panel) const {
    for (int64_t v = panels.first(panel); v < panels.first(panel + 1); ++v) {
      for (int g = 0; g < Cell::kGates; ++g)
        __builtin_prefetch(row_of<S>(s.gates, row, Cell::kGates * s.H) + g * s.H + v * kLanes<T>, 1);
      if (Cell::kGates > 1) __builtin_prefetch(row_of<S>(s.h, row, s.H) + v * kLanes<T>, 1);
      if (Cell::kCell) __builtin_prefetch(row_of<T>(s.c, row, s.H) + v * kLanes<T>, 1);
    }
  }

  void unpacked_product(const S* before, int64_t rows, int64_t panel, Vector<T>* sums) const {
    const int panel_width = panels.width(panel);
    for (int64_t r = 0; r < rows; ++r)
      for (int v = 0; v < panel_width; ++v) {
        const int64_t at = (panels.first(panel) + v / Cell::kGates) * kLanes<T>, g = v % Cell::kGates;
        const int64_t n = s.H - at < kLanes<T> ? s.H - at : kLanes<T>;
        Vector<T>& to = sums[r * panel_width + v];
        to = Vector<T>{};
        dots<S>(before + r * width, (const T*)s.weight + (g * s.H + at) * s.H, n, s.H, (T*)&to);
      }
  }

  void one_step(int64_t t, int64_t first, int64_t rows, const Vector<T>* packed, Vector<T>* sums, Memory<S> before,
                Memory<S> after, T* c) const {
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      const int panel_width = panels.width(panel);
      for (int64_t r = 0; r < kRowsAhead && r < rows; ++r) fetch(t * s.B + first + r, panel);
      product_of_panel(panel, rows, packed, before, sums);
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t b = first + r, row = t * s.B + b;
        if (r + kRowsAhead < rows) fetch(row + kRowsAhead, panel);
        if (t >= length_of(s, b)) continue;
        const ForwardRow<S> it = row_at(row, r, before, after, c);
        for (int v = 0; v < panel_width; v += Cell::kGates) {
          const int64_t at = (panels.first(panel) + v / Cell::kGates) * kLanes<T>;
          Cell::template forward<S>(sums + r * panel_width + v, it, at, s.H - at < kLanes<T> ? s.H - at : kLanes<T>);
        }
      }
    }
    for (int64_t r = 0; r < rows; ++r)
      if (t >= length_of(s, first + r)) pass_over(t * s.B + first + r, r, before, after);
  }

  INLINE void product_of_panel(int64_t panel, int64_t rows, const Vector<T>* packed, Memory<S> before, Vector<T>* sums) const {
    if (worth_packing(s))
      product<S>(before.rounded, width, rows, packed + panels.offset(panel), panels.width(panel), s.H, sums);
    else
      unpacked_product(before.rounded, rows, panel, sums);
  }

  INLINE ForwardRow<S> row_at(int64_t row, int64_t r, Memory<S> before, Memory<S> after, T* c) const {
    return {s.H,
            s.keep != 0,
            (const T*)s.bias,
            row_of<S>(s.gates, row, Cell::kGates * s.H),
            row_of<S>(s.hidden, row, s.H),
            row_of<S>(s.h, row, s.H),
            row_of<T>(s.c, row, s.H),
            before.h + r * width,
            after.h + r * width,
            c + r * width};
  }

  // Padding.
  void pass_over(int64_t row, int64_t r, Memory<S> before, Memory<S> after) const {
    memcpy(after.h + r * width, before.h + r * width, width * sizeof(T));
    memset(row_of<S>(s.h, row, s.H), 0, s.H * sizeof(S));
    if (Cell::kCell) memset(row_of<T>(s.c, row, s.H), 0, s.H * sizeof(T));
  }

  // Every product first, for a row's nonlinearities may need all of its sums (see variations.h).
  void varied_step(int64_t t, int64_t first, int64_t rows, const Vector<T>* packed, Vector<T>* sums, Memory<S> before,
                   Memory<S> after, T* c, T* whole) const {
    constexpr int G = Cell::kGates;
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
        pass_over(row, r, before, after);
        continue;
      }
      T* mine = whole + r * G * width;
      if (s.gain)
        normalize<S>(mine, G, s.H, width, (const T*)s.gain, row_of<S>(s.normed, row, G * s.H), row_of<T>(s.scale, row, 1));
      Varied<S, Cell>::forward(mine, width, row_at(row, r, before, after, c), variation_at<S>(s, row, b),
                               whole + rows * G * width);
    }
  }
};

}  // namespace
