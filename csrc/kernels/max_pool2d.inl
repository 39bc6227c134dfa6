/* Max-pooling: LANES channels at a time, the window's pixels in row-major order, a later one
   winning only when it is larger, so that the first of equals stays. */
typedef struct FN(pooling) {
    mg_windows s;
    const REAL *x; /* forward: the images; backward: dy */
    REAL *y;       /* forward: the output; backward: dx */
    const int32_t *from;
    int32_t *argmax;
} FN(pooling);

static void FN(max_pool2d_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(pooling) *p = context;
    const mg_windows *s = &p->s;
    const ptrdiff_t n = index / s->oh, i = index % s->oh;
    const ptrdiff_t u0 = MAX(0, s->top - i * s->sh), u1 = MIN(s->kh, s->h + s->top - i * s->sh);
    (void)thread;
    for (ptrdiff_t j = 0; j < s->ow; j++) {
        const ptrdiff_t v0 = MAX(0, s->left - j * s->sw), v1 = MIN(s->kw, s->w + s->left - j * s->sw);
        const ptrdiff_t row = i * s->sh - s->top, col = j * s->sw - s->left, out = (index * s->ow + j) * s->c;
        for (ptrdiff_t q = 0; q < s->c; q += LANES) {
            const ptrdiff_t lanes = MIN(LANES, s->c - q);
            const ptrdiff_t window = ((n * s->h + row) * s->w + col) * s->c + q;
            VEC best, x;
            FN(lanes) who;
            FN(load_some)(&best, p->x + window + (u0 * s->w + v0) * s->c, lanes);
            who = (FN(lanes)){0} + (INT)(u0 * s->kw + v0);
            for (ptrdiff_t u = u0; u < u1; u++)
                for (ptrdiff_t v = v0; v < v1; v++) {
                    FN(load_some)(&x, p->x + window + (u * s->w + v) * s->c, lanes);
                    FN(challenge)(1, &best, &who, &x, u * s->kw + v);
                }
            FN(store_some)(p->y + out + q, &best, lanes);
            INT place[LANES];
            memcpy(place, &who, sizeof place);
            for (ptrdiff_t lane = 0; lane < lanes; lane++)
                p->argmax[out + q + lane] = (int32_t)place[lane];
        }
    }
}

static void FN(max_pool2d)(const mg_windows *s, const REAL *x, REAL *restrict y,
                           int32_t *restrict argmax, int threads)
{
    const FN(pooling) p = {.s = *s, .x = x, .y = y, .argmax = argmax};
    threads = mg_threads_worth((double)(s->n * s->oh * s->ow * s->c) * (double)(s->kh * s->kw), threads);
    mg_parallel_for(s->n * s->oh, threads, FN(max_pool2d_task), &p);
}

static void FN(max_pool2d_dx_task)(const void *context, ptrdiff_t n, int thread)
{
    const FN(pooling) *p = context;
    const mg_windows *s = &p->s;
    REAL *dx = p->y + n * s->h * s->w * s->c;
    (void)thread;
    memset(dx, 0, (size_t)(s->h * s->w * s->c) * sizeof *dx);
    for (ptrdiff_t i = 0; i < s->oh; i++)
        for (ptrdiff_t j = 0; j < s->ow; j++) {
            const ptrdiff_t row = i * s->sh - s->top, col = j * s->sw - s->left;
            const ptrdiff_t out = ((n * s->oh + i) * s->ow + j) * s->c;
            const ptrdiff_t u0 = MAX(0, -row), u1 = MIN(s->kh, s->h - row);
            const ptrdiff_t v0 = MAX(0, -col), v1 = MIN(s->kw, s->w - col);
            for (ptrdiff_t q = 0; q < s->c; q += LANES) {
                const ptrdiff_t lanes = MIN(LANES, s->c - q);
                VEC dy;
                FN(lanes) who;
                INT place[LANES] = {0};
                FN(load_some)(&dy, p->x + out + q, lanes);
                for (ptrdiff_t lane = 0; lane < lanes; lane++)
                    place[lane] = p->from[out + q + lane];
                memcpy(&who, place, sizeof who);
                for (ptrdiff_t u = u0; u < u1; u++)
                    for (ptrdiff_t v = v0; v < v1; v++) {
                        REAL *to = dx + ((row + u) * s->w + col + v) * s->c + q;
                        const FN(lanes) here = EQUAL(who, (INT)(u * s->kw + v));
                        VEC sum, sent = SPLAT((REAL)0);
                        FN(select)(&sent, &here, &dy);
                        FN(load_some)(&sum, to, lanes);
                        sum += sent;
                        FN(store_some)(to, &sum, lanes);
                    }
            }
        }
}

static void FN(max_pool2d_dx)(const mg_windows *s, const REAL *dy, const int32_t *argmax,
                              REAL *restrict dx, int threads)
{
    const FN(pooling) p = {.s = *s, .x = dy, .y = dx, .from = argmax};
    threads = mg_threads_worth((double)(s->n * s->oh * s->ow * s->c) * (double)(s->kh * s->kw), threads);
    mg_parallel_for(s->n, threads, FN(max_pool2d_dx_task), &p);
}

RUN(max_pool2d)
{
    const mg_windows w = windows_for(s, r->n);
    FN(max_pool2d)(&w, s->x, s->y, s->argmax, r->threads);
}

RUN(max_pool2d_dx)
{
    const mg_windows w = windows_for(s, r->n);
    FN(max_pool2d_dx)(&w, s->dy, s->argmax, s->dx, r->threads);
}
