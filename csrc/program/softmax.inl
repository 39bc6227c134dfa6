/* Softmax, and the cross entropy of it. */
typedef struct softmax_sums {
    ptrdiff_t place; /* of the largest number of the row, x[place] */
    float others;    /* what all but that have of the probability, 1 - y[place], not rounded away */
    float log_sum;   /* log sum e ** (x - largest) */
} softmax_sums;

/* y = softmax of a row x */
static softmax_sums softmax_row(const float *x, float *y, ptrdiff_t cols)
{
    softmax_sums of = {0, 0, 0};
    for (ptrdiff_t j = 1; j < cols; j++)
        if (x[j] > x[of.place] || x[j] != x[j])
            of.place = j;
    const float most = x[of.place];
    for (ptrdiff_t j = 0; j < cols; j += LANES) {
        const ptrdiff_t lanes = MIN(LANES, cols - j);
        VEC v;
        FN(load_some)(&v, x + j, lanes);
        v -= SPLAT(most);
        exponential(&v, &v);
        FN(store_some)(y + j, &v, lanes);
    }
    for (ptrdiff_t j = 0; j < cols; j++)
        if (j != of.place)
            of.others += y[j];
    const float sum = y[of.place] + of.others; /* 1 + others, or nan */
    of.log_sum = sum == sum ? log1pf(of.others) : sum;
    of.others /= sum;
    const float total = of_row(MG_ROW_SUM, y, 1, cols); /* as a program predicts */
    for (ptrdiff_t j = 0; j < cols; j++)
        y[j] /= total;
    return of;
}

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
    const float *x = (const float *)s->x + i * cols, *t = (const float *)s->labels + i * cols;
    float *y = (float *)s->y + i * cols, sum = 0, loss = 0;
    (void)thread;
    const softmax_sums of = softmax_row(x, y, cols);
    const ptrdiff_t k = of.place;
    for (ptrdiff_t j = 0; j < cols; j++) {
        if (t[j] != 0) /* where it is, a logit may be -inf */
            loss -= t[j] * (x[j] - x[k] - of.log_sum);
        sum += t[j];
    }
    ((float *)s->loss)[i] = loss;
    if (!s->dx)
        return;
    float *dx = (float *)s->dx + i * cols;
    for (ptrdiff_t j = 0; j < cols; j++)
        dx[j] = (y[j] * sum - t[j]) * l->share;
    dx[k] = ((sum - t[k]) - of.others * sum) * l->share; /* y[k] sum - t[k] without 1 - 1 */
}

RUN(softmax_loss)
{
    const losing l = {s, 1.0f / (float)r->n};
    const float *judged = s->from_logits ? s->x : s->y, *labels = s->labels, *loss = s->loss;
    mg_parallel_for(r->n, mg_threads_worth(20.0 * (double)(r->n * s->units), r->threads),
                    softmax_loss_task, &l);
    for (ptrdiff_t i = 0; i < r->n; i++) {
        const ptrdiff_t at = i * s->units;
        r->loss += loss[i];
        r->correct += argmax(judged + at, s->units) == argmax(labels + at, s->units);
    }
}
