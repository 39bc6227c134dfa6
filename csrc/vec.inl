/* A vector of LANES REALs, and the few things that are said of one. Without vector extensions a
   vector is a single number, and the same bodies still hold. */
#define VEC FN(vec)

#if MG_VBYTES
#define LANES ((ptrdiff_t)(MG_VBYTES / sizeof(REAL)))
typedef REAL VEC __attribute__((vector_size(MG_VBYTES)));
typedef INT FN(lanes) __attribute__((vector_size(MG_VBYTES))); /* a comparison: 0 or -1 a lane */
typedef REAL FN(unaligned) __attribute__((vector_size(MG_VBYTES), aligned(__alignof__(REAL)), may_alias));
#define SPLAT(x) ((x) - (VEC){0}) /* x - 0 is x, even for -0 and NaN */
#else
#define LANES ((ptrdiff_t)1)
typedef REAL VEC;
typedef INT FN(lanes);
typedef REAL FN(unaligned);
#define SPLAT(x) (x)
#endif
/* a's and b's lanes in turn: a0 b0 a1 b1 ... of their lower halves, and of their upper halves */
#if MG_VBYTES / REAL_BYTES == 16
#define TURNS_LOWER(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define TURNS_UPPER(a, b) SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif MG_VBYTES / REAL_BYTES == 8
#define TURNS_LOWER(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define TURNS_UPPER(a, b) SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif MG_VBYTES / REAL_BYTES == 4
#define TURNS_LOWER(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define TURNS_UPPER(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#elif MG_VBYTES / REAL_BYTES == 2
#define TURNS_LOWER(a, b) SHUFFLE(a, b, 0, 2)
#define TURNS_UPPER(a, b) SHUFFLE(a, b, 1, 3)
#endif
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (FN(lanes)){__VA_ARGS__})
#endif
#define LOAD(p) ((VEC)*(const FN(unaligned) *)(p))
#define STORE(p, v) (*(FN(unaligned) *)(p) = (v))

/* load and store the first n <= LANES numbers; the lanes behind them are zero */
#ifdef MG_MASKS
#define FIRST(n) ((n) >= LANES ? (__mmask16)-1 : (__mmask16)((1 << (n)) - 1))
INLINE void FN(load_some)(VEC *v, const REAL *p, ptrdiff_t n)
{
    *v = sizeof *p == 4 ? (VEC)_mm512_maskz_loadu_ps(FIRST(n), p)
                        : (VEC)_mm512_maskz_loadu_pd((__mmask8)FIRST(n), p);
}

INLINE void FN(store_some)(REAL *p, const VEC *v, ptrdiff_t n)
{
    if (sizeof *p == 4)
        _mm512_mask_storeu_ps(p, FIRST(n), (__m512)*v);
    else
        _mm512_mask_storeu_pd(p, (__mmask8)FIRST(n), (__m512d)*v);
}
#else
INLINE void FN(load_some)(VEC *v, const REAL *p, ptrdiff_t n)
{
    if (n >= LANES)
        *v = LOAD(p);
    else {
        REAL lane[LANES] = {0};
        for (ptrdiff_t i = 0; i < n; i++)
            lane[i] = p[i];
        memcpy(v, lane, sizeof *v);
    }
}

INLINE void FN(store_some)(REAL *p, const VEC *v, ptrdiff_t n)
{
    if (n >= LANES)
        STORE(p, *v);
    else {
        REAL lane[LANES];
        memcpy(lane, v, sizeof *v);
        for (ptrdiff_t i = 0; i < n; i++)
            p[i] = lane[i];
    }
}
#endif

/* y = mask ? a : y, a lane at a time */
INLINE void FN(select)(VEC *y, const FN(lanes) *mask, const VEC *a)
{
    FN(lanes) old, new;
    memcpy(&old, y, sizeof old);
    memcpy(&new, a, sizeof new);
    old = (new & *mask) | (old & ~*mask);
    memcpy(y, &old, sizeof old);
}

/* whether any lane of a comparison is true */
INLINE int FN(any)(FN(lanes) mask)
{
    INT lane[LANES], any = 0;
    memcpy(lane, &mask, sizeof lane);
    for (ptrdiff_t i = 0; i < LANES; i++)
        any |= lane[i];
    return any != 0;
}

/* true lanes are -1 in both worlds */
#if MG_VBYTES
#define GREATER(a, b) ((a) > (b))
#define UNORDERED(a) ((a) != (a))
#define EQUAL(a, b) ((a) == (b))
#else
#define GREATER(a, b) (-(INT)((a) > (b)))
#define UNORDERED(a) (-(INT)((a) != (a)))
#define EQUAL(a, b) (-(INT)((a) == (b)))
#endif

/* v[i][j] = v[j][i]. Taking turns between the first half of the vectors and the second one, lane by
   lane, moves the last binary digit of the place in `v` into the lane, and the lane's first digit
   out: after as many rounds as there are digits, the two have changed places. */
INLINE void FN(transpose)(VEC *v)
{
#if MG_VBYTES
    UNROLL
    for (int round = 1; round < LANES; round *= 2) {
        VEC next[LANES];
        UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = TURNS_LOWER(v[i], v[i + LANES / 2]);
            next[2 * i + 1] = TURNS_UPPER(v[i], v[i + LANES / 2]);
        }
        memcpy(v, next, sizeof next);
    }
#else
    (void)v;
#endif
}
