// The interface of the loss of an output layer, row by row: from logits to cross entropy and its gradient.

#pragma once

#include "sweep.h"

extern "C" {

// Of each row n of logits x, with the bias b if there is one, and q_v = (1 - e) [v = target] + e / V, e = `smoothing`:
//
//   loss_n = log sum_v exp(x_v + b_v) - sum_v q_v (x_v + b_v) = log(sums[n]) + others[n]
//
// Every buffer is contiguous, of float or double as the entry point says; that for bfloat16 takes the logits as
// bfloat16 and the other numbers as float.
struct Loss {
  int64_t N, V;
  int32_t threads, learn;  // learn 1: the gradient is wanted
  ParallelFor parallel_for;
  double smoothing;
  const int64_t* targets;  // (N,), each from 0 to V - 1
  const void* bias;        // (V,) or null
  void* logits;            // (N, V); if `learn`, softmax(x + b) - q afterwards
  void* dbias;             // (V,) or null: to which the columns of softmax - q are added; of `learn` only
  double *sums, *others;   // (N,) out
};

// All return 0, or 1 if there was no memory for the scratch.
int32_t elman_loss_float(const Loss* loss);
int32_t elman_loss_double(const Loss* loss);
int32_t elman_loss_bfloat16(const Loss* loss);
}
