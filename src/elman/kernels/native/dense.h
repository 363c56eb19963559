// The interface of the core to a linear layer with what stands before and after it, forward and backward:
//
//     y = residual + kept * gelu(norm(x) W^T + b)        each part of it if there is one
//
// As in sweep.h, every buffer is the caller's, contiguous and row-major, of float or double as the entry point says; those
// for bfloat16 take what is marked with an asterisk as bfloat16, and all else as float. There the numbers that a product
// reads are rounded, and no sum is.

#pragma once

#include "sweep.h"

extern "C" {

struct Dense {
  int64_t M, K, N;
  int32_t threads;  // at most so many
  int32_t gelu;     // 1: of the sums
  int32_t added;    // 1: y and dy are not marked, since a residual was added
  int32_t least;    // numbers with fewer `bits` are dropped
  double scale;     // times the others
  double eps;       // added to the variance
  ParallelFor parallel_for;

  const void* x;            // (M, K), or null: `input` holds what the product reads
  const void *gain, *shift;  // (K,): of the layer normalization of x, or null: none; shift null: zeros
  const void* weight;       // (N, K): W
  const void* bias;         // (N,) or null
  const void* residual;     // (M, N) or null, of forward only
  const int16_t* bits;      // (M, N) or null: nothing is dropped
  void* y;                  // * (M, N), of forward only

  // Kept for backward; null where forward need not.
  void* input;       // * (M, K): what the product reads
  void* slope;       // * (M, N): the derivative of GELU at its argument
  void *mean, *rate;  // (M,): with a gain: of each row of x, and what its differences from it were multiplied by

  // Of backward only: the loss's derivatives by ...
  const void* dy;        // * (M, N)
  void* dx;              // (M, K), out, or null: ... x; * where x is null: ... `input`
  void *dweight, *dbias;  // (N, K) and (N,), out, both or neither
  void *dgain, *dshift;   // (K,), out, both or neither; with dx

  // Of forward, where nothing is kept: W packed already, or null. Then no row changes another's numbers by a bit, however
  // many there are.
  const void* packed;
};

int32_t elman_dense_forward_float(const Dense* dense);
int32_t elman_dense_forward_double(const Dense* dense);
int32_t elman_dense_forward_bfloat16(const Dense* dense);
int32_t elman_dense_backward_float(const Dense* dense);
int32_t elman_dense_backward_double(const Dense* dense);
int32_t elman_dense_backward_bfloat16(const Dense* dense);
}
