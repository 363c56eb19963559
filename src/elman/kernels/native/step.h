// One step of a few rows without gradients, as a server takes it: both products with the weights as they lie, and
// nothing packed. Included once per instruction set.

#pragma once

#include "cells.h"
#include "pieces.h"
#include "product.h"
#include "sweep.h"

namespace {

// x (B, x_width) and h (B, h_width) are padded with zeros to whole vectors.
template <class T, class Cell>
void units_of_step(const Step& s, const T* x, const T* h, int64_t x_width, int64_t h_width) {
  constexpr int G = Cell::kGates, L = kLanes<T>;
  for (int64_t at = 0; at < s.H; at += L) {
    const int64_t n = lanes_at<T>(s.H, at);
    for (int64_t b = 0; b < s.B; ++b) {
      Vector<T> sums[G] = {}, gates[G] = {}, bias = {}, after, c = {};
      for (int g = 0; g < G; ++g) {
        const int64_t row = g * s.H + at;
        gates[g] = dots<T>(x + b * x_width, (const T*)s.weight_x + row * s.D, n, s.D);
        sums[g] = dots<T>(h + b * h_width, (const T*)s.weight_h + row * s.H, n, s.H);
        if (s.bias_x) gates[g] += load((const T*)s.bias_x + row, n);
        if (!s.bias_h) continue;
        if (Cell::kFirstOfHidden && g == G - 1) bias = load((const T*)s.bias_h + row, n);  // inside the reset gate
        else sums[g] += load((const T*)s.bias_h + row, n);
      }
      if (Cell::kCell) c = load((const T*)s.c_first + b * s.H + at, n);
      Vector<T> out = {};
      // A row of one vector of units, with all that the cell reads and writes beside it.
      ForwardRow<T> it = {};
      it.H = L;
      it.bias = (const T*)&bias;
      it.h = (T*)&out;
      it.h_before = h + b * h_width + at;
      it.h_after = (T*)&after;
      it.c_memory = (T*)&c;
      Cell::template forward<T>(gates, sums, it, 0, L);
      store((T*)s.h + b * s.H + at, after, n);
      store((T*)s.h_final + b * s.H + at, after, n);
      if (Cell::kCell) store((T*)s.c_final + b * s.H + at, c, n);
    }
  }
}

template <class T> void pad(const void* from, int64_t rows, int64_t size, int64_t width, T* to) {
  for (int64_t r = 0; r < rows; ++r) {
    memcpy(to + r * width, (const T*)from + r * size, size * sizeof(T));
    memset(to + r * width + size, 0, (width - size) * sizeof(T));
  }
}

template <class T, class Cell> int32_t run_step(const Step& s) {
  constexpr int64_t L = kLanes<T>;
  const int64_t x_width = (s.D + L - 1) / L * L, h_width = (s.H + L - 1) / L * L;
  const Buffer<T> padded(s.B * (x_width + h_width) / L);
  if (!padded.data) return 1;
  T *x = (T*)padded.data, *h = x + s.B * x_width;
  pad(s.x, s.B, s.D, x_width, x);
  pad(s.h_first, s.B, s.H, h_width, h);
  units_of_step<T, Cell>(s, x, h, x_width, h_width);
  return 0;
}

template <class T> int32_t step_of_cell(const Step* step) {
  switch (step->cell) {
    case kElmanTanh: return run_step<T, Elman<Tanh>>(*step);
    case kElmanRelu: return run_step<T, Elman<Relu>>(*step);
    case kGru: return run_step<T, Gru>(*step);
    default: return run_step<T, Lstm>(*step);
  }
}

}  // namespace
