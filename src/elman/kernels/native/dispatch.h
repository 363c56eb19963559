// One build of the core per instruction set, all of them in the library.

#pragma once

#include "attend.h"
#include "dense.h"
#include "alignment.h"
#include "loss.h"
#include "sweep.h"

struct Table {
  int32_t (*forward_float)(const Sweep*);
  int32_t (*forward_double)(const Sweep*);
  int32_t (*forward_bfloat16)(const Sweep*);
  int32_t (*backward_float)(const Sweep*);
  int32_t (*backward_double)(const Sweep*);
  int32_t (*backward_bfloat16)(const Sweep*);
  int32_t (*step_float)(const Step*);
  int32_t (*step_double)(const Step*);
  int32_t (*matmul_float)(const Matmul*);
  int32_t (*matmul_double)(const Matmul*);
  int32_t (*attend_float)(const Attend*);
  int32_t (*attend_double)(const Attend*);
  int32_t (*attend_bfloat16)(const Attend*);
  int32_t (*attend_backward_float)(const Attend*);
  int32_t (*attend_backward_double)(const Attend*);
  int32_t (*attend_backward_bfloat16)(const Attend*);
  int32_t (*dense_forward_float)(const Dense*);
  int32_t (*dense_forward_double)(const Dense*);
  int32_t (*dense_forward_bfloat16)(const Dense*);
  int32_t (*dense_backward_float)(const Dense*);
  int32_t (*dense_backward_double)(const Dense*);
  int32_t (*dense_backward_bfloat16)(const Dense*);
  int32_t (*loss_float)(const Loss*);
  int32_t (*loss_double)(const Loss*);
  int32_t (*loss_bfloat16)(const Loss*);
  void (*align_float)(const Alignment*);
  void (*align_double)(const Alignment*);
  void (*align_backward_float)(const Alignment*);
  void (*align_backward_double)(const Alignment*);
};

extern const Table kBaseline;
#if defined(__x86_64__)
extern const Table kAvx2;
extern const Table kAvx512;
#if defined(__has_include)
#if __has_include(<avx512bf16intrin.h>)
#define HAS_AVX512_BF16 1
extern const Table kAvx512Bf16;
#endif
#endif
#endif
