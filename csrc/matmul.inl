/* C = A B after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008:
   K is cut into slices; a slice of B is packed once into panels of PANEL_COLS columns, blocks of A
   into panels of PANEL_ROWS rows, so that the tile reads both in order; strides, and so every
   transposition, are the packing's business alone. Each number of C sums over K in the same order
   whatever the blocks and threads are. */
#if MG_REGISTERS >= 32
#define PANEL_ROWS ((ptrdiff_t)12)
#else
#define PANEL_ROWS ((ptrdiff_t)6)
#endif
#define PANEL_COLS (2 * LANES)
#define SLICE ((ptrdiff_t)256)    /* of K: a panel of A and one of B stay in the L1 cache */
#define BLOCK_ROWS ((ptrdiff_t)96) /* of A: the packed block stays in the L2 cache */

typedef struct FN(product) {
    ptrdiff_t m, n, k; /* k: of this slice */
    const REAL *a, *b;
    ptrdiff_t ars, acs, brs, bcs;
    REAL *c;
    int accumulate;
    REAL *packed_b, *packed_a;
    ptrdiff_t block_rows, block_cols, col_blocks;
} FN(product);

/* count lines (rows of A, columns of B) of k numbers into panels `wide` lines wide, k-major; the
   missing lines of the last panel are zero */
static void FN(pack)(ptrdiff_t count, ptrdiff_t k, ptrdiff_t wide, const REAL *x,
                     ptrdiff_t line, ptrdiff_t along, REAL *restrict out)
{
    for (ptrdiff_t first = 0; first < count; first += wide, out += wide * k) {
        const ptrdiff_t lines = MIN(wide, count - first);
        const REAL *from = x + first * line;
        if (lines < wide)
            memset(out, 0, (size_t)(wide * k) * sizeof *out);
        if (line == 1)
            for (ptrdiff_t p = 0; p < k; p++)
                memcpy(out + p * wide, from + p * along, (size_t)lines * sizeof *out);
        else
            for (ptrdiff_t i = 0; i < lines; i++)
                for (ptrdiff_t p = 0; p < k; p++)
                    out[p * wide + i] = from[i * line + p * along];
    }
}

static void FN(pack_b_task)(const void *context, ptrdiff_t panel, int thread)
{
    const FN(product) *s = context;
    const ptrdiff_t first = panel * PANEL_COLS;
    (void)thread;
    FN(pack)(MIN(PANEL_COLS, s->n - first), s->k, PANEL_COLS, s->b + first * s->bcs, s->bcs, s->brs,
             s->packed_b + first * s->k);
}

static void FN(product_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(product) *s = context;
    const ptrdiff_t row = index / s->col_blocks * s->block_rows;
    const ptrdiff_t rows = MIN(s->block_rows, s->m - row);
    const ptrdiff_t col = index % s->col_blocks * s->block_cols;
    const ptrdiff_t end = MIN(col + s->block_cols, s->n);
    REAL *packed_a = s->packed_a + thread * BLOCK_ROWS * SLICE;

    FN(pack)(rows, s->k, PANEL_ROWS, s->a + row * s->ars, s->ars, s->acs, packed_a);
    for (ptrdiff_t j = col; j < end; j += PANEL_COLS)
        for (ptrdiff_t i = 0; i < rows; i += PANEL_ROWS) {
            const FN(tile) t = {
                .segments = 1, .k = s->k,
                .a = packed_a + i * s->k, .a_step = PANEL_ROWS,
                .b = s->packed_b + j * s->k, .ldb = PANEL_COLS,
                .accumulate = s->accumulate,
                .c = s->c + (row + i) * s->n + j, .ldc = s->n,
            };
            FN(strip)(ACROSS, &t, MIN(PANEL_ROWS, rows - i), MIN(PANEL_COLS, end - j));
        }
}

static ptrdiff_t FN(matmul_scratch)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, int threads)
{
    (void)m;
    return ROUND_UP(n, PANEL_COLS) * MIN(k, SLICE) + threads * BLOCK_ROWS * SLICE;
}

static void FN(matmul)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t ars,
                       ptrdiff_t acs, const REAL *b, ptrdiff_t brs, ptrdiff_t bcs,
                       REAL *restrict c, REAL *restrict scratch, int threads)
{
    if (m == 0 || n == 0)
        return;
    if (k == 0) {
        memset(c, 0, (size_t)(m * n) * sizeof *c);
        return;
    }
    threads = mg_threads_worth((double)m * (double)n * (double)k, threads);
    FN(product) s = {
        .m = m, .n = n, .c = c,
        .ars = ars, .acs = acs, .brs = brs, .bcs = bcs,
        .packed_a = scratch, .packed_b = scratch + threads * BLOCK_ROWS * SLICE,
    };
    /* blocks of equal height; columns are cut too when there are not rows enough to go round */
    const ptrdiff_t per_thread = ROUND_UP(CEIL_DIV(m, threads), PANEL_ROWS);
    s.block_rows = MIN(per_thread, BLOCK_ROWS);
    const ptrdiff_t row_blocks = CEIL_DIV(m, s.block_rows), panels = CEIL_DIV(n, PANEL_COLS);
    s.col_blocks = MIN(CEIL_DIV(threads, row_blocks), panels);
    s.block_cols = CEIL_DIV(panels, s.col_blocks) * PANEL_COLS;
    s.col_blocks = CEIL_DIV(n, s.block_cols);

    const ptrdiff_t slices = CEIL_DIV(k, SLICE);
    for (ptrdiff_t i = 0; i < slices; i++) {
        const ptrdiff_t first = k * i / slices;
        s.k = k * (i + 1) / slices - first;
        s.a = a + first * acs;
        s.b = b + first * brs;
        s.accumulate = i > 0;
        mg_parallel_for(panels, threads, FN(pack_b_task), &s);
        mg_parallel_for(row_blocks * s.col_blocks, threads, FN(product_task), &s);
    }
}

#undef PANEL_ROWS
#undef PANEL_COLS
#undef SLICE
#undef BLOCK_ROWS

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
