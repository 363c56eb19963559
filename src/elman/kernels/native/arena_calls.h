// The calls of an arena: rows gathered from their slots, what they read or write, and the rows scattered again. Included
// once per instruction set.

#pragma once

#include "arena_bytes.h"
#include "arena_draw.h"
#include "arena_layers.h"
#include "pieces.h"

namespace {

// A piece of memory after the other from one block; without the block, how long it must be.
template <class T> struct Carved {
  Vector<T>* block;
  int64_t vectors = 0;
  template <class N> N* of(int64_t count) {
    N* const it = block ? (N*)(block + vectors) : nullptr;
    vectors += (count * int64_t(sizeof(N)) + BYTES - 1) / BYTES;
    return it;
  }
};

template <class W> class ArenaRows {
  using T = typename W::Number;
  const ArenaCall& call;
  const ArenaModel& m;
  const OutputPlan<W> output;
  const int64_t R, most;  // rows, and tokens of a chunk
  T *states, *logits;     // all rows' h of the first layer, all rows' c of it, ..., padded; (rows, stride)
  ChunkRoom<T> room;
  DrawRoom draw;
  int64_t *active, *tokens, *row;  // of a chunk; which row of the call each one here is
  int64_t width = 0, gates = 0, inputs = 0;

  const Vector<T>* arranged() const { return (const Vector<T>*)m.arranged; }
  T* h_of(const LayerPlan<W>& plan) const { return states + R * plan.in_row; }
  T* hidden() const { return states + R * output.in_row; }

  // Calls f(the first number of a state in a slot, its size, its padded size, the first number of it of all rows).
  template <class F> void for_states(F f) const {
    for (int64_t l = 0; l < m.count; ++l) {
      const LayerPlan<W> plan(m, l);
      for (int64_t i = 0; i < plan.states(); ++i)
        f(plan.in_slot + i * plan.layer->H, plan.layer->H, plan.width, R * (plan.in_row + i * plan.width));
    }
    f(output.in_slot, output.H, output.width, R * output.in_row);
  }

  T* slot_of(int64_t r) const { return (T*)call.memory + call.slots[r] * output.slot; }

 public:
  const int64_t stride;  // of logits

  explicit ArenaRows(const ArenaCall& c)
      : call(c), m(*c.model), output(m), R(c.R), most(c.R > kRowsOfBlock ? c.R : kRowsOfBlock), stride(padded<T>(m.V)) {
    for (int64_t l = 0; l < m.count; ++l) {
      const LayerPlan<W> plan(m, l);
      const int64_t reads = plan.folded ? 0 : padded<T>(plan.layer->D), both = plan.width > reads ? plan.width : reads;
      width = both > width ? both : width;
      gates = plan.folded || plan.G * plan.width < gates ? gates : plan.G * plan.width;
      const int64_t more = W::input_size(most, both);
      inputs = more > inputs ? more : inputs;
    }
  }

  int64_t lay_out(Vector<T>* block) {
    Carved<T> carved{block};
    states = carved.template of<T>(R * output.row);
    logits = carved.template of<T>((call.begins ? call.writing.below ? most : 0 : R) * stride);
    room.x = carved.template of<T>(most * width), room.y = carved.template of<T>(most * width);
    room.projected = (Vector<T>*)carved.template of<T>(most * gates);
    room.sums = carved.template of<Vector<T>>(most * kMaxWidth);
    room.input = carved.template of<Vector<T>>(inputs);
    const int64_t V = padded<double>(m.V);
    draw.logits = carved.template of<double>(V), draw.z = carved.template of<double>(V), draw.p = carved.template of<double>(V);
    draw.ranks = carved.template of<int64_t>(m.V);
    active = carved.template of<int64_t>(most), tokens = carved.template of<int64_t>(most);
    row = carved.template of<int64_t>(R);
    return carved.vectors;
  }

  void gather() const {
    for (int64_t r = 0; r < R; ++r) {
      row[r] = r;
      for_states([&](int64_t in_slot, int64_t size, int64_t padded_size, int64_t at) {
        T* const to = states + at + r * padded_size;
        memcpy(to, slot_of(r) + in_slot, size * sizeof(T));
        memset(to + size, 0, (padded_size - size) * sizeof(T));
      });
    }
  }

  void scatter(int64_t i) const {
    for_states([&](int64_t in_slot, int64_t size, int64_t padded_size, int64_t at) {
      memcpy(slot_of(row[i]) + in_slot, states + at + i * padded_size, size * sizeof(T));
    });
  }

  // All layers over a chunk, whose rows are the first ones here: what the last layer gave, (count, width).
  T* read_chunk(const Chunk& chunk) const {
    int64_t x_stride = 0;
    ChunkRoom<T> it = room;
    if (!m.folded) {
      const int64_t D = m.layers[0].D;
      x_stride = padded<T>(D);
      for (int64_t i = 0; i < chunk.count; ++i)
        memcpy(it.x + i * x_stride, (const T*)m.embedding + chunk.tokens[i] * D, D * sizeof(T));
    }
    for (int64_t l = 0; l < m.count; ++l) {
      const LayerPlan<W> plan(m, l);
      T* const h = h_of(plan);
      read_layer_of<W>(plan, arranged(), chunk, x_stride, h, h + R * plan.width, it);
      if (plan.layer->residual) add_input(plan, chunk, x_stride, it);
      T* const outputs = it.y;
      it.y = it.x, it.x = outputs, x_stride = plan.width;
    }
    return it.x;
  }

  void keep_hidden(const Chunk& chunk, const T* outputs) const {
    for (int64_t step = chunk.steps, at = chunk.count, done = 0; step-- > 0; done = chunk.active[step]) {
      at -= chunk.active[step];
      memcpy(hidden() + done * output.width, outputs + (at + done) * output.width,
             (chunk.active[step] - done) * output.width * sizeof(T));
    }
  }

  // y += x; a folded layer's x was not looked up.
  void add_input(const LayerPlan<W>& plan, const Chunk& chunk, int64_t x_stride, const ChunkRoom<T>& it) const {
    const int64_t H = plan.layer->H;
    for (int64_t i = 0; i < chunk.count; ++i) {
      const T* const x = plan.folded ? (const T*)m.embedding + chunk.tokens[i] * H : it.x + i * x_stride;
      for (int64_t u = 0; u < H; ++u) it.y[i * plan.width + u] += x[u];
    }
  }

  // Of what the last layer gave, (rows, output.width), to (rows, stride).
  void make_logits(const T* given, int64_t rows, T* to, int64_t to_stride) const {
    const Panels<T>& panels = output.w.panels;
    const typename W::Input in = output.w.input(given, output.width, rows, room.input);
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      const int64_t first = panels.first(panel), panel_width = panels.width(panel);
      output.w.times(in, rows, panel, arranged() + output.at, room.sums, arranged() + output.at_bias + first);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t v = 0; v < panel_width; ++v) {
          const int64_t at = (first + v) * kLanes<T>;
          store(to + r * to_stride + at, room.sums[r * panel_width + v], lanes_at<T>(m.V, at));
        }
    }
  }

  // Of each token of a chunk, the probability before it was read; `first` is its first step.
  void score(const Chunk& chunk, int64_t first, const T* outputs) const {
    T* const before = outputs == room.x ? room.y : room.x;
    const T* from = hidden();
    for (int64_t step = 0, at = 0; step < chunk.steps; ++step) {
      memcpy(before + at * output.width, from, chunk.active[step] * output.width * sizeof(T));
      from = outputs + at * output.width, at += chunk.active[step];
    }
    make_logits(before, chunk.count, logits, stride);
    for (int64_t step = 0, i = 0; step < chunk.steps; ++step)
      for (int64_t r = 0; r < chunk.active[step]; ++r, ++i) {
        take_logits(logits + i * stride, m.V, draw);
        weigh(call.writing, call.begins[r] + first + step, chunk.tokens[i], m.V, draw);
      }
  }

  void read() {
    for (int64_t step = 0, rows = R;;) {
      Chunk chunk = {0, 0, active, tokens};
      for (; chunk.steps < most; ++chunk.steps) {
        while (rows && call.begins[rows] - call.begins[rows - 1] <= step + chunk.steps) --rows;
        if (!rows || chunk.count + rows > most) break;
        active[chunk.steps] = rows;
        for (int64_t r = 0; r < rows; ++r) tokens[chunk.count++] = call.tokens[call.begins[r] + step + chunk.steps];
      }
      if (!chunk.steps) break;
      const T* const outputs = read_chunk(chunk);
      if (call.writing.below) score(chunk, step, outputs);
      keep_hidden(chunk, outputs);
      step += chunk.steps;
    }
    for (int64_t r = 0; r < R; ++r) scatter(r);
    if (call.logits) make_logits(hidden(), R, (T*)call.logits, m.V);
  }

  void write() { write_rows(call.writing, R, m.V, {row, tokens}, draw, *this); }

  const T* logits_of(int64_t count) const {
    make_logits(hidden(), count, logits, stride);
    return logits;
  }
  void forget(int64_t i) const {
    for_states([&](int64_t, int64_t, int64_t size, int64_t at) { memset(states + at + i * size, 0, size * sizeof(T)); });
  }
  int32_t read_drawn(int64_t, int64_t count) const {
    active[0] = count;
    const Chunk chunk = {1, count, active, tokens};
    keep_hidden(chunk, read_chunk(chunk));
    return 0;
  }
  // A row goes to its slot.
  void leave(int64_t i, int64_t last) const {
    scatter(i);
    if (i == last) return;
    for_states([&](int64_t, int64_t, int64_t size, int64_t at) {
      memcpy(states + at + i * size, states + at + last * size, size * sizeof(T));
    });
  }
};

template <class W, class F> int32_t with_rows(const ArenaCall& call, F work) {
  if (!call.R) return 0;
  ArenaRows<W> rows(call);
  const KeptBuffer<typename W::Number> block(rows.lay_out(nullptr));
  if (!block.data) return 1;
  rows.lay_out(block.data);
  rows.gather();
  work(rows);
  return 0;
}

template <class W> struct Kind {
  using Weights = W;
};

// Calls f with the kind of the model's weights.
template <class T, class F> int32_t with_kind(const ArenaModel& m, F f) {
  if constexpr (sizeof(T) == 4) {
    if (m.bytes) return f(Kind<ByteWeights>());
  }
  return f(Kind<WholeWeights<T>>());
}

template <class T> int32_t arena_arrange(const ArenaModel* model) {
  return with_kind<T>(*model, [&](auto kind) { return arrange_model<typename decltype(kind)::Weights>(*model); });
}

template <class T> int32_t arena_read(const ArenaCall* call) {
  for (int64_t i = 0; call->R && i < call->begins[call->R]; ++i)
    if (call->tokens[i] < 0 || call->tokens[i] >= call->model->V) return 2;
  return with_kind<T>(*call->model, [&](auto kind) {
    return with_rows<typename decltype(kind)::Weights>(*call, [](auto& rows) { rows.read(); });
  });
}

template <class T> int32_t arena_write(const ArenaCall* call) {
  return with_kind<T>(*call->model, [&](auto kind) {
    return with_rows<typename decltype(kind)::Weights>(*call, [](auto& rows) { rows.write(); });
  });
}

}  // namespace
