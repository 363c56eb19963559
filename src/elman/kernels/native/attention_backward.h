// Attention, backward: the weights are computed anew, strip by strip. Included once per instruction set.
//
// With the derivatives dy' = dy / (sum of a query's exponentials), lanes being queries as in forward:
//
//     e^T = exp(K Q^T - largest),  dlogits^T = e^T (V dy'^T - delta),  delta = sum over D of dy' y
//     dQ^T = K^T dlogits^T,        dK = dlogits^T Q,                   dV = e^T dy'
//
// dlogits^T is the panel of the first product, and both are, row by row, what the other two multiply.

#pragma once

#include "attention_sums.h"

namespace {

constexpr int64_t kBlockKeysBackward = 128;

template <class T> struct BackwardStrip {
  Vector<T>*query, *normed, *dy, *dquery;  // turned; the first and the third become panels
  const Vector<T>* kept;
  Span<T> span;
  Vector<T> largest, delta, scale;
};

template <class S> struct AttendBackward {
  using T = Number<S>;
  static constexpr int L = kLanes<T>;
  static constexpr int64_t kQueries = kStrips * L;
  Columns<S> columns;
  const Attend& a;
  const T scale;
  const int64_t size;  // of a turned strip
  Buffer<T> strips, by_rows, sums, logits, dweights, weights_rows, dlogits_rows, kept, dgains;
  Buffer<double> writers;
  int64_t fresh = 0;  // from this column on, sums have not begun

  explicit AttendBackward(const Attend& a)
      : columns(a, Ready::kBackward), a(a), scale(T(1) / root(T(a.D))), size(columns.row + 2), strips(kStrips * 4 * size),
        by_rows(2 * kQueries * columns.row / L), sums(2 * columns.most * columns.row / L), logits(kBlockKeysBackward),
        dweights(kBlockKeysBackward), weights_rows(kBlockKeysBackward * kStrips),
        dlogits_rows(kBlockKeysBackward * kStrips), kept(a.kept ? kStrips * columns.most : 0), dgains(2 * a.D),
        writers(a.dkeys_after ? a.capacity * 8 / BYTES + 1 : 0) {}
  bool failed() const {
    return columns.failed() || !strips.data || !by_rows.data || !sums.data || !logits.data || !dweights.data ||
           !weights_rows.data || !dlogits_rows.data || !kept.data || !dgains.data || !writers.data;
  }
  ByRows<S> queries() const { return {by_rows.data, {a.D, 1, kQueries}}; }
  ByRows<S> dys() const { return {by_rows.data + kQueries * columns.row / L, {a.D, 1, kQueries}}; }
  Sums<T> dkeys() const { return {sums.data, {a.D, 1, columns.most}}; }
  Sums<T> dvalues() const { return {sums.data + columns.most * columns.row / L, {a.D, 1, columns.most}}; }

  bool run(int64_t unit) {
    if (!columns.begin(unit)) return false;
    columns.make_ready();
    fresh = first_wanted();
    memset(dgains.data, 0, 2 * a.D * sizeof(Vector<T>));
    const int64_t heads = a.N / a.G;
    for (int64_t head = columns.g * heads; head < (columns.g + 1) * heads; ++head)
      for (int64_t t = 0; t < a.T; t += kQueries) some(head, t);
    finish_keys();
    for (int64_t d = 0; d < a.D; ++d) {
      if (a.dgain_q) ((T*)a.dgain_q)[unit * a.D + d] = total<T>(dgains.data[d]);
      if (a.dgain_k) ((T*)a.dgain_k)[unit * a.D + d] = total<T>(dgains.data[a.D + d]);
    }
    return true;
  }

  void some(int64_t head, int64_t t) {
    const int64_t n = less(kStrips, (a.T - t + L - 1) / L);
    BackwardStrip<T> strip[kStrips];
    int64_t last = 0;
    for (int64_t i = 0; i < n; ++i) {
      begin(strip[i], head, t + i * L, more(0, columns.at.queries - t - i * L), i);
      last = more(last, strip[i].span.last);
    }
    for (int64_t first = 0; first < last; first += kBlockKeysBackward) {
      const int64_t end = less(last, first + kBlockKeysBackward);
      for (int64_t i = 0; i < n; ++i) {
        const int64_t from = more(first, strip[i].span.first), to = less(end, strip[i].span.last);
        if (from < to) block(strip[i], from, to, (S*)weights_rows.data + (from - first) * kQueries + i * L,
                             (S*)dlogits_rows.data + (from - first) * kQueries + i * L);
      }
      add_to_keys(strip, n, first, end);
    }
    for (int64_t i = 0; i < n; ++i) end(strip[i], head, t + i * L);
  }

  void begin(BackwardStrip<T>& strip, int64_t head, int64_t t, int64_t count, int64_t i) {
    const int64_t D = a.D, at = (columns.b * a.N + head) * a.T + t, y_at = ((columns.b * a.T + t) * a.N + head) * D;
    const int64_t few = less(count, L);
    strip.query = strips.data + 4 * i * size, strip.normed = strip.query + size, strip.dy = strip.normed + size;
    strip.dquery = strip.dy + size, strip.kept = nullptr;
    strip.span = Span<T>(columns.from + t, columns.to + t, count);
    strip.scale = columns.prepare(columns.template of<S>(a.q, a.q_at, head), a.q_at.step, t, columns.at.queries, a.gain_q,
                                  strip.query, strip.normed);
    for (int64_t d = 0; d < D; ++d) strip.query[d] *= scale, strip.dquery[d] = Vector<T>{};
    queries().put_strip(strip.query, i * L);
    make_panel<S>(strip.query, D);

    strip.largest = load((const T*)a.largest + at, few);
    const Vector<T> inverse = load((const T*)a.inverse + at, few);
    turn_in((const S*)a.dy + y_at, a.N * D, count, D, strip.dy);
    for (int64_t d = 0; d < D; ++d) strip.dy[d] *= inverse;
    make_panel<S>(strip.dy, D);
    strip.delta = dys().put_rows((const S*)a.dy + y_at, (const S*)a.y + y_at, a.N * D, few, (const T*)a.inverse + at, i * L);
    if (!a.kept) return;
    Vector<T>* const mine = kept.data + i * columns.most;
    turn_kept<T>(a, columns.at, (const T*)a.kept + at * (a.C + a.S), count, mine);
    strip.kept = mine;
  }

  // The columns [from, to): the weights and the derivatives by the logits, row by row, and what the query gets of these.
  void block(BackwardStrip<T>& strip, int64_t from, int64_t to, S* weights, S* dlogits) {
    const Side<S>&keys = columns.keys, &values = columns.values;
    Vector<T>*const x = logits.data, *const dx = dweights.data;
    const Vector<T> largest = strip.largest, delta = strip.delta, *const kept_of = strip.kept;
    product<S>(keys.rows + from * keys.row, keys.row, to - from, strip.query, 1, a.D, x);
    product<S>(values.rows + from * values.row, values.row, to - from, strip.dy, 1, a.D, dx);
    for_columns(strip.span, from, to, [&](int64_t column, auto of) {
      const int64_t j = column - from;
      Vector<T> weight = exp_of_negative<S>(x[j] - largest), factor = dx[j];
      if constexpr (of.masked) weight = strip.span.sees(column) ? weight : Vector<T>{};
      Vector<T> kept_weight = weight;
      if (kept_of) factor *= kept_of[column], kept_weight *= kept_of[column];
      const Vector<T> dlogit = weight * (factor - delta);
      store(weights + j * kQueries, kept_weight);
      store(dlogits + j * kQueries, dlogit);
      dx[j] = dlogit;
    });
    make_panel_of_whole_tiles(dx, to - from);
    add_product<S, true>(keys.across + from * keys.row, keys.row, a.D, dx, 1, to - from, strip.dquery);
  }
  static void make_panel_of_whole_tiles(Vector<T>* x, int64_t n) {
    if constexpr (kPair<S> > 1)
      for (int64_t j = 0; j < n; j += 2) x[j / 2] = Panels<S>::packed_rows(x + j);
  }

  // The first tile whose keys' derivatives are wanted.
  int64_t first_wanted() const { return a.dmemory_keys ? 0 : columns.at.live / kTile * kTile; }

  // What the keys [first, end) get of a block's queries: tiles that the same strips see are taken together.
  void add_to_keys(const BackwardStrip<T>* strip, int64_t n, int64_t first, int64_t end) {
    const auto strips_of = [&](int64_t tile, int64_t& from, int64_t& to) {
      from = n, to = 0;
      for (int64_t i = 0; i < n; ++i)
        if (strip[i].span.first <= tile && tile < strip[i].span.last) from = less(from, i), to = i + 1;
    };
    int64_t tile = more(first, first_wanted()), from, to, from_next, to_next;
    for (strips_of(tile, from, to); tile < end; from = from_next, to = to_next) {
      const bool begins = tile >= fresh;
      int64_t next = tile + kTile;
      for (; strips_of(next, from_next, to_next), next < end && next != fresh && from == from_next && to == to_next;)
        next += kTile;
      if (from < to) {
        const int64_t at = (tile - first) * kQueries + from * L, count = (to - from) * L;
        add((const S*)dlogits_rows.data + at, next - tile, queries(), from * L, count, dkeys(), tile, begins);
        add((const S*)weights_rows.data + at, next - tile, dys(), from * L, count, dvalues(), tile, begins);
      } else if (begins) {
        clear(tile, next);
      }
      tile = next;
    }
    fresh = more(fresh, end);
  }
  static void add(const S* rows, int64_t n, const ByRows<S>& panels, int64_t first, int64_t count, const Sums<T>& to,
                  int64_t column, bool begins) {
    for (int64_t p = 0; p < panels.panels.count(); ++p) {
      const int width = panels.panels.width(p);
      const Vector<T>* const panel = panels.data + panels.panels.offset(p) + first / kPair<S> * width;
      if (begins) product<S>(rows, kQueries, n, panel, width, count, to.at(p, column));
      else add_product<S>(rows, kQueries, n, panel, width, count, to.at(p, column));
    }
  }
  void clear(int64_t from, int64_t to) const { dkeys().clear(from, to), dvalues().clear(from, to); }

  void end(BackwardStrip<T>& strip, int64_t head, int64_t t) {
    for (int64_t d = 0; d < a.D; ++d) strip.dquery[d] *= scale;
    columns.prepare_backward(strip.dquery, strip.normed, strip.scale, t, a.gain_q, dgains.data);
    S* const dq = (S*)columns.template of<S>(a.dq, a.dq_at, head) + t * a.dq_at.step;
    turn_out<S>(strip.dquery, less(a.T - t, L), a.D, dq, a.dq_at.step);
  }

  // Every query has been; now through rotation and layer normalization, and to the memory.
  void finish_keys() {
    const Timeline& at = columns.at;
    if (fresh < at.count) clear(fresh, at.count);
    if (a.dkeys_after && at.ring) take_from_memory_after();
    S *dk = (S*)columns.template of<S>(a.dk, a.dk_at, columns.g), *dv = (S*)columns.template of<S>(a.dv, a.dv_at, columns.g);
    if (!columns.prepared())
      dkeys().read(at.live, at.keys, dk, a.dk_at.step);
    for (int64_t t = 0; columns.prepared() && t < at.keys; t += L) {
      const int64_t n = less(at.keys - t, L);
      const Vector<T>* const normed = a.gain_k ? columns.normed_keys(t) : nullptr;
      dkeys().turn_to(at.live + t, n, strips.data);
      columns.prepare_backward(strips.data, normed, normed ? normed[a.D] : Vector<T>{}, t, a.gain_k, dgains.data + a.D);
      turn_out<S>(strips.data, n, a.D, dk + t * a.dk_at.step, a.dk_at.step);
    }
    dvalues().read(at.live, at.keys, dv, a.dv_at.step);
    for (int64_t t = at.keys; t < a.S; ++t) {
      memset(dk + t * a.dk_at.step, 0, a.D * sizeof(S));
      memset(dv + t * a.dv_at.step, 0, a.D * sizeof(S));
    }
    if (a.dmemory_keys) {
      finish_memory(dkeys(), a.dmemory_keys, a.dkeys_after);
      finish_memory(dvalues(), a.dmemory_values, a.dvalues_after);
    }
  }

  // The memory after holds, in each slot, the last new key that was written there, or else what it held before.
  void take_from_memory_after() const {
    int64_t* const writer = (int64_t*)writers.data;
    for (int64_t slot = 0; slot < a.capacity; ++slot) writer[slot] = -1;
    for (int64_t t = 0; t < columns.at.keys; ++t) writer[columns.slots[t]] = t;
    for (int64_t slot = 0; slot < a.capacity; ++slot) {
      if (writer[slot] < 0) continue;
      const int64_t column = columns.at.live + writer[slot];
      dkeys().add(column, columns.template memory_of<T>(a.dkeys_after, a.capacity) + slot * a.D);
      dvalues().add(column, columns.template memory_of<T>(a.dvalues_after, a.capacity) + slot * a.D);
    }
  }
  void finish_memory(const Sums<T>& found, void* dmemory, const void* dafter) const {
    T* const to = columns.template memory_of<T>(dmemory, a.C);
    memset(to, 0, a.C * a.D * sizeof(T));
    for_pieces(columns.at, [&](int64_t column, int64_t slot, int64_t n) {
      found.read(column, n, to + slot * a.D, a.D);
    });
    if (!dafter) return;
    const T* const given = columns.template memory_of<T>(dafter, a.capacity);
    for (int64_t slot = 0; slot < less(a.C, a.capacity); ++slot)
      if (!columns.at.ring || ((const int64_t*)writers.data)[slot] < 0)
        for (int64_t d = 0; d < a.D; ++d) to[slot * a.D + d] += given[slot * a.D + d];
  }
};

}  // namespace
