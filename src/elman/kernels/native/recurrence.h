// The recurrence itself, over the threads. Included once per instruction set, which defines BYTES, REGISTERS and TABLE.

#pragma once

#include "additive.h"
#include "arena_calls.h"
#include "attention.h"
#include "backward.h"
#include "dense_backward.h"
#include "dense_forward.h"
#include "forward.h"
#include "loss_rows.h"
#include "matmul.h"
#include "orthogonalize.h"
#include "pieces.h"
#include "run_program.h"
#include "sweep.h"
#include "transformer_calls.h"
#include "turns.h"
#include "twister.h"
#include "window.h"

namespace {

template <class Direction> int64_t sums_of(const Direction& direction, int64_t rows) {
  return direction.steps_ahead(rows) * rows * kMaxWidth;
}

template <class S, class Direction> int64_t ahead_vectors(const Direction& direction, int64_t rows) {
  return direction.ahead_size(rows) / (kLanes<Number<S>> * kPair<S>) + 1;
}

// Each thread takes its rows of the batch through all of time, so that none ever waits for another between steps.
template <class Direction, class S> bool row_by_row(const Direction& direction, const Vector<Number<S>>* packed, double work) {
  const Sweep& s = direction.s;
  int32_t failed = 0;  // written by any thread, always with the same value
  in_pieces(s, s.B, work * double(s.T) * double(s.B), [&](int64_t piece, int64_t pieces) {
    const int64_t first = s.B * piece / pieces, count = s.B * (piece + 1) / pieces - first;
    const Buffer<Number<S>> memory(direction.memory_vectors(count)), sums(sums_of(direction, count));
    const Buffer<Number<S>> ahead(ahead_vectors<S>(direction, count));
    if (!memory.data || !sums.data || !ahead.data) {
      failed = 1;
      return;
    }
    const Rows<S> rows = {first, count, (Number<S>*)memory.data, (S*)ahead.data};
    direction.begin(rows);
    for (int64_t phase = 0; phase < direction.phases(); ++phase)
      direction.run(phase, rows, 0, direction.panels.count(), packed, sums.data);
    direction.end(rows);
  });
  return !failed;
}

// Few rows a thread would make little of each weight that it reads, and read all of them at every step. So the threads
// share the rows, and each takes its panels of the weights through all of time.
constexpr int64_t kFewRows = 4;
constexpr double kWorthSharing = 3e4;  // multiplications of a thread between two waits for the others

template <class Direction, class S> bool worth_sharing(const Sweep& s, const Panels<S>& panels) {
  const int64_t pieces = s.threads < panels.count() ? s.threads : panels.count();
  return !Direction::kWhole && pieces > 1 && s.B < kFewRows * s.threads &&
         double(s.B) * double(panels.size()) * kLanes<Number<S>> * kPair<S> >= kWorthSharing * double(pieces);
}

template <class Direction, class S> bool together(const Direction& direction, const Vector<Number<S>>* packed, double work) {
  using T = Number<S>;
  const Sweep& s = direction.s;
  const int64_t panels = direction.panels.count(), most = s.threads < panels ? s.threads : panels;
  const int64_t own_sums = sums_of(direction, s.B);
  const Buffer<T> memory(direction.memory_vectors(s.B)), sums(most * own_sums);
  const Buffer<T> ahead(ahead_vectors<S>(direction, s.B));
  const Turns turns(most);
  if (!memory.data || !sums.data || !ahead.data || !turns.data) return false;
  const Rows<S> rows = {0, s.B, (T*)memory.data, (S*)ahead.data};
  direction.begin(rows);
  in_pieces(s, most, work * double(s.T) * double(s.B), [&](int64_t piece, int64_t pieces) {
    turns.take(direction.phases(), piece, pieces, [&](int64_t phase, int64_t part) {
      direction.run(phase, rows, panels * part / pieces, panels * (part + 1) / pieces, packed,
                    sums.data + piece * own_sums);
    });
  });
  direction.end(rows);
  return true;
}

template <class Direction, class S> int32_t run(const Sweep& s) {
  using T = Number<S>;
  if (s.B == 0 || s.H == 0) return 0;
  Direction::expect(s);
  const Direction direction(s);
  const Panels<S>& panels = direction.panels;
  const double work = double(panels.size()) * kLanes<T> * kPair<S>;
  const bool packing = Direction::worth_packing(s);
  const KeptBuffer<T> packed(packing ? direction.packed_size() : 0);
  if (!packed.data) return 1;
  if (packing) in_pieces(s, direction.packs(), work / 4, [&](int64_t piece, int64_t pieces) {
    const int64_t last = direction.packs() * (piece + 1) / pieces;
    for (int64_t i = direction.packs() * piece / pieces; i < last; ++i) direction.pack(i, packed.data);
  });
  const bool done = worth_sharing<Direction, S>(s, panels) ? together<Direction, S>(direction, packed.data, work)
                                                          : row_by_row<Direction, S>(direction, packed.data, work);
  return done ? 0 : 1;
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

template <class S> int32_t forward_of_cell(const Sweep* sweep) { return of_cell<Forward, S>(sweep); }
template <class S> int32_t backward_of_cell(const Sweep* sweep) { return of_cell<Backward, S>(sweep); }

template <class T, class Cell> int32_t window(const Window& given) {
  if (given.T == 1 && given.B <= kFewRows) return OneStep<T, Cell>{given}.run();
  const WindowSweep<T, Cell> it(given);
  return it.bias.data ? run<Forward<T, Cell, false>, T>(it.sweep) : 1;
}

template <class T> int32_t window_of_cell(const Window* given) {
  switch (given->cell) {
    case kElmanTanh: return window<T, Elman<Tanh>>(*given);
    case kElmanRelu: return window<T, Elman<Relu>>(*given);
    case kGru: return window<T, Gru>(*given);
    default: return window<T, Lstm>(*given);
  }
}

}  // namespace

#define FUNCTION(name, Given, function) function,
extern const Table TABLE = {ENTRIES(FUNCTION)};
#undef FUNCTION
