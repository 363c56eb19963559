// The layers of an arena's model, over some steps of some rows. Included once per instruction set.

#pragma once

#include "arena.h"
#include "arena_weights.h"
#include "cells.h"
#include "pieces.h"

namespace {

inline int64_t gates_of(int32_t cell) { return cell == kLstm ? 4 : cell == kGru ? 3 : 1; }

// Where a layer's parts lie.
template <class W> struct LayerPlan {
  using T = typename W::Number;
  const ArenaLayer* layer;
  bool folded;
  int64_t G, width;  // gates; numbers of h, padded
  W x, h;
  int64_t at_x, at_bias_x, at_h, at_bias_h, end;  // in the arranged weights, in vectors; folded: the table at at_x
  int64_t in_slot, in_row;                        // of h, in numbers: c follows it
  int64_t states() const { return layer->cell == kLstm ? 2 : 1; }

  LayerPlan(const ArenaModel& m, int64_t l) : LayerPlan(m, m.layers[l], l == 0 && m.folded) {
    for (int64_t i = 0; i < l; ++i) follow(LayerPlan(m, m.layers[i], i == 0 && m.folded));
  }

  // W_ih x_t and the biases of the token in a folded layer, from a panel on.
  const Vector<T>* of_token(const Vector<T>* arranged, int64_t token, int64_t panel) const {
    return arranged + at_x + (token * h.panels.vectors() + h.panels.first(panel)) * G;
  }

 private:
  LayerPlan(const ArenaModel& m, const ArenaLayer& it, bool table)
      : layer(&it), folded(table), G(gates_of(it.cell)), width(padded<T>(it.H)), x{{it.H, G, it.D}}, h{{it.H, G, it.H}},
        at_x(0), in_slot(0), in_row(0) {
    const int64_t one = h.panels.vectors() * G;
    at_bias_x = at_x + (table ? m.V * one : x.size());
    at_h = at_bias_x + (table ? 0 : one);
    at_bias_h = at_h + h.size();
    end = at_bias_h + h.panels.vectors();
  }

  void follow(const LayerPlan& before) {
    at_x += before.end, at_bias_x += before.end, at_h += before.end, at_bias_h += before.end, end += before.end;
    in_slot += before.states() * before.layer->H, in_row += before.states() * before.width;
  }
};

// The output layer.
template <class W> struct OutputPlan {
  using T = typename W::Number;
  int64_t H, width;   // of what it reads; its numbers, padded
  W w;
  int64_t at, at_bias, end;
  int64_t in_slot, in_row, slot, row;  // of what it reads; numbers of a slot, and of a row, padded

  explicit OutputPlan(const ArenaModel& m)
      : H(m.layers[m.count - 1].H), width(padded<T>(H)), w{{m.V, 1, H}} {
    const LayerPlan<W> last(m, m.count - 1);
    at = last.end, at_bias = at + w.size(), end = at_bias + w.panels.vectors();
    in_slot = last.in_slot + last.states() * H, in_row = last.in_row + last.states() * width;
    slot = in_slot + H, row = in_row + width;
  }
};

// Steps of rows, of which those of a step are the first ones of the step before: `tokens` has the rows of the first step,
// then those of the second, and so on.
struct Chunk {
  int64_t steps, count;   // steps, and tokens of all of them
  const int64_t* active;  // (steps,) rows
  const int64_t* tokens;  // (count,)
};

// What a chunk needs beside the rows' states.
template <class T> struct ChunkRoom {
  T *x, *y;              // (count, greatest width): what a layer reads, and every h_t of it
  Vector<T> *projected;  // (count, greatest G * width)
  Vector<T> *sums;       // (count, kMaxWidth)
  Vector<T> *input;      // see W::input
};

// One layer over a chunk. h and c (rows, width) are the states before it, and then after it. Every h_t goes to `y`.
template <class W, class Cell>
void read_layer(const LayerPlan<W>& plan, const Vector<typename W::Number>* arranged, const Chunk& chunk, int64_t x_stride,
                typename W::Number* h, typename W::Number* c, const ChunkRoom<typename W::Number>& room) {
  using T = typename W::Number;
  constexpr int G = Cell::kGates, L = kLanes<T>;
  const Panels<T>& panels = plan.h.panels;
  if (!plan.folded) {
    const typename W::Input in = plan.x.input(room.x, x_stride, chunk.count, room.input);
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      const int64_t first = panels.first(panel) * G;
      plan.x.times(in, chunk.count, panel, arranged + plan.at_x, room.projected + chunk.count * first,
                   arranged + plan.at_bias_x + first);
    }
  }
  T *before = h, *after = room.y;
  for (int64_t step = 0, at = 0; step < chunk.steps; ++step) {
    const int64_t rows = chunk.active[step];
    const typename W::Input in = plan.h.input(before, plan.width, rows, room.input);
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      const int panel_width = panels.width(panel);
      const int64_t first = panels.first(panel);
      plan.h.times(in, rows, panel, arranged + plan.at_h, room.sums, nullptr);
      for (int64_t r = 0; r < rows; ++r) {
        const Vector<T>* of_x = plan.folded ? plan.of_token(arranged, chunk.tokens[at + r], panel)
                                            : room.projected + chunk.count * first * G + (at + r) * panel_width;
        ForwardRow<T> it = {};
        it.H = plan.width;
        it.bias = (const T*)(arranged + plan.at_bias_h);
        it.h = it.h_after = after + r * plan.width;
        it.h_before = before + r * plan.width;
        it.c_memory = c + r * plan.width;
        for (int v = 0; v < panel_width; v += G)
          Cell::template forward<T>(of_x + v, room.sums + r * panel_width + v, it, (first + v / G) * L, L);
      }
    }
    at += rows, before = after, after += rows * plan.width;
  }
  // The state after each row's last step.
  for (int64_t step = chunk.steps, at = chunk.count, done = 0; step-- > 0;) {
    const int64_t rows = chunk.active[step];
    at -= rows;
    memcpy(h + done * plan.width, room.y + (at + done) * plan.width, (rows - done) * plan.width * sizeof(T));
    done = rows;
  }
}

template <class W>
void read_layer_of(const LayerPlan<W>& plan, const Vector<typename W::Number>* arranged, const Chunk& chunk,
                   int64_t x_stride, typename W::Number* h, typename W::Number* c,
                   const ChunkRoom<typename W::Number>& room) {
  switch (plan.layer->cell) {
    case kElmanTanh: return read_layer<W, Elman<Tanh>>(plan, arranged, chunk, x_stride, h, c, room);
    case kElmanRelu: return read_layer<W, Elman<Relu>>(plan, arranged, chunk, x_stride, h, c, room);
    case kGru: return read_layer<W, Gru>(plan, arranged, chunk, x_stride, h, c, room);
    default: return read_layer<W, Lstm>(plan, arranged, chunk, x_stride, h, c, room);
  }
}

// Biases in the order of the panels: those of W_ih x_t and, but for what the GRU's reset gate multiplies, of W_hh h_{t-1}.
template <class W> void arrange_biases(const LayerPlan<W>& plan, typename W::Number* to, typename W::Number* inside) {
  using T = typename W::Number;
  constexpr int L = kLanes<T>;
  const int64_t H = plan.layer->H, vectors = plan.h.panels.vectors();
  const T *bias_x = (const T*)plan.layer->bias_x, *bias_h = (const T*)plan.layer->bias_h;
  for (int64_t v = 0; v < vectors; ++v)
    for (int64_t g = 0; g < plan.G; ++g)
      for (int64_t lane = 0; lane < L; ++lane) {
        const int64_t unit = v * L + lane;
        const bool is_inside = plan.layer->cell == kGru && g == 2;
        T sum = 0;
        if (unit < H && bias_x) sum += bias_x[g * H + unit];
        if (unit < H && bias_h && !is_inside) sum += bias_h[g * H + unit];
        to[(v * plan.G + g) * L + lane] = sum;
        if (g == plan.G - 1) inside[unit] = is_inside && unit < H && bias_h ? bias_h[g * H + unit] : T(0);
      }
}

// The table of a folded layer: the very sums that the layer would make of each token.
template <class T> bool fold(const LayerPlan<WholeWeights<T>>& plan, const ArenaModel& m, const Vector<T>* weights,
                             const Vector<T>* biases, Vector<T>* table) {
  const WholeWeights<T>& x = plan.x;
  const Buffer<T> sums(kRowsOfBlock * kMaxWidth);
  if (!sums.data) return false;
  for (int64_t token = 0; token < m.V; token += kRowsOfBlock) {
    const int64_t rows = m.V - token < kRowsOfBlock ? m.V - token : kRowsOfBlock;
    for (int64_t panel = 0; panel < x.panels.count(); ++panel) {
      const int64_t first = x.panels.first(panel) * plan.G, width = x.panels.width(panel);
      x.times({(const T*)m.embedding + token * plan.layer->D, plan.layer->D}, rows, panel, weights, sums.data, biases + first);
      for (int64_t r = 0; r < rows; ++r)
        memcpy((void*)(table + (token + r) * x.panels.vectors() * plan.G + first), sums.data + r * width, width * BYTES);
    }
  }
  return true;
}

template <class W> bool arrange_layer(const LayerPlan<W>& plan, const ArenaModel& m, Vector<typename W::Number>* arranged) {
  using T = typename W::Number;
  T* const inside = (T*)(arranged + plan.at_bias_h);
  plan.h.arrange((const T*)plan.layer->weight_h, arranged + plan.at_h);
  if (!plan.folded) {
    plan.x.arrange((const T*)plan.layer->weight_x, arranged + plan.at_x);
    arrange_biases(plan, (T*)(arranged + plan.at_bias_x), inside);
    return true;
  }
  const LayerPlan<WholeWeights<T>> whole(m, 0);
  const Buffer<T> weights(whole.x.size()), biases(plan.h.panels.vectors() * plan.G);
  if (!weights.data || !biases.data) return false;
  whole.x.arrange((const T*)plan.layer->weight_x, weights.data);
  arrange_biases(plan, (T*)biases.data, inside);
  return fold(whole, m, weights.data, biases.data, arranged + plan.at_x);
}

template <class W> int32_t arrange_model(const ArenaModel& m) {
  using T = typename W::Number;
  const OutputPlan<W> output(m);
  if (!m.arranged) {
    *m.size = output.end * BYTES;
    return 0;
  }
  Vector<T>* const arranged = (Vector<T>*)m.arranged;
  for (int64_t l = 0; l < m.count; ++l)
    if (!arrange_layer(LayerPlan<W>(m, l), m, arranged)) return 1;
  output.w.arrange((const T*)m.weight, arranged + output.at);
  T* const bias = (T*)(arranged + output.at_bias);
  for (int64_t v = 0; v < padded<T>(m.V); ++v) bias[v] = m.bias && v < m.V ? ((const T*)m.bias)[v] : T(0);
  return 0;
}

}  // namespace
