// The interface of the core to Muon: matrices that are made about orthogonal and added to others.

#pragma once

#include "sweep.h"

extern "C" {

// y += factor * U p(S / bound) V^T, where x = U S V^T and `bound` is at least the largest singular value. Of a matrix of
// zeros, nothing.
struct Map {
  int64_t M, N;
  const void* x;  // (M, N)
  void* y;        // (M, N)
  double factor;
};

// Every number is float or double as the entry point says; that for bfloat16 takes floats, and rounds what its products
// read. p is the composition of the polynomials a s + b s^3 + c s^5, the first one first.
struct Orthogonal {
  int64_t count;
  int32_t threads;  // at most so many; a matrix is the work of one
  int32_t steps;    // at least 1
  double margin;    // times a bound on the singular values
  ParallelFor parallel_for;
  const Map* maps;          // (count,)
  const double* polynomials;    // (steps, 3): a, b, c
};

// All return 0, or 1 if there was no memory for the scratch.
int32_t elman_orthogonal_float(const Orthogonal* orthogonal);
int32_t elman_orthogonal_double(const Orthogonal* orthogonal);
int32_t elman_orthogonal_bfloat16(const Orthogonal* orthogonal);
}
