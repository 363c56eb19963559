// The keys and values of one row and key head, in the order of time, made ready for the products. Included once per
// instruction set.

#pragma once

#include "pieces.h"
#include "strip.h"
#include "timeline.h"

namespace {

// A matrix (columns, D), by rows or turned (null where it is not wanted that way).
template <class S> struct Side {
  using T = Number<S>;
  S *rows, *turned;
  int64_t D, row, turned_row;  // numbers of a row, and between rows

  // `count` rows, from `column` on. Of `turned` a vector is written, and so it grows from the left.
  template <class X> void put(const X* from, int64_t stride, int64_t count, int64_t column) const {
    constexpr int L = kLanes<T>;
    if (rows)
      for (int64_t i = 0; i < count; ++i)
        for (int64_t at = 0; at < D; at += L)
          store(rows + (column + i) * row + at, load(from + i * stride + at, lanes_at<T>(D, at)));
    if (turned)
      for (int64_t i = 0; i < count; i += L) {
        Vector<T> strip[kWidest];
        for (int64_t at = 0; at < D; at += kWidest) {
          const int64_t n = less(D - at, kWidest);
          turn_in(from + i * stride + at, stride, count - i, n, strip);
          put_turned(strip, at, n, column + i);
        }
      }
  }
  // Numbers [at, at + n) of the rows of a strip that begins at `column`.
  void put_turned(const Vector<T>* strip, int64_t at, int64_t n, int64_t column) const {
    for (int64_t d = 0; d < n; ++d) store(turned + (at + d) * turned_row + column, strip[d]);
  }
  // Zeros from `column` on: the rest of a tile.
  void end(int64_t column) const {
    const S zero = {};
    for (int64_t j = column; j < up(column, kTile); ++j) {
      for (int64_t d = 0; rows && d < row; ++d) rows[j * row + d] = zero;
      for (int64_t d = 0; turned && d < D; ++d) turned[d * turned_row + j] = zero;
    }
  }

 private:
  static constexpr int64_t kWidest = 4 * kLanes<T>;
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

// What is made ready: rows of the keys and the values turned (forward), rows of both and the keys turned (backward), or
// nothing.
enum class Ready { kNothing, kForward, kBackward };

// What a thread works with: all that is known of the row and key head at hand.
template <class S> struct Columns {
  using T = Number<S>;
  static constexpr int L = kLanes<T>;
  const Attend& a;
  const int64_t most, row, turned_row;  // columns, and numbers between rows
  Buffer<T> key_rows, value_rows, turned_buffer, tables, strip_buffer, row_buffer;
  Buffer<double> numbers;
  int64_t *from, *to, *slots;
  Side<S> keys, values;
  Timeline at = {};
  int64_t b = -1, g = 0;

  Columns(const Attend& a, Ready ready)
      : a(a), most(up(less(a.C, a.window ? a.window - 1 : a.C) + a.S, 64)), row(up(a.D, L)), turned_row(most + 5 * L),
        key_rows(ready == Ready::kNothing ? 0 : most * row / L), value_rows(ready == Ready::kBackward ? most * row / L : 0),
        turned_buffer(ready == Ready::kNothing ? 0 : a.D * turned_row / L + 1),
        tables(a.cosines ? 2 * ((a.T + L - 1) / L) * (a.D / 2) : 0), strip_buffer(2 * row + 2), row_buffer(row),
        numbers(3 * more(a.T, a.S) * sizeof(int64_t) / BYTES + 1) {
    from = (int64_t*)numbers.data, to = from + a.T, slots = to + a.T;
    S* const turned = (S*)turned_buffer.data;
    const bool backward = ready == Ready::kBackward;
    keys = {(S*)key_rows.data, backward ? turned : nullptr, a.D, row, turned_row};
    values = {backward ? (S*)value_rows.data : nullptr, backward ? nullptr : turned, a.D, row, turned_row};
  }
  bool failed() const {
    return !key_rows.data || !value_rows.data || !turned_buffer.data || !tables.data || !strip_buffer.data ||
           !row_buffer.data || !numbers.data;
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
    return (const X*)buffer + b * strides.row + head * strides.head;
  }
  template <class X> X* memory_of(const void* buffer, int64_t slots_of) const {
    return (X*)buffer + (b * a.G + g) * slots_of * a.D;
  }

  // Takes up a row of the batch and a key head. False if the row's position does not fit the memory.
  bool begin(int64_t unit) {
    const int64_t before = b;
    b = unit / a.G, g = unit % a.G;
    if (b == before) return true;
    if (!timeline_of(a, b, at, from, to, a.capacity ? slots : nullptr)) return false;
    if (a.cosines && (before < 0 || a.tables)) rotations().fill(a, b);
    return true;
  }
  void make_ready() const {
    gather();
    copy_memory();
    add_new();
    keys.end(at.count), values.end(at.count);
  }

  void gather() const {
    const T *k = memory_of<T>(a.memory_keys, a.C), *v = memory_of<T>(a.memory_values, a.C);
    for_pieces(at, [&](int64_t column, int64_t slot, int64_t n) {
      keys.put(k + slot * a.D, a.D, n, column);
      values.put(v + slot * a.D, a.D, n, column);
    });
  }

  // The memory after, before the new entries.
  void copy_memory() const {
    if (!a.keys_after || a.keys_after == a.memory_keys) return;
    const T *k = memory_of<T>(a.memory_keys, a.C), *v = memory_of<T>(a.memory_values, a.C);
    const int64_t same = less(a.C, a.capacity) * a.D, others = a.capacity * a.D - same;
    T *const keys_after = memory_of<T>(a.keys_after, a.capacity), *const values_after = memory_of<T>(a.values_after, a.capacity);
    if (same) memcpy(keys_after, k, same * sizeof(T)), memcpy(values_after, v, same * sizeof(T));
    memset(keys_after + same, 0, others * sizeof(T)), memset(values_after + same, 0, others * sizeof(T));
  }

  void add_new() const {
    const S *k = of<S>(a.k, a.k_at, g), *v = of<S>(a.v, a.v_at, g);
    values.put(v, a.v_at.step, at.keys, at.live);
    if (!a.gain_k && !a.cosines) {
      keys.put(k, a.k_at.step, at.keys, at.live);
      remember(k, a.k_at.step, a.keys_after, 0, at.keys);
    } else {
      for (int64_t t = 0; t < at.keys; t += L) {
        const int64_t n = less(at.keys - t, L);
        prepare(k, a.k_at.step, t, at.keys, a.gain_k, strip_buffer.data);
        turn_out<T>(strip_buffer.data, n, a.D, (T*)row_buffer.data, row);
        const Side<S> by_rows = {keys.rows, nullptr, a.D, row, turned_row};
        by_rows.put((const T*)row_buffer.data, row, n, at.live + t);
        if (keys.turned) keys.put_turned(strip_buffer.data, 0, a.D, at.live + t);
        remember((const T*)row_buffer.data, row, a.keys_after, t, n);
      }
    }
    remember(v, a.v_at.step, a.values_after, 0, at.keys);
  }

  // Writes new entries, those of the steps from t on, to their slots.
  template <class X> void remember(const X* x, int64_t stride, void* after, int64_t t, int64_t n) const {
    if (!after || !at.ring) return;
    T* const memory = memory_of<T>(after, a.capacity);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t d = 0; d < a.D; d += L) {
        const int64_t few = lanes_at<T>(a.D, d);
        store(memory + slots[t + i] * a.D + d, load(x + i * stride + d, few), few);
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
