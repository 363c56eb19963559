// A window without gradients, as a server's call reads it: with the weights and biases as they lie in the caller's
// layer. Included once per instruction set.

#pragma once

#include "cells.h"
#include "dots.h"
#include "pieces.h"
#include "sweep.h"

namespace {

// One step of a few rows, in which every weight is read once, one after the other, and nothing is packed.
template <class T, class Cell> struct OneStep {
  static constexpr int G = Cell::kGates, L = kLanes<T>;
  const Window& w;
  int64_t width = (w.H + L - 1) / L * L;  // of a row's units, padded

  static int64_t padded(int64_t size) { return (size + L - 1) / L * L; }

  // of (B, G, width) = from (B, size) times weight (G * H, size)^T.
  void multiply(const T* from, int64_t size, const void* weight, T* sums) const {
    for (int g = 0; g < G; ++g)
      for (int64_t at = 0; at < w.H; at += L) {
        const T* rows = (const T*)weight + (g * w.H + at) * size;
        dots_of_few<T>(from, padded(size), w.B, rows, lanes_at<T>(w.H, at), size, (Vector<T>*)(sums + g * width + at),
                        G * width / L);
      }
  }

  void units(const T* of_x, const T* of_h, const T* h, int64_t b) const {
    for (int64_t at = 0; at < w.H; at += L) {
      const int64_t n = lanes_at<T>(w.H, at);
      Vector<T> sums[G], gates[G], bias = {}, after, c = {}, out = {};
      for (int g = 0; g < G; ++g) {
        const int64_t row = g * w.H + at;
        gates[g] = load(of_x + (b * G + g) * width + at) + load_or_zero((const T*)w.bias_x, row, n);
        sums[g] = h ? load(of_h + (b * G + g) * width + at) : Vector<T>{};
        if (Cell::kFirstOfHidden && g == G - 1) bias = load_or_zero((const T*)w.bias_h, row, n);  // inside the reset gate
        else sums[g] += load_or_zero((const T*)w.bias_h, row, n);
      }
      if (Cell::kCell) c = load_or_zero((const T*)w.c_first, b * w.H + at, n);
      const Vector<T> before = h ? load(h + b * width + at) : Vector<T>{};
      // A row of one vector of units, with all that the cell reads and writes beside it.
      ForwardRow<T> it = {};
      it.H = L;
      it.bias = (const T*)&bias;
      it.h = (T*)&out;
      it.h_before = (const T*)&before;
      it.h_after = (T*)&after;
      it.c_memory = (T*)&c;
      Cell::template forward<T>(gates, sums, it, 0, L);
      store((T*)w.h + b * w.H + at, after, n);
      store((T*)w.h_final + b * w.H + at, after, n);
      if (Cell::kCell) store((T*)w.c_final + b * w.H + at, c, n);
    }
  }

  void pad(const void* from, int64_t size, T* to) const {
    for (int64_t b = 0; b < w.B; ++b) {
      memcpy(to + b * padded(size), (const T*)from + b * size, size * sizeof(T));
      memset(to + b * padded(size) + size, 0, (padded(size) - size) * sizeof(T));
    }
  }

  int32_t run() const {
    const Buffer<T> scratch(w.B * (padded(w.D) + width + 2 * G * width) / L);
    if (!scratch.data) return 1;
    T *x = (T*)scratch.data, *h = nullptr, *of_x = x + w.B * (padded(w.D) + width), *of_h = of_x + w.B * G * width;
    pad(w.x, w.D, x);
    multiply(x, w.D, w.weight_x, of_x);
    if (w.h_first) {  // W_hh times a fresh memory is zero
      pad(w.h_first, w.H, h = x + w.B * padded(w.D));
      multiply(h, w.H, w.weight_h, of_h);
    }
    for (int64_t b = 0; b < w.B; ++b) units(of_x, of_h, h, b);
    return 0;
  }
};

// The same window as a sweep, with the sums of the two biases.
template <class T, class Cell> struct WindowSweep {
  const Buffer<T> bias;
  Sweep sweep = {};

  explicit WindowSweep(const Window& w) : bias(Cell::kGates * w.H / kLanes<T> + 1) {
    if (!bias.data) return;
    const int64_t size = Cell::kGates * w.H, shared = Cell::kFirstOfHidden ? size - w.H : size;
    const T *bias_x = (const T*)w.bias_x, *bias_h = (const T*)w.bias_h;
    if (bias_x) {
      T* sums = (T*)bias.data;
      for (int64_t i = 0; i < size; ++i) sums[i] = i < shared ? bias_x[i] + bias_h[i] : bias_x[i];
      sweep.bias_x = sums;
      if (shared < size) sweep.bias = bias_h + shared;
    }
    sweep.T = w.T, sweep.B = w.B, sweep.H = sweep.P = w.H, sweep.D = w.D;
    sweep.cell = w.cell, sweep.threads = w.threads, sweep.parallel_for = w.parallel_for;
    sweep.weight = w.weight_h, sweep.weight_x = w.weight_x, sweep.x = w.x;
    sweep.h_first = w.h_first, sweep.c_first = w.c_first;
    sweep.h = w.h, sweep.h_final = w.h_final, sweep.c_final = w.c_final;
  }
};

}  // namespace
