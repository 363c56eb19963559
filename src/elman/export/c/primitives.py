"""The functions of C that generated programs call, each with those that it calls itself."""

from __future__ import annotations

from typing import NamedTuple


class Primitive(NamedTuple):
    """A function of C."""

    text: str
    calls: tuple[str, ...] = ()  # the primitives that must stand before it


TANGENT = """
/* The hyperbolic tangent, as a quotient of two polynomials: within 3e-7 of tanh, of any x, and without branches, so
   that compilers make vector instructions of loops that call it. */
static inline float tangent(float x)
{
    x = x < -7.9f ? -7.9f : x;
    x = x > 7.9f ? 7.9f : x;
    const float y = x * x;
    float p = -2.76076847742355e-16f, q = 1.19825839466702e-06f;
    p = p * y + 2.00018790482477e-13f;
    p = p * y - 8.60467152213735e-11f;
    p = p * y + 5.12229709037114e-08f;
    p = p * y + 1.48572235717979e-05f;
    p = p * y + 6.37261928875436e-04f;
    p = p * y + 4.89352455891786e-03f;
    q = q * y + 1.18534705686654e-04f;
    q = q * y + 2.26843463243900e-03f;
    q = q * y + 4.89352518554385e-03f;
    return x * p / q;
}
"""

SIGMOID = """
static inline float sigmoid(float x)
{
    return 0.5f + 0.5f * tangent(0.5f * x);
}
"""

SOFTPLUS = """
static float softplus(float x)
{
    return (x > 0 ? x : 0) + log1pf(expf(-fabsf(x)));
}
"""

ADD_PRODUCT = """
/* sums += W x. W is stored column by column, and four columns are read at once: the inner loop runs over rows, which
   are independent of each other, so that compilers make vector instructions of it. */
static void add_product(float *restrict sums, const float *restrict W, const float *restrict x, int rows, int columns)
{
    int j = 0;
    for (; j + 4 <= columns; j += 4, W += 4 * rows) {
        const float a = x[j], b = x[j + 1], c = x[j + 2], d = x[j + 3];
        for (int k = 0; k < rows; k++)
            sums[k] += (a * W[k] + b * W[rows + k]) + (c * W[2 * rows + k] + d * W[3 * rows + k]);
    }
    for (; j < columns; j++, W += rows)
        for (int k = 0; k < rows; k++)
            sums[k] += x[j] * W[k];
}
"""

ADD_PRODUCT_INT8 = """
/* sums += scale * (W x), where row k of the matrix is scale[k] times the integers W. They are stored column by column,
   and four columns are read at once: the inner loop runs over rows, which are independent of each other, so that
   compilers make vector instructions of it. */
static void add_product(float *restrict sums, const signed char *restrict W, const float *restrict scale,
                        const float *restrict x, int rows, int columns)
{
    enum { PART = 64 };
    for (int first = 0; first < rows; first += PART) {
        float part[PART] = {0};
        const int n = rows - first < PART ? rows - first : PART;
        const signed char *column = W + first;
        int j = 0;
        for (; j + 4 <= columns; j += 4, column += 4 * rows) {
            const float a = x[j], b = x[j + 1], c = x[j + 2], d = x[j + 3];
            for (int k = 0; k < n; k++)
                part[k] += (a * column[k] + b * column[rows + k])
                    + (c * column[2 * rows + k] + d * column[3 * rows + k]);
        }
        for (; j < columns; j++, column += rows)
            for (int k = 0; k < n; k++)
                part[k] += x[j] * column[k];
        for (int k = 0; k < n; k++)
            sums[first + k] += scale[first + k] * part[k];
    }
}
"""

ADD_ROW = """
/* x += a row of a matrix whose numbers in that row begin at W[0] and are `stride` apart. */
static void add_row(float *restrict x, const float *restrict W, int columns, int stride)
{
    for (int j = 0; j < columns; j++)
        x[j] += W[j * stride];
}
"""

ADD_ROW_INT8 = """
/* x += a row of a matrix: scale times the integers from W[0] on, which are `stride` apart. */
static void add_row(float *restrict x, const signed char *restrict W, float scale, int columns, int stride)
{
    for (int j = 0; j < columns; j++)
        x[j] += scale * W[j * stride];
}
"""

SET = """
static void set(float *restrict x, const float *restrict values, int size)
{
    for (int j = 0; j < size; j++)
        x[j] = values[j];
}
"""

NORMALIZE = """
/* Layer normalization: mean 0 and variance 1, times gain, plus bias. */
static void normalize(float *restrict x, const float *restrict gain, const float *restrict bias, int size)
{
    float mean = 0, variance = 0;
    for (int j = 0; j < size; j++)
        mean += x[j] / size;
    for (int j = 0; j < size; j++)
        variance += (x[j] - mean) * (x[j] - mean) / size;
    const float scale = 1 / sqrtf(variance + 1e-5f);
    for (int j = 0; j < size; j++)
        x[j] = (x[j] - mean) * scale * gain[j] + bias[j];
}
"""

STANDARDIZED = """
/* A number of the data in the units of the model; NaN stays NaN. */
static float standardized(double x, double mean, double deviation)
{
    x = (x - mean) / deviation;
    x = x < -1e9 ? -1e9 : x;
    return (float)(x > 1e9 ? 1e9 : x);
}
"""

KNOWN = """
/* The same, where a missing number counts as 0. */
static float known(double x, double mean, double deviation)
{
    return isnan(x) ? 0 : standardized(x, mean, deviation);
}
"""

PRIMITIVES = {
    "tangent": Primitive(TANGENT),
    "sigmoid": Primitive(SIGMOID, ("tangent",)),
    "standardized": Primitive(STANDARDIZED),
    "known": Primitive(KNOWN, ("standardized",)),
    "softplus": Primitive(SOFTPLUS),
    "add_product": Primitive(ADD_PRODUCT),
    "add_row": Primitive(ADD_ROW),
    "set": Primitive(SET),
    "normalize": Primitive(NORMALIZE),
}
INT8 = PRIMITIVES | {"add_product": Primitive(ADD_PRODUCT_INT8), "add_row": Primitive(ADD_ROW_INT8)}
