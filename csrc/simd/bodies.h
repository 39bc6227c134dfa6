/* Included once by each isa_*.c, which sets MG_NAME, MG_VBYTES (bytes a vector; 0: no vectors) and
   MG_REGISTERS: compiles every body, for float and for double, and exports the table of them. */
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

/* What a step runs (kernels.def, steps.def), and how many numbers of scratch it takes. */
#define RUN(op) static void FN(op##_run)(const mg_step *s, mg_run *r)
#define ROOM(op) static ptrdiff_t FN(op##_room)(const mg_step *s, ptrdiff_t n, int threads)

INLINE mg_windows windows_for(const mg_step *s, ptrdiff_t n)
{
    mg_windows w = s->windows;
    w.n = n;
    return w;
}

#define REAL float
#define REAL_BYTES 4
#define INT int32_t
#define SQRT sqrtf
#define TINY FLT_MIN
#define PROGRAM /* steps are in float alone */
#define FN(name) JOIN(name, f32)
#include "kernels/all.inl"
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
#include "kernels/all.inl"
#undef REAL
#undef REAL_BYTES
#undef INT
#undef SQRT
#undef TINY
#undef FN

#define MG_TEXT_(x) #x
#define MG_TEXT(x) MG_TEXT_(x)
extern const mg_isa JOIN(mg_isa, MG_NAME);
const mg_isa JOIN(mg_isa, MG_NAME) = {
    MG_TEXT(MG_NAME),
    {{
#define KERNEL(op, room, operands) [MG_##op] = {op##_run_f32, room##_f32},
#define STEP KERNEL
#include "kernels.def"
#include "steps.def"
#undef STEP
#undef KERNEL
     },
     {
#define KERNEL(op, room, operands) [MG_##op] = {op##_run_f64, room##_f64},
#include "kernels.def"
#undef KERNEL
     }},
    feed,
};
