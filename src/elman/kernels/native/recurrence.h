// The recurrence itself. Each thread takes its rows of the batch through all of time, so that none ever waits for
// another between steps. Included once per instruction set, which defines BYTES, REGISTERS and TABLE.

#pragma once

#include "backward.h"
#include "forward.h"
#include "matmul.h"
#include "pieces.h"
#include "step.h"
#include "sweep.h"

namespace {

template <class Direction, class S> int32_t run(const Sweep& s) {
  using T = Number<S>;
  if (s.B == 0 || s.H == 0) return 0;
  Direction::expect(s);
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
                            of_cell<Backward, float>, of_cell<Backward, double>, of_cell<Backward, Bfloat16>,
                            step_of_cell<float>,      step_of_cell<double>,      matmul<float>,
                            matmul<double>};
