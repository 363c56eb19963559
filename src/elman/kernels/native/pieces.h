// Work on torch's threads, and memory for it. Included once per instruction set.

#pragma once

#include <cstdlib>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "sweep.h"
#include "vectors.h"

namespace {

// Below this many multiplications a second thread costs more than it brings.
constexpr double kWorthWaking = 1e6;

// Calls body(piece, pieces) for every piece of the work, on torch's threads if there is more than one.
template <class Work, class F> void in_pieces(const Work& given, int64_t limit, double work, F body) {
  struct Context {
    F* body;
    int64_t pieces;
  };
  int64_t pieces = work < kWorthWaking ? 1 : given.threads < limit ? given.threads : limit;
  Context context = {&body, pieces < 1 ? 1 : pieces};
  const Body each = [](int64_t begin, int64_t end, void* pointer) {
    const Context& it = *(const Context*)pointer;
    for (int64_t piece = begin; piece < end; ++piece) (*it.body)(piece, it.pieces);
  };
  if (context.pieces == 1 || given.parallel_for(0, context.pieces, 1, each, &context) != 0)
    each(0, context.pieces, &context);
}

// Asks for large pages where `bytes` that will soon be written begin. The system clears memory page by page when it is
// first touched; with small ones that takes longer than all else that is done with a large buffer.
inline void expect_large(void* buffer, int64_t bytes) {
#if defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = 1 << 21, kLarge = 1 << 22;
  const uintptr_t first = ((uintptr_t)buffer + kPage - 1) / kPage * kPage;
  const uintptr_t last = ((uintptr_t)buffer + bytes) / kPage * kPage;
  if (buffer && (uintptr_t)bytes >= kLarge) madvise((void*)first, last - first, MADV_HUGEPAGE);
#else
  (void)buffer, (void)bytes;
#endif
}

// Memory for vectors, aligned to cache lines; null if there is none.
template <class T> struct Buffer {
  Vector<T>* data;
  explicit Buffer(int64_t vectors) : data((Vector<T>*)aligned_alloc(64, (vectors * BYTES + 127) / 64 * 64)) {}
  Buffer(const Buffer&) = delete;
  ~Buffer() { free(data); }
};

// Memory for vectors that the next call finds as this one left it. What is given back to the system comes again as
// pages to be cleared, which took up to a fifth of a call.
constexpr int64_t kMostKept = 1 << 25;
struct alignas(64) Kept {
  int64_t bytes;
};
Kept* kept = nullptr;

template <class T> struct KeptBuffer {
  Kept* block;
  Vector<T>* data;
  explicit KeptBuffer(int64_t vectors) : block(__atomic_exchange_n(&kept, nullptr, __ATOMIC_ACQUIRE)), data(nullptr) {
    const int64_t bytes = (vectors * BYTES + 127) / 64 * 64;
    if (!block || block->bytes < bytes) {
      free(block);
      block = (Kept*)aligned_alloc(64, sizeof(Kept) + bytes);
      if (!block) return;
      block->bytes = bytes;
      expect_large(block, bytes);
    }
    data = (Vector<T>*)(block + 1);
  }
  KeptBuffer(const KeptBuffer&) = delete;
  ~KeptBuffer() {
    if (block && block->bytes <= kMostKept) block = __atomic_exchange_n(&kept, block, __ATOMIC_ACQ_REL);
    free(block);
  }
};

}  // namespace
