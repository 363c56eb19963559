// The recurrence itself. Each thread takes its rows of the batch through all of time, so that none ever waits for
// another between steps. Included once per instruction set, which defines BYTES, REGISTERS and TABLE.

#pragma once

#include <cstdlib>

#include "cells.h"
#include "product.h"
#include "sweep.h"
#include "variations.h"

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

// What varies at a row and step (see sweep.h).
template <class S> Variation<S> variation_at(const Sweep& s, int64_t row, int64_t b) {
  using T = Number<S>;
  return {row_of<T>(s.zoneout, row, s.zoneout_stride),
          row_of<T>(s.zoneout_cell, row, s.zoneout_cell_stride),
          (const T*)s.peephole,
          (const T*)s.gain_cell,
          (const T*)s.bias_cell,
          row_of<T>(s.dpeephole, b, 3 * s.H),
          row_of<T>(s.dgain_cell, b, s.H),
          row_of<T>(s.dbias_cell, b, s.H)};
}

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

  // Packing takes as long as a few products of one row do without it: a server's single step goes without.
  static bool worth_packing(const Sweep& s) { return s.T * s.B > 4 || s.recurrent; }

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
  void fetch(int64_t row, int64_t panel) const {
    for (int64_t v = panels.first(panel); v < panels.first(panel + 1); ++v) {
      for (int g = 0; g < Cell::kGates; ++g)
        __builtin_prefetch(row_of<S>(s.gates, row, Cell::kGates * s.H) + g * s.H + v * kLanes<T>, 1);
      if (Cell::kGates > 1) __builtin_prefetch(row_of<S>(s.h, row, s.H) + v * kLanes<T>, 1);
      if (Cell::kCell) __builtin_prefetch(row_of<T>(s.c, row, s.H) + v * kLanes<T>, 1);
    }
  }

  // Here the weights are as they were given, and nothing is rounded.
  void unpacked_product(const T* before, int64_t rows, int64_t panel, Vector<T>* sums) const {
    const int panel_width = panels.width(panel);
    for (int64_t r = 0; r < rows; ++r)
      for (int v = 0; v < panel_width; ++v) {
        const int64_t at = (panels.first(panel) + v / Cell::kGates) * kLanes<T>, g = v % Cell::kGates;
        const int64_t n = s.H - at < kLanes<T> ? s.H - at : kLanes<T>;
        Vector<T>& to = sums[r * panel_width + v];
        to = Vector<T>{};
        dots<T>(before + r * width, (const T*)s.weight + (g * s.H + at) * s.H, n, s.H, (T*)&to);
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

  void product_of_panel(int64_t panel, int64_t rows, const Vector<T>* packed, Memory<S> before, Vector<T>* sums) const {
    if (worth_packing(s))
      product<S>(before.rounded, width, rows, packed + panels.offset(panel), panels.width(panel), s.H, sums);
    else
      unpacked_product(before.h, rows, panel, sums);
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

template <class S, class Cell, bool kVaried> struct Backward {
  using T = Number<S>;
  const Sweep& s;
  Panels<S> panels;
  int64_t width;

  explicit Backward(const Sweep& sweep)
      : s(sweep), panels{s.H, 1, Cell::kGates * s.H}, width(panels.vectors() * kLanes<T>) {}

  int64_t scratch_vectors(int64_t rows) const {
    const int64_t plain = rows * (2 * panels.vectors() + kMaxWidth);
    return kVaried ? plain + Varied<S, Cell>::kScratch * panels.vectors() : plain;
  }

  static bool worth_packing(const Sweep&) { return true; }

  void pack(int64_t panel, Vector<T>* packed) const { panels.pack(panel, (const T*)s.weight, 1, s.H, packed); }

  void run(int64_t first, int64_t last, const Vector<T>* packed, Vector<T>* scratch) const {
    const int64_t rows = last - first;
    Vector<T>* sums = scratch;
    T* dh = (T*)(sums + rows * kMaxWidth);
    T* dc = dh + rows * width;
    T* own = dc + rows * width;  // of varied cells
    memset(dh, 0, 2 * rows * width * sizeof(T));
    if (kVaried) begin_sums(first, rows);
    for (int64_t r = 0; r < rows; ++r) {
      if (s.dh_final) memcpy(dh + r * width, (const T*)s.dh_final + (first + r) * s.H, s.H * sizeof(T));
      if (s.dc_final) memcpy(dc + r * width, (const T*)s.dc_final + (first + r) * s.H, s.H * sizeof(T));
    }
    for (int64_t step = s.T - 1; step >= 0; --step) {
      const int64_t t = s.reverse ? s.T - 1 - step : step;
      for (int64_t r = 0; r < rows; ++r) nonlinearities(t, first + r, dh + r * width, dc + r * width, own);
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

  void nonlinearities(int64_t t, int64_t b, T* dh, T* dc, [[maybe_unused]] T* own) const {
    const int64_t row = t * s.B + b, length = length_of(s, b);
    S* dgates = row_of<S>(s.dgates, row, Cell::kDerivatives * s.H);
    if (t >= length) {
      memset(dgates, 0, Cell::kDerivatives * s.H * sizeof(S));
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
      for (int64_t at = 0; at < s.H; at += kLanes<T>)
        Cell::template backward<S>(it, at, s.H - at < kLanes<T> ? s.H - at : kLanes<T>);
    }
  }

  // dh += W_hh^T dgates; the rows of padding have zeros there.
  void through_weight(int64_t t, int64_t first, int64_t rows, const Vector<T>* packed, Vector<T>* sums, T* dh) const {
    const bool normed = kVaried && s.gain;
    const int64_t stride = (normed ? Cell::kGates : Cell::kDerivatives) * s.H;
    const S* dgates = normed ? row_of<S>(s.dsums, t * s.B + first, stride)
                             : row_of<S>(s.dgates, t * s.B + first, stride) + Cell::kFirstOfHidden * s.H;
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
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

// Varied cells are cells of their own, so that the plain ones spend nothing on what they have not.
template <template <class, class, bool> class Direction, class S, class Cell> int32_t varied_or_not(const Sweep& sweep) {
  return is_varied(sweep) ? run<Direction<S, Cell, true>, S>(sweep) : run<Direction<S, Cell, false>, S>(sweep);
}

template <template <class, class, bool> class Direction, class S> int32_t of_cell(const Sweep* sweep) {
  switch (sweep->cell) {
    case kElmanTanh: return varied_or_not<Direction, S, Elman<Tanh>>(*sweep);
    case kElmanRelu: return varied_or_not<Direction, S, Elman<Relu>>(*sweep);
    case kGru: return varied_or_not<Direction, S, Gru>(*sweep);
    default: return varied_or_not<Direction, S, Lstm>(*sweep);
  }
}

}  // namespace

extern const Table TABLE = {of_cell<Forward, float>,  of_cell<Forward, double>,  of_cell<Forward, Bfloat16>,
                            of_cell<Backward, float>, of_cell<Backward, double>, of_cell<Backward, Bfloat16>};
