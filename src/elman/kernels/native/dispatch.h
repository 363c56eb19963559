// One build of the core per instruction set, all of them in the library.

#pragma once

#include "alignment.h"
#include "arena.h"
#include "attend.h"
#include "dense.h"
#include "draws.h"
#include "loss.h"
#include "orthogonal.h"
#include "program.h"
#include "sweep.h"
#include "transformer.h"

// Each entry point of the core, once: ENTRY(its name without "elman_", its argument, the function behind it).
#define FOR_NUMBERS(ENTRY, name, Given, function) \
  ENTRY(name##_float, Given, function<float>) ENTRY(name##_double, Given, function<double>)
#define FOR_ALL_NUMBERS(ENTRY, name, Given, function) \
  FOR_NUMBERS(ENTRY, name, Given, function) ENTRY(name##_bfloat16, Given, function<Bfloat16>)
#define ENTRIES(ENTRY)                                                   \
  FOR_ALL_NUMBERS(ENTRY, forward, Sweep, forward_of_cell)                \
  FOR_ALL_NUMBERS(ENTRY, backward, Sweep, backward_of_cell)              \
  FOR_NUMBERS(ENTRY, window, Window, window_of_cell)                     \
  FOR_NUMBERS(ENTRY, matmul, Matmul, matmul)                             \
  FOR_ALL_NUMBERS(ENTRY, attend, Attend, attend)                         \
  FOR_ALL_NUMBERS(ENTRY, attend_backward, Attend, attend_backward)       \
  FOR_ALL_NUMBERS(ENTRY, dense_forward, Dense, dense_forward)            \
  FOR_ALL_NUMBERS(ENTRY, dense_backward, Dense, dense_backward)          \
  FOR_ALL_NUMBERS(ENTRY, loss, Loss, loss_of_rows)                       \
  FOR_ALL_NUMBERS(ENTRY, orthogonal, Orthogonal, orthogonal)             \
  ENTRY(draws, Draws, draw_numbers)                                      \
  FOR_NUMBERS(ENTRY, align, Alignment, align)                            \
  FOR_NUMBERS(ENTRY, align_backward, Alignment, align_backward)          \
  FOR_NUMBERS(ENTRY, run, Program, run_program)                          \
  FOR_NUMBERS(ENTRY, arena_arrange, ArenaModel, arena_arrange)           \
  FOR_NUMBERS(ENTRY, arena_read, ArenaCall, arena_read)                  \
  FOR_NUMBERS(ENTRY, arena_write, ArenaCall, arena_write)                \
  FOR_NUMBERS(ENTRY, transformer_arrange, TransformerModel, transformer_arrange) \
  FOR_NUMBERS(ENTRY, transformer_read, TransformerCall, transformer_read) \
  FOR_NUMBERS(ENTRY, transformer_write, TransformerCall, transformer_write)

struct Table {
#define MEMBER(name, Given, function) int32_t (*name)(const Given*);
  ENTRIES(MEMBER)
#undef MEMBER
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
