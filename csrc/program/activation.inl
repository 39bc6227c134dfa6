/* The op `activation`: a function of functions.def, of chunks of numbers; of rows in softmax. */
#define CHUNK ((ptrdiff_t)4096)

typedef struct activating {
    const mg_step *s;
    ptrdiff_t count;
    int back;
} activating;

/* function and back are constants where this is inlined */
INLINE void activate_chunk(const int function, const int back, const mg_step *s, ptrdiff_t begin,
                           ptrdiff_t end)
{
    const VEC one = SPLAT(1.0f), slope = SPLAT((float)s->negative_slope);
    const VEC scale = SPLAT((float)s->scale), offset = SPLAT((float)s->offset);
    const float *from = back ? s->y : s->x, *dy = s->dy;
    float *result = back ? s->dx : s->y;
    (void)one, (void)slope, (void)scale, (void)offset;
    for (ptrdiff_t i = begin; i < end; i += LANES) {
        const ptrdiff_t lanes = MIN(LANES, end - i);
        VEC v, g, to;
        FN(load_some)(&v, from + i, lanes);
        to = v;
        if (back)
            FN(load_some)(&g, dy + i, lanes);
        switch (function) {
#define FUNCTION(name, forward, backward)                                                         \
    case MG_FUNCTION_##name:                                                                      \
        if (!back) {                                                                              \
            forward;                                                                              \
        } else {                                                                                  \
            backward;                                                                             \
        }                                                                                         \
        break;
#include "functions.def"
        }
        FN(store_some)(result + i, &to, lanes);
    }
}

static void activate_task(const void *context, ptrdiff_t task, int thread)
{
    const activating *a = context;
    const ptrdiff_t begin = task * CHUNK, end = MIN(begin + CHUNK, a->count);
    (void)thread;
    switch (a->s->function) {
#define FUNCTION(name, forward, backward)                                                         \
    case MG_FUNCTION_##name:                                                                      \
        if (a->back)                                                                              \
            activate_chunk(MG_FUNCTION_##name, 1, a->s, begin, end);                              \
        else                                                                                      \
            activate_chunk(MG_FUNCTION_##name, 0, a->s, begin, end);                              \
        break;
#include "functions.def"
    }
}

static void activate(const mg_step *s, int back, const mg_run *r)
{
    const activating a = {.s = s, .count = r->n * s->rows * s->units, .back = back};
    const int threads = mg_threads_worth(4.0 * (double)a.count, r->threads);
    if (s->function == MG_FUNCTION_relu && back)
        relu_dx_f32(a.count, s->dy, s->y, s->dx, r->threads);
    else if (s->function == MG_FUNCTION_relu)
        relu_f32(a.count, s->x, s->y, r->threads);
    else if (s->function == MG_FUNCTION_softmax)
        mg_parallel_for(r->n * s->rows, threads, back ? softmax_dx_task : softmax_task, s);
    else
        mg_parallel_for(CEIL_DIV(a.count, CHUNK), threads, activate_task, &a);
}

RUN(activation) { activate(s, 0, r); }

RUN(activation_dx) { activate(s, 1, r); }
#undef CHUNK
