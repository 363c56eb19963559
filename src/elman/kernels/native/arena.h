// The interface of the core to a whole recurrent language model, without gradients: the memories of many rows in one
// arena, and calls that read tokens for some rows, or draw one token after another and read it.
//
// As in sweep.h, every buffer is the caller's, contiguous and row-major, of float or double as the entry point says. The
// sums of a row are added up in one order, however many rows and steps there are in a call: no row changes another's
// numbers, and pieces do not change them either.

#pragma once

#include "sweep.h"

extern "C" {

struct ArenaLayer {
  int64_t D, H;
  int32_t cell;                     // a CellKind
  int32_t residual;                 // 1: D is H, and the next layer reads x_t + h_t
  const void *weight_x, *weight_h;  // (G * H, D), (G * H, H)
  const void *bias_x, *bias_h;      // (G * H,) each, or null
};

struct ArenaModel {
  int64_t V, count;         // tokens, layers
  int32_t folded;           // 1: the first layer's products with every token's embedding are a table
  int32_t bytes;            // 1: the weights of the products are arranged as one byte each, a scale for each row; float only
  const ArenaLayer* layers;
  const void* embedding;    // (V, D of the first layer)
  const void* weight;       // (V, H of the last layer)
  const void* bias;         // (V,) or null
  void* arranged;           // the weights as the calls read them, aligned to 64 bytes. Only `embedding` is read beside it
  int64_t* size;            // out, of `arrange` where `arranged` is null: its bytes
};

// How a row draws its tokens: as elman.decode.sampling says.
struct ArenaDraw {
  double temperature;
  double top_p;   // above 1: none
  double floor;   // the logarithm of min-p; -inf: none
  int64_t top_k;  // 0: none
};

// Tokens that rows draw and read, one after the other; and of tokens, drawn or read, what their probabilities are made of.
struct ArenaWriting {
  int64_t steps;           // at most so many tokens of each row, all of which are read
  const double* uniforms;  // (R, steps)
  const ArenaDraw* draws;  // (R,)
  const int64_t* banned;   // never drawn
  int64_t banned_count;
  int64_t end;       // a row stops after this token, which is then all that its memory has read; -1: none
  int64_t* written;  // (R, steps), out
  // (R, steps), out: of the logits before all else, the token's minus the largest, and the sum of e^x of every logit x
  // minus the largest. So log p = below - log(sums). Of tokens that are read: one for each, or null.
  double *below, *sums;
  int64_t* counts;  // (R,), out: tokens written; -1 minus them where the next token has no probabilities
};

struct ArenaCall {
  const ArenaModel* model;
  int64_t R;
  void* memory;          // (slots, numbers of a slot): h_t, then c_t, of every layer, then what the last layer gave
  const int64_t* slots;  // (R,), all different
  // `read`: row r reads the tokens from begins[r] up to begins[r + 1]; no row more than the one before it.
  const int64_t *tokens, *begins;
  void* logits;  // (R, V), out, or null: after the tokens
  ArenaWriting writing;  // `write`, and the probabilities of what is read
};

// All return 0, or 1 if there was no memory for the scratch; `read` 2 for a token that there is not, before anything is read.
int32_t elman_arena_arrange_float(const ArenaModel* model);
int32_t elman_arena_arrange_double(const ArenaModel* model);
int32_t elman_arena_read_float(const ArenaCall* call);
int32_t elman_arena_read_double(const ArenaCall* call);
int32_t elman_arena_write_float(const ArenaCall* call);
int32_t elman_arena_write_double(const ArenaCall* call);
}
