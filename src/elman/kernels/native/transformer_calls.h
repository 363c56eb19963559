// The calls of a Transformer's rows: what they read or write, and the tokens with their positions. Included once per
// instruction set.

#pragma once

#include "arena_calls.h"
#include "transformer_layers.h"

namespace {

template <class T> class TransformerRows {
  const TransformerCall& c;
  const TransformerModel& m;
  const int64_t R, M, H, V, half;  // M: tokens that are read at once
  TransformerPass<T> pass;
  TransformerTokens<T> it = {};
  T *hidden, *logits, *cosines, *sines;  // of `write`: (R, H), (R, V), (R, half) twice. `read`: logits of a block of tokens
  DrawRoom draw;
  int64_t *row, *token;  // (R,), of `write`

 public:
  const int64_t stride;  // of logits

  explicit TransformerRows(const TransformerCall& c)
      : c(c), m(*c.model), R(c.R), M(c.begins ? c.begins[c.R] : c.R), H(m.H), V(m.V), half(m.H / m.N / 2), pass(c), stride(m.V) {}

  int64_t lay_out(Vector<T>* block) {
    Carved<T> carved{block};
    const auto numbers = [&](int64_t count) { return carved.template of<T>(count); };
    const auto integers = [&](int64_t count) { return carved.template of<int64_t>(count); };
    pass.x = numbers(M * H), pass.qkv = numbers(M * 3 * H), pass.mixed = numbers(M * H);
    pass.inner = numbers(M * m.F);
    it.row = carved.template of<AttendRow>(R), it.memory = carved.template of<T*>(R);
    it.lengths = integers(R), it.positions = integers(R), row = integers(R), token = integers(R);
    hidden = numbers(R * H), cosines = numbers(R * half), sines = numbers(R * half);
    logits = numbers((c.begins ? c.writing.below ? kRowsOfBlock : 0 : R) * V);
    const int64_t whole = padded<double>(V);
    draw.logits = carved.template of<double>(whole), draw.z = carved.template of<double>(whole);
    draw.p = carved.template of<double>(whole), draw.ranks = integers(V);
    return carved.vectors;
  }

  int32_t read() {
    if (M) {
      list_rows();
      it.cosines = (const T*)c.cosines, it.sines = (const T*)c.sines, it.M = M;
      for (int64_t i = 0; i < M; ++i) embed(i, c.tokens[i], i);
      int32_t failed = pass.run(it);
      if (!failed && c.writing.below) failed = score();
      if (failed) return failed;
    }
    for (int64_t r = 0; r < R; ++r) {
      TransformerRow& own = c.rows[r];
      const int64_t length = c.begins[r + 1] - c.begins[r];
      if (length) memcpy(own.hidden, pass.mixed + (c.begins[r + 1] - 1) * H, H * sizeof(T));
      own.position += length;
      if (c.logits) memcpy(hidden + r * H, own.hidden, H * sizeof(T));
    }
    return c.logits ? pass.logits_of(hidden, R, (T*)c.logits) : 0;
  }

  int32_t write() {
    for (int64_t r = 0; r < R; ++r) memcpy(hidden + r * H, c.rows[r].hidden, H * sizeof(T));
    return write_rows(c.writing, R, V, {row, token}, draw, *this);
  }

  const T* logits_of(int64_t count) const { return pass.logits_of(hidden, count, logits) ? nullptr : logits; }

  void forget(int64_t i) const { c.rows[row[i]].position = 0; }

  int32_t read_drawn(int64_t step, int64_t count) {
    it.M = count, it.rows = count, it.many = 0;
    it.cosines = c.cosines ? cosines : nullptr, it.sines = sines;
    for (int64_t i = 0; i < count; ++i) {
      const TransformerRow& own = c.rows[row[i]];
      take_row(i, own, i, 1);
      const int64_t place = own.position ? row[i] * c.writing.steps + step : R * c.writing.steps;
      embed(i, token[i], place);
      if (!c.cosines) continue;
      memcpy(cosines + i * half, (const T*)c.cosines + place * half, half * sizeof(T));
      memcpy(sines + i * half, (const T*)c.sines + place * half, half * sizeof(T));
    }
    const int32_t failed = pass.run(it);
    for (int64_t i = 0; i < count && !failed; ++i) ++c.rows[row[i]].position;
    if (!failed) memcpy(hidden, pass.mixed, count * H * sizeof(T));
    return failed;
  }

  void leave(int64_t i, int64_t last) const {
    memcpy(c.rows[row[i]].hidden, hidden + i * H, H * sizeof(T));
    if (i != last) memcpy(hidden + i * H, hidden + last * H, H * sizeof(T));
  }

 private:
  // The embedding of a token, by the line of its position, as input i.
  void embed(int64_t i, int64_t of_token, int64_t place) const {
    const T *const from = (const T*)m.embedding + of_token * H, *const added = (const T*)c.added + (c.added ? place * H : 0);
    T* const to = pass.x + i * H;
    for (int64_t u = 0; u < H; ++u) to[u] = c.added ? from[u] + added[u] : from[u];
  }

  void take_row(int64_t i, const TransformerRow& own, int64_t first, int64_t length) const {
    it.row[i] = {first, own.C, nullptr, nullptr};
    it.memory[i] = (T*)own.memory, it.lengths[i] = length, it.positions[i] = own.position;
  }

  // The rows that read something, those of many tokens first.
  void list_rows() {
    list_rows(kFewQueries + 1, M);
    it.many = it.rows;
    list_rows(1, kFewQueries);
  }
  void list_rows(int64_t least, int64_t most) {
    for (int64_t r = 0; r < R; ++r) {
      const int64_t length = c.begins[r + 1] - c.begins[r];
      if (length >= least && length <= most) take_row(it.rows++, c.rows[r], c.begins[r], length);
    }
  }

  // Of each token, what its probability before it was read is made of.
  int32_t score() const {
    for (int64_t r = 0, i = 0; r < R; ++r)
      for (int64_t last = c.begins[r + 1]; i < last;) {
        const int64_t first = i, n = less(last - first, kRowsOfBlock);
        for (int64_t k = 0; k < n; ++k) {
          const T* const before = first + k == c.begins[r] ? (const T*)c.rows[r].hidden : pass.mixed + (first + k - 1) * H;
          memcpy(pass.x + k * H, before, H * sizeof(T));
        }
        if (const int32_t failed = pass.logits_of(pass.x, n, logits)) return failed;
        for (; i < first + n; ++i) {
          take_logits(logits + (i - first) * V, V, draw);
          weigh(c.writing, i, c.tokens[i], V, draw);
        }
      }
    return 0;
  }
};

template <class T, class F> int32_t with_transformer(const TransformerCall& call, F work) {
  if (!call.R) return 0;
  TransformerRows<T> rows(call);
  const KeptBuffer<T> block(rows.lay_out(nullptr));
  if (!block.data) return 1;
  rows.lay_out(block.data);
  return work(rows);
}

template <class T> int32_t transformer_read(const TransformerCall* call) {
  for (int64_t i = 0; call->R && i < call->begins[call->R]; ++i)
    if (call->tokens[i] < 0 || call->tokens[i] >= call->model->V) return 2;
  return with_transformer<T>(*call, [](auto& rows) { return rows.read(); });
}

template <class T> int32_t transformer_write(const TransformerCall* call) {
  return with_transformer<T>(*call, [](auto& rows) { return rows.write(); });
}

}  // namespace
