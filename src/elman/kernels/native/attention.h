// Attention over the threads: each takes rows and key heads of its own. Included once per instruction set.

#pragma once

#include "attention_backward.h"
#include "attention_few.h"

namespace {

template <class Direction> int32_t in_units(const Attend& a, double products) {
  int32_t failed = 0;  // written by any thread, always with the same value
  const int64_t units = a.B * a.G, seen = a.window ? less(a.window, a.C + a.S) : a.C + a.S;
  const double work = products * double(a.B * a.N) * double(a.T) * double(seen) * double(a.D);
  in_pieces(a, units, work, [&](int64_t piece, int64_t pieces) {
    Direction it(a);
    if (it.failed()) {
      failed = 1;
      return;
    }
    for (int64_t unit = units * piece / pieces; unit < units * (piece + 1) / pieces; ++unit)
      if (!it.run(unit)) {
        failed = 2;
        return;
      }
  });
  return failed;
}

template <class S> int32_t attend(const Attend* a) {
  return AttendFew<S>::serves(*a) ? in_units<AttendFew<S>>(*a, 2) : in_units<AttendForward<S>>(*a, 2);
}
template <class S> int32_t attend_backward(const Attend* a) { return in_units<AttendBackward<S>>(*a, 5); }

}  // namespace
