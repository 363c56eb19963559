// The recurrence itself. Each thread takes its rows of the batch through all of time, so that none ever waits for
// another between steps. Included once per instruction set, which defines BYTES, REGISTERS and TABLE.

#pragma once

#include <cstdlib>

#include "cells.h"
#include "product.h"
#include "sweep.h"

namespace {

constexpr int64_t kRowsAhead = 4;

// Below this many multiplications a second thread costs more than it brings.
constexpr double kWorthWaking = 1e6;

// Calls body(piece, pieces) for every piece of the work, on torch's threads if there is more than one.
template <class F> void in_pieces(const Sweep& sweep, int64_t limit, double work, F body) {
  struct Context {
    F* body;
    int64_t pieces;
  };
  int64_t pieces = work < kWorthWaking ? 1 : sweep.threads < limit ? sweep.threads : limit;
  Context context = {&body, pieces < 1 ? 1 : pieces};
  const Body each = [](int64_t begin, int64_t end, void* pointer) {
    const Context& it = *(const Context*)pointer;
    for (int64_t piece = begin; piece < end; ++piece) (*it.body)(piece, it.pieces);
  };
  if (context.pieces == 1 || sweep.parallel_for(0, context.pieces, 1, each, &context) != 0)
    each(0, context.pieces, &context);
}

// Memory for vectors, aligned to cache lines; null if there is none.
template <class T> struct Buffer {
  Vector<T>* data;
  explicit Buffer(int64_t vectors) : data((Vector<T>*)aligned_alloc(64, (vectors * BYTES + 127) / 64 * 64)) {}
  Buffer(const Buffer&) = delete;
  ~Buffer() { free(data); }
};

template <class T> T* row_of(const void* buffer, int64_t row, int64_t size) {
  return buffer ? (T*)buffer + row * size : nullptr;
}

// The step whose state the row has when it comes to t, or -1 for the initial state.
INLINE int64_t step_before(const Sweep& s, int64_t t, int64_t length) {
  const int64_t before = s.reverse ? t + 1 : t - 1;
  return before < length ? before : -1;
}

INLINE int64_t length_of(const Sweep& s, int64_t b) { return s.lengths ? s.lengths[b] : s.T; }
INLINE bool is_cleared(const Sweep& s, int64_t t, int64_t b) { return s.cleared && s.cleared[t * s.B + b]; }

// The memory of some rows, each `width` numbers long: H, padded with zeros to whole vectors. What the product with
// the weights reads of it is rounded to S; where that is what it holds anyway, both are the same.
template <class S> struct Memory {
  Number<S>* h;
  S* rounded;

  void round(int64_t size) const {
    if constexpr (kPair<S> > 1)
      for (int64_t at = 0; at < size; at += kLanes<Number<S>>) store(rounded + at, load(h + at));
  }
};

template <class S, class Cell> struct Forward {
  using T = Number<S>;
  const Sweep& s;
  Panels<S> panels;
  int64_t width;

  explicit Forward(const Sweep& sweep) : s(sweep), panels{s.H, Cell::kGates, s.H}, width(panels.vectors() * kLanes<T>) {}

  int64_t scratch_vectors(int64_t rows) const { return rows * (5 * panels.vectors() + kMaxWidth); }

  // Packing takes as long as a few products of one row do without it: a server's single step goes without.
  static bool worth_packing(const Sweep& s) { return s.T * s.B > 4; }

  void pack(int64_t panel, Vector<T>* packed) const { panels.pack(panel, (const T*)s.weight, s.H, 1, packed); }

  // The rows [first, last) through all of time.
  void run(int64_t first, int64_t last, const Vector<T>* packed, Vector<T>* scratch) const {
    const int64_t rows = last - first, size = rows * width;
    Vector<T>* sums = scratch;
    T* memory = (T*)(sums + rows * kMaxWidth);
    T* c = memory + 2 * size;
    Memory<S> before = {memory, (S*)memory}, after = {memory + size, (S*)(memory + size)};
    if (kPair<S> > 1) {
      before.rounded = (S*)(memory + 3 * size);
      after.rounded = (S*)(memory + 4 * size);
    }
    for (int64_t r = 0; r < rows; ++r) {
      read_row((const T*)s.h_first, first + r, before.h + r * width);
      if (Cell::kCell) read_row((const T*)s.c_first, first + r, c + r * width);
    }
    before.round(size);
    for (int64_t step = 0; step < s.T; ++step) {
      const int64_t t = s.reverse ? s.T - 1 - step : step;
      for (int64_t r = 0; r < rows; ++r)
        if (is_cleared(s, t, first + r)) {
          memset(before.h + r * width, 0, width * sizeof(T));
          memset(before.rounded + r * width, 0, width * sizeof(S));
          if (Cell::kCell) memset(c + r * width, 0, width * sizeof(T));
        }
      one_step(t, first, rows, packed, sums, before, after, c);
      after.round(size);
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
  void fetch(int64_t row, int64_t panel) const {
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
      if (worth_packing(s))
        product<S>(before.rounded, width, rows, packed + panels.offset(panel), panel_width, s.H, sums);
      else
        unpacked_product(before.rounded, rows, panel, sums);
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t b = first + r, row = t * s.B + b;
        if (r + kRowsAhead < rows) fetch(row + kRowsAhead, panel);
        if (t >= length_of(s, b)) continue;
        const ForwardRow<S> it = {s.H,
                                  s.keep != 0,
                                  (const T*)s.bias,
                                  row_of<S>(s.gates, row, Cell::kGates * s.H),
                                  row_of<S>(s.hidden, row, s.H),
                                  row_of<S>(s.h, row, s.H),
                                  row_of<T>(s.c, row, s.H),
                                  before.h + r * width,
                                  after.h + r * width,
                                  c + r * width};
        for (int v = 0; v < panel_width; v += Cell::kGates) {
          const int64_t at = (panels.first(panel) + v / Cell::kGates) * kLanes<T>;
          Cell::template forward<S>(sums + r * panel_width + v, it, at, s.H - at < kLanes<T> ? s.H - at : kLanes<T>);
        }
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = t * s.B + first + r;
      if (t < length_of(s, first + r)) continue;
      memcpy(after.h + r * width, before.h + r * width, width * sizeof(T));
      memset(row_of<S>(s.h, row, s.H), 0, s.H * sizeof(S));
      if (Cell::kCell) memset(row_of<T>(s.c, row, s.H), 0, s.H * sizeof(T));
    }
  }
};

template <class S, class Cell> struct Backward {
  using T = Number<S>;
  const Sweep& s;
  Panels<S> panels;
  int64_t width;

  explicit Backward(const Sweep& sweep)
      : s(sweep), panels{s.H, 1, Cell::kGates * s.H}, width(panels.vectors() * kLanes<T>) {}

  int64_t scratch_vectors(int64_t rows) const { return rows * (2 * panels.vectors() + kMaxWidth); }

  static bool worth_packing(const Sweep&) { return true; }

  void pack(int64_t panel, Vector<T>* packed) const { panels.pack(panel, (const T*)s.weight, 1, s.H, packed); }

  void run(int64_t first, int64_t last, const Vector<T>* packed, Vector<T>* scratch) const {
    const int64_t rows = last - first;
    Vector<T>* sums = scratch;
    T* dh = (T*)(sums + rows * kMaxWidth);
    T* dc = dh + rows * width;
    memset(dh, 0, 2 * rows * width * sizeof(T));
    for (int64_t r = 0; r < rows; ++r) {
      if (s.dh_final) memcpy(dh + r * width, (const T*)s.dh_final + (first + r) * s.H, s.H * sizeof(T));
      if (s.dc_final) memcpy(dc + r * width, (const T*)s.dc_final + (first + r) * s.H, s.H * sizeof(T));
    }
    for (int64_t step = s.T - 1; step >= 0; --step) {
      const int64_t t = s.reverse ? s.T - 1 - step : step;
      for (int64_t r = 0; r < rows; ++r) nonlinearities(t, first + r, dh + r * width, dc + r * width);
      through_weight(t, first, rows, packed, sums, dh);
      for (int64_t r = 0; r < rows; ++r)
        if (is_cleared(s, t, first + r)) {
          memset(dh + r * width, 0, width * sizeof(T));
          memset(dc + r * width, 0, width * sizeof(T));
        }
    }
    for (int64_t r = 0; r < rows; ++r) {
      memcpy((T*)s.dh_first + (first + r) * s.H, dh + r * width, s.H * sizeof(T));
      if (Cell::kCell) memcpy((T*)s.dc_first + (first + r) * s.H, dc + r * width, s.H * sizeof(T));
    }
  }

  void nonlinearities(int64_t t, int64_t b, T* dh, T* dc) const {
    const int64_t row = t * s.B + b, length = length_of(s, b);
    S* dgates = row_of<S>(s.dgates, row, Cell::kDerivatives * s.H);
    if (t >= length) {
      memset(dgates, 0, Cell::kDerivatives * s.H * sizeof(S));
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
    for (int64_t at = 0; at < s.H; at += kLanes<T>)
      Cell::template backward<S>(it, at, s.H - at < kLanes<T> ? s.H - at : kLanes<T>);
  }

  // dh += W_hh^T dgates; the rows of padding have zeros there.
  void through_weight(int64_t t, int64_t first, int64_t rows, const Vector<T>* packed, Vector<T>* sums, T* dh) const {
    const int64_t stride = Cell::kDerivatives * s.H;
    const S* dgates = row_of<S>(s.dgates, t * s.B + first, stride) + Cell::kFirstOfHidden * s.H;
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      const int panel_width = panels.width(panel);
      product<S>(dgates, stride, rows, packed + panels.offset(panel), panel_width, panels.K, sums);
      for (int64_t r = 0; r < rows; ++r)
        for (int v = 0; v < panel_width; ++v) {
          T* to = dh + r * width + (panels.first(panel) + v) * kLanes<T>;
          store<T>(to, load<T>(to) + sums[r * panel_width + v]);
        }
    }
  }
};

template <class Direction, class S> int32_t run(const Sweep& s) {
  using T = Number<S>;
  if (s.B == 0 || s.H == 0) return 0;
  const Direction direction(s);
  const Panels<S>& panels = direction.panels;
  const double work = double(panels.size()) * kLanes<T> * kPair<S>;
  const bool packing = Direction::worth_packing(s);
  const Buffer<T> packed(packing ? panels.size() : 0);
  if (!packed.data) return 1;
  if (packing) in_pieces(s, panels.count(), work / 4, [&](int64_t piece, int64_t pieces) {
    const int64_t last = panels.count() * (piece + 1) / pieces;
    for (int64_t panel = panels.count() * piece / pieces; panel < last; ++panel) direction.pack(panel, packed.data);
  });
  int32_t failed = 0;  // written by any thread, always with the same value
  in_pieces(s, s.B, work * double(s.T) * double(s.B), [&](int64_t piece, int64_t pieces) {
    const int64_t first = s.B * piece / pieces, last = s.B * (piece + 1) / pieces;
    const Buffer<T> scratch(direction.scratch_vectors(last - first));
    if (scratch.data) direction.run(first, last, packed.data, scratch.data);
    else failed = 1;
  });
  return failed;
}

template <template <class, class> class Direction, class S> int32_t of_cell(const Sweep* sweep) {
  switch (sweep->cell) {
    case kElmanTanh: return run<Direction<S, Elman<Tanh>>, S>(*sweep);
    case kElmanRelu: return run<Direction<S, Elman<Relu>>, S>(*sweep);
    case kGru: return run<Direction<S, Gru>, S>(*sweep);
    default: return run<Direction<S, Lstm>, S>(*sweep);
  }
}

}  // namespace

extern const Table TABLE = {of_cell<Forward, float>,  of_cell<Forward, double>,  of_cell<Forward, Bfloat16>,
                            of_cell<Backward, float>, of_cell<Backward, double>, of_cell<Backward, Bfloat16>};
