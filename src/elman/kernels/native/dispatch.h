// One build of the core per instruction set, all of them in the library.

#pragma once

#include "sweep.h"

struct Table {
  int32_t (*forward_float)(const Sweep*);
  int32_t (*forward_double)(const Sweep*);
  int32_t (*backward_float)(const Sweep*);
  int32_t (*backward_double)(const Sweep*);
};

extern const Table kBaseline;
#if defined(__x86_64__)
extern const Table kAvx2;
extern const Table kAvx512;
#endif
