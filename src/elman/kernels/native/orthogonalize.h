// The polynomials of orthogonal.h. Included once per instruction set.
//
// Of a matrix X with no more rows than columns (a tall one is turned on its way in and out), for each polynomial:
//
//     G = X X^T,    A = b G + c G^2,    X <- a X + A X
//
// All that a matrix needs stays in the second-level cache. G and G^2 are symmetric: of these, panels of two vectors of
// columns are multiplied by the rows from their diagonal on, and the rest is the turned copy.

#pragma once

#include "normalization.h"
#include "orthogonal.h"
#include "packed_rows.h"
#include "pieces.h"

namespace {

constexpr int64_t kWidthOfSquare = 2;

// The columns of a panel are the rows at `from`, which are `stride` long; in whole squares of vectors.
template <class S> void pack_turned(const S* from, int64_t stride, const Panels<S>& to, Vector<Number<S>>* packed) {
  using T = Number<S>;
  constexpr int64_t L = kLanes<T>, P = kPair<S>;
  for (int64_t p = 0; p < to.count(); ++p)
    for (int64_t v = 0, width = to.width(p); v < width; ++v)
      for (int64_t k = 0; k < to.K; k += L * P) {
        Vector<T> square[L];
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) memcpy(&square[i], from + ((to.first(p) + v) * L + i) * stride + k, sizeof square[i]);
        turn_square<T>(square);
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) packed[to.offset(p) + (k / P + i) * width + v] = square[i];
      }
}

template <class S> struct Orthogonalize {
  using T = Number<S>;
  static constexpr int64_t L = kLanes<T>, P = kPair<S>;
  const Orthogonal& o;
  const Map& of;
  const bool tall;
  const int64_t m, n;  // the shorter side and the longer one, in whole squares
  S *x, *gram, *factor;  // (m, n), (m, m), (m, m): X, G, A
  T* lower;              // (m, m): of a symmetric product, the squares from the diagonal on
  Vector<T>*packed, *sums;

  static int64_t side(int64_t numbers) { return (numbers + L * P - 1) / (L * P) * (L * P); }
  static int64_t shorter(const Map& of) { return less(of.M, of.N); }
  static int64_t longer(const Map& of) { return of.M + of.N - shorter(of); }
  static int64_t room(const Map& of) {  // in vectors
    const int64_t m = side(shorter(of)), n = side(longer(of));
    return (2 * m * n + 2 * m * m) / (L * P) + m * m / L + kRowsOfBlock * kMaxWidth;
  }
  static double work(const Map& of) {
    const double m = double(shorter(of)), n = double(longer(of));
    return m * m * (1.5 * n + 0.5 * m);
  }

  Orthogonalize(const Orthogonal& o, const Map& of, Vector<T>* room)
      : o(o), of(of), tall(of.M > of.N), m(side(shorter(of))), n(side(longer(of))), x((S*)room), gram(x + m * n),
        factor(gram + m * m), lower((T*)(factor + m * m)), packed((Vector<T>*)(lower + m * m)),
        sums(packed + m * n / (L * P)) {}

  void run() const {
    take();
    for (int32_t step = 0; step < o.steps; ++step) {
      T a = T(o.polynomials[3 * step]), b = T(o.polynomials[3 * step + 1]), c = T(o.polynomials[3 * step + 2]);
      const Panels<S> of_rows = {m, 1, n, false, kWidthOfSquare}, of_gram = {m, 1, m, false, kWidthOfSquare};
      pack_turned(x, n, of_rows, packed);
      multiply_lower(x, n, of_rows);
      spread(gram, [&](Vector<T> sum, int64_t) { return sum; });
      pack_rows<S>(gram, m, of_gram, 0, packed, nullptr);
      multiply_lower(gram, m, of_gram);
      if (step == 0) {
        const T bound = T(o.margin) * bound_of_values(), square = bound * bound;
        a /= bound, b /= bound * square, c /= bound * square * square;
      }
      spread(factor, [&](Vector<T> sum, int64_t place) { return b * load(gram + place) + c * sum; });
      const Panels<S> of_columns = {n, 1, m};
      pack_rows<S>(x, m, of_columns, 0, packed, nullptr);
      multiply(of_columns, a, step + 1 == o.steps);
    }
  }

  // X, of norm 1.
  void take() const {
    const T* const from = (const T*)of.x;
    Vector<T> squares[4] = {};
    for (int64_t i = 0, size = of.M * of.N; i < size; i += L) {
      const Vector<T> v = load(from + i, lanes_at<T>(size, i));
      squares[i / L % 4] += v * v;
    }
    const T norm = root(total<T>((squares[0] + squares[1]) + (squares[2] + squares[3]))), scale = T(1) / (norm + T(1e-20));
    memset((void*)x, 0, m * n * sizeof(S));
    if (!tall) {
      for (int64_t r = 0; r < of.M; ++r)
        for (int64_t c = 0; c < of.N; c += L) store(x + r * n + c, load(from + r * of.N + c, lanes_at<T>(of.N, c)) * scale);
      return;
    }
    for (int64_t r = 0; r < of.N; r += L)
      for (int64_t c = 0; c < of.M; c += L) {
        Vector<T> square[L];
        for (int64_t i = 0; i < L; ++i)
          square[i] = c + i < of.M ? load(from + (c + i) * of.N + r, lanes_at<T>(of.N, r)) * scale : Vector<T>{};
        turn_square<T>(square);
        for (int64_t i = 0; i < L; ++i) store(x + (r + i) * n + c, square[i]);
      }
  }

  // rows (m, K) times panels of as many columns, of each column from the diagonal on.
  void multiply_lower(const S* rows, int64_t K, const Panels<S>& panels) const {
    for (int64_t p = 0; p < panels.count(); ++p) {
      const int64_t column = panels.first(p) * L, width = panels.width(p);
      for (int64_t r = column; r < m; r += kRowsOfBlock) {
        const int64_t count = less(m - r, kRowsOfBlock);
        product<S>(rows + r * K, K, count, packed + panels.offset(p), int(width), K, sums);
        for (int64_t i = 0; i < count; ++i)
          for (int64_t v = 0; v < width; ++v) store(lower + (r + i) * m + column + v * L, sums[i * width + v]);
      }
    }
  }

  // to (m, m) = what value(sum, place) makes of the numbers of `lower`, and its turned copy.
  template <class F> void spread(S* to, F value) const {
    for (int64_t r = 0; r < m; r += L)
      for (int64_t c = 0; c <= r; c += L) {
        Vector<T> square[L];
#pragma GCC unroll 16
        for (int64_t i = 0; i < L; ++i) {
          const int64_t place = (r + i) * m + c;
          square[i] = value(load(lower + place), place);
          store(to + place, square[i]);
        }
        if (r == c) continue;
        turn_square<T>(square);
#pragma GCC unroll 16
        for (int64_t i = 0; i < L; ++i) store(to + (c + i) * m + r, square[i]);
      }
  }

  // At least the largest singular value of X: the eighth root of the sum of their eighth powers, for `lower` is G^2.
  T bound_of_values() const {
    Vector<T> of_diagonal = {}, of_rest = {};
    for (int64_t r = 0; r < m; ++r)
      for (int64_t c = 0; c <= r; c += L) {
        const Vector<T> v = load(lower + r * m + c);
        (c + L > r ? of_diagonal : of_rest) += v * v;
      }
    const T bound = root(root(root(total<T>(of_diagonal + T(2) * of_rest))));
    return bound < T(kLeastBound) ? T(kLeastBound) : bound;
  }
  static constexpr double kLeastBound = 1e-3;  // of zeros; else it is m^(-3/8) or more

  // X <- a X + A X; the last time, y is given it.
  void multiply(const Panels<S>& panels, T a, bool last) const {
    for (int64_t r = 0; r < m; r += kRowsOfBlock) {
      const int64_t count = less(m - r, kRowsOfBlock);
      for (int64_t p = 0; p < panels.count(); ++p) {
        const int64_t width = panels.width(p), column = panels.first(p) * L;
        product<S>(factor + r * m, m, count, packed + panels.offset(p), int(width), m, sums);
        for (int64_t i = 0; i < count; ++i)
          for (int64_t v = 0; v < width; ++v) {
            S* const place = x + (r + i) * n + column + v * L;
            Vector<T>& sum = sums[i * width + v];
            sum += a * load(place);
            if (!last) store(place, sum);
          }
        for (int64_t v = 0; last && v < width; ++v)
          if (tall) give_turned(r, count, column + v * L, sums + v, width);
          else give(r, count, column + v * L, sums + v, width);
      }
    }
  }

  // To y, a vector of columns of some rows, each `stride` vectors apart.
  void give(int64_t row, int64_t rows, int64_t column, const Vector<T>* from, int64_t stride) const {
    const T by = T(of.factor);
    const int64_t few = lanes_at<T>(of.N, column);
    if (few <= 0) return;
    for (int64_t i = 0, last = less(rows, of.M - row); i < last; ++i) {
      T* const y = (T*)of.y + (row + i) * of.N + column;
      store(y, load(y, few) + by * from[i * stride], few);
    }
  }
  void give_turned(int64_t row, int64_t rows, int64_t column, const Vector<T>* from, int64_t stride) const {
    const T by = T(of.factor);
    for (int64_t i = 0; i < rows && row + i < of.N; i += L) {
      Vector<T> square[L];
      for (int64_t k = 0; k < L; ++k) square[k] = by * from[(i + k) * stride];
      turn_square<T>(square);
      const int64_t few = lanes_at<T>(of.N, row + i);
      for (int64_t k = 0, last = less(L, of.M - column); k < last; ++k) {
        T* const y = (T*)of.y + (column + k) * of.N + row + i;
        store(y, load(y, few) + square[k], few);
      }
    }
  }
};

// The threads take matrices of about the same work; what becomes of one does not depend on the others.
template <class S> int32_t orthogonal(const Orthogonal* given) {
  using T = Number<S>;
  using Each = Orthogonalize<S>;
  const Orthogonal& o = *given;
  double all = 0;
  for (int64_t i = 0; i < o.count; ++i) all += Each::work(o.maps[i]);
  int32_t failed = 0;  // written by any thread, always with the same value
  in_pieces(o, o.count, all * o.steps, [&](int64_t piece, int64_t pieces) {
    const auto for_mine = [&](auto body) {
      double before = 0;
      for (int64_t i = 0; i < o.count; ++i) {
        const Map& of = o.maps[i];
        const double work = Each::work(of);
        if (of.M && of.N && int64_t((before + work / 2) / all * double(pieces)) == piece) body(of);
        before += work;
      }
    };
    int64_t room = 0;
    for_mine([&](const Map& of) { room = Each::room(of) > room ? Each::room(of) : room; });
    const Buffer<T> scratch(room);
    if (!scratch.data) {
      failed = 1;
      return;
    }
    for_mine([&](const Map& of) { Each(o, of, scratch.data).run(); });
  });
  return failed;
}

}  // namespace
