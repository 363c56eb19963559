// AVX-512 with its products of pairs of bfloat16 and of integers. Compilers that do not know these leave this file empty.
#include "dispatch.h"
#if defined(HAS_AVX512_BF16)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx512vnni,fma"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx512vnni,fma")
#endif
#define BYTES 64
#define REGISTERS 32
#define DOT_OF_PAIRS
#define DOT_OF_SHORTS
#define TABLE kAvx512Bf16
#include "recurrence.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
