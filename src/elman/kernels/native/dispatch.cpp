// The choice of the instruction set, made once, when the library is loaded.

#include "dispatch.h"

#include <cstdlib>
#include <cstring>

namespace {

struct Choice {
  const char* name;
  const Table* table;
};

// ELMAN_INSTRUCTION_SET (avx512, avx2 or baseline) asks for less than the processor has; there is no way to ask for more.
Choice choose() {
#if defined(__x86_64__)
  const char* wish = getenv("ELMAN_INSTRUCTION_SET");
  if (!wish) wish = "";
  __builtin_cpu_init();
  const bool fast = strcmp(wish, "baseline") != 0, wide = fast && strcmp(wish, "avx2") != 0;
  if (wide && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
#if defined(HAS_AVX512_BF16)
    if (strcmp(wish, "avx512") != 0 && __builtin_cpu_supports("avx512bf16") &&
        __builtin_cpu_supports("avx512vnni"))
      return {"avx512_bf16", &kAvx512Bf16};
#endif
    return {"avx512", &kAvx512};
  }
  if (fast && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {"avx2", &kAvx2};
#endif
  return {"baseline", &kBaseline};
}

const Choice kChoice = choose();

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))
#define EXPORT_ENTRY(name, Given, function) \
  EXPORT int32_t elman_##name(const Given* given) { return kChoice.table->name(given); }

ENTRIES(EXPORT_ENTRY)
EXPORT const char* elman_instruction_set(void) { return kChoice.name; }
