/* The C kernels of micrograd_ext: what each computes, as the plain loop it equals.

   Conventions: arrays are dense and row-major unless strides are given; images are NHWC and
   convolution kernels HWIO; `restrict` outputs overlap no input; sizes and strides count elements.
   Kernels never allocate: `scratch` is the caller's, 64-byte aligned, and as many elements long as
   the kernel's *_scratch function says. Results are the same, bit for bit, for any `threads`.

   Every instruction set provides every kernel, for float (f32) and double (f64), in one const table;
   the bodies are written once (the .inl files) and compiled once per file isa_*.c. */
#ifndef MG_H
#define MG_H
#include <stddef.h>
#include <stdint.h>

/* conv2d: images (n, h, w, c), kernel (kh, kw, c, f), output (n, oh, ow, f). Pixel (i, j) of the
   output looks at the window whose first pixel is (i*sh - top, j*sw - left); what lies outside
   the image is zero. */
typedef struct mg_conv2d {
    ptrdiff_t n, h, w, c;
    ptrdiff_t kh, kw, f;
    ptrdiff_t sh, sw;
    ptrdiff_t top, left;
    ptrdiff_t oh, ow;
} mg_conv2d;

/* max_pool2d: images (n, h, w, c), windows of kh x kw, output (n, oh, ow, c). What lies outside
   the image never wins. Every window holds at least one pixel of the image. */
typedef struct mg_pool2d {
    ptrdiff_t n, h, w, c;
    ptrdiff_t kh, kw;
    ptrdiff_t sh, sw;
    ptrdiff_t top, left;
    ptrdiff_t oh, ow;
} mg_pool2d;

#define MG_DECLARE_TABLE(X, real)                                                                 \
    typedef struct mg_##X {                                                                       \
        /* for i < m, j < n:                                                                      \
               c[i*n + j] = bias[j] + sum over p < k of a[i*ars + p*acs] * b[p*brs + j*bcs]       \
           or, with `relu`, max(that, 0), where NaN stays NaN. bias may be NULL. Of the same      \
           strides, a row comes out the same, bit for bit, whatever other rows there are.         \
           Strides may have any sign: a transposed matrix is one with its strides swapped. */     \
        void (*matmul)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,                                     \
                       const real *a, ptrdiff_t ars, ptrdiff_t acs,                               \
                       const real *b, ptrdiff_t brs, ptrdiff_t bcs,                               \
                       const real *bias, int relu, real *restrict c,                              \
                       real *restrict scratch, int threads);                                      \
        ptrdiff_t (*matmul_scratch)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, int threads);          \
                                                                                                  \
        /* for j < n: y[j] = sum over i < m of x[i*n + j] */                                      \
        void (*sum_rows)(ptrdiff_t m, ptrdiff_t n, const real *x, real *restrict y,               \
                         real *restrict scratch, int threads);                                    \
        ptrdiff_t (*sum_rows_scratch)(ptrdiff_t m, ptrdiff_t n);                                  \
                                                                                                  \
        /* y[b,i,j,o] = bias[o] + sum over u < kh, v < kw, q < c of                               \
               x[b, i*sh - top + u, j*sw - left + v, q] * w[u,v,q,o]                              \
           bias may be NULL. */                                                                   \
        void (*conv2d)(const mg_conv2d *s, const real *x, const real *w, const real *bias,        \
                       real *restrict y, real *restrict scratch, int threads);                    \
        ptrdiff_t (*conv2d_scratch)(const mg_conv2d *s, int threads);                             \
                                                                                                  \
        /* dx[b,p,r,q] = sum over all i, j, u, v, o with i*sh - top + u = p, j*sw - left + v = r  \
               of dy[b,i,j,o] * w[u,v,q,o]. Zeros are put around dy and between its pixels: where \
           w is inf or NaN, so may be dx beyond the pixels that the loop reaches. */              \
        void (*conv2d_dx)(const mg_conv2d *s, const real *dy, const real *w,                      \
                          real *restrict dx, real *restrict scratch, int threads);                \
        ptrdiff_t (*conv2d_dx_scratch)(const mg_conv2d *s, int threads);                          \
                                                                                                  \
        /* dw[u,v,q,o] = sum over b, i, j of                                                      \
               x[b, i*sh - top + u, j*sw - left + v, q] * dy[b,i,j,o] */                          \
        void (*conv2d_dw)(const mg_conv2d *s, const real *x, const real *dy,                      \
                          real *restrict dw, real *restrict scratch, int threads);                \
        ptrdiff_t (*conv2d_dw_scratch)(const mg_conv2d *s, int threads);                          \
                                                                                                  \
        /* y[b,i,j,q] = the largest x[b, i*sh - top + u, j*sw - left + v, q] over u < kh, v < kw; \
           argmax = u*kw + v of it: of the first in row-major order when several are equal, of    \
           the first NaN when there is one. */                                                    \
        void (*max_pool2d)(const mg_pool2d *s, const real *x, real *restrict y,                   \
                           int32_t *restrict argmax, int threads);                                \
                                                                                                  \
        /* dx = 0; then dx[b, i*sh - top + u, j*sw - left + v, q] += dy[b,i,j,q], where           \
           u*kw + v = argmax[b,i,j,q]. An argmax outside the window or the image sends nothing. */ \
        void (*max_pool2d_dx)(const mg_pool2d *s, const real *dy, const int32_t *argmax,          \
                              real *restrict dx, int threads);                                    \
                                                                                                  \
        /* conv2d, relu and max_pool2d by windows of ph x pw side by side, in one:                \
               y[b,i,j,o] = the largest of 0 and z[b, i*ph + u, j*pw + v, o] over u < ph, v < pw  \
           for i < oh/ph, j < ow/pw, where z is conv2d's output; argmax = u*pw + v of it, as in   \
           max_pool2d; 255 where y = 0: nothing to send back. ph*pw <= 255. In f32 the z of a     \
           3x3 kernel and 2x2 windows may be rounded otherwise than conv2d's: winograd.inl. */    \
        void (*conv2d_relu_pool)(const mg_conv2d *s, ptrdiff_t ph, ptrdiff_t pw, const real *x,   \
                                 const real *w, const real *bias, real *restrict y,               \
                                 uint8_t *restrict argmax, real *restrict scratch, int threads);  \
        ptrdiff_t (*conv2d_relu_pool_scratch)(const mg_conv2d *s, ptrdiff_t ph, ptrdiff_t pw,     \
                                              int threads);                                       \
                                                                                                  \
        /* conv2d_dx of dz, where dz = 0 but for dz[b, i*ph + u, j*pw + v, o] = dy[b,i,j,o] with  \
           u*pw + v = argmax[b,i,j,o] < ph*pw. Images of fewer than 2**31 pixels. */              \
        void (*conv2d_relu_pool_dx)(const mg_conv2d *s, ptrdiff_t ph, ptrdiff_t pw,               \
                                    const real *dy, const uint8_t *argmax, const real *w,         \
                                    real *restrict dx, real *restrict scratch, int threads);      \
        ptrdiff_t (*conv2d_relu_pool_dx_scratch)(const mg_conv2d *s, ptrdiff_t ph, ptrdiff_t pw,  \
                                                 int threads);                                    \
                                                                                                  \
        /* conv2d_dw of the same dz, and db[o] = sum over b, i, j of dz[b,i,j,o]; db may be NULL */ \
        void (*conv2d_relu_pool_dw)(const mg_conv2d *s, ptrdiff_t ph, ptrdiff_t pw,               \
                                    const real *x, const real *dy, const uint8_t *argmax,         \
                                    real *restrict dw, real *restrict db,                         \
                                    real *restrict scratch, int threads);                         \
        ptrdiff_t (*conv2d_relu_pool_dw_scratch)(const mg_conv2d *s, ptrdiff_t ph, ptrdiff_t pw,  \
                                                 int threads);                                    \
                                                                                                  \
        /* y[i] = max(x[i], 0) for i < n; NaN stays NaN. y may be x. */                            \
        void (*relu)(ptrdiff_t n, const real *x, real *y, int threads);                           \
                                                                                                  \
        /* dx[i] = y[i] <= 0 ? 0 : dy[i], where y is relu's input or its output. dx may be dy. */ \
        void (*relu_dx)(ptrdiff_t n, const real *dy, const real *y, real *dx,                     \
                        int threads);                                                             \
                                                                                                  \
        /* for i < n: m[i] += (dx[i] - m[i]) * (1 - beta_1);                                      \
                      v[i] += (dx[i] * dx[i] - v[i]) * (1 - beta_2);                              \
                      x[i] -= rate * m[i] / (sqrt(v[i]) + epsilon) */                             \
        void (*adam)(ptrdiff_t n, real *restrict x, const real *dx, real *restrict m,             \
                     real *restrict v, double rate, double beta_1, double beta_2,                 \
                     double epsilon, int threads);                                                \
    } mg_##X;

MG_DECLARE_TABLE(f32, float)
MG_DECLARE_TABLE(f64, double)

#include "program.h"

typedef struct mg_isa {
    const char *name;
    mg_f32 f32;
    mg_f64 f64;
    mg_program program;
} mg_isa;

/* The instruction sets this build has and this CPU and operating system can run, best first;
   NULL from the end of the list on. The last one is always "baseline". */
const mg_isa *mg_isa_at(int index);

/* The compiler that built the kernels, e.g. "gcc 12.2.0". */
const char *mg_compiler(void);

#endif
