// The keys and values of one row and key head, in the order of time, made ready for the products. Included once per
// instruction set.

#pragma once

#include "pieces.h"
#include "strip.h"
#include "timeline.h"

namespace {

// A matrix (columns, D), as products read it that sum over the D (by rows), and that sum over the columns (`across`, a
// TURNED operand of the product: in bfloat16 two columns side by side, else the same rows). Null where it is not wanted.
template <class S> struct Side {
  using T = Number<S>;
  static constexpr int L = kLanes<T>;
  S *rows, *across;
  int64_t D, row;  // numbers of a row, and between rows

  // `count` rows, from `column` on; columns come in their order.
  template <class X> void put(const X* from, int64_t stride, int64_t count, int64_t column) const {
    const int64_t D = this->D, row = this->row;  // what is stored might else be these, as far as a compiler knows
    if (across && across != rows) put_across(from, stride, count, column);
    if (rows && (const void*)from != rows + column * row)
      for (S *to = rows + column * row, *const last = to + count * row; to < last; to += row, from += stride)
        for (int64_t at = 0; at < D; at += L) store(to + at, load(from + at, lanes_at<T>(D, at)));
  }
  // Zeros from `column` on: the rest of a tile.
  void end(int64_t column) const {
    const int64_t last = up(column, kTile), whole = up(column, 2);
    if (rows) memset(rows + column * row, 0, (last - column) * row * sizeof(S));
    if (across && across != rows) memset(across + whole * row, 0, (last - whole) * row * sizeof(S));
  }

 private:
  // Of a pair of columns, the first is there before the second one comes.
  template <class X> void put_across(const X* from, int64_t stride, int64_t count, int64_t column) const {
    if constexpr (kPair<S> > 1) {
      typedef typename VectorOf<T>::Words Words;
      const int64_t D = this->D, row = this->row;
      S* to = across + column / 2 * 2 * row;
      for (int64_t i = 0; i < count; to += 2 * row) {
        const bool second = (column + i) % 2, both = !second && i + 1 < count;
        for (int64_t at = 0; at < D; at += L) {
          const int64_t n = lanes_at<T>(D, at);
          const Vector<T> pair[2] = {load(from + at, n), both ? load(from + stride + at, n) : Vector<T>{}};
          const Vector<T> numbers = Panels<S>::packed_rows(pair);
          T* const there = (T*)to + at;
          store(there, second ? (Vector<T>)((Words)numbers << 16 | (Words)load(there)) : numbers);
        }
        i += 1 + both, from += (1 + both) * stride;
      }
    }
  }
};

// Rotations turned into strips, for one row of the batch.
template <class T> struct Tables {
  Vector<T>*cosines, *sines;  // (strips, D / 2)

  void fill(const Attend& a, int64_t b) const {
    const int64_t half = a.D / 2;
    const T *cosine = (const T*)a.cosines + b * a.tables, *sine = (const T*)a.sines + b * a.tables;
    for (int64_t t = 0, at = 0; t < a.T; t += kLanes<T>, at += half) {
      turn_in(cosine + t * half, half, a.T - t, half, cosines + at);
      turn_in(sine + t * half, half, a.T - t, half, sines + at);
    }
  }
};

// What is made ready: the keys by rows and the values across (forward), both by rows and the keys across (backward), or
// nothing.
enum class Ready { kNothing, kForward, kBackward };

// Keys and values (slots, D) of a row and key head; null where there are none.
template <class T> struct Ring {
  T *keys, *values;
};

// What a thread works with: all that is known of the row and key head at hand.
template <class S> struct Columns {
  using T = Number<S>;
  static constexpr int L = kLanes<T>;
  const Attend& a;
  const int64_t most, row;  // columns, and numbers between rows
  const bool keeps_normed;  // new keys, for backward
  Buffer<T> key_rows, value_rows, across, tables, strip_buffer, row_buffer, normed_buffer;
  Buffer<double> numbers;
  int64_t *from, *to, *slots;
  Side<S> keys, values;
  Timeline at = {};
  Ring<T> before = {}, after = {};  // the memory
  int64_t b = -1, g = 0;

  Columns(const Attend& a, Ready ready)
      : a(a), most(up(less(a.C, a.window ? a.window - 1 : a.C) + a.S, 64)), row(up(a.D, L)),
        keeps_normed(ready == Ready::kBackward && a.gain_k), key_rows(ready == Ready::kNothing ? 0 : most * row / L),
        value_rows(ready == Ready::kBackward || (kPair<S> == 1 && ready == Ready::kForward) ? most * row / L : 0),
        across(ready == Ready::kNothing || kPair<S> == 1 ? 0 : most * row / L),
        tables(a.cosines ? 2 * ((a.T + L - 1) / L) * (a.D / 2) : 0), strip_buffer(2 * row + 2), row_buffer(row),
        normed_buffer(keeps_normed ? (a.S + L - 1) / L * (a.D + 1) : 0),
        numbers(3 * more(a.T, a.S) * sizeof(int64_t) / BYTES + 1) {
    from = (int64_t*)numbers.data, to = from + a.T, slots = to + a.T;
    S *const k = (S*)key_rows.data, *const v = (S*)value_rows.data, *const other = (S*)across.data;
    const bool backward = ready == Ready::kBackward;
    if constexpr (kPair<S> == 1) {
      keys = {k, k, a.D, row}, values = {v, v, a.D, row};
    } else {
      keys = {k, backward ? other : nullptr, a.D, row};
      values = {backward ? v : nullptr, backward ? nullptr : other, a.D, row};
    }
  }
  bool failed() const {
    return !key_rows.data || !value_rows.data || !across.data || !tables.data || !strip_buffer.data || !row_buffer.data ||
           !normed_buffer.data || !numbers.data;
  }
  Tables<T> rotations() const { return {tables.data, tables.data + (a.T + L - 1) / L * (a.D / 2)}; }

  // A strip of queries or new keys after layer normalization and rotation; before its gain too, where `y` is given.
  Vector<T> prepare(const S* x, int64_t stride, int64_t t, int64_t n, const void* gain, Vector<T>* to_strip,
                    Vector<T>* y = nullptr) const {
    Vector<T> scale = {};
    turn_in(x + t * stride, stride, n - t, a.D, to_strip);
    if (gain) {
      scale = standardize<T>(to_strip, a.D, T(a.epsilon));
      if (y) memcpy(y, to_strip, a.D * sizeof *y);
      for (int64_t d = 0; d < a.D; ++d) to_strip[d] *= ((const T*)gain)[d];
    }
    turn_to_place(to_strip, t, T(1));
    return scale;
  }
  void turn_to_place(Vector<T>* strip, int64_t t, T sign) const {
    const int64_t at_strip = t / L * (a.D / 2);
    if (a.cosines) rotate<T>(strip, a.D, rotations().cosines + at_strip, rotations().sines + at_strip, sign);
  }
  // From the derivatives by what `prepare` gave, those by x.
  void prepare_backward(Vector<T>* dstrip, const Vector<T>* y, Vector<T> scale, int64_t t, const void* gain,
                        Vector<T>* dgain) const {
    turn_to_place(dstrip, t, T(-1));
    if (gain) standardize_backward<T>(dstrip, y, scale, (const T*)gain, a.D, dgain);
  }

  template <class X> const X* of(const void* buffer, const Strides& strides, int64_t head) const {
    return (const X*)buffer + (a.rows ? a.rows[b].first * strides.step : b * strides.row) + head * strides.head;
  }
  template <class X> X* memory_of(const void* buffer, int64_t slots_of) const {
    return buffer ? (X*)buffer + (b * a.G + g) * slots_of * a.D : nullptr;
  }
  // The first number of y at a query.
  S* y_of(int64_t head, int64_t t) const { return (S*)a.y + (((a.rows ? a.rows[b].first : b * a.T) + t) * a.N + head) * a.D; }

  // Takes up a row of the batch and a key head. False if the row's position does not fit the memory.
  bool begin(int64_t unit) {
    const int64_t last = b;
    b = unit / a.G, g = unit % a.G;
    if (a.rows) {
      const int64_t of_head = g * a.rows[b].C * a.D;
      before = after = {(T*)a.rows[b].keys + of_head, (T*)a.rows[b].values + of_head};
    } else {
      before = {memory_of<T>(a.memory_keys, a.C), memory_of<T>(a.memory_values, a.C)};
      after = {memory_of<T>(a.keys_after, a.capacity), memory_of<T>(a.values_after, a.capacity)};
    }
    if (b == last) return true;
    if (!timeline_of(a, b, at, from, to, a.capacity || a.rows ? slots : nullptr)) return false;
    if (a.cosines && (last < 0 || a.tables)) rotations().fill(a, b);
    return true;
  }
  void make_ready() const {
    gather();
    copy_memory();
    add_new();
    keys.end(at.count), values.end(at.count);
  }

  void gather() const {
    for_pieces(at, [&](int64_t column, int64_t slot, int64_t n) {
      keys.put(before.keys + slot * a.D, a.D, n, column);
      values.put(before.values + slot * a.D, a.D, n, column);
    });
  }

  // The memory after, before the new entries.
  void copy_memory() const {
    if (!after.keys || after.keys == before.keys) return;
    if (!a.resets && at.ring == a.capacity && at.keys >= at.ring) return;  // every slot gets a new entry
    const int64_t same = less(a.C, a.capacity) * a.D, others = a.capacity * a.D - same;
    if (same) memcpy(after.keys, before.keys, same * sizeof(T)), memcpy(after.values, before.values, same * sizeof(T));
    memset(after.keys + same, 0, others * sizeof(T)), memset(after.values + same, 0, others * sizeof(T));
  }

  void add_new() const {
    const S *k = of<S>(a.k, a.k_at, g), *v = of<S>(a.v, a.v_at, g);
    values.put(v, a.v_at.step, at.keys, at.live);
    if (!prepared()) {
      keys.put(k, a.k_at.step, at.keys, at.live);
      remember(k, a.k_at.step, after.keys, 0, at.keys);
    }
    for (int64_t t = 0; prepared() && t < at.keys; t += L) {
      const int64_t n = less(at.keys - t, L), column = at.live + t;
      Vector<T>* const normed = keeps_normed ? normed_keys(t) : nullptr;
      const Vector<T> by = prepare(k, a.k_at.step, t, at.keys, a.gain_k, strip_buffer.data, normed);
      if (normed) normed[a.D] = by;
      if (after.keys) {
        turn_out<T>(strip_buffer.data, n, a.D, (T*)row_buffer.data, row);
        keys.put((const T*)row_buffer.data, row, n, column);
        remember((const T*)row_buffer.data, row, after.keys, t, n);
      } else {
        turn_out<S>(strip_buffer.data, n, a.D, keys.rows + column * row, row);
        keys.put(keys.rows + column * row, row, n, column);
      }
    }
    remember(v, a.v_at.step, after.values, 0, at.keys);
  }
  bool prepared() const { return a.gain_k || a.cosines; }
  // Of backward: the new keys of a strip after layer normalization alone, and what they were multiplied by.
  Vector<T>* normed_keys(int64_t t) const { return normed_buffer.data + t / L * (a.D + 1); }

  // Writes new entries, those of the steps from t on, to their slots.
  template <class X> void remember(const X* x, int64_t stride, T* memory, int64_t t, int64_t n) const {
    if (!memory || !at.ring) return;
    const int64_t D = a.D, *const slot = slots + t;
    for (int64_t i = 0; i < n; ++i, x += stride)
      for (int64_t d = 0; d < D; d += L) {
        const int64_t few = lanes_at<T>(D, d);
        store(memory + slot[i] * D + d, load(x + d, few), few);
      }
  }
};

// The factors of dropout of a strip of queries, turned: for each column a vector of queries.
template <class T>
void turn_kept(const Attend& a, const Timeline& at, const T* kept, int64_t queries, Vector<T>* to) {
  const int64_t stride = a.C + a.S;
  for_pieces(at, [&](int64_t column, int64_t slot, int64_t n) {
    turn_in(kept + slot, stride, queries, n, to + column);
  });
  turn_in(kept + a.C, stride, queries, at.keys, to + at.live);
  for (int64_t j = at.count; j < up(at.count, kTile); ++j) to[j] = Vector<T>{};
}

}  // namespace
