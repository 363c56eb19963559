// The interface of the core to a whole Transformer language model, without gradients: rows whose memories stay where they
// are, each as long as it likes, and calls that read tokens for some rows, or draw one token after another and read it.
//
// As in sweep.h, every buffer is the caller's, contiguous and row-major, of float or double as the entry point says. No row
// changes another's numbers by a bit.

#pragma once

#include "arena.h"
#include "attend.h"
#include "dense.h"

extern "C" {

// norm(x) W^T + b
struct TransformerLinear {
  const void *weight, *bias;  // (N, K); (N,) or null
  const void *gain, *shift;   // (K,) of the layer normalization of x, or null: there is none, or none of the latter
};

struct TransformerLayer {
  TransformerLinear qkv, out;     // of attention: (3 * H, H) and (H, H)
  TransformerLinear inner, last;  // of the feed-forward network: (F, H) and (H, F)
  const void *gain_q, *gain_k;    // (H / N,) of the layer normalization of each head's queries and keys, or null
};

struct TransformerModel {
  int64_t V, H, N, F, count;  // tokens, numbers of a step, heads, numbers of the inner layer, layers
  int64_t window;             // a step sees itself and window - 1 before it; 0: all of them
  double epsilon;             // added to variances
  const TransformerLayer* layers;
  const void* embedding;     // (V, H)
  TransformerLinear output;  // (V, H), whose norm is that of the last layer's outputs
  void* arranged;            // the weights (not the embedding, nor gains and biases) as the calls read them, aligned to 64 bytes
  int64_t* size;             // out, of `arrange` where `arranged` is null: its bytes
};

struct TransformerRow {
  void* memory;      // (count, 2, N, C, H / N): the rings of each layer's keys and values, as attend.h says
  void* hidden;      // (H,): what the output layer reads after the row's last token
  int64_t C;         // slots, enough for the tokens of the call
  int64_t position;  // steps since the last reset, before the call and after it
};

struct TransformerCall {
  const TransformerModel* model;
  int64_t R;
  TransformerRow* rows;  // (R,)
  int32_t threads;       // at most so many
  ParallelFor parallel_for;
  // `read`: row r reads the tokens from begins[r] up to begins[r + 1].
  const int64_t *tokens, *begins;
  void* logits;  // (R, V), out, or null: after the tokens
  // Of the positions of the tokens. `write` has a line for each row and step, and one for position 0.
  const void* added;             // (tokens, H) or null: added to the embeddings
  const void *cosines, *sines;   // (tokens, H / N / 2) or null: rotations of queries and keys
  ArenaWriting writing;          // `write`, and the probabilities of what is read
};

// All return 0, or 1 if there was no memory for the scratch; `read` 2 for a token that there is not, before anything is read;
// both calls 2 for a position that does not fit the slots.
int32_t elman_transformer_arrange_float(const TransformerModel* model);
int32_t elman_transformer_arrange_double(const TransformerModel* model);
int32_t elman_transformer_read_float(const TransformerCall* call);
int32_t elman_transformer_read_double(const TransformerCall* call);
int32_t elman_transformer_write_float(const TransformerCall* call);
int32_t elman_transformer_write_double(const TransformerCall* call);
}
