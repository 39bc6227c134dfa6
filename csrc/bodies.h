/* Included once by each isa_*.c, which sets MG_NAME, MG_VBYTES (bytes a vector; 0: no vectors) and
   MG_REGISTERS: compiles every kernel body for float and for double and exports the table. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "mg.h"
#include "threads.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
enum { ALONG = 0, ACROSS = 1 }; /* how a tile walks A: see tile.inl */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CEIL_DIV(a, b) (((a) + (b) - 1) / (b))
#define ROUND_UP(a, b) (CEIL_DIV(a, b) * (b))

#if defined(__clang__)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#else
#define INLINE static inline
#define UNROLL
#endif
#if defined(__GNUC__)
#define SOON_WRITTEN(p) __builtin_prefetch(p, 1)
#define PREFETCH(p) __builtin_prefetch(p)
#else
#define SOON_WRITTEN(p) ((void)(p))
#define PREFETCH(p) ((void)(p))
#endif

#define REAL float
#define REAL_BYTES 4
#define INT int32_t
#define SQRT sqrtf
#define TINY FLT_MIN
#define PROGRAM /* models compute in float */
#define FN(name) JOIN(name, f32)
#include "kernels.inl"
#undef REAL
#undef REAL_BYTES
#undef INT
#undef SQRT
#undef TINY
#undef PROGRAM
#undef FN

#define REAL double
#define REAL_BYTES 8
#define INT int64_t
#define SQRT sqrt
#define TINY DBL_MIN
#define FN(name) JOIN(name, f64)
#include "kernels.inl"
#undef REAL
#undef REAL_BYTES
#undef INT
#undef SQRT
#undef TINY
#undef FN

#define MG_TABLE(x)                                                                               \
    {                                                                                             \
        JOIN(matmul, x), JOIN(matmul_scratch, x), JOIN(sum_rows, x), JOIN(sum_rows_scratch, x),   \
            JOIN(conv2d, x), JOIN(conv2d_scratch, x), JOIN(conv2d_dx, x),                         \
            JOIN(conv2d_dx_scratch, x), JOIN(conv2d_dw, x), JOIN(conv2d_dw_scratch, x),           \
            JOIN(max_pool2d, x), JOIN(max_pool2d_dx, x),                                          \
            JOIN(conv2d_relu_pool, x), JOIN(conv2d_relu_pool_scratch, x),                         \
            JOIN(conv2d_relu_pool_dx, x), JOIN(conv2d_relu_pool_dx_scratch, x),                   \
            JOIN(conv2d_relu_pool_dw, x), JOIN(conv2d_relu_pool_dw_scratch, x),                   \
            JOIN(relu, x), JOIN(relu_dx, x), JOIN(adam, x)                                        \
    }

#define MG_TEXT_(x) #x
#define MG_TEXT(x) MG_TEXT_(x)
extern const mg_isa JOIN(mg_isa, MG_NAME);
const mg_isa JOIN(mg_isa, MG_NAME) = {MG_TEXT(MG_NAME), MG_TABLE(f32), MG_TABLE(f64),
                                     {program_feed, program_run, program_scratch}};
