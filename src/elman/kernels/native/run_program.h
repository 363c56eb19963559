// The calls of a program in turn. Included once per instruction set.

#pragma once

#include "attention.h"
#include "dense_forward.h"
#include "program.h"

namespace {

template <class S> int32_t run_program(const Program* program) {
  for (int64_t i = 0; i < program->length; ++i) {
    const Call& call = program->calls[i];
    const int32_t failed = call.dense ? dense_forward<S>(call.dense) : attend<S>(call.attend);
    if (failed) return failed;
  }
  return 0;
}

}  // namespace
