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

/* v[i][j] = v[j][i]. A round exchanges one binary digit of the place in `v`, `apart`, with one of the
   lane: among the 16-byte pieces of two vectors, every second one goes here and the others there;
   within the pieces of two vectors, the lower numbers in turn go here and the upper ones there. CPUs
   do either by one instruction. */
#if MG_VBYTES
#define PIECE ((int)(16 / sizeof(REAL)))
#if REAL_BYTES == 4
#define WHOLE(i) i, i + 1, i + 2, i + 3
#define TURNS(i) i, i + LANES, i + 1, i + LANES + 1
#else
#define WHOLE(i) i, i + 1
#define TURNS(i) i, i + LANES
#endif
#if MG_VBYTES == 64
#define PIECES(X, i, step) X(i), X(i + step), X(i + 2 * step), X(i + 3 * step)
#elif MG_VBYTES == 32
#define PIECES(X, i, step) X(i), X(i + step)
#else
#define PIECES(X, i, step) X(i)
#endif
#define ROUND(here, there)                                                                        \
    UNROLL                                                                                        \
    for (int pair = 0; pair < LANES / 2; pair++) {                                                \
        const int i = pair / apart * 2 * apart + pair % apart;                                    \
        const VEC a = v[i], b = v[i + apart];                                                     \
        v[i] = SHUFFLE(a, b, here);                                                               \
        v[i + apart] = SHUFFLE(a, b, there);                                                      \
    }
#endif
INLINE void FN(transpose)(VEC *v)
{
#if MG_VBYTES
    UNROLL
    for (int apart = PIECE; apart < LANES; apart *= 2)
        ROUND(PIECES(WHOLE, 0, 2 * PIECE), PIECES(WHOLE, PIECE, 2 * PIECE))
    UNROLL
    for (int apart = PIECE / 2; apart; apart /= 2)
        ROUND(PIECES(TURNS, 0, PIECE), PIECES(TURNS, PIECE / 2, PIECE))
#else
    (void)v;
#endif
}
#undef PIECE
#undef WHOLE
#undef TURNS
#undef PIECES
#undef ROUND
