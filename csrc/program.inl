/* The steps of program.h. What mg.h has is called as it is; the small ones are here. */
#include "dense.inl"
#include "function.inl"

/* ---- batches */

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
    if (f->kind == MG_U8)
        for (ptrdiff_t j = 0; j < f->size; j++)
            to[j] = (float)(uint8_t)from[j] * scale + offset;
    else if (f->kind == MG_F64)
        for (ptrdiff_t j = 0; j < f->size; j++)
            to[j] = (float)((const double *)from)[j] * scale + offset;
    else if (scale == 1 && offset == 0)
        memcpy(to, from, (size_t)f->size * sizeof *to);
    else
        for (ptrdiff_t j = 0; j < f->size; j++)
            to[j] = ((const float *)from)[j] * scale + offset;
}

static void program_feed(const mg_feed *f, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                         int threads)
{
    const feeding g = {f, order, first, n};
    mg_parallel_for(n, mg_threads_worth(4.0 * (double)(n * f->size), threads), feed_task, &g);
}

/* ---- activations: chunks of numbers, or rows where softmax sees whole ones */
#define NUMBERS ((ptrdiff_t)4096)

typedef struct activating {
    int function, back;
    ptrdiff_t count, cols; /* numbers in all; in a row */
    const float *x, *y, *dy;
    float *to;
    float a, b;
} activating;

/* function and back are constants where this is inlined */
INLINE void each_number(const int function, const int back, const activating *s, ptrdiff_t begin,
                        ptrdiff_t end)
{
    const VEC zero = SPLAT(0.0f), one = SPLAT(1.0f), slope = SPLAT(s->a), offset = SPLAT(s->b);
    for (ptrdiff_t i = begin; i < end; i += LANES) {
        const ptrdiff_t lanes = MIN(LANES, end - i);
        VEC v, g, to;
        FN(lanes) mask;
        FN(load_some)(&v, (back ? s->y : s->x) + i, lanes);
        to = v;
        if (back)
            FN(load_some)(&g, s->dy + i, lanes);
        switch (function) {
        case MG_LEAKY_RELU:
            mask = ~(GREATER(v, zero) | UNORDERED(v));
            if (back)
                to = v = g;
            v = v * slope;
            FN(select)(&to, &mask, &v);
            break;
        case MG_AFFINE:
            to = back ? g * slope : v * slope + offset;
            break;
        case MG_SIGMOID:
            if (!back) { /* 1 / (1 + e ** -v), or e ** v / (1 + e ** v): no power is inf */
                mask = GREATER(v, zero);
                g = zero - v;
                FN(select)(&to, &mask, &g);
                exponential(&to, &to);
                v = to + one;
                FN(select)(&to, &mask, &one);
                to = to / v;
            } else
                to = g * v * (one - v);
            break;
        case MG_TANH:
            if (!back)
                hyperbolic_tangent(&to, &v);
            else
                to = g * (one - v * v);
            break;
        case MG_EXPONENTIAL:
            if (!back)
                exponential(&to, &v);
            else
                to = g * v;
        }
        FN(store_some)(s->to + i, &to, lanes);
    }
}

#define EACH(function)                                                                            \
    case function:                                                                                \
        if (s->back)                                                                              \
            each_number(function, 1, s, begin, end);                                              \
        else                                                                                      \
            each_number(function, 0, s, begin, end);                                              \
        break;

typedef struct softmax_sums {
    ptrdiff_t place; /* of the largest number of the row, x[place] */
    float others;    /* what all but that have of the probability, 1 - y[place], not rounded away */
    float log_sum;   /* log sum e ** (x - largest) */
} softmax_sums;

/* y = softmax of a row x */
static softmax_sums softmax_row(const float *x, float *y, ptrdiff_t cols)
{
    softmax_sums found = {0, 0, 0};
    for (ptrdiff_t j = 1; j < cols; j++)
        if (x[j] > x[found.place] || x[j] != x[j])
            found.place = j;
    const float most = x[found.place];
    for (ptrdiff_t j = 0; j < cols; j += LANES) {
        const ptrdiff_t lanes = MIN(LANES, cols - j);
        VEC v;
        FN(load_some)(&v, x + j, lanes);
        v -= SPLAT(most);
        exponential(&v, &v);
        FN(store_some)(y + j, &v, lanes);
    }
    for (ptrdiff_t j = 0; j < cols; j++)
        if (j != found.place)
            found.others += y[j];
    const float sum = y[found.place] + found.others; /* 1 + others, or nan */
    found.log_sum = sum == sum ? log1pf(found.others) : sum;
    found.others /= sum;
    for (ptrdiff_t j = 0; j < cols; j++)
        y[j] /= sum;
    return found;
}

static void activate_task(const void *context, ptrdiff_t task, int thread)
{
    const activating *s = context;
    const ptrdiff_t begin = task * NUMBERS, end = MIN(begin + NUMBERS, s->count);
    (void)thread;
    switch (s->function) {
        EACH(MG_LEAKY_RELU) EACH(MG_AFFINE) EACH(MG_SIGMOID) EACH(MG_TANH) EACH(MG_EXPONENTIAL)
    }
}

static void softmax_task(const void *context, ptrdiff_t row, int thread)
{
    const activating *s = context;
    const ptrdiff_t at = row * s->cols;
    float sum = 0;
    (void)thread;
    if (!s->back) {
        softmax_row(s->x + at, s->to + at, s->cols);
        return;
    }
    for (ptrdiff_t j = at; j < at + s->cols; j++)
        sum += s->dy[j] * s->y[j];
    for (ptrdiff_t j = at; j < at + s->cols; j++)
        s->to[j] = s->y[j] * (s->dy[j] - sum);
}

static void activate(const mg_step *s, int back, const mg_run *r)
{
    const activating a = {
        .function = s->flag, .back = back, .count = r->n * s->r * s->units, .cols = s->units,
        .x = s->x, .y = s->y, .dy = s->dy, .to = back ? s->dx : s->y,
        .a = (float)s->a, .b = (float)s->b,
    };
    const int threads = mg_threads_worth(4.0 * (double)a.count, r->threads);
    if (s->flag == MG_RELU && back)
        relu_dx_f32(a.count, s->dy, s->y, s->dx, r->threads);
    else if (s->flag == MG_RELU)
        relu_f32(a.count, s->x, s->y, r->threads);
    else if (s->flag == MG_SOFTMAX)
        mg_parallel_for(r->n * s->r, threads, softmax_task, &a);
    else
        mg_parallel_for(CEIL_DIV(a.count, NUMBERS), threads, activate_task, &a);
}

/* ---- loss */

/* where the largest number is: the first of several, the first NaN if there is one */
static ptrdiff_t argmax(const float *x, ptrdiff_t count)
{
    ptrdiff_t at = 0;
    for (ptrdiff_t j = 1; j < count && x[at] == x[at]; j++)
        if (x[j] > x[at] || x[j] != x[j])
            at = j;
    return at;
}

typedef struct losing {
    const mg_step *s;
    float share; /* 1 / n */
} losing;

static void softmax_loss_task(const void *context, ptrdiff_t i, int thread)
{
    const losing *l = context;
    const mg_step *s = l->s;
    const ptrdiff_t cols = s->units;
    const float *x = s->x + i * cols, *t = s->labels + i * cols;
    float *y = s->y + i * cols, sum = 0, loss = 0;
    (void)thread;
    const softmax_sums found = softmax_row(x, y, cols);
    const ptrdiff_t k = found.place;
    for (ptrdiff_t j = 0; j < cols; j++) {
        if (t[j] != 0) /* where it is, a logit may be -inf */
            loss -= t[j] * (x[j] - x[k] - found.log_sum);
        sum += t[j];
    }
    s->loss[i] = loss;
    if (!s->dx)
        return;
    float *dx = s->dx + i * cols;
    for (ptrdiff_t j = 0; j < cols; j++)
        dx[j] = (y[j] * sum - t[j]) * l->share;
    dx[k] = ((sum - t[k]) - found.others * sum) * l->share; /* y[k] sum - t[k] without 1 - 1 */
}

static void softmax_loss(const mg_step *s, mg_run *r)
{
    const losing l = {s, 1.0f / (float)r->n};
    mg_parallel_for(r->n, mg_threads_worth(20.0 * (double)(r->n * s->units), r->threads),
                    softmax_loss_task, &l);
    for (ptrdiff_t i = 0; i < r->n; i++) {
        const ptrdiff_t at = i * s->units;
        r->loss += s->loss[i];
        r->correct += argmax((s->flag ? s->x : s->y) + at, s->units) == argmax(s->labels + at, s->units);
    }
}

/* ---- stochastic gradient descent: what optimizers.SGD does, number by number */

static void sgd(const mg_step *s, float rate)
{
    const float momentum = (float)s->a;
    float *restrict x = s->y, *restrict v = s->v;
    const float *restrict dx = s->dy;
    if (!v)
        for (ptrdiff_t i = 0; i < s->units; i++)
            x[i] += dx[i] * -rate;
    else
        for (ptrdiff_t i = 0; i < s->units; i++) {
            const float step = dx[i] * -rate;
            v[i] = v[i] * momentum + step;
            x[i] += s->b != 0 ? momentum * v[i] + step : v[i];
        }
}

/* ---- all steps */

static void program_run(const mg_step *steps, ptrdiff_t count, mg_run *r)
{
    float *scratch = r->scratch;
    const int threads = r->threads;
    for (const mg_step *s = steps; s < steps + count; s++) {
        const ptrdiff_t rows = r->n * s->r;
        mg_conv2d conv = s->conv;
        mg_pool2d pool = s->pool;
        conv.n = pool.n = r->n;
        const ptrdiff_t pixels = conv.n * conv.oh * conv.ow;
        switch (s->op) {
        case MG_DENSE:
            dense(s, rows, scratch, threads);
            break;
        case MG_DENSE_DW:
            matmul_f32(s->k, s->units, rows, s->x, 1, s->k, s->dy, s->units, 1, NULL, 0, s->dw,
                       scratch, threads);
            if (s->db)
                sum_rows_f32(rows, s->units, s->dy, s->db, scratch, threads);
            break;
        case MG_DENSE_DX:
            matmul_f32(rows, s->k, s->units, s->dy, s->units, 1, s->w, 1, s->units, NULL, 0, s->dx,
                       scratch, threads);
            break;
        case MG_CONV2D:
            conv2d_f32(&conv, s->x, s->w, s->bias, s->y, scratch, threads);
            if (s->flag)
                relu_f32(pixels * conv.f, s->y, s->y, threads);
            break;
        case MG_CONV2D_DW:
            conv2d_dw_f32(&conv, s->x, s->dy, s->dw, scratch, threads);
            if (s->db)
                sum_rows_f32(pixels, conv.f, s->dy, s->db, scratch, threads);
            break;
        case MG_CONV2D_DX:
            conv2d_dx_f32(&conv, s->dy, s->w, s->dx, scratch, threads);
            break;
        case MG_CONV2D_RELU_POOL:
            conv2d_relu_pool_f32(&conv, s->ph, s->pw, s->x, s->w, s->bias, s->y, s->argmax, scratch, threads);
            break;
        case MG_CONV2D_RELU_POOL_DW:
            conv2d_relu_pool_dw_f32(&conv, s->ph, s->pw, s->x, s->dy, s->argmax, s->dw, s->db, scratch, threads);
            break;
        case MG_CONV2D_RELU_POOL_DX:
            conv2d_relu_pool_dx_f32(&conv, s->ph, s->pw, s->dy, s->argmax, s->w, s->dx, scratch, threads);
            break;
        case MG_MAX_POOL2D:
            max_pool2d_f32(&pool, s->x, s->y, s->argmax, threads);
            break;
        case MG_MAX_POOL2D_DX:
            max_pool2d_dx_f32(&pool, s->dy, s->argmax, s->dx, threads);
            break;
        case MG_ACTIVATION:
            activate(s, 0, r);
            break;
        case MG_ACTIVATION_DX:
            activate(s, 1, r);
            break;
        case MG_SOFTMAX_LOSS:
            softmax_loss(s, r);
            break;
        case MG_ADAM:
            adam_f32(s->units, s->y, s->dy, s->m, s->v, r->rate, s->a, s->b, s->c, threads);
            break;
        case MG_SGD:
            sgd(s, (float)r->rate);
            break;
        }
    }
}

static ptrdiff_t program_scratch(const mg_step *steps, ptrdiff_t count, ptrdiff_t n, int threads)
{
    ptrdiff_t most = 1;
    for (const mg_step *s = steps; s < steps + count; s++) {
        const ptrdiff_t rows = n * s->r;
        ptrdiff_t size = 0;
        mg_conv2d conv = s->conv;
        conv.n = n;
        switch (s->op) {
        case MG_DENSE:
            size = dense_scratch(s, rows, threads);
            break;
        case MG_DENSE_DW:
            size = MAX(matmul_scratch_f32(s->k, s->units, rows, threads), sum_rows_scratch_f32(rows, s->units));
            break;
        case MG_DENSE_DX:
            size = matmul_scratch_f32(rows, s->k, s->units, threads);
            break;
        case MG_CONV2D:
            size = conv2d_scratch_f32(&conv, threads);
            break;
        case MG_CONV2D_DW:
            size = MAX(conv2d_dw_scratch_f32(&conv, threads), sum_rows_scratch_f32(n * conv.oh * conv.ow, conv.f));
            break;
        case MG_CONV2D_DX:
            size = conv2d_dx_scratch_f32(&conv, threads);
            break;
        case MG_CONV2D_RELU_POOL:
            size = conv2d_relu_pool_scratch_f32(&conv, s->ph, s->pw, threads);
            break;
        case MG_CONV2D_RELU_POOL_DW:
            size = conv2d_relu_pool_dw_scratch_f32(&conv, s->ph, s->pw, threads);
            break;
        case MG_CONV2D_RELU_POOL_DX:
            size = conv2d_relu_pool_dx_scratch_f32(&conv, s->ph, s->pw, threads);
            break;
        }
        most = MAX(most, size);
    }
    return most;
}
#undef NUMBERS
#undef FEED_AHEAD
#undef EACH
