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

RUN(sum_rows)
{
    FN(sum_rows)(r->n * s->rows, s->units, s->x, s->y, r->scratch, r->threads);
}

ROOM(sum_rows)
{
    (void)threads;
    return FN(sum_rows_scratch)(n * s->rows, s->units);
}

#undef ROWS_A_CHUNK
