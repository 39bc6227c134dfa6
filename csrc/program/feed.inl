/* Gathering a batch: see mg_feed in mg.h. */
typedef struct feeding {
    const mg_feed *f;
    const int64_t *order;
    ptrdiff_t first, n;
} feeding;

#define FEED_AHEAD 2 /* examples: the next one may be another thread's */

/* where example i of the batch is */
static const char *fed(const feeding *g, ptrdiff_t i)
{
    return g->f->from + (g->order ? (ptrdiff_t)g->order[i] : g->first + i) * g->f->stride;
}

static void feed_task(const void *context, ptrdiff_t i, int thread)
{
    const feeding *g = context;
    const mg_feed *f = g->f;
    const char *from = fed(g, i);
    const float scale = f->scale, offset = f->offset;
    float *restrict to = f->to + i * f->size;
    (void)thread;
    if (g->order && i + FEED_AHEAD < g->n) { /* examples lie anywhere: send for one of the next */
        const char *next = fed(g, i + FEED_AHEAD);
        for (ptrdiff_t j = 0; j < f->size * f->itemsize; j += 64)
            PREFETCH(next + j);
    }
    if (f->type == MG_U8)
        for (ptrdiff_t j = 0; j < f->size; j++)
            to[j] = (float)(uint8_t)from[j] * scale + offset;
    else if (f->type == MG_F64)
        for (ptrdiff_t j = 0; j < f->size; j++)
            to[j] = (float)((const double *)from)[j] * scale + offset;
    else if (scale == 1 && offset == 0)
        memcpy(to, from, (size_t)f->size * sizeof *to);
    else
        for (ptrdiff_t j = 0; j < f->size; j++)
            to[j] = ((const float *)from)[j] * scale + offset;
}

static void feed(const mg_feed *f, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                         int threads)
{
    const feeding g = {f, order, first, n};
    mg_parallel_for(n, mg_threads_worth(4.0 * (double)(n * f->size), threads), feed_task, &g);
}
#undef FEED_AHEAD
