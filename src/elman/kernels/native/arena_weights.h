// The weights of products as an arena's calls read them. Included once per instruction set.
//
// The outputs lie in panels (product.h), k after k: each output's sum is added up over k, whatever the number of rows.

#pragma once

#include "panels.h"

namespace {

template <class T> INLINE int64_t padded(int64_t size) { return (size + kLanes<T> - 1) / kLanes<T> * kLanes<T>; }

// Weights (G * H, K) as they are.
template <class T> struct WholeWeights {
  using Number = T;
  Panels<T> panels;

  int64_t size() const { return panels.size(); }  // in vectors

  void arrange(const T* weight, Vector<T>* to) const {
    for (int64_t panel = 0; panel < panels.count(); ++panel) panels.pack(panel, weight, panels.K, 1, to);
  }

  // Rows as the products read them.
  struct Input {
    const T* rows;
    int64_t stride;
  };
  static int64_t input_size(int64_t, int64_t) { return 0; }
  Input input(const T* rows, int64_t stride, int64_t, Vector<T>*) const { return {rows, stride}; }

  // sums (rows, width of the panel) = rows times it, plus first_sums (width) to every row, if there are any.
  void times(const Input& in, int64_t rows, int64_t panel, const Vector<T>* arranged, Vector<T>* sums,
             const Vector<T>* first_sums) const {
    product<T>(in.rows, in.stride, rows, arranged + panels.offset(panel), panels.width(panel), panels.K, sums, first_sums);
  }
};

}  // namespace
