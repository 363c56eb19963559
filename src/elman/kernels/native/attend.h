// The interface of attention: every query head over the memory's keys and the new ones, forward and backward.
//
// Numbers are float or double as the entry point says; those for bfloat16 take what is marked with an asterisk as
// bfloat16, and all else as float. B rows, T queries, S new keys, N query heads, G key heads of which each serves N / G
// query heads, D numbers a head.
//
// The memory is a ring: the entry of a row's position p lies at slot p mod (window - 1), without a window at slot p. The
// columns that queries see are, in the order of time, the row's live entries and then the new keys; each query sees one
// contiguous range of them.

#pragma once

#include "sweep.h"

extern "C" {

// How many numbers lie between rows of the batch, between steps and between heads; the D numbers of a head are contiguous.
struct Strides {
  int64_t row, step, head;
};

// A row by itself: its queries and new keys follow those of the row before, and its memory is read and written in place.
struct AttendRow {
  int64_t first;        // how many steps of other rows lie before its own
  int64_t C;            // slots of its memory
  void *keys, *values;  // (G, C, D)
};

struct Attend {
  int64_t B, T, S, N, G, D;
  int64_t C, capacity;  // slots of the memory before and after; none of the latter: nobody wants the memory after
  int64_t window;       // a query sees itself and window - 1 keys before; 0: all of them
  int64_t tables;       // numbers between the rotations of two rows: T * D / 2, or 0 if one serves all
  double epsilon;       // added to the variance
  int32_t causal;       // 1: S = T, and query t sees none after key t. 0: every query sees every key
  int32_t threads;      // at most so many
  ParallelFor parallel_for;
  Strides q_at, k_at, v_at, dq_at, dk_at, dv_at;

  const void *q, *k, *v;                  // * (B, T, N, D), (B, S, G, D) twice
  const void *memory_keys, *memory_values;  // (B, G, C, D), or null
  const int64_t* position;                // (B,) or null: steps since the last reset
  const int64_t* lengths;                 // (B,) or null: new keys from there on are padding, and so are causal queries
  const uint8_t* resets;                  // (B, T) or null; nonzero: the row's memory begins anew before that step
  const void *cosines, *sines;            // (B or 1, T, D / 2), or null: rotation of queries and new keys
  const void *gain_q, *gain_k;            // (D,) or null: layer normalization before the rotation
  const void* kept;                       // (B, N, T, C + S) or null: what the weights are multiplied by (dropout)

  // Out of forward; backward reads y and the two that follow.
  void* y;                                // * (B, T, N, D), zeros at padding
  void *largest, *inverse;                // (B, N, T) or null: the largest logit, and 1 over the sum of exp(logit - largest)
  void *keys_after, *values_after;        // (B, G, capacity, D), maybe the memory before itself

  // Of backward only: the derivatives by what forward gave (the latter two or null), and by what forward was given.
  const void* dy;                         // * (B, T, N, D)
  const void *dkeys_after, *dvalues_after;
  void *dq, *dk, *dv;                     // *
  void *dmemory_keys, *dmemory_values;    // (B, G, C, D), or null if they are not wanted
  void *dgain_q, *dgain_k;                // (B * G, D) or null: a sum for each row and key head

  // (B,) or null, of causal forward alone: queries, new keys and y are those of all rows one behind the other, lengths[b] of
  // row b, and there is no padding. T is the most of a row, C the most slots of one. The strides between rows, what there is
  // of memory above and `capacity` mean nothing; resets, rotations and dropout there are not.
  const AttendRow* rows;
};

// All return 0; 1 if there was no memory for the scratch; 2 if a position is negative, or entries exceed C or the
// capacity.
int32_t elman_attend_float(const Attend* attend);
int32_t elman_attend_double(const Attend* attend);
int32_t elman_attend_bfloat16(const Attend* attend);
int32_t elman_attend_backward_float(const Attend* attend);
int32_t elman_attend_backward_double(const Attend* attend);
int32_t elman_attend_backward_bfloat16(const Attend* attend);
}
