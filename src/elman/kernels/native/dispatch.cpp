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
    if (strcmp(wish, "avx512") != 0 && __builtin_cpu_supports("avx512bf16")) return {"avx512_bf16", &kAvx512Bf16};
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

EXPORT int32_t elman_forward_float(const Sweep* sweep) { return kChoice.table->forward_float(sweep); }
EXPORT int32_t elman_forward_double(const Sweep* sweep) { return kChoice.table->forward_double(sweep); }
EXPORT int32_t elman_forward_bfloat16(const Sweep* sweep) { return kChoice.table->forward_bfloat16(sweep); }
EXPORT int32_t elman_backward_float(const Sweep* sweep) { return kChoice.table->backward_float(sweep); }
EXPORT int32_t elman_backward_double(const Sweep* sweep) { return kChoice.table->backward_double(sweep); }
EXPORT int32_t elman_backward_bfloat16(const Sweep* sweep) { return kChoice.table->backward_bfloat16(sweep); }
EXPORT int32_t elman_step_float(const Step* step) { return kChoice.table->step_float(step); }
EXPORT int32_t elman_step_double(const Step* step) { return kChoice.table->step_double(step); }
EXPORT int32_t elman_matmul_float(const Matmul* matmul) { return kChoice.table->matmul_float(matmul); }
EXPORT int32_t elman_matmul_double(const Matmul* matmul) { return kChoice.table->matmul_double(matmul); }
EXPORT int32_t elman_attend_float(const Attend* attend) { return kChoice.table->attend_float(attend); }
EXPORT int32_t elman_attend_double(const Attend* attend) { return kChoice.table->attend_double(attend); }
EXPORT int32_t elman_attend_bfloat16(const Attend* attend) { return kChoice.table->attend_bfloat16(attend); }
EXPORT int32_t elman_attend_backward_float(const Attend* attend) { return kChoice.table->attend_backward_float(attend); }
EXPORT int32_t elman_attend_backward_double(const Attend* attend) { return kChoice.table->attend_backward_double(attend); }
EXPORT int32_t elman_attend_backward_bfloat16(const Attend* attend) { return kChoice.table->attend_backward_bfloat16(attend); }
EXPORT int32_t elman_dense_forward_float(const Dense* dense) { return kChoice.table->dense_forward_float(dense); }
EXPORT int32_t elman_dense_forward_double(const Dense* dense) { return kChoice.table->dense_forward_double(dense); }
EXPORT int32_t elman_dense_forward_bfloat16(const Dense* dense) { return kChoice.table->dense_forward_bfloat16(dense); }
EXPORT int32_t elman_dense_backward_float(const Dense* dense) { return kChoice.table->dense_backward_float(dense); }
EXPORT int32_t elman_dense_backward_double(const Dense* dense) { return kChoice.table->dense_backward_double(dense); }
EXPORT int32_t elman_dense_backward_bfloat16(const Dense* dense) { return kChoice.table->dense_backward_bfloat16(dense); }
EXPORT int32_t elman_loss_float(const Loss* loss) { return kChoice.table->loss_float(loss); }
EXPORT int32_t elman_loss_double(const Loss* loss) { return kChoice.table->loss_double(loss); }
EXPORT int32_t elman_loss_bfloat16(const Loss* loss) { return kChoice.table->loss_bfloat16(loss); }
EXPORT void elman_align_float(const Alignment* alignment) { kChoice.table->align_float(alignment); }
EXPORT void elman_align_double(const Alignment* alignment) { kChoice.table->align_double(alignment); }
EXPORT void elman_align_backward_float(const Alignment* alignment) { kChoice.table->align_backward_float(alignment); }
EXPORT void elman_align_backward_double(const Alignment* alignment) { kChoice.table->align_backward_double(alignment); }
EXPORT const char* elman_instruction_set(void) { return kChoice.name; }
