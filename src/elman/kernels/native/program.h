// The interface of the core to several calls, one after the other: what a model does with a token takes less time than
// calling each of them.

#pragma once

#include "attend.h"
#include "dense.h"

extern "C" {

struct Call {
  const Dense* dense;    // of these two, one
  const Attend* attend;  // is null
};

struct Program {
  int64_t length;
  const Call* calls;
};

// 0, or what the first call that failed returned: see elman_dense_forward_float and elman_attend_float.
int32_t elman_run_float(const Program* program);
int32_t elman_run_double(const Program* program);
}
