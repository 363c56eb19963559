#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,fma")
#endif
#define BYTES 64
#define REGISTERS 32
#define TABLE kAvx512
#include "dispatch.h"
#include "recurrence.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
