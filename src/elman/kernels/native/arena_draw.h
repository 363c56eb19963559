// The next token of a row, as elman.decode.sampling says, in double. Included once per instruction set.

#pragma once

#include "arena.h"
#include "arena_weights.h"
#include "vectors.h"

namespace {

constexpr double kInfinity = __builtin_inf();
constexpr double kLeastOrdinary = -VectorOf<double>::kLargest;

template <class V> INLINE bool any_lane(V mask) {
  bool any = false;
  for (size_t lane = 0; lane < sizeof mask / sizeof mask[0]; ++lane) any |= mask[lane] != 0;
  return any;
}

INLINE Vector<double> exponential_or_zero(Vector<double> x) {
  const Exponential<double> e = exponential<double>(at_least(x, kLeastOrdinary));
  return x < kLeastOrdinary ? Vector<double>{} : e.scale * e.p + e.scale;
}

// e^x for x <= 0 or -inf, in whole vectors, and their sum. Below the normal numbers it is (e^(x / 2))^2.
inline double exponentials(const double* x, int64_t vectors, double* to) {
  constexpr int L = kLanes<double>;
  Vector<double> sums = {};
  VectorOf<double>::Bits deep = {};
  for (int64_t i = 0; i < vectors; ++i) {
    const Vector<double> v = load(x + i * L), e = exponential_or_zero(v);
    deep |= (v < kLeastOrdinary) & (v >= 2 * kLeastOrdinary);
    store(to + i * L, e);
    sums += e;
  }
  if (any_lane(deep))
    for (int64_t i = 0; i < vectors; ++i) {
      const Vector<double> v = load(x + i * L), root = exponential_or_zero(v / 2);
      store(to + i * L, v < kLeastOrdinary ? root * root : load(to + i * L));
    }
  double sum = 0;
  for (int lane = 0; lane < L; ++lane) sum += sums[lane];
  return sum;
}

// The largest number of whole vectors; NaN where there is one.
inline double largest_of(const double* x, int64_t vectors) {
  constexpr int L = kLanes<double>;
  Vector<double> most = Vector<double>{} - kInfinity;
  VectorOf<double>::Bits wrong = {};
  for (int64_t i = 0; i < vectors; ++i) {
    const Vector<double> v = load(x + i * L);
    most = v > most ? v : most;
    wrong |= v != v;
  }
  double largest = -kInfinity;
  for (int lane = 0; lane < L; ++lane) largest = most[lane] > largest ? most[lane] : largest;
  return any_lane(wrong) ? __builtin_nan("") : largest;
}

// Tokens from the most probable one on; of equal ones, the smaller first.
struct Ranking {
  const double* z;
  int64_t* heap;
  int64_t count = 0;

  Ranking(const double* z, int64_t V, int64_t* room) : z(z), heap(room) {
    for (int64_t i = 0; i < V; ++i)
      if (z[i] > -kInfinity) heap[count++] = i;
    for (int64_t i = count / 2; i-- > 0;) sink(i);
  }
  int64_t next() {
    const int64_t first = heap[0];
    heap[0] = heap[--count];
    sink(0);
    return first;
  }

 private:
  bool before(int64_t a, int64_t b) const { return z[a] > z[b] || (z[a] == z[b] && a < b); }
  void sink(int64_t at) {
    for (int64_t child; (child = 2 * at + 1) < count; at = child) {
      if (child + 1 < count && before(heap[child + 1], heap[child])) ++child;
      if (!before(heap[child], heap[at])) return;
      const int64_t token = heap[at];
      heap[at] = heap[child], heap[child] = token;
    }
  }
};

// Scratch for a row of V numbers, in whole vectors.
struct DrawRoom {
  double *logits, *z, *p;
  int64_t* ranks;
};

inline void keep_top_k(int64_t k, int64_t V, const DrawRoom& room) {
  Ranking ranking(room.z, V, room.ranks);
  if (k >= ranking.count) return;
  double least = 0;
  for (int64_t i = 0; i < k; ++i) least = room.z[ranking.next()];
  for (int64_t i = 0; i < V; ++i)
    if (room.z[i] < least) room.z[i] = -kInfinity;
}

inline void keep_top_p(double most, int64_t V, int64_t vectors, const DrawRoom& room) {
  const double sum = exponentials(room.z, vectors, room.p), beyond_doubt = most + 1e-9;
  Ranking ranking(room.z, V, room.ranks);
  double cumulative = 0, before = 0;
  for (bool first = true; ranking.count && before < beyond_doubt; first = false) {
    const int64_t token = ranking.next();
    const double p = room.p[token] / sum;
    cumulative += p, before = cumulative - p;
    if (before >= most && !first) room.z[token] = -kInfinity;
  }
  for (int64_t i = 0; i < ranking.count; ++i) room.z[ranking.heap[i]] = -kInfinity;
}

// The first token at which the cumulative sum is above uniform times all of it.
inline int64_t inverse_distribution(double uniform, int64_t V, int64_t vectors, const DrawRoom& room) {
  const double sum = exponentials(room.z, vectors, room.p);
  double cumulative = 0;
  for (int64_t i = 0; i < V; ++i) room.p[i] /= sum;
  for (int64_t i = 0; i < V; ++i) room.p[i] = cumulative += room.p[i];
  int64_t bits;
  memcpy(&bits, &cumulative, sizeof bits);
  --bits;
  double number = uniform * cumulative, most;
  memcpy(&most, &bits, sizeof most);  // the next number below it
  number = number < most ? number : most;
  int64_t token = 0;
  while (room.p[token] <= number) ++token;
  return token;
}

// -1 where the largest logit is not finite.
inline int64_t draw_token(const ArenaDraw& draw, double uniform, int64_t V, int64_t vectors, const DrawRoom& room) {
  const double largest = largest_of(room.z, vectors);
  if (!(largest - largest == 0)) return -1;
  if (draw.temperature == 0) {
    int64_t token = 0;
    while (room.z[token] != largest) ++token;
    return token;
  }
  for (int64_t i = 0; i < V; ++i) room.z[i] = (room.z[i] - largest) / draw.temperature;
  if (draw.top_k > 0) keep_top_k(draw.top_k, V, room);
  if (draw.top_p <= 1) keep_top_p(draw.top_p, V, vectors, room);
  if (draw.floor > -kInfinity)
    for (int64_t i = 0; i < V; ++i)
      if (room.z[i] < draw.floor) room.z[i] = -kInfinity;
  return inverse_distribution(uniform, V, vectors, room);
}

template <class T> void take_logits(const T* logits, int64_t V, const DrawRoom& room) {
  for (int64_t i = 0; i < V; ++i) room.logits[i] = double(logits[i]);
  for (int64_t i = V; i < padded<double>(V); ++i) room.logits[i] = -kInfinity;
}

// Of what the token's probability is made; of the logits little is left.
inline void weigh(const ArenaWriting& it, int64_t at, int64_t token, int64_t V, const DrawRoom& room) {
  const int64_t vectors = padded<double>(V) / kLanes<double>;
  const double largest = largest_of(room.logits, vectors);
  it.below[at] = room.logits[token] - largest;
  for (int64_t i = 0; i < V; ++i) room.logits[i] -= largest;
  it.sums[at] = exponentials(room.logits, vectors, room.p);
}

// The token that row r writes next.
template <class T>
int64_t draw_row(const ArenaWriting& it, int64_t r, int64_t step, const T* logits, int64_t V, const DrawRoom& room) {
  const int64_t vectors = padded<double>(V) / kLanes<double>, at = r * it.steps + step;
  take_logits(logits, V, room);
  memcpy(room.z, room.logits, vectors * sizeof(Vector<double>));
  for (int64_t i = 0; i < it.banned_count; ++i) room.z[it.banned[i]] = -kInfinity;
  const int64_t token = draw_token(it.draws[r], it.uniforms[at], V, vectors, room);
  if (token < 0) return token;
  it.written[at] = token;
  weigh(it, at, token, V, room);
  return token;
}

// Rows on their way through a call: the first ones are at work.
struct Writers {
  int64_t *row, *token;  // (R,): which row of the call each one is, and what it has drawn
};

// Draws a token of each row and reads it, step after step. `rows` has
//   logits_of(count), stride      the logits of the first rows, so many numbers apart; null: there was no memory for them
//   forget(i)                     a fresh memory for row i
//   read_drawn(step, count)       each of the first rows reads its token; not 0: it failed
//   leave(i, last)                row i is done, and the last one takes its place
template <class Rows>
int32_t write_rows(const ArenaWriting& it, int64_t R, int64_t V, const Writers& at, const DrawRoom& room, Rows& rows) {
  int64_t left = R;
  const auto leave = [&](int64_t i) {
    rows.leave(i, --left);
    at.row[i] = at.row[left], at.token[i] = at.token[left];
  };
  for (int64_t r = 0; r < R; ++r) at.row[r] = r, it.counts[r] = 0;
  for (int64_t step = 0; step < it.steps && left; ++step) {
    const auto* const logits = rows.logits_of(left);
    if (!logits) return 1;
    for (int64_t i = left; i-- > 0;) {
      int64_t& count = it.counts[at.row[i]];
      at.token[i] = draw_row(it, at.row[i], step, logits + i * rows.stride, V, room);
      if (at.token[i] >= 0) ++count;
      else count = -1 - count, leave(i);
    }
    for (int64_t i = 0; it.end >= 0 && i < left; ++i)
      if (at.token[i] == it.end) rows.forget(i);
    if (left) {
      const int32_t failed = rows.read_drawn(step, left);
      if (failed) return failed;
    }
    for (int64_t i = left; i-- > 0;)
      if (at.token[i] == it.end) leave(i);
  }
  while (left) leave(left - 1);
  return 0;
}

}  // namespace
