// The interface of random bits: the numbers that torch's generator of a CPU draws, in a fraction of its time.

#pragma once

#include <cstdint>

extern "C" {

// What `torch.Generator.get_state()` holds of MT19937 (Matsumoto and Nishimura 1998), of whose 624 words those from
// `next` on are not drawn yet: left - 1.
struct Twister {
  uint64_t seed;
  int32_t left, seeded;
  uint64_t next, state[624];
};

struct Draws {
  int64_t N;
  Twister* twister;   // in, and out: as after so many draws
  uint64_t* numbers;  // (N,) out: two words each, the first one above the second
};

int32_t elman_draws(const Draws* draws);
}
