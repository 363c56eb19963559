// The interface of the core: one layer in one direction over all time, forward and backward.
//
// The core knows neither Python nor torch. Every buffer is the caller's, contiguous and row-major, of float or
// double as the entry point says, and T (time), B (batch) or H (hidden) may be 0 where that makes sense.
// The entry points for bfloat16 take what is marked with an asterisk below as bfloat16, and all else as float: the
// weights and what they multiply are rounded, but no sum and no memory is.
// G is the number of gates, in torch's order: 1 (Elman), 3 (GRU: r z n), 4 (LSTM: i f g o). P is the size of h: H, but
// for an LSTM with a projection.

#pragma once

#include <cstdint>

extern "C" {

// Calls body(begin, end, context) over pieces of [begin, end), perhaps on several threads at once: the signature
// of torch_parallel_for in LibTorch's stable ABI, so that the core runs on torch's own threads.
typedef void (*Body)(int64_t begin, int64_t end, void* context);
typedef int32_t (*ParallelFor)(int64_t begin, int64_t end, int64_t grain, Body body, void* context);

enum CellKind : int32_t { kElmanTanh = 0, kElmanRelu = 1, kGru = 2, kLstm = 3 };

struct Sweep {
  int64_t T, B, H, P;
  int32_t cell;     // a CellKind
  int32_t reverse;  // 1: from each row's last real step to its first
  int32_t threads;  // at most so many
  int32_t keep;     // 1: forward leaves in `gates` and `hidden` what backward needs
  ParallelFor parallel_for;

  const int64_t* lengths;  // (B,) or null; steps t >= length are padding
  const uint8_t* cleared;  // (T, B) or null; nonzero: the row's memory is zeroed before step t is read
  const void* weight;      // (G * H, P): W_hh
  const void* bias;        // (H,) or null; of the GRU alone: b_hn, which the reset gate multiplies

  // Of forward only: what the core projects itself, a few steps ahead of the recurrence.
  int64_t D;
  const void* x;         // * (T, B, D), or null if `gates` holds the projections
  const void* weight_x;  // (G * H, D): W_ih
  const void* bias_x;    // (G * H,) or null: every other bias; that of W_ih x_t where it is normalized

  // Forward: in, where there is no x, W_ih x_t and every other bias (if not normalized); out (if kept), the gates after
  // their nonlinearities. Null if there is an x and they are not kept. Elman's network: the same buffer as `h`.
  // Backward: in, the gates kept.
  void* gates;   // * (T, B, G * H)
  void* hidden;  // * (T, B, H) or null, kept: W_hn h_{t-1} + b_hn of the GRU, what W_hr reads of the LSTM
  void* h;       // * (T, B, P): every h_t, zeros at padding. Backward reads it
  void* c;       // (T, B, H): every c_t of the LSTM, zeros at padding; null for other cells, and where nobody wants it
  const void* h_first;  // (B, P); of forward, null stands for zeros
  const void* c_first;  // (B, H), LSTM; null as h_first
  void* h_final;        // (B, P), of forward only
  void* c_final;        // (B, H), LSTM, of forward only

  // Of backward only: the loss's derivatives by ...
  const void* dh;        // * (T, B, P) or null: ... every h_t
  const void* dc;        // (T, B, H) or null: ... every c_t
  const void* dh_final;  // (B, P) or null: ... the final state
  const void* dc_final;  // (B, H) or null
  // out: ... the sums that enter the nonlinearities, zeros at padding. (T, B, G * H); for the GRU (T, B, 4 * H),
  // holding n_x, r, z, n_h: the first three are those by W_ih x_t, the last three those by W_hh h_{t-1}. Where these are
  // normalized, (T, B, G * H) of every cell, in the order of the gates: those by W_ih x_t before it.
  void* dgates;  // *
  void* dh_first;  // (B, P), or null if it is not wanted: ... the initial state
  void* dc_first;  // (B, H), LSTM; null if dh_first is

  // Variations. What is not wanted is null; where all are, nothing is spent on them.
  const void* weight_r;      // (P, H), LSTM: W_hr, which makes h_t of o_t * tanh(c_t)
  const void* recurrent;     // (B, P): recurrent dropout multiplies h_{t-1} by it where W_hh reads it
  const void* zoneout;       // (T, B, P): the share of h_{t-1} in h_t. Elman's network then has `gates` beside `h`
  const void* zoneout_cell;  // (T, B, H), LSTM: the share of c_{t-1} in c_t
  int64_t zoneout_stride, zoneout_cell_stride;  // numbers from row to row: P or H, or 0 if one row serves all
  const void* peephole;      // (3 * H,), LSTM: i and f read c_{t-1} times it, o the c_t before zoneout
  const void *gain_x, *gain;  // (G * H,) each: layer normalization of W_ih x_t and of W_hh h_{t-1}, times it; or neither
  const void* gain_cell;     // (H,), LSTM: the same of the c_t that h_t is made of
  const void* bias_cell;     // (H,) or null, LSTM: added to that
  // Where there are gains, kept for backward (else null): W_ih x_t and W_hh h_{t-1} after layer normalization, before
  // the gain, and what they were multiplied by.
  void *normed_x, *normed;  // * (T, B, G * H)
  void *scale_x, *scale;    // (T, B)
  // Of backward only. out: the derivatives by ...
  void* dprojected;  // * (T, B, P): ... W_hr times what it reads, zeros at padding
  void* dsums;       // * (T, B, G * H): ... W_hh h_{t-1} before layer normalization, zeros at padding
  // ... the variations' own weights, for each row of the batch: (B, ·)
  void *dpeephole, *dgain_x, *dgain, *dgain_cell, *dbias_cell;
  void* dbias;  // (B, G * H), of the GRU (B, 4 * H), or null: with gains, the sums of what `dgates` holds without them
};

// A window without gradients, lengths, resets or variations, all of it of the entry point's type: the biases are both
// there or both null, and a null initial state stands for zeros. One step of up to four rows stays on the calling
// thread: to wake another may take longer than the step.
struct Window {
  int64_t T, B, D, H;
  int32_t cell;     // a CellKind
  int32_t threads;  // at most so many
  ParallelFor parallel_for;
  const void* x;                    // (T, B, D)
  const void *weight_x, *weight_h;  // (G * H, D), (G * H, H)
  const void *bias_x, *bias_h;      // (G * H,) each
  const void *h_first, *c_first;    // (B, H); c of the LSTM
  void* h;                          // (T, B, H): every h_t
  void *h_final, *c_final;          // (B, H)
};

// C = A B (+ C, + a bias), a product large enough to be packed. A (M, K) and B (K, N) may lie in any order: a number
// of them is at row * a_row + column * a_column, and one of the two is 1. C (M, N) is contiguous.
struct Matmul {
  int64_t M, N, K;
  int64_t a_row, a_column, b_row, b_column;
  int32_t threads, add;  // add 1: to what C holds
  ParallelFor parallel_for;
  const void *a, *b, *bias;  // bias (N,) or null
  void* c;
};

// All return 0, or 1 if there was no memory for the packed weights and the scratch.
int32_t elman_forward_float(const Sweep* sweep);
int32_t elman_forward_double(const Sweep* sweep);
int32_t elman_forward_bfloat16(const Sweep* sweep);
int32_t elman_backward_float(const Sweep* sweep);
int32_t elman_backward_double(const Sweep* sweep);
int32_t elman_backward_bfloat16(const Sweep* sweep);
int32_t elman_window_float(const Window* window);
int32_t elman_window_double(const Window* window);
int32_t elman_matmul_float(const Matmul* matmul);
int32_t elman_matmul_double(const Matmul* matmul);

// The instruction set in use: "avx512_bf16", "avx512", "avx2" or "baseline".
const char* elman_instruction_set(void);
}
