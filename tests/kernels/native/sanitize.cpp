// Every cell at awkward sizes, in buffers of exactly the documented sizes, under the sanitizers (`make sanitize`).
//
// What is computed is compared with the reference by the Python tests; here a read or write beside a buffer, an
// undefined operation, a leak, or a result that is not finite or depends on the threads ends the program.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "attend.h"
#include "dense.h"
#include "alignment.h"
#include "arena.h"
#include "draws.h"
#include "loss.h"
#include "orthogonal.h"
#include "program.h"
#include "sweep.h"
#include "transformer.h"

namespace {

using Entry = int32_t (*)(const Sweep*);

struct Precision {
  const char* name;
  size_t large, small;  // bytes of a number in the buffers marked with an asterisk in sweep.h, and in the others
  Entry forward, backward;
};

const Precision kPrecisions[] = {
    {"float", 4, 4, elman_forward_float, elman_backward_float},
    {"double", 8, 8, elman_forward_double, elman_backward_double},
    {"bfloat16", 2, 4, elman_forward_bfloat16, elman_backward_bfloat16},
};

std::mt19937 generator(1);

double draw() { return std::uniform_real_distribution<double>(-1, 1)(generator); }

void put(char* to, size_t bytes, double x) {
  const float single = float(x);
  if (bytes == 8) memcpy(to, &x, 8);
  else if (bytes == 4) memcpy(to, &single, 4);
  else memcpy(to, (const char*)&single + 2, 2);
}

double get(const char* from, size_t bytes) {
  double x;
  float single = 0;
  if (bytes == 8) {
    memcpy(&x, from, 8);
    return x;
  }
  memcpy((char*)&single + (bytes == 2 ? 2 : 0), from, bytes);
  return single;
}

// Numbers in a block of the heap of their own, no byte larger than they are.
struct Numbers {
  size_t bytes, count;
  std::vector<char> data;
  Numbers(size_t bytes, int64_t count, bool drawn) : bytes(bytes), count(size_t(count)), data(bytes * this->count) {
    if (drawn)
      for (size_t i = 0; i < this->count; ++i) put(&data[i * bytes], bytes, draw());
    data.shrink_to_fit();
  }
  void check(const char* what) const {
    for (size_t i = 0; i < count; ++i)
      if (!std::isfinite(get(&data[i * bytes], bytes))) {
        fprintf(stderr, "%s is not finite\n", what);
        exit(1);
      }
  }
};

int32_t in_threads(int64_t begin, int64_t end, int64_t, Body body, void* context) {
  std::vector<std::thread> threads;
  for (int64_t i = begin; i < end; ++i) threads.emplace_back(body, i, i + 1, context);
  for (std::thread& thread : threads) thread.join();
  return 0;
}

enum Flags { kReverse = 1, kMasked = 2, kInput = 4, kNoise = 8, kWeights = 16, kProjected = 32, kAllFlags = 63 };

// The inputs of every variation; drawn where a cell could have it.
struct Varied {
  Numbers weight_r, recurrent, zoneout, zoneout_cell, peephole, gain_x, gain, gain_cell, bias_cell;
  int64_t stride;  // of zoneout_cell; that of zoneout is P
  Varied(size_t small, int64_t T, int64_t B, int64_t H, int64_t P, int64_t G, bool one_for_all)
      : weight_r(small, P * H, true), recurrent(small, B * P, true), zoneout(small, T * B * P, true),
        zoneout_cell(small, one_for_all ? H : T * B * H, true), peephole(small, 3 * H, true),
        gain_x(small, G * H, true), gain(small, G * H, true), gain_cell(small, H, true), bias_cell(small, H, true),
        stride(one_for_all ? 0 : H) {}

  void set(Sweep& sweep, int flags, bool lstm) const {
    if (flags & kNoise) {
      sweep.recurrent = recurrent.data.data();
      sweep.zoneout = zoneout.data.data(), sweep.zoneout_stride = sweep.P;
      if (lstm) sweep.zoneout_cell = zoneout_cell.data.data(), sweep.zoneout_cell_stride = stride;
    }
    if (flags & kWeights) {
      sweep.gain_x = gain_x.data.data(), sweep.gain = gain.data.data();
      if (lstm) {
        sweep.peephole = peephole.data.data();
        sweep.gain_cell = gain_cell.data.data(), sweep.bias_cell = bias_cell.data.data();
      }
    }
    if (sweep.P != sweep.H) sweep.weight_r = weight_r.data.data();
  }
};

void run(const Precision& precision, int32_t cell, int64_t T, int64_t B, int64_t H, int flags) {
  const bool lstm = cell == kLstm, gru = cell == kGru, elman = !lstm && !gru;
  const bool reverse = flags & kReverse, masked = flags & kMasked;
  const int64_t G = lstm ? 4 : gru ? 3 : 1, P = lstm && (flags & kProjected) ? H / 2 + 2 : H;
  const size_t large = precision.large, small = precision.small;
  std::vector<int64_t> lengths;
  std::vector<uint8_t> cleared;
  for (int64_t b = 0; b < B; ++b) lengths.push_back(int64_t(generator() % uint64_t(T + 1)));
  for (int64_t i = 0; i < T * B; ++i) cleared.push_back(generator() % 4 == 0);

  const Numbers weight(small, G * H * P, true), bias(small, H, true), h_first(small, B * P, true),
      c_first(small, B * H, true), dh(large, T * B * P, true), dc(small, T * B * H, true),
      dh_final(small, B * P, true), dc_final(small, B * H, true), projected(large, T * B * G * H, true);
  const int64_t D = H % 7 + 2;
  const Numbers x(large, T * B * D, true), weight_x(small, G * H * D, true), bias_x(small, G * H, true);
  const bool projects = (flags & kInput) && T * B > 4, normed = flags & kWeights;
  const Varied varied(small, T, B, H, P, G, reverse);
  const bool apart = elman && (flags & kNoise);  // gates and h
  std::vector<char> seen;
  for (int32_t threads : {1, 3}) {
    Numbers gates = projected, hidden(large, T * B * H, false), h(large, T * B * P, false),
            c(small, T * B * H, false), h_final(small, B * P, false), c_final(small, B * H, false),
            dgates(large, T * B * (gru && !normed ? 4 : G) * H, false), dh_first(small, B * P, false),
            dc_first(small, B * H, false), normed_x(large, T * B * G * H, false), normed_h = normed_x,
            scale_x(small, T * B, false), scale = scale_x, dprojected(large, T * B * P, false),
            dsums(large, T * B * G * H, false), dpeephole(small, B * 3 * H, false), dgain_x(small, B * G * H, false),
            dgain = dgain_x, dgain_cell(small, B * H, false), dbias_cell = dgain_cell,
            dbias(small, B * (gru ? 4 : G) * H, false);
    if (elman && !apart) h = projected;
    Sweep sweep = {};
    sweep.T = T, sweep.B = B, sweep.H = H, sweep.P = P;
    sweep.cell = cell, sweep.reverse = reverse, sweep.threads = threads, sweep.keep = 1;
    sweep.parallel_for = in_threads;
    if (masked) sweep.lengths = lengths.data(), sweep.cleared = cleared.data();
    sweep.weight = weight.data.data();
    if (gru) sweep.bias = bias.data.data();
    if (gru || P != H) sweep.hidden = hidden.data.data();
    sweep.h = h.data.data();
    sweep.gates = elman && !apart ? sweep.h : gates.data.data();
    sweep.h_first = h_first.data.data(), sweep.h_final = h_final.data.data();
    if (lstm) {
      sweep.c = c.data.data();
      sweep.c_first = c_first.data.data(), sweep.c_final = c_final.data.data();
    }
    varied.set(sweep, flags, lstm);
    if (projects) {
      sweep.D = D, sweep.x = x.data.data(), sweep.weight_x = weight_x.data.data();
    }
    if ((projects || normed) && !reverse) sweep.bias_x = bias_x.data.data();
    if (normed) {
      sweep.normed_x = normed_x.data.data(), sweep.normed = normed_h.data.data();
      sweep.scale_x = scale_x.data.data(), sweep.scale = scale.data.data();
    }
    if (precision.forward(&sweep) != 0) exit(1);
    h.check("h"), h_final.check("h_final"), c_final.check("c_final");

    if (projects && !elman) {  // the same where nobody keeps the gates and every c
      const Numbers h_before = h;
      Sweep less = sweep;
      less.c = nullptr;
      less.keep = 0, less.gates = less.hidden = less.normed_x = less.normed = less.scale_x = less.scale = nullptr;
      if (precision.forward(&less) != 0) exit(1);
      if (h.data != h_before.data) {
        fprintf(stderr, "keeping the gates and every c changes h\n");
        exit(1);
      }
    }
    if (elman && !apart) sweep.gates = nullptr;
    if (normed) {
      sweep.dsums = dsums.data.data(), sweep.dgain = dgain.data.data(), sweep.dgain_x = dgain_x.data.data();
      if (!reverse) sweep.dbias = dbias.data.data();
    }
    if (P != H) sweep.dprojected = dprojected.data.data();
    if (sweep.gain_cell) sweep.dgain_cell = dgain_cell.data.data(), sweep.dbias_cell = dbias_cell.data.data();
    if (sweep.peephole) sweep.dpeephole = dpeephole.data.data();
    sweep.dh = dh.data.data(), sweep.dh_final = dh_final.data.data();
    if (lstm) sweep.dc = dc.data.data(), sweep.dc_final = dc_final.data.data(), sweep.dc_first = dc_first.data.data();
    sweep.dgates = dgates.data.data(), sweep.dh_first = dh_first.data.data();
    if (precision.backward(&sweep) != 0) exit(1);
    dgates.check("dgates"), dh_first.check("dh_first"), dc_first.check("dc_first");
    dsums.check("dsums"), dgain.check("dgain"), dgain_cell.check("dgain_cell"), dbias_cell.check("dbias_cell");
    dpeephole.check("dpeephole"), dprojected.check("dprojected"), dgain_x.check("dgain_x"), dbias.check("dbias");

    // Where nobody wants the derivative by the initial state, all others are the same.
    const Numbers dgates_before = dgates;
    Sweep less = sweep;
    less.dh_first = less.dc_first = nullptr;
    if (precision.backward(&less) != 0) exit(1);
    if (dgates.data != dgates_before.data) {
      fprintf(stderr, "dh_first changes dgates\n");
      exit(1);
    }

    std::vector<char> all;
    for (const Numbers* part : {&h, &c, &h_final, &c_final, &dgates, &dh_first, &dc_first, &dsums, &dgain, &dgain_x,
                                &dgain_cell, &dbias_cell, &dbias, &dpeephole, &dprojected})
      all.insert(all.end(), part->data.begin(), part->data.end());
    if (threads == 1) seen = all;
    else if (seen != all) {
      fprintf(stderr, "the threads change the result\n");
      exit(1);
    }
  }
}

// A product of matrices that lie in any order, against the sums themselves.
void run_matmul(int32_t (*entry)(const Matmul*), int64_t M, int64_t N, int64_t K, bool turn_a, bool turn_b, bool add,
                int32_t threads) {
  const Numbers a(8, M * K, true), b(8, K * N, true), bias(8, N, true), c_before(8, M * N, true);
  Numbers c = c_before;
  Matmul matmul = {};
  matmul.M = M, matmul.N = N, matmul.K = K, matmul.threads = threads, matmul.add = add, matmul.parallel_for = in_threads;
  matmul.a_row = turn_a ? 1 : K, matmul.a_column = turn_a ? M : 1;
  matmul.b_row = turn_b ? 1 : N, matmul.b_column = turn_b ? K : 1;
  matmul.a = a.data.data(), matmul.b = b.data.data(), matmul.c = c.data.data();
  if (!add) matmul.bias = bias.data.data();
  if (entry(&matmul) != 0) exit(1);
  for (int64_t row = 0; row < M; ++row)
    for (int64_t column = 0; column < N; ++column) {
      double sum = get(&(add ? c_before : bias).data[8 * (add ? row * N + column : column)], 8);
      for (int64_t k = 0; k < K; ++k)
        sum += get(&a.data[8 * (row * matmul.a_row + k * matmul.a_column)], 8) *
               get(&b.data[8 * (k * matmul.b_row + column * matmul.b_column)], 8);
      if (std::fabs(sum - get(&c.data[8 * (row * N + column)], 8)) > 1e-9) {
        fprintf(stderr, "the product of (%d, %d, %d) is wrong\n", int(M), int(N), int(K));
        exit(1);
      }
    }
}

// Numbers of a generator after some draws, against those of the standard library's.
void run_draws(int64_t before, int64_t N) {
  std::mt19937 standard(7);
  Twister twister = {};
  twister.left = 1, twister.state[0] = 7;
  for (uint32_t i = 1; i < 624; ++i) {
    const uint32_t last = uint32_t(twister.state[i - 1]);
    twister.state[i] = uint32_t(1812433253u * (last ^ last >> 30) + i);
  }
  for (int64_t n : {before, N, int64_t(1)}) {
    std::vector<uint64_t> numbers(n);
    const Draws draws = {n, &twister, numbers.data()};
    if (elman_draws(&draws) != 0) exit(1);
    for (uint64_t number : numbers) {
      const uint64_t first = standard();
      if (number != (first << 32 | standard())) {
        fprintf(stderr, "the draws of %d numbers after %d are wrong\n", int(n), int(before));
        exit(1);
      }
    }
  }
}

// A window, whose results must be finite and in their places, whatever the threads; of a fresh memory, those of zeros.
void run_window(size_t bytes, int32_t (*entry)(const Window*), int32_t cell, int64_t T, int64_t B, int64_t D, int64_t H,
                bool biased) {
  const int64_t G = cell == kLstm ? 4 : cell == kGru ? 3 : 1;
  const Numbers x(bytes, T * B * D, true), weight_x(bytes, G * H * D, true), weight_h(bytes, G * H * H, true),
      bias_x(bytes, G * H, true), bias_h(bytes, G * H, true), drawn(bytes, B * H, true), zeros(bytes, B * H, false);
  for (const Numbers* first : {&drawn, &zeros}) {
    std::vector<char> seen;
    for (int way : {0, 1, 2}) {
      Numbers h(bytes, T * B * H, false), h_final(bytes, B * H, false), c_final(bytes, B * H, false);
      Window window = {};
      window.T = T, window.B = B, window.D = D, window.H = H, window.cell = cell;
      window.threads = way ? 3 : 1, window.parallel_for = in_threads;
      window.x = x.data.data(), window.weight_x = weight_x.data.data(), window.weight_h = weight_h.data.data();
      if (biased) window.bias_x = bias_x.data.data(), window.bias_h = bias_h.data.data();
      if (way < 2 || first == &drawn) window.h_first = first->data.data();
      window.h = h.data.data(), window.h_final = h_final.data.data();
      if (cell == kLstm) window.c_first = window.h_first, window.c_final = c_final.data.data();
      if (entry(&window) != 0) exit(1);
      h.check("h"), c_final.check("c_final");
      if (memcmp(h.data.data() + (T - 1) * B * H * bytes, h_final.data.data(), B * H * bytes) != 0) {
        fprintf(stderr, "the last h and h_final differ\n");
        exit(1);
      }
      if (way == 0) seen = h.data;
      else if (seen != h.data) {
        fprintf(stderr, "the threads, or an initial state of zeros, change h\n");
        exit(1);
      }
    }
  }
}

enum AttendFlags { kCausal = 1, kMemory = 2, kPrepared = 4, kRows = 8, kDropout = 16, kAllAttendFlags = 31 };

// Attention in both directions: queries, keys and values are slices of one tensor where there is one key for each query.
void run_attend(const Precision& precision, int32_t (*forward)(const Attend*), int32_t (*backward)(const Attend*),
                int64_t B, int64_t T, int64_t N, int64_t G, int64_t D, int64_t window, int flags) {
  const bool causal = flags & kCausal, has_memory = causal && (flags & kMemory), rows = flags & kRows;
  const bool prepared = flags & kPrepared, rotated = prepared && causal && D % 2 == 0;
  const int64_t S = causal ? T : T + 3, most = window ? window - 1 : 1000, C = has_memory ? (most < 19 ? most : 19) : 0;
  const int64_t capacity = has_memory ? (C + T < most ? C + T : most) : 0, heads = causal ? N + 2 * G : N;
  const size_t large = precision.large, small = precision.small;
  const Numbers q(large, B * T * heads * D, true), others(large, B * S * 2 * G * D, true), dy(large, B * T * N * D, true),
      memory(small, 2 * B * G * C * D, true), dafter(small, 2 * B * G * capacity * D, true), gains(small, 2 * D, true),
      tables(small, 2 * (rows ? B : 1) * T * (D / 2), true), kept(small, B * N * T * (C + S), true);
  std::vector<int64_t> position, lengths;
  std::vector<uint8_t> resets;
  for (int64_t b = 0; b < B; ++b) {
    position.push_back(C == most && b % 2 ? 3 * C + b : int64_t(generator() % uint64_t(C + 1)));
    lengths.push_back(int64_t(generator() % uint64_t(S + 1)));
  }
  for (int64_t i = 0; i < B * T; ++i) resets.push_back(generator() % 9 == 0);
  std::vector<char> seen;
  for (int32_t threads : {1, 3}) {
    Numbers y(large, B * T * N * D, false), after(small, 2 * B * G * capacity * D, false), dq(large, B * T * heads * D, false),
        dothers(large, B * S * 2 * G * D, false), dmemory(small, 2 * B * G * C * D, false),
        stats(small, 2 * B * N * T, false), dgains(small, 2 * B * G * D, false);
    Attend a = {};
    a.B = B, a.T = T, a.S = S, a.N = N, a.G = G, a.D = D, a.C = C, a.capacity = capacity, a.window = window;
    a.tables = rows ? T * (D / 2) : 0, a.epsilon = 1e-5, a.causal = causal, a.threads = threads;
    a.parallel_for = in_threads;
    const Strides one = {T * heads * D, heads * D, D}, two = {S * 2 * G * D, 2 * G * D, D};
    a.q_at = a.dq_at = one, a.k_at = a.v_at = a.dk_at = a.dv_at = causal ? one : two;
    const auto part = [](const Numbers& of, int64_t at) { return (void*)(of.data.data() + at * int64_t(of.bytes)); };
    a.q = part(q, 0), a.dq = part(dq, 0);
    a.k = causal ? part(q, N * D) : part(others, 0), a.v = causal ? part(q, (N + G) * D) : part(others, G * D);
    a.dk = causal ? part(dq, N * D) : part(dothers, 0), a.dv = causal ? part(dq, (N + G) * D) : part(dothers, G * D);
    if (has_memory) {
      a.memory_keys = part(memory, 0), a.memory_values = part(memory, B * G * C * D), a.position = position.data();
      a.keys_after = part(after, 0), a.values_after = part(after, B * G * capacity * D);
      a.dkeys_after = part(dafter, 0), a.dvalues_after = part(dafter, B * G * capacity * D);
      a.dmemory_keys = part(dmemory, 0), a.dmemory_values = part(dmemory, B * G * C * D);
    }
    if (rows) a.lengths = lengths.data();
    if (rows && causal) a.resets = resets.data();
    if (rotated) a.cosines = part(tables, 0), a.sines = part(tables, int64_t(tables.count) / 2);
    if (prepared) {
      a.gain_q = part(gains, 0), a.gain_k = part(gains, D);
      a.dgain_q = part(dgains, 0), a.dgain_k = part(dgains, B * G * D);
    }
    if (flags & kDropout) a.kept = part(kept, 0);
    a.y = part(y, 0), a.largest = part(stats, 0), a.inverse = part(stats, B * N * T);
    if (forward(&a) != 0) exit(1);
    y.check("y of attention"), after.check("memory after"), stats.check("largest and inverse");
    a.dy = part(dy, 0);
    if (backward(&a) != 0) exit(1);
    std::vector<char> all = y.data;
    for (const Numbers* each : {&dq, &dothers, &dmemory, &dgains, &after}) {
      each->check("a derivative of attention");
      all.insert(all.end(), each->data.begin(), each->data.end());
    }
    if (threads == 1) seen = all;
    else if (seen != all) {
      fprintf(stderr, "the threads change attention\n");
      exit(1);
    }
    if (has_memory) {  // a position that is refused
      const std::vector<int64_t> wrong(size_t(B), -1);
      a.position = wrong.data();
      if (forward(&a) != 2) exit(1);
    }
  }
}

enum DenseFlags { kNormed = 1, kGelus = 2, kAdded = 4, kBiased = 8, kPlainInput = 16, kAllDenseFlags = 31 };

// A linear layer, forward with and without what backward needs, and backward. What is added up over the rows depends on
// the threads by its rounding; nothing else does.
void run_dense(const char* name, size_t large, size_t small, int32_t (*forward)(const Dense*),
               int32_t (*backward)(const Dense*), int64_t M, int64_t K, int64_t N, int flags) {
  const bool normed = flags & kNormed, gelus = flags & kGelus, added = flags & kAdded;
  const bool given = (flags & kPlainInput) && !normed;  // the product reads what is given
  const size_t of_y = added ? small : large;
  std::vector<int16_t> bits;
  for (int64_t i = 0; i < M * N; ++i) bits.push_back(int16_t(generator()));
  const Numbers x(small, M * K, true), gain(small, K, true), shift(small, K, true), weight(small, N * K, true),
      bias(small, N, true), residual(small, M * N, true), dy(of_y, M * N, true),
      read(large, M * K, true);
  std::vector<char> seen;
  for (int32_t threads : {1, 3}) {
    Numbers y(of_y, M * N, false), input = read, slope(large, M * N, false), mean(small, M, false),
        rate(small, M, false), dx(given ? large : small, M * K, false),
        dweight(small, N * K, false), dbias(small, N, false), dgain(small, K, false), dshift(small, K, false);
    Dense dense = {};
    dense.M = M, dense.K = K, dense.N = N, dense.threads = threads, dense.gelu = gelus, dense.added = added;
    dense.scale = 1.25, dense.least = -9000, dense.eps = 1e-5, dense.parallel_for = in_threads;
    dense.weight = weight.data.data();
    if (flags & kBiased) dense.bias = bias.data.data();
    if (added) dense.residual = residual.data.data(), dense.bits = bits.data();
    if (!given) dense.x = x.data.data();
    if (normed) dense.gain = gain.data.data(), dense.shift = flags & kBiased ? shift.data.data() : nullptr;
    dense.y = y.data.data();
    if (given) dense.input = input.data.data();
    if (forward(&dense) != 0) exit(1);  // nothing is kept
    y.check("y");
    dense.input = input.data.data();
    if (gelus) dense.slope = slope.data.data();
    if (normed) dense.mean = mean.data.data(), dense.rate = rate.data.data();
    if (forward(&dense) != 0) exit(1);
    y.check("y"), slope.check("slope"), input.check("input");
    dense.dy = dy.data.data();
    dense.dx = dx.data.data();
    dense.dweight = dweight.data.data(), dense.dbias = dbias.data.data();
    if (normed) dense.dgain = dgain.data.data(), dense.dshift = dshift.data.data();
    if (backward(&dense) != 0) exit(1);
    for (const Numbers* part : {&dx, &dweight, &dbias, &dgain, &dshift}) part->check(name);
    std::vector<char> all;
    for (const Numbers* part : {&y, &slope, &input, &dx}) all.insert(all.end(), part->data.begin(), part->data.end());
    const Numbers dweight_before = dweight;
    Dense less = dense;
    less.dx = less.dgain = less.dshift = nullptr;
    if (backward(&less) != 0) exit(1);
    less.dx = dense.dx, less.dweight = less.dbias = nullptr;
    if (backward(&less) != 0) exit(1);
    if (dweight.data != dweight_before.data) {
      fprintf(stderr, "dx changes dweight\n");
      exit(1);
    }
    if (threads == 1) seen = all;
    else if (seen != all) {
      fprintf(stderr, "the threads change a linear layer\n");
      exit(1);
    }
  }
}

// The loss of rows of logits, whose gradient adds up to nothing in each row, and the losses without the gradient.
void run_loss(const Precision& precision, int32_t (*entry)(const Loss*), int64_t N, int64_t V, bool biased, double smoothing,
              int32_t threads) {
  const Numbers logits(precision.large, N * V, true), bias(precision.small, V, true);
  Numbers gradient = logits, dbias(precision.small, V, false), sums(8, N, false), others = sums, again = sums;
  std::vector<int64_t> targets;
  for (int64_t n = 0; n < N; ++n) targets.push_back(int64_t(generator() % uint64_t(V)));
  Loss loss = {};
  loss.N = N, loss.V = V, loss.threads = threads, loss.parallel_for = in_threads, loss.smoothing = smoothing;
  loss.targets = targets.data(), loss.logits = gradient.data.data();
  loss.sums = (double*)again.data.data(), loss.others = (double*)others.data.data();
  if (biased) loss.bias = bias.data.data();
  if (entry(&loss) != 0) exit(1);
  if (gradient.data != logits.data) {
    fprintf(stderr, "a loss that does not learn changes the logits\n");
    exit(1);
  }
  loss.learn = 1, loss.dbias = dbias.data.data(), loss.sums = (double*)sums.data.data();
  if (entry(&loss) != 0) exit(1);
  gradient.check("the gradient"), dbias.check("dbias"), sums.check("sums"), others.check("others");
  double total = 0;
  for (int64_t v = 0; v < V; ++v) total += get(&dbias.data[v * precision.small], precision.small);
  if (std::fabs(total) > 1e-4 * double(N) || sums.data != again.data) {
    fprintf(stderr, "the gradient of (%d, %d) logits does not add up\n", int(N), int(V));
    exit(1);
  }
}

// Matrices that are made orthogonal, alone and in company, the same for any number of threads.
void run_orthogonal(const Precision& precision, int32_t (*entry)(const Orthogonal*), int64_t M, int64_t N) {
  const double polynomials[] = {3.4445, -4.775, 2.0315, 1.875, -1.25, 0.375};
  const Numbers x(precision.small, M * N, true), other(precision.small, 20 * 70, true), onto(precision.small, M * N, true);
  std::vector<char> seen;
  for (int32_t threads : {1, 3}) {
    Numbers y = onto, y_other(precision.small, 20 * 70, false);
    const Map maps[] = {{M, N, x.data.data(), y.data.data(), -0.5}, {20, 70, other.data.data(), y_other.data.data(), 1}};
    const Orthogonal orthogonal = {threads == 1 ? 1 : 2, threads, 2, 1.01, in_threads, maps, polynomials};
    if (entry(&orthogonal) != 0) exit(1);
    y.check("what is orthogonal"), y_other.check("what is orthogonal");
    if (threads == 1) seen = y.data;
    else if (seen != y.data) {
      fprintf(stderr, "the threads change what is orthogonal\n");
      exit(1);
    }
  }
}

// The scores of additive attention and their derivatives, the same for any number of threads.
void run_alignment(size_t bytes, int32_t (*forward)(const Alignment*), int32_t (*backward)(const Alignment*), int64_t B, int64_t T,
                   int64_t S, int64_t H, bool masked) {
  const Numbers queries(bytes, B * T * H, true), keys(bytes, B * S * H, true), energy(bytes, H, true),
      dscores(bytes, B * T * S, true);
  std::vector<int64_t> lengths;
  for (int64_t b = 0; b < B; ++b) lengths.push_back(int64_t(generator() % uint64_t(S + 1)));
  std::vector<char> seen;
  for (int32_t threads : {1, 3}) {
    Numbers scores(bytes, B * T * S, false), dqueries(bytes, B * T * H, false), dkeys(bytes, B * S * H, false),
        denergy(bytes, B * H, false);
    Alignment alignment = {};
    alignment.B = B, alignment.T = T, alignment.S = S, alignment.H = H;
    alignment.threads = threads, alignment.parallel_for = in_threads;
    if (masked) alignment.lengths = lengths.data();
    alignment.queries = queries.data.data(), alignment.keys = keys.data.data(), alignment.energy = energy.data.data();
    alignment.scores = scores.data.data(), alignment.dscores = dscores.data.data();
    alignment.dqueries = dqueries.data.data(), alignment.dkeys = dkeys.data.data(), alignment.denergy = denergy.data.data();
    forward(&alignment), backward(&alignment);
    std::vector<char> all;
    for (const Numbers* part : {&scores, &dqueries, &dkeys, &denergy}) {
      part->check("a score or its derivative");
      all.insert(all.end(), part->data.begin(), part->data.end());
    }
    if (threads == 1) seen = all;
    else if (seen != all) {
      fprintf(stderr, "the threads change the scores\n");
      exit(1);
    }
  }
}

// A token of several rows: a projection to the query, key and value of one head, and attention to a memory in place.
void run_steps(int64_t B, int64_t D, int64_t C) {
  const Numbers x(4, B * D, true), weight(4, 3 * D * D, true);
  Numbers qkv(4, B * 3 * D, false), keys(4, B * C * D, true), values(4, B * C * D, true), y(4, B * D, false);
  std::vector<int64_t> position;
  for (int64_t b = 0; b < B; ++b) position.push_back(b % C);
  Dense dense = {};
  dense.M = B, dense.K = D, dense.N = 3 * D, dense.threads = 1, dense.parallel_for = in_threads, dense.scale = 1;
  dense.input = (void*)x.data.data(), dense.weight = weight.data.data(), dense.y = qkv.data.data();
  Attend attend = {};
  attend.B = B, attend.T = attend.S = attend.N = attend.G = 1, attend.D = D, attend.C = attend.capacity = C;
  attend.causal = attend.threads = 1, attend.parallel_for = in_threads, attend.position = position.data();
  attend.q_at = attend.k_at = attend.v_at = {3 * D, 3 * D, D};
  attend.q = qkv.data.data(), attend.k = qkv.data.data() + 4 * D, attend.v = qkv.data.data() + 8 * D;
  attend.memory_keys = attend.keys_after = keys.data.data(), attend.memory_values = attend.values_after = values.data.data();
  attend.y = y.data.data();
  const Call calls[] = {{&dense, nullptr}, {nullptr, &attend}};
  const Program program = {2, calls};
  if (elman_run_float(&program) != 0) exit(1);
  y.check("y of a program"), keys.check("its keys");
  position[0] = C;  // a slot that is not there
  if (elman_run_float(&program) != 2) exit(1);
}

// A language model of a few layers: rows that read texts of different lengths and then write, together and each alone.
void run_arena(size_t bytes, int32_t (*arrange)(const ArenaModel*), int32_t (*read)(const ArenaCall*),
               int32_t (*write)(const ArenaCall*), int32_t cell, int64_t count, int64_t R, int64_t H, int64_t V, bool folded,
               bool in_bytes, bool residual) {
  const int64_t G = cell == kLstm ? 4 : cell == kGru ? 3 : 1, D = residual ? H : H / 2 + 1, steps = 4;
  std::vector<Numbers> weights;
  std::vector<ArenaLayer> layers;
  for (int64_t l = 0; l < count; ++l)
    for (int64_t size : {G * H * (l ? H : D), G * H * H, G * H, G * H}) weights.emplace_back(bytes, size, true);
  for (int64_t l = 0; l < count; ++l) {
    const auto part = [&](int64_t i) { return (const void*)weights[size_t(4 * l + i)].data.data(); };
    layers.push_back({l ? H : D, H, cell, residual, part(0), part(1), part(2), l % 2 ? nullptr : part(3)});
  }
  const Numbers embedding(bytes, V * D, true), weight(bytes, V * H, true), bias(bytes, V, true);
  int64_t size = 0;
  ArenaModel model = {V, count, folded, in_bytes, layers.data(), embedding.data.data(), weight.data.data(),
                      R % 2 ? bias.data.data() : nullptr, nullptr, &size};
  if (arrange(&model) != 0) exit(1);
  model.arranged = aligned_alloc(64, size_t(size + 63) / 64 * 64);
  if (!model.arranged || arrange(&model) != 0) exit(1);

  const int64_t of_slot = count * (cell == kLstm ? 2 : 1) * H + H, longest = R == 1 && cell != kElmanRelu ? 130 : 7;
  std::vector<int64_t> slots, tokens, begins(1, 0), banned(1, V - 1);
  for (int64_t r = 0; r < R; ++r) {
    slots.push_back(R - r);  // slot 0 is nobody's
    for (int64_t t = 0; t < longest - longest * r / R - (r ? 1 : 0); ++t) tokens.push_back(int64_t(generator() % uint64_t(V)));
    begins.push_back(int64_t(tokens.size()));
  }
  std::vector<ArenaDraw> draws;
  for (int64_t r = 0; r < R; ++r)
    draws.push_back({r % 4 ? 0.5 : 0.0, r % 3 ? 0.7 : 2.0, r % 5 ? -3.0 : -INFINITY, r % 2 ? 3 : 0});
  std::vector<double> uniforms;
  for (int64_t i = 0; i < R * steps; ++i) uniforms.push_back((draw() + 1) / 2.0001);

  struct Found {
    Numbers memory, logits, scores, weighed;
    std::vector<int64_t> written, counts;
  };
  const auto call_of = [&](int64_t first, int64_t rows, Found& found, const std::vector<int64_t>& from) {
    ArenaCall call = {};
    call.model = &model, call.R = rows, call.memory = found.memory.data.data(), call.slots = slots.data() + first;
    call.tokens = tokens.data() + begins[size_t(first)], call.begins = from.data();
    call.logits = found.logits.data.data();
    call.writing.below = (double*)found.scores.data.data(), call.writing.sums = call.writing.below + from.back();
    if (read(&call) != 0) exit(1);
    call.writing.below = (double*)found.weighed.data.data(), call.writing.sums = call.writing.below + rows * steps;
    call.tokens = call.begins = nullptr, call.logits = nullptr;
    call.writing.steps = steps, call.writing.uniforms = uniforms.data() + first * steps, call.writing.draws = draws.data() + first;
    call.writing.banned = banned.data(), call.writing.banned_count = 1, call.writing.end = 0;
    call.writing.written = found.written.data(), call.writing.counts = found.counts.data();
    if (write(&call) != 0) exit(1);
    for (const Numbers* part : {&found.memory, &found.logits, &found.scores, &found.weighed}) part->check("an arena's number");
  };
  const auto empty = [&](int64_t rows, int64_t read_tokens) {
    return Found{Numbers(bytes, (R + 1) * of_slot, false), Numbers(bytes, rows * V, false), Numbers(8, 2 * read_tokens, false),
                 Numbers(8, 2 * rows * steps, false), std::vector<int64_t>(size_t(rows * steps), -1),
                 std::vector<int64_t>(size_t(rows), 0)};
  };
  Found together = empty(R, begins.back());
  call_of(0, R, together, begins);
  for (int64_t r = 0; r < R; ++r) {
    const int64_t length = begins[size_t(r + 1)] - begins[size_t(r)];
    Found alone = empty(1, length);
    call_of(r, 1, alone, {0, length});
    const size_t at = size_t(slots[size_t(r)] * of_slot) * bytes, row = size_t(V) * bytes;
    if (memcmp(&alone.memory.data[at], &together.memory.data[at], size_t(of_slot) * bytes) ||
        memcmp(&alone.logits.data[0], &together.logits.data[size_t(r) * row], row) ||
        memcmp(alone.written.data(), &together.written[size_t(r * steps)], steps * sizeof(int64_t))) {
      fprintf(stderr, "rows change each other in an arena\n");
      exit(1);
    }
  }
  if (!tokens.empty()) {  // a token that there is not
    tokens.back() = V;
    ArenaCall call = {};
    call.model = &model, call.R = R, call.memory = together.memory.data.data(), call.slots = slots.data();
    call.tokens = tokens.data(), call.begins = begins.data();
    if (read(&call) != 2) exit(1);
  }
  free(model.arranged);
}

enum TransformerFlags { kRotary = 1, kSinusoidal = 2, kHeadNorms = 4, kAllTransformerFlags = 7 };

// A Transformer of two layers: rows of different lengths, each with a ring of its own size, read and then write, together
// and each alone.
void run_transformer(size_t bytes, int32_t (*arrange)(const TransformerModel*), int32_t (*read)(const TransformerCall*),
                     int32_t (*write)(const TransformerCall*), int64_t R, int64_t N, int64_t D, int64_t V, int64_t window,
                     int flags) {
  const int64_t H = N * D, F = 2 * H + 1, count = 2, steps = 4, half = D / 2;
  std::vector<Numbers> weights;
  const auto part = [&](int64_t size) {
    weights.emplace_back(bytes, size, true);
    return (const void*)weights.back().data.data();
  };
  const auto linear = [&](int64_t rows, int64_t columns, bool normed) {
    return TransformerLinear{part(rows * columns), part(rows), normed ? part(columns) : nullptr, normed ? part(columns) : nullptr};
  };
  const auto gain = [&] { return flags & kHeadNorms ? part(D) : nullptr; };
  std::vector<TransformerLayer> layers;
  for (int64_t l = 0; l < count; ++l)
    layers.push_back({linear(3 * H, H, true), linear(H, H, false), linear(F, H, true), linear(H, F, false), gain(), gain()});
  int64_t size = 0;
  TransformerModel model = {V, H, N, F, count, window, 1e-5, layers.data(), part(V * H), linear(V, H, true), nullptr, &size};
  if (arrange(&model) != 0) exit(1);
  model.arranged = aligned_alloc(64, size_t(size + 63) / 64 * 64);
  if (!model.arranged || arrange(&model) != 0) exit(1);

  std::vector<int64_t> tokens, begins(1, 0), slots, positions, banned(1, V - 1);
  std::vector<ArenaDraw> draws;
  std::vector<double> uniforms;
  for (int64_t r = 0; r < R; ++r) {
    const int64_t length = r % 3 == 0 ? 21 + r : r % 4, before = 1 + r % 7, most = before + length + steps;
    for (int64_t t = 0; t < length; ++t) tokens.push_back(int64_t(generator() % uint64_t(V)));
    begins.push_back(int64_t(tokens.size()));
    positions.push_back(before), slots.push_back(window && window - 1 < most ? window - 1 : most + r % 2);
    draws.push_back({0.5, 2.0, -INFINITY, 3});
    for (int64_t i = 0; i < steps; ++i) uniforms.push_back((draw() + 1) / 2.0001);
  }
  const int64_t lines = begins.back() + R * steps;  // of the tokens that are read, and of those that are written
  const Numbers added(bytes, (lines + 1) * H, true), turns(bytes, 2 * (lines + 1) * half, true);
  std::vector<Numbers> memories;
  for (int64_t r = 0; r < R; ++r) memories.emplace_back(bytes, count * 2 * N * slots[size_t(r)] * D, true);
  const Numbers hidden_before(bytes, R * H, true);

  struct Found {
    std::vector<Numbers> memories;
    Numbers hidden, logits, scores, weighed;
    std::vector<int64_t> written, counts, positions;
  };
  const auto run_rows = [&](int64_t first, int64_t rows, int32_t threads, int32_t expected = 0) {
    const int64_t read_tokens = begins[size_t(first + rows)] - begins[size_t(first)];
    Found found{memories, hidden_before, Numbers(bytes, rows * V, false), Numbers(8, 2 * read_tokens, false),
                Numbers(8, 2 * rows * steps, false), std::vector<int64_t>(size_t(rows * steps), -1),
                std::vector<int64_t>(size_t(rows), 0), {}};
    std::vector<int64_t> from;
    std::vector<TransformerRow> own;
    for (int64_t r = first; r <= first + rows; ++r) from.push_back(begins[size_t(r)] - begins[size_t(first)]);
    for (int64_t r = first; r < first + rows; ++r)
      own.push_back({found.memories[size_t(r)].data.data(), &found.hidden.data[size_t(r * H) * bytes], slots[size_t(r)],
                     positions[size_t(r)]});
    std::vector<char> held[3];  // lines of positions, and then that of position 0
    const auto lines_of = [&](TransformerCall& call, int64_t line, int64_t n) {
      const Numbers* const of[3] = {&added, &turns, &turns};
      const int64_t sizes[3] = {H, half, half}, at[3] = {0, 0, (lines + 1) * half};
      for (int i = 0; i < 3; ++i) {
        const auto take = [&](int64_t begin, int64_t end) {
          const char* const all = of[i]->data.data() + at[i] * int64_t(bytes);
          held[i].insert(held[i].end(), all + begin * sizes[i] * int64_t(bytes), all + end * sizes[i] * int64_t(bytes));
        };
        held[i].clear(), take(line, line + n), take(lines, lines + 1), held[i].shrink_to_fit();
      }
      if (flags & kSinusoidal) call.added = held[0].data();
      if (flags & kRotary) call.cosines = held[1].data(), call.sines = held[2].data();
    };
    TransformerCall call = {};
    call.model = &model, call.R = rows, call.rows = own.data(), call.threads = threads, call.parallel_for = in_threads;
    call.tokens = tokens.data() + begins[size_t(first)], call.begins = from.data(), call.logits = found.logits.data.data();
    call.writing.below = (double*)found.scores.data.data(), call.writing.sums = call.writing.below + read_tokens;
    lines_of(call, begins[size_t(first)], read_tokens);
    if (expected) own[0].position = -1;
    if (read(&call) != expected) exit(1);
    if (expected) return found;
    call.tokens = call.begins = nullptr, call.logits = nullptr;
    call.writing = {steps, uniforms.data() + first * steps, draws.data() + first, banned.data(), 1, 0, found.written.data(),
                    (double*)found.weighed.data.data(), (double*)found.weighed.data.data() + rows * steps, found.counts.data()};
    lines_of(call, begins.back() + first * steps, rows * steps);
    if (write(&call) != 0) exit(1);
    for (const TransformerRow& row : own) found.positions.push_back(row.position);
    for (const Numbers& memory : found.memories) memory.check("a ring of an arena");
    for (const Numbers* each : {&found.hidden, &found.logits, &found.scores, &found.weighed}) each->check("an arena's number");
    return found;
  };
  const Found together = run_rows(0, R, 1), threaded = run_rows(0, R, 3);
  const auto complain = [](bool wrong, const char* what) {
    if (wrong) fprintf(stderr, "%s\n", what), exit(1);
  };
  complain(together.hidden.data != threaded.hidden.data || together.logits.data != threaded.logits.data ||
               together.written != threaded.written, "the threads change a Transformer's rows");
  for (int64_t r = 0; r < R; ++r) {
    const Found alone = run_rows(r, 1, 1);
    const size_t row = size_t(V) * bytes, at = size_t(r * H) * bytes, i = size_t(r);
    complain(alone.memories[i].data != together.memories[i].data || alone.positions[0] != together.positions[i] ||
                 memcmp(&alone.logits.data[0], &together.logits.data[i * row], row) ||
                 memcmp(&alone.hidden.data[at], &together.hidden.data[at], size_t(H) * bytes) ||
                 memcmp(alone.written.data(), &together.written[size_t(r * steps)], steps * sizeof(int64_t)),
             "rows change each other in a Transformer's arena");
  }
  run_rows(0, R, 1, 2);  // a position that is refused
  tokens.back() = V;     // a token that there is not
  run_rows(0, R, 1, 2);
  free(model.arranged);
}

}  // namespace

int main() {
  int64_t runs = 0;
  for (const Precision& precision : kPrecisions)
    for (int32_t cell : {kElmanTanh, kElmanRelu, kGru, kLstm})
      for (int64_t T : {0, 1, 4})
        for (int64_t B : {0, 1, 3, 13})
          for (int64_t H : {1, 5, 16, 33, 70, 130})
            for (int flags = 0; flags <= kAllFlags; ++flags)
              if (flags < kInput || (T == 4 && (B == 3 || B == 13) && (flags < kProjected || (cell == kLstm && H % 5 == 0))))
                run(precision, cell, T, B, H, flags), ++runs;
  for (const Precision& precision : kPrecisions)  // a server's steps, with weights as they lie
    for (int64_t T : {0, 1, 2})
      for (int64_t B : {1, 2})
        for (int64_t H : {1, 5, 16, 70})
          for (int flags : {0, kReverse | kMasked, kNoise | kWeights}) run(precision, kLstm, T, B, H, flags | kProjected), ++runs;
  run(kPrecisions[0], kGru, 3, 24, 300, kMasked), ++runs;  // enough work for threads
  run(kPrecisions[2], kLstm, 3, 24, 300, kReverse | kMasked), ++runs;
  run(kPrecisions[2], kLstm, 3, 24, 300, kAllFlags), ++runs;
  for (int32_t cell : {kElmanTanh, kElmanRelu, kGru, kLstm})
    for (int64_t B : {1, 3})
      for (int64_t D : {1, 5, 16, 33})
        for (int64_t H : {1, 5, 16, 33, 70})
          for (int64_t T : {1, 4})
            for (bool biased : {false, true}) {
              run_window(4, elman_window_float, cell, T, B, D, H, biased);
              run_window(8, elman_window_double, cell, T, B, D, H, biased);
              runs += 2;
            }
  run_window(4, elman_window_float, kLstm, 9, 1, 130, 130, true), ++runs;  // one row and more weights than the first cache
  run_window(8, elman_window_double, kElmanTanh, 9, 1, 300, 301, true), ++runs;
  run(kPrecisions[1], kLstm, 40, 2, 200, kInput | kMasked), ++runs;  // threads that take turns
  run(kPrecisions[0], kElmanTanh, 70, 1, 500, kInput), ++runs;
  for (int64_t M : {1, 7, 100})
    for (int64_t N : {1, 17, 64, 130})
      for (int64_t K : {1, 5, 530})
        for (int way = 0; way < 8; ++way) run_matmul(elman_matmul_double, M, N, K, way & 1, way & 2, way & 4, 3), ++runs;
  run_matmul(elman_matmul_double, 20, 30, 5000, true, false, true, 3), ++runs;  // cut along k
  for (int64_t B : {1, 3})
    for (int64_t T : {0, 1, 3, 7, 33})
      for (int64_t D : {1, 5, 16, 40})
        for (int64_t window : {0, 1, 9})
          for (int flags = 0; flags <= kAllAttendFlags; ++flags) {
            const int64_t N = T % 2 ? 4 : 2, G = D % 2 ? 1 : 2;
            run_attend(kPrecisions[0], elman_attend_float, elman_attend_backward_float, B, T, N, G, D, window, flags);
            run_attend(kPrecisions[1], elman_attend_double, elman_attend_backward_double, B, T, N, G, D, window, flags);
            run_attend(kPrecisions[2], elman_attend_bfloat16, elman_attend_backward_bfloat16, B, T, N, G, D, window, flags);
            runs += 3;
          }
  run_attend(kPrecisions[0], elman_attend_float, elman_attend_backward_float, 3, 300, 4, 2, 70, 0, kAllAttendFlags), ++runs;
  for (int64_t M : {0, 1, 3, 7, 100})
    for (int64_t K : {1, 5, 33, 64})
      for (int64_t N : {1, 17, 130})
        for (int flags = 0; flags <= kAllDenseFlags; ++flags) {
          run_dense("float", 4, 4, elman_dense_forward_float, elman_dense_backward_float, M, K, N, flags);
          run_dense("double", 8, 8, elman_dense_forward_double, elman_dense_backward_double, M, K, N, flags);
          run_dense("bfloat16", 2, 4, elman_dense_forward_bfloat16, elman_dense_backward_bfloat16, M, K, N, flags);
          runs += 3;
        }
  run_dense("bfloat16", 2, 4, elman_dense_forward_bfloat16, elman_dense_backward_bfloat16, 1701, 40, 130, kAllDenseFlags - kPlainInput), ++runs;
  int32_t (*const losses[])(const Loss*) = {elman_loss_float, elman_loss_double, elman_loss_bfloat16};
  for (int each = 0; each < 3; ++each)
    for (int64_t N : {0, 1, 7, 600})
      for (int64_t V : {1, 5, 16, 33, 130})
        for (bool biased : {false, true}) run_loss(kPrecisions[each], losses[each], N, V, biased, biased ? 0.1 : 0, 3), ++runs;
  int32_t (*const orthogonals[])(const Orthogonal*) = {elman_orthogonal_float, elman_orthogonal_double,
                                                        elman_orthogonal_bfloat16};
  for (int each = 0; each < 3; ++each)
    for (int64_t M : {0, 1, 5, 16, 33, 130})
      for (int64_t N : {1, 5, 16, 33, 130}) run_orthogonal(kPrecisions[each], orthogonals[each], M, N), ++runs;
  for (int64_t before : {0, 1, 311, 312})
    for (int64_t N : {0, 1, 311, 312, 313, 5000}) run_draws(before, N), ++runs;
  for (int64_t T : {0, 1, 7})
    for (int64_t S : {0, 1, 5})
      for (int64_t H : {1, 5, 16, 70})
        for (bool masked : {false, true}) {
          run_alignment(4, elman_align_float, elman_align_backward_float, 3, T, S, H, masked);
          run_alignment(8, elman_align_double, elman_align_backward_double, 3, T, S, H, masked);
          runs += 2;
        }
  run_alignment(4, elman_align_float, elman_align_backward_float, 9, 20, 20, 70, true), ++runs;  // work for threads
  for (int64_t B : {1, 3, 9})
    for (int64_t D : {1, 5, 16, 40}) run_steps(B, D, 7), ++runs;
  for (int32_t cell : {kElmanTanh, kElmanRelu, kGru, kLstm})
    for (int64_t R : {1, 2, 17})
      for (int64_t H : {1, 5, 16, 33})
        for (int64_t V : {2, 5, 33})
          for (int form = 0; form < 8; ++form) {
            const bool folded = form & 1, residual = form & 2, in_bytes = form & 4;
            const int64_t count = 1 + (H + V + form) % 3;
            run_arena(4, elman_arena_arrange_float, elman_arena_read_float, elman_arena_write_float, cell, count, R, H, V,
                      folded, in_bytes, residual);
            if (!in_bytes)
              run_arena(8, elman_arena_arrange_double, elman_arena_read_double, elman_arena_write_double, cell, count, R, H,
                        V, folded, false, residual);
            runs += 1 + !in_bytes;
          }
  for (int64_t R : {1, 3, 18})
    for (int64_t D : {1, 2, 16, 34})
      for (int64_t window : {0, 1, 2, 9, 300})
        for (int flags = 0; flags <= kAllTransformerFlags; ++flags) {
          run_transformer(4, elman_transformer_arrange_float, elman_transformer_read_float, elman_transformer_write_float, R, 2, D,
                          R + 2, window, flags);
          run_transformer(8, elman_transformer_arrange_double, elman_transformer_read_double, elman_transformer_write_double, R, 2,
                          D, R + 2, window, flags);
          runs += 2;
        }
  run_transformer(4, elman_transformer_arrange_float, elman_transformer_read_float, elman_transformer_write_float, 18, 4, 33, 140,
                  0, kAllTransformerFlags), ++runs;  // work for threads
  printf("%s: %lld sweeps, no complaint\n", elman_instruction_set(), (long long)runs);
}
