/* One step of Adam, in one pass over the four arrays. Where gradients stay 0, m shrinks until it is
   subnormal and then stays so for ever, as rounding has it, and arithmetic on such numbers is slow:
   it becomes 0 instead. */
#define CHUNK ((ptrdiff_t)1024)

typedef struct FN(adam_step) {
    ptrdiff_t n;
    REAL *x, *m, *v;
    const REAL *dx;
    REAL rate, rest_1, rest_2, epsilon;
} FN(adam_step);

static void FN(adam_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(adam_step) *a = context;
    const ptrdiff_t begin = index * CHUNK, count = MIN(CHUNK, a->n - begin);
    REAL *restrict x = a->x + begin, *restrict m = a->m + begin, *restrict v = a->v + begin;
    const REAL *restrict dx = a->dx + begin;
    const REAL rate = a->rate, rest_1 = a->rest_1, rest_2 = a->rest_2, epsilon = a->epsilon;
    (void)thread;
    for (ptrdiff_t i = 0; i < count; i++) { /* the compiler makes vectors of it */
        const REAL mean = m[i] + (dx[i] - m[i]) * rest_1;
        m[i] = mean < TINY && mean > -TINY ? 0 : mean;
        v[i] += (dx[i] * dx[i] - v[i]) * rest_2;
        x[i] -= rate * m[i] / (SQRT(v[i]) + epsilon);
    }
}

static void FN(adam)(ptrdiff_t n, REAL *restrict x, const REAL *dx, REAL *restrict m,
                     REAL *restrict v, double rate, double beta_1, double beta_2, double epsilon,
                     int threads)
{
    const FN(adam_step) a = {
        .n = n, .x = x, .m = m, .v = v, .dx = dx, .rate = (REAL)rate,
        .rest_1 = (REAL)(1 - beta_1), .rest_2 = (REAL)(1 - beta_2), .epsilon = (REAL)epsilon,
    };
    mg_parallel_for(CEIL_DIV(n, CHUNK), mg_threads_worth(8.0 * (double)n, threads),
                    FN(adam_task), &a);
}

RUN(adam)
{
    FN(adam)(s->units, s->y, s->dy, s->m, s->v, r->rate, s->beta_1, s->beta_2, s->epsilon, r->threads);
}

#undef CHUNK
