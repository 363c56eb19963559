// The interface of additive attention's scores (Bahdanau, Cho and Bengio 2015), forward and backward.

#pragma once

#include "sweep.h"

extern "C" {

// score(b, t, s) = v . tanh(query(b, t) + key(b, s)). Every buffer is contiguous, of float or double as the entry point
// says. Keys at s >= length are padding: they are not read, and have zeros for scores and for derivatives.
struct Alignment {
  int64_t B, T, S, H;
  int32_t threads;
  ParallelFor parallel_for;
  const int64_t* lengths;  // (B,), of the keys, or null
  const void* queries;     // (B, T, H)
  const void* keys;        // (B, S, H)
  const void* energy;      // (H,): v
  void* scores;            // (B, T, S): out of forward
  // Of backward only: the loss's derivatives by the scores, and out of it those by the others. The values of tanh are
  // computed again, for they are H times as many as the scores.
  const void* dscores;  // (B, T, S)
  void* dqueries;       // (B, T, H)
  void* dkeys;          // (B, S, H)
  void* denergy;        // (B, H): a sum for each row
};

int32_t elman_align_float(const Alignment* alignment);
int32_t elman_align_double(const Alignment* alignment);
int32_t elman_align_backward_float(const Alignment* alignment);
int32_t elman_align_backward_double(const Alignment* alignment);
}
