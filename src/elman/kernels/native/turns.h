// Work in phases, each of which needs all of the one before: threads that take turns. Included once per instruction
// set.
//
// Every phase has as many parts as there are threads, and a thread takes the same part each time, whose weights then
// stay in its caches. It does not rely on the others: the system may have given it fewer of them than there are parts,
// or none, or have put one to sleep. Whoever has waited for a while takes any part that nobody has begun.

#pragma once

#include <cstdint>
#include <cstdlib>
#if defined(__unix__) || defined(__APPLE__)
#include <sched.h>
#endif

#include "vectors.h"

namespace {

constexpr int64_t kPatience = 4000;  // looks at what the others have done, a pause between them; some 50 us

INLINE void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

INLINE void leave_processor() {
#if defined(__unix__) || defined(__APPLE__)
  sched_yield();
#endif
}

class Turns {
 public:
  struct alignas(64) Count {
    int64_t n;
  };
  Count* data;  // [0]: the parts done, of all phases; [1 + part]: the phases of it that were begun

  explicit Turns(int64_t parts) : data((Count*)aligned_alloc(64, (parts + 1) * sizeof(Count))) {
    for (int64_t i = 0; data && i <= parts; ++i) data[i].n = 0;
  }
  Turns(const Turns&) = delete;
  ~Turns() { free(data); }

  // Calls run(phase, part) until every part of every phase was done, here or by another thread.
  template <class F> void take(int64_t phases, int64_t own, int64_t parts, F run) const {
    bool alone = false;  // as it seems from the phase before
    for (int64_t phase = 0; phase < phases; ++phase) {
      take_part(phase, own, run);
      bool took = false;
      for (int64_t looks = 0; done() < (phase + 1) * parts; ++looks)
        if (looks < kPatience && !alone) {
          pause_briefly();
        } else {
          for (int64_t part = 0; part < parts; ++part) took |= take_part(phase, part, run);
          if (!took) leave_processor();
        }
      alone = took;
    }
  }

 private:
  int64_t done() const { return __atomic_load_n(&data[0].n, __ATOMIC_ACQUIRE); }

  template <class F> bool take_part(int64_t phase, int64_t part, F& run) const {
    int64_t expected = phase;
    if (!__atomic_compare_exchange_n(&data[1 + part].n, &expected, phase + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return false;
    run(phase, part);
    __atomic_fetch_add(&data[0].n, 1, __ATOMIC_RELEASE);
    return true;
  }
};

}  // namespace
