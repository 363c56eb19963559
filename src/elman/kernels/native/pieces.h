// Work on torch's threads, and memory for it. Included once per instruction set.

#pragma once

#include <cstdlib>

#include "sweep.h"
#include "vectors.h"

namespace {

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

}  // namespace
