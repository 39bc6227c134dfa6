/* Dense layers. With many inputs, the first half of them and the second one are two products that are
   added: (x1 w1 + x2 w2) + bias, whatever the batch and the threads. A thread then reads that half of
   w which it also updates: lines that two cores read have to be called back before one can write. */
#define HALVED ((ptrdiff_t)256) /* so many inputs are worth two products */
#define BLOCK ((ptrdiff_t)64)   /* rows of x a task, or fewer for the sake of many threads */

typedef struct halves {
    const mg_step *s;
    ptrdiff_t rows, block, blocks, middle;
    float *other, *scratch; /* x2 w2; each thread's own, `each` numbers */
    ptrdiff_t each;
} halves;

static ptrdiff_t half_of(ptrdiff_t k) { return ROUND_UP(k / 2, 16); }

static ptrdiff_t half_scratch(const mg_step *s)
{
    const ptrdiff_t first = matmul_scratch_f32(BLOCK, s->units, half_of(s->k), 1);
    const ptrdiff_t second = matmul_scratch_f32(BLOCK, s->units, s->k - half_of(s->k), 1);
    return ROUND_UP(MAX(first, second), LANES);
}

ROOM(dense)
{
    const ptrdiff_t rows = n * s->rows;
    if (s->k < HALVED)
        return matmul_scratch_f32(rows, s->units, s->k, threads);
    return ROUND_UP(rows * s->units, LANES) + threads * half_scratch(s);
}

static void half_task(const void *context, ptrdiff_t index, int thread)
{
    const halves *h = context;
    const mg_step *s = h->s;
    const ptrdiff_t second = index / h->blocks, row = index % h->blocks * h->block;
    const ptrdiff_t begin = second ? h->middle : 0, end = second ? s->k : h->middle;
    matmul_f32(MIN(h->block, h->rows - row), s->units, end - begin, (const float *)s->x + row * s->k + begin, s->k, 1,
               (const float *)s->w + begin * s->units, s->units, 1, NULL, 0,
               (second ? h->other : (float *)s->y) + row * s->units, h->scratch + thread * h->each, 1);
}

RUN(dense)
{
    const ptrdiff_t rows = r->n * s->rows;
    float *scratch = r->scratch;
    int threads = r->threads;
    const VEC zero = SPLAT(0.0f);
    if (s->k < HALVED) {
        matmul_f32(rows, s->units, s->k, s->x, s->k, 1, s->w, s->units, 1, s->bias, s->relu, s->y, scratch,
                   threads);
        return;
    }
    halves h = {.s = s, .rows = rows, .middle = half_of(s->k)};
    threads = mg_threads_worth(0.5 * (double)(rows * s->k * s->units), threads);
    h.block = MIN(BLOCK, CEIL_DIV(rows, CEIL_DIV(threads, 2)));
    h.blocks = CEIL_DIV(rows, h.block);
    h.other = scratch, h.scratch = scratch + ROUND_UP(rows * s->units, LANES);
    h.each = half_scratch(s);
    mg_parallel_for(2 * h.blocks, threads, half_task, &h);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < s->units; j += LANES) {
            const ptrdiff_t lanes = MIN(LANES, s->units - j);
            VEC y, other, bias = zero, positive = zero;
            load_some_f32(&y, (float *)s->y + i * s->units + j, lanes);
            load_some_f32(&other, h.other + i * s->units + j, lanes);
            if (s->bias)
                load_some_f32(&bias, (const float *)s->bias + j, lanes);
            y = (y + other) + bias;
            if (s->relu) {
                const FN(lanes) pass = GREATER(y, zero) | UNORDERED(y);
                select_f32(&positive, &pass, &y);
                y = positive;
            }
            store_some_f32((float *)s->y + i * s->units + j, &y, lanes);
        }
}

RUN(dense_dw)
{
    const ptrdiff_t rows = r->n * s->rows;
    matmul_f32(s->k, s->units, rows, s->x, 1, s->k, s->dy, s->units, 1, NULL, 0, s->dw, r->scratch, r->threads);
    if (s->db)
        sum_rows_f32(rows, s->units, s->dy, s->db, r->scratch, r->threads);
}

ROOM(dense_dw)
{
    const ptrdiff_t rows = n * s->rows;
    return MAX(matmul_scratch_f32(s->k, s->units, rows, threads), sum_rows_scratch_f32(rows, s->units));
}

RUN(dense_dx)
{
    matmul_f32(r->n * s->rows, s->k, s->units, s->dy, s->units, 1, s->w, 1, s->units, NULL, 0, s->dx,
               r->scratch, r->threads);
}

ROOM(dense_dx) { return matmul_scratch_f32(n * s->rows, s->k, s->units, threads); }
#undef HALVED
#undef BLOCK
