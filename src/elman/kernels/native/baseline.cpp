// What every processor of the architecture has: SSE2 on x86-64, NEON on ARM.
#define BYTES 16
#if defined(__x86_64__)
#define REGISTERS 16
#else
#define REGISTERS 32
#endif
#define TABLE kBaseline
#include "dispatch.h"
#include "recurrence.h"
