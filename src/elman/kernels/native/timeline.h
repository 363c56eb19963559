// A row's keys in the order of time, the memory's live entries before the new ones, and which of them each query sees.
// Included once per instruction set.

#pragma once

#include "attend.h"
#include "vectors.h"

namespace {

INLINE int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
INLINE int64_t more(int64_t x, int64_t y) { return x > y ? x : y; }

// Columns are taken or left by so many.
constexpr int64_t kTile = 8;
constexpr int64_t kStrips = 4;  // strips of queries share a block of keys while it lies in the caches

// Of a row of the batch.
struct Timeline {
  int64_t live, oldest, ring;   // entries of the memory, the slot of the oldest, and of how many slots the ring is
  int64_t keys, queries;        // without padding
  int64_t steps;                // queries with padding
  int64_t count;                // of columns
};

// Fills, for each of the T queries, the first column that it sees and the one behind the last; and the slot of each new
// key. False if the row's position does not fit the memory, before or after.
inline bool timeline_of(const Attend& a, int64_t b, Timeline& it, int64_t* from, int64_t* to, int64_t* slots) {
  const int64_t position = a.position ? a.position[b] : 0;
  const int64_t far = INT64_MAX / 4, C = a.rows ? a.rows[b].C : a.C, capacity = a.rows ? C : a.keys_after ? a.capacity : far;
  it.ring = a.window ? a.window - 1 : far;
  it.live = a.memory_keys || a.rows ? less(position, it.ring) : 0;
  if (position < 0 || position > far || it.live > C) return false;
  it.oldest = it.live ? (position - it.live) % it.ring : 0;
  it.keys = a.lengths ? more(0, less(a.lengths[b], a.S)) : a.S;
  it.queries = a.causal ? it.keys : a.T;
  it.steps = a.rows ? it.queries : a.T;
  it.count = it.live + it.keys;
  int64_t start = -position;  // the step at which the row's memory began
  for (int64_t t = 0; t < it.queries; ++t) {
    if (a.resets && a.resets[b * a.T + t]) start = t;
    if (slots) slots[t] = it.ring ? (t - start) % it.ring : 0;
    if (slots && it.ring && slots[t] >= capacity) return false;
    from[t] = a.causal ? more(0, it.live + t - less(t - start, it.ring)) : 0;
    to[t] = a.causal ? it.live + t + 1 : it.count;
  }
  return true;
}

// Calls body(column, slot, n) for the pieces of the ring in which the memory's live entries lie.
template <class F> void for_pieces(const Timeline& it, F body) {
  const int64_t first = less(it.live, it.ring - it.oldest);
  if (first) body(int64_t(0), it.oldest, first);
  if (it.live > first) body(first, int64_t(0), it.live - first);
}

// The columns that a strip of queries sees.
template <class T> struct Span {
  typedef typename VectorOf<T>::Bits Bits;
  int64_t first, last;          // any of its lanes, in whole tiles
  int64_t all_first, all_last;  // each of its lanes
  Bits from, to;                // lane by lane

  Span() = default;
  Span(const int64_t* first_of, const int64_t* last_of, int64_t queries)
      : first(INT64_MAX), last(0), all_first(0), all_last(queries < kLanes<T> ? 0 : INT64_MAX), from{}, to{} {
    for (int64_t lane = 0; lane < less(queries, kLanes<T>); ++lane) {
      from[lane] = first_of[lane], to[lane] = last_of[lane];
      first = less(first, first_of[lane]), all_first = more(all_first, first_of[lane]);
      last = more(last, last_of[lane]), all_last = less(all_last, last_of[lane]);
    }
    first = last ? first / kTile * kTile : 0;
    last = up(last, kTile);
  }
  bool every_lane(int64_t tile) const { return tile >= all_first && tile + kTile <= all_last; }
  Bits sees(int64_t column) const { return (from <= Bits{} + Int(column)) & (to > Bits{} + Int(column)); }

 private:
  using Int = decltype(Bits{}[0] + 0);
};

}  // namespace
