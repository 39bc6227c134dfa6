/* C = A B after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
   C is cut into blocks, a task each; K into slices. For each slice, a task packs its columns of B
   into panels of PANEL_COLS, which stay in the L2 cache; then, PANEL_ROWS rows of A after another,
   it packs those into one panel, which stays in the L1 cache, and lets the tile run along all of B's
   panels. What is read too few times to repay packing is read where it lies.

   Each number of C is a sum over K of a slice, in order, added to that of the slices before: the
   same whatever blocks, threads and layouts are, for slices depend on k alone. */
#if MG_REGISTERS >= 32
#define PANEL_ROWS ((ptrdiff_t)12)
#else
#define PANEL_ROWS ((ptrdiff_t)6)
#endif
#define PANEL_COLS (2 * LANES)
#define SLICE ((ptrdiff_t)(1536 / sizeof(REAL))) /* of K: a panel of A is half the L1 cache */
#define BLOCK_COLS (16 * PANEL_COLS) /* of B: a block is three quarters of the L2 cache */
#define BLOCK_ROWS ((ptrdiff_t)512)  /* a task's: B's packing is repaid, threads end together */
#define FEW_ROWS ((ptrdiff_t)64)     /* B is read in place for up to so many rows */
#define FEW_COLS (4 * PANEL_COLS)    /* A is read in place for up to so many columns */

typedef struct FN(product) {
    ptrdiff_t m, n, k;
    const REAL *a, *b;
    ptrdiff_t ars, acs, brs, bcs;
    const REAL *bias;
    int relu;
    REAL *c, *scratch;
    ptrdiff_t block_rows, block_cols, row_blocks, col_blocks;
} FN(product);

static ptrdiff_t FN(slices)(ptrdiff_t k) { return MAX(1, CEIL_DIV(k, SLICE)); }
static ptrdiff_t FN(slice)(ptrdiff_t k) { return CEIL_DIV(k, FN(slices)(k)); } /* the longest */

/* LANES lines of LANES numbers `along` K, `line` apart, turned into LANES vectors `wide` apart;
   there are `lines` of them, zeros stand for the others */
INLINE void FN(pack_square)(ptrdiff_t lines, const REAL *x, ptrdiff_t line, REAL *out, ptrdiff_t wide)
{
    VEC v[LANES];
    UNROLL
    for (int i = 0; i < LANES; i++)
        v[i] = i < lines ? LOAD(x + i * line) : SPLAT((REAL)0);
    FN(transpose)(v);
    UNROLL
    for (int i = 0; i < LANES; i++)
        STORE(out + i * wide, v[i]);
}

/* count lines (rows of A, columns of B) of k numbers into panels `wide` lines wide, k-major; the
   missing lines of the last panel are zero, and up to LANES numbers behind it are overwritten when
   `wide` is no multiple of LANES */
static void FN(pack)(ptrdiff_t count, ptrdiff_t k, ptrdiff_t wide, const REAL *x,
                     ptrdiff_t line, ptrdiff_t along, REAL *restrict out)
{
    for (ptrdiff_t first = 0; first < count; first += wide, out += wide * k) {
        const ptrdiff_t lines = MIN(wide, count - first);
        const REAL *from = x + first * line;
        if (along == 1 && LANES > 1 && k >= LANES) {
            /* whole squares, the last one overlapping; from the right, for what a square writes
               behind its row is the beginning of the next row, which is yet to come */
            for (ptrdiff_t p = 0; p < k; p += LANES)
                for (ptrdiff_t i = (wide - 1) / LANES * LANES; i >= 0; i -= LANES) {
                    const ptrdiff_t at = MIN(p, k - LANES);
                    FN(pack_square)(lines - i, from + i * line + at, line, out + at * wide + i, wide);
                }
        } else if (line == 1) {
            for (ptrdiff_t p = 0; p < k; p++)
                for (ptrdiff_t i = 0; i < wide; i += LANES) {
                    VEC v = SPLAT((REAL)0);
                    if (i < lines)
                        FN(load_some)(&v, from + p * along + i, MIN(LANES, lines - i));
                    FN(store_some)(out + p * wide + i, &v, MIN(LANES, wide - i));
                }
        } else {
            if (lines < wide)
                memset(out, 0, (size_t)(wide * k) * sizeof *out);
            for (ptrdiff_t i = 0; i < lines; i++)
                for (ptrdiff_t p = 0; p < k; p++)
                    out[p * wide + i] = from[i * line + p * along];
        }
    }
}

/* what a thread needs at a time: a panel of A, panels of B */
static ptrdiff_t FN(panel_a_size)(ptrdiff_t k) { return ROUND_UP(PANEL_ROWS * FN(slice)(k) + LANES, 64); }
static ptrdiff_t FN(panels_size)(ptrdiff_t n, ptrdiff_t k)
{
    return FN(panel_a_size)(k) + ROUND_UP(MIN(BLOCK_COLS, ROUND_UP(n, PANEL_COLS)) * FN(slice)(k), 64);
}

static void FN(product_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(product) *s = context;
    const ptrdiff_t row = index / s->col_blocks * s->block_rows;
    const ptrdiff_t rows = MIN(s->block_rows, s->m - row);
    const ptrdiff_t col = index % s->col_blocks * s->block_cols;
    const ptrdiff_t cols = MIN(s->block_cols, s->n - col);
    const ptrdiff_t tiles = CEIL_DIV(rows, PANEL_ROWS), slices = FN(slices)(s->k);
    REAL *packed_a = s->scratch + thread * FN(panels_size)(s->n, s->k);
    REAL *packed_b = packed_a + FN(panel_a_size)(s->k);

    const ptrdiff_t plain = s->bcs != 1 || rows > FEW_ROWS ? 0 : cols / LANES * LANES;
    const int walk = s->acs == 1 ? ALONG : ACROSS;
    const int pack_a = cols > FEW_COLS || (s->acs != 1 && s->ars != 1);
    for (ptrdiff_t slice = 0; slice < slices; slice++) {
        const ptrdiff_t first = s->k * slice / slices, k = s->k * (slice + 1) / slices - first;
        const REAL *a = s->a + row * s->ars + first * s->acs;
        const REAL *b = s->b + col * s->bcs + first * s->brs;
        const REAL *add = slice + 1 == slices && s->bias ? s->bias + col : NULL;
        FN(pack)(cols - plain, k, PANEL_COLS, b + plain * s->bcs, s->bcs, s->brs, packed_b);
        for (ptrdiff_t i = 0; i < tiles; i++) {
            const ptrdiff_t begin = rows * i / tiles, high = rows * (i + 1) / tiles - begin;
            FN(tile) t = {
                .segments = 1, .k = k,
                .a = a + begin * s->ars, .a_step = walk == ALONG ? s->ars : s->acs,
                .b = b, .ldb = s->brs,
                .accumulate = slice > 0,
                .add = add, .relu = slice + 1 == slices && s->relu,
                .c = s->c + (row + begin) * s->n + col, .ldc = s->n,
            };
            if (pack_a) {
                FN(pack)(high, k, PANEL_ROWS, t.a, s->ars, s->acs, packed_a);
                t.a = packed_a, t.a_step = PANEL_ROWS;
            }
            if (plain)
                FN(strip)(pack_a ? ACROSS : walk, &t, high, plain);
            t.ldb = PANEL_COLS;
            for (ptrdiff_t j = plain; j < cols; j += PANEL_COLS) {
                t.b = packed_b + (j - plain) * k;
                t.c = s->c + (row + begin) * s->n + col + j;
                t.add = add ? add + j : NULL;
                for (ptrdiff_t r = 0; r < high; r++) { /* the tile gets to C at its very end */
                    SOON_WRITTEN(t.c + r * s->n);
                    SOON_WRITTEN(t.c + r * s->n + MIN(LANES, cols - j - 1));
                }
                FN(strip)(pack_a ? ACROSS : walk, &t, high, MIN(PANEL_COLS, cols - j));
            }
        }
    }
}

/* Blocks of equal size, as many as threads at least; of all ways to cut rows and columns the one
   with the least to compute, and to read, for the largest block. */
static void FN(cut)(FN(product) *s, int threads)
{
    const ptrdiff_t panels = CEIL_DIV(s->n, PANEL_COLS);
    double least = HUGE_VAL;
    for (ptrdiff_t cuts = 1; cuts <= MIN(threads, panels); cuts++) {
        const ptrdiff_t rows = CEIL_DIV(s->m, CEIL_DIV(threads, cuts));
        const ptrdiff_t cols = CEIL_DIV(panels, cuts) * PANEL_COLS;
        const double cost = (double)rows * (double)cols + 6 * (double)(rows + cols);
        if (cost < least)
            least = cost, s->block_rows = rows, s->block_cols = cols;
    }
    s->block_cols = CEIL_DIV(s->block_cols, CEIL_DIV(s->block_cols, BLOCK_COLS));
    s->block_cols = ROUND_UP(s->block_cols, PANEL_COLS);
    if (threads > 1)
        s->block_rows = CEIL_DIV(s->block_rows, CEIL_DIV(s->block_rows, BLOCK_ROWS));
    s->row_blocks = CEIL_DIV(s->m, s->block_rows);
    s->col_blocks = CEIL_DIV(s->n, s->block_cols);
}

static ptrdiff_t FN(matmul_scratch)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, int threads)
{
    return threads * FN(panels_size)(n == 1 ? m : n, k);
}

static void FN(matmul)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t ars,
                       ptrdiff_t acs, const REAL *b, ptrdiff_t brs, ptrdiff_t bcs,
                       const REAL *bias, int relu, REAL *restrict c, REAL *restrict scratch, int threads)
{
    if (m == 0 || n == 0)
        return;
    FN(product) s = {
        .m = m, .n = n, .k = k, .a = a, .b = b,
        .ars = ars, .acs = acs, .brs = brs, .bcs = bcs,
        .bias = bias, .relu = relu, .c = c, .scratch = scratch,
    };
    if (n == 1) { /* a column is a row lying down */
        s.m = 1, s.n = m, s.bias = NULL, s.relu = relu && !bias;
        s.a = b, s.ars = bcs, s.acs = brs;
        s.b = a, s.brs = acs, s.bcs = ars;
    }
    /* tiles take a quarter of the time that other kernels take for a multiply-add, or less */
    threads = mg_threads_worth((double)m * (double)n * (double)k / 4, threads);
    FN(cut)(&s, threads);
    mg_parallel_for(s.row_blocks * s.col_blocks, threads, FN(product_task), &s);
    for (ptrdiff_t i = 0; n == 1 && bias && i < m; i++) {
        c[i] += bias[0];
        c[i] = relu && c[i] <= 0 ? 0 : c[i];
    }
}

#undef PANEL_ROWS
#undef PANEL_COLS
#undef SLICE
#undef BLOCK_COLS
#undef BLOCK_ROWS
#undef FEW_ROWS
#undef FEW_COLS

/* Sums a column at a time of ROWS_A_CHUNK rows, then the chunks in order: the same sum for any
   number of threads, and with a smaller rounding error than one long chain. */
#define ROWS_A_CHUNK ((ptrdiff_t)1024)

typedef struct FN(rows) {
    ptrdiff_t m, n;
    const REAL *x;
    REAL *y;
} FN(rows);

static void FN(sum_rows_task)(const void *context, ptrdiff_t chunk, int thread)
{
    const FN(rows) *s = context;
    const ptrdiff_t first = chunk * ROWS_A_CHUNK, end = MIN(first + ROWS_A_CHUNK, s->m);
    REAL *y = s->y + chunk * s->n;
    (void)thread;
    for (ptrdiff_t j = 0; j < s->n; j += LANES) {
        const ptrdiff_t lanes = MIN(LANES, s->n - j);
        VEC sum = SPLAT((REAL)0), x;
        for (ptrdiff_t i = first; i < end; i++) {
            FN(load_some)(&x, s->x + i * s->n + j, lanes);
            sum += x;
        }
        FN(store_some)(y + j, &sum, lanes);
    }
}

static ptrdiff_t FN(sum_rows_scratch)(ptrdiff_t m, ptrdiff_t n)
{
    return CEIL_DIV(m, ROWS_A_CHUNK) * n;
}

static void FN(sum_rows)(ptrdiff_t m, ptrdiff_t n, const REAL *x, REAL *restrict y,
                         REAL *restrict scratch, int threads)
{
    const FN(rows) s = {.m = m, .n = n, .x = x, .y = scratch};
    const ptrdiff_t chunks = CEIL_DIV(m, ROWS_A_CHUNK);
    mg_parallel_for(chunks, mg_threads_worth((double)m * (double)n, threads), FN(sum_rows_task), &s);
    for (ptrdiff_t j = 0; j < n; j++) {
        REAL sum = 0;
        for (ptrdiff_t chunk = 0; chunk < chunks; chunk++)
            sum += scratch[chunk * n + j];
        y[j] = sum;
    }
}

#undef ROWS_A_CHUNK
