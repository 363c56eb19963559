// MT19937, whole vectors of words at a time. Included once per instruction set.

#pragma once

#include "draws.h"

namespace {

constexpr int64_t kWords = 624, kApart = 397;

inline uint32_t twisted(uint32_t from_here, uint32_t from_next) {
  return (((from_here & 0x80000000u) | (from_next & 0x7fffffffu)) >> 1) ^ (-(from_next & 1) & 0x9908b0dfu);
}

inline uint32_t tempered(uint32_t y) {
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680u;
  y ^= y << 15 & 0xefc60000u;
  return y ^ y >> 18;
}

// The next words, in the place of those that were drawn.
inline void twist(uint32_t* s) {
  for (int64_t i = 0; i < kWords - kApart; ++i) s[i] = s[i + kApart] ^ twisted(s[i], s[i + 1]);
  for (int64_t i = kWords - kApart; i < kWords - 1; ++i) s[i] = s[i + kApart - kWords] ^ twisted(s[i], s[i + 1]);
  s[kWords - 1] = s[kApart - 1] ^ twisted(s[kWords - 1], s[0]);
}

int32_t draw_numbers(const Draws* given) {
  Twister& twister = *given->twister;
  uint32_t state[kWords], words[kWords];
  for (int64_t i = 0; i < kWords; ++i) state[i] = uint32_t(twister.state[i]);
  int64_t next = int64_t(twister.next), there = twister.left - 1, done = 0;
  bool half = false;  // whether `above` waits for the second word of its number
  uint32_t above = 0;
  while (done < given->N) {
    if (there == 0) {
      twist(state);
      next = 0, there = kWords;
    }
    const int64_t wanted = 2 * (given->N - done) - half, n = wanted < there ? wanted : there;
    for (int64_t i = 0; i < n; ++i) words[i] = tempered(state[next + i]);
    next += n, there -= n;
    uint64_t* const numbers = given->numbers + done;
    if (half) numbers[0] = uint64_t(above) << 32 | words[0];
    const int64_t begun = half, pairs = (n - begun) / 2;
    for (int64_t i = 0; i < pairs; ++i)
      numbers[begun + i] = uint64_t(words[begun + 2 * i]) << 32 | words[begun + 2 * i + 1];
    half = (n - begun) % 2;
    if (half) above = words[n - 1];
    done += begun + pairs;
  }
  for (int64_t i = 0; i < kWords; ++i) twister.state[i] = state[i];
  twister.next = uint64_t(next), twister.left = int32_t(there + 1);
  return 0;
}

}  // namespace
