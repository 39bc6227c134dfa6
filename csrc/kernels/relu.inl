/* ReLU. NaN is neither > 0 nor <= 0: it passes, and so does its gradient. */
#define RELU_CHUNK ((ptrdiff_t)16384) /* elements a task: a few microseconds' work */

typedef struct FN(relu_ends) {
    ptrdiff_t n;
    const REAL *x, *dy; /* dy: NULL in the forward pass */
    REAL *y;
} FN(relu_ends);

static void FN(relu_task)(const void *context, ptrdiff_t chunk, int thread)
{
    const FN(relu_ends) *s = context;
    const REAL *value = s->dy ? s->dy : s->x;
    const ptrdiff_t end = MIN((chunk + 1) * RELU_CHUNK, s->n);
    (void)thread;
    for (ptrdiff_t i = chunk * RELU_CHUNK; i < end; i += LANES) {
        const ptrdiff_t lanes = MIN(LANES, end - i);
        VEC x, v, y = SPLAT((REAL)0);
        FN(load_some)(&x, s->x + i, lanes);
        FN(load_some)(&v, value + i, lanes);
        const FN(lanes) pass = GREATER(x, y) | UNORDERED(x);
        FN(select)(&y, &pass, &v);
        FN(store_some)(s->y + i, &y, lanes);
    }
}

static void FN(relu)(ptrdiff_t n, const REAL *x, REAL *y, int threads)
{
    const FN(relu_ends) s = {.n = n, .x = x, .y = y};
    mg_parallel_for(CEIL_DIV(n, RELU_CHUNK), mg_threads_worth((double)n, threads), FN(relu_task), &s);
}

static void FN(relu_dx)(ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx, int threads)
{
    const FN(relu_ends) s = {.n = n, .x = y, .dy = dy, .y = dx};
    mg_parallel_for(CEIL_DIV(n, RELU_CHUNK), mg_threads_worth((double)n, threads), FN(relu_task), &s);
}

RUN(relu) { FN(relu)(r->n * s->units, s->x, s->y, r->threads); }

RUN(relu_dx) { FN(relu_dx)(r->n * s->units, s->dy, s->y, s->dx, r->threads); }

#undef RELU_CHUNK
