/* The one inner loop: a tile of C held in registers while K runs by. Matrix product, convolution
   forward and both its gradients differ only in how they walk A:

       for r < rows, j < cols:
           c[r*ldc + j] = start + sum over s < segments, p < k of a(s, p, r) * b[(s*k + p)*ldb + j]

   where start is bias[j], or 0 without a bias, or the old c[r*ldc + j] with `accumulate`; add[j],
   if there is one, is added at the end, and `relu` makes that max(c, 0), where NaN stays NaN; and
       a(s, p, r) = a[s*a_segment + r*a_step + p]   along K ("ALONG": K is contiguous)
                  = a[s*a_segment + p*a_step + r]   across K ("ACROSS": rows are contiguous).
   A convolution's image row is such an A: neighbouring pixels' windows are sw*C apart, a window is
   kh segments (image rows) of kw*C adjacent numbers. b is readable, and bias too, up to a multiple
   of LANES columns; c and add are touched only where they exist. */
typedef struct FN(tile) {
    ptrdiff_t segments, k;
    const REAL *a;
    ptrdiff_t a_segment, a_step;
    const REAL *b;
    ptrdiff_t ldb;
    const REAL *bias;
    int accumulate;
    const REAL *add;
    int relu;
    REAL *c;
    ptrdiff_t ldc;
} FN(tile);

/* Tile heights: rows x vectors accumulators, and what feeds them, just fit the registers; of 16,
   three rows by four vectors just do not: such tiles are for three rows, and for so short a K that
   going over the rows again costs more. */
#if MG_REGISTERS >= 32
#define ROWS_1 12
#define ROWS_2 12
#define ROWS_4 6
#else
#define ROWS_1 8
#define ROWS_2 6
#define ROWS_4 3
#endif
#define ROWS_MOST 12

/* What follows the sums x (pitch apart), and is not just storing whole vectors. */
static void FN(finish)(const FN(tile) *t, const REAL *x, ptrdiff_t pitch, ptrdiff_t row,
                       ptrdiff_t rows, ptrdiff_t col, ptrdiff_t cols)
{
    const VEC zero = SPLAT((REAL)0);
    for (ptrdiff_t j = 0; j < cols; j += LANES) {
        const ptrdiff_t lanes = MIN(LANES, cols - j);
        VEC add = zero;
        if (t->add)
            FN(load_some)(&add, t->add + col + j, lanes);
        for (ptrdiff_t r = 0; r < rows; r++) {
            REAL *to = t->c + (row + r) * t->ldc + col + j;
            VEC v = LOAD(x + r * pitch + j), old;
            if (t->accumulate) {
                FN(load_some)(&old, to, lanes);
                v = old + v;
            }
            if (t->add)
                v += add;
            if (t->relu) {
                const FN(lanes) below = GREATER(zero, v); /* NaN is not */
                FN(select)(&v, &below, &zero);
            }
            FN(store_some)(to, &v, lanes);
        }
    }
}

/* rows, vectors and across are constants where this is inlined: the loops over them vanish */
INLINE void FN(tile_body)(const int rows, const int vectors, const int across,
                          const FN(tile) *t, ptrdiff_t row, ptrdiff_t col, ptrdiff_t cols)
{
    VEC acc[ROWS_MOST][4];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] = t->bias ? LOAD(t->bias + col + v * LANES) : SPLAT((REAL)0);
    }

    const ptrdiff_t step = t->a_step, ldb = t->ldb;
    const REAL *b = t->b + col;
    for (ptrdiff_t s = 0; s < t->segments; s++) {
        const REAL *a = t->a + s * t->a_segment + row * (across ? 1 : step);
        for (ptrdiff_t p = 0; p < t->k; p++) {
            VEC bv[4];
            UNROLL
            for (int v = 0; v < vectors; v++)
                bv[v] = LOAD(b + v * LANES);
            UNROLL
            for (int r = 0; r < rows; r++) {
                const VEC x = SPLAT(across ? a[r] : a[r * step]);
                UNROLL
                for (int v = 0; v < vectors; v++)
                    acc[r][v] += x * bv[v];
            }
            a += across ? step : 1;
            b += ldb;
        }
    }

    REAL *c = t->c + row * t->ldc + col;
    if (cols == vectors * LANES && !t->add && !t->relu) {
        UNROLL
        for (int r = 0; r < rows; r++) {
            UNROLL
            for (int v = 0; v < vectors; v++) {
                REAL *to = c + r * t->ldc + v * LANES;
                STORE(to, t->accumulate ? LOAD(to) + acc[r][v] : acc[r][v]);
            }
        }
        return;
    }
    REAL spill[ROWS_MOST * 4 * LANES];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            STORE(spill + (r * vectors + v) * LANES, acc[r][v]);
    }
    FN(finish)(t, spill, vectors * LANES, row, rows, col, cols);
}

/* one function per width and walk, with a case for each height up to ROWS_<width> */
#define TILE_CASE(rows, vectors, across)                                                          \
    case rows:                                                                                    \
        FN(tile_body)(rows, vectors, across, t, row, col, cols);                                  \
        break;
#if MG_REGISTERS >= 32
#define TILE_CASES_1(v, a) TILE_CASES_2(v, a)
#define TILE_CASES_2(v, a)                                                                        \
    TILE_CASES_4(v, a) TILE_CASE(7, v, a) TILE_CASE(8, v, a) TILE_CASE(9, v, a)                   \
    TILE_CASE(10, v, a) TILE_CASE(11, v, a) TILE_CASE(12, v, a)
#define TILE_CASES_4(v, a)                                                                        \
    TILE_CASE(1, v, a) TILE_CASE(2, v, a) TILE_CASE(3, v, a)                                      \
    TILE_CASE(4, v, a) TILE_CASE(5, v, a) TILE_CASE(6, v, a)
#else
#define TILE_CASES_1(v, a) TILE_CASES_2(v, a) TILE_CASE(7, v, a) TILE_CASE(8, v, a)
#define TILE_CASES_2(v, a)                                                                        \
    TILE_CASES_4(v, a) TILE_CASE(4, v, a) TILE_CASE(5, v, a) TILE_CASE(6, v, a)
#define TILE_CASES_4(v, a) TILE_CASE(1, v, a) TILE_CASE(2, v, a) TILE_CASE(3, v, a)
#endif
#define TILE_FUNCTION(name, vectors, across)                                                      \
    static void FN(name)(const FN(tile) *t, ptrdiff_t rows, ptrdiff_t row, ptrdiff_t col,         \
                         ptrdiff_t cols)                                                          \
    {                                                                                             \
        switch (rows) { TILE_CASES_##vectors(vectors, across) }                                   \
    }
TILE_FUNCTION(along_1, 1, 0)
TILE_FUNCTION(along_2, 2, 0)
TILE_FUNCTION(along_4, 4, 0)
TILE_FUNCTION(across_1, 1, 1)
TILE_FUNCTION(across_2, 2, 1)
TILE_FUNCTION(across_4, 4, 1)



/* rows x cols of C, cut into tiles of nearly equal height */
static void FN(strip)(int walk, const FN(tile) *t, ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t wide;
    const int four = MG_REGISTERS >= 32 || rows <= ROWS_4 || t->segments * t->k < 16;
    for (ptrdiff_t col = 0; col < cols; col += wide) {
        const ptrdiff_t left = cols - col;
        const int vectors = four && left > 3 * LANES ? 4 : left > LANES ? 2 : 1;
        const ptrdiff_t most = vectors == 4 ? ROWS_4 : vectors == 2 ? ROWS_2 : ROWS_1;
        const ptrdiff_t tiles = CEIL_DIV(rows, most);
        wide = MIN(vectors * LANES, left);
        for (ptrdiff_t i = 0; i < tiles; i++) {
            const ptrdiff_t row = rows * i / tiles, high = rows * (i + 1) / tiles - row;
            for (ptrdiff_t r = row; t->accumulate && r < row + high; r++) /* c comes while K runs by */
                for (ptrdiff_t j = 0; j < wide; j += LANES)
                    SOON_WRITTEN(t->c + r * t->ldc + col + j);
            if (vectors == 4)
                (walk == ALONG ? FN(along_4) : FN(across_4))(t, high, row, col, wide);
            else if (vectors == 2)
                (walk == ALONG ? FN(along_2) : FN(across_2))(t, high, row, col, wide);
            else
                (walk == ALONG ? FN(along_1) : FN(across_1))(t, high, row, col, wide);
        }
    }
}

#undef ROWS_1
#undef ROWS_2
#undef ROWS_4
#undef ROWS_MOST
#undef TILE_CASE
#undef TILE_CASES_1
#undef TILE_CASES_2
#undef TILE_CASES_4
#undef TILE_FUNCTION
