/* Convolution + bias + ReLU + max-pooling in one pass, and back. Windows do not overlap.

   Forward, the rows of one window height are convolved into a scratch that stays in the cache, and
   only their maxima leave it. Rows and columns beyond the last whole window are never computed.
   Where windows are the 2x2 outputs of Winograd's tiles, and it pays, they come from winograd.inl.

   Backward, a pooled gradient goes to one pixel of its window, or to none: the sums below run over
   those alone, at most 1 of ph*pw of what a dense gradient takes. */
/* One term: g times the numbers from `index` on, in units that the caller chooses. */
typedef struct FN(term) {
    int32_t index;
    REAL g;
} FN(term);

/* For s < segments, j < cols:
       to[s*to_step + j] += sum over the terms of g * from[index*scale + s*from_step + j].
   `from` is readable up to a multiple of LANES columns. */
typedef struct FN(combination) {
    const FN(term) *terms;
    ptrdiff_t count, scale;
    const REAL *from;
    ptrdiff_t from_step;
    REAL *to;
    ptrdiff_t to_step, segments, cols;
} FN(combination);

/* segments and vectors are constants where this is inlined */
INLINE void FN(combine_body)(const int segments, const int vectors, const FN(combination) *c,
                             ptrdiff_t segment, ptrdiff_t col)
{
    const ptrdiff_t step = c->from_step, scale = c->scale;
    const REAL *from = c->from + segment * step + col;
    VEC acc[3][6];
    UNROLL
    for (int s = 0; s < segments; s++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            acc[s][v] = SPLAT((REAL)0);
    }
    for (const FN(term) *term = c->terms, *end = term + c->count; term < end; term++) {
        const VEC g = SPLAT(term->g);
        const REAL *x = from + term->index * scale;
        UNROLL
        for (int s = 0; s < segments; s++) {
            UNROLL
            for (int v = 0; v < vectors; v++)
                acc[s][v] += g * LOAD(x + s * step + v * LANES);
        }
    }
    UNROLL
    for (int s = 0; s < segments; s++) {
        REAL *to = c->to + (segment + s) * c->to_step + col;
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const ptrdiff_t left = c->cols - col - v * LANES;
            VEC sum;
            FN(load_some)(&sum, to + v * LANES, left);
            sum += acc[s][v];
            FN(store_some)(to + v * LANES, &sum, left);
        }
    }
}

/* one function per number of segments, with a case for each width */
#define COMBINE_CASE(segments, vectors)                                                           \
    case vectors:                                                                                 \
        FN(combine_body)(segments, vectors, c, segment, col);                                     \
        break;
#define COMBINE_FUNCTION(name, segments, last)                                                    \
    static void FN(name)(const FN(combination) *c, ptrdiff_t segment, ptrdiff_t col, int vectors) \
    {                                                                                             \
        switch (vectors) {                                                                        \
            COMBINE_CASE(segments, 1) COMBINE_CASE(segments, 2) COMBINE_CASE(segments, 3)         \
            COMBINE_CASE(segments, 4) last                                                        \
        }                                                                                         \
    }
COMBINE_FUNCTION(combine_1, 1, COMBINE_CASE(1, 6))
COMBINE_FUNCTION(combine_2, 2, COMBINE_CASE(2, 6))
#if MG_REGISTERS >= 32
COMBINE_FUNCTION(combine_3, 3, COMBINE_CASE(3, 6))
#else
COMBINE_FUNCTION(combine_3, 3, )
#endif

static void FN(combine)(const FN(combination) *c)
{
    if (c->count == 0)
        return;
    for (ptrdiff_t segment = 0, high; segment < c->segments; segment += high) {
        high = MIN(3, c->segments - segment);
        const int most = high < 3 || MG_REGISTERS >= 32 ? 6 : 4;
        for (ptrdiff_t col = 0, wide; col < c->cols; col += wide * LANES) {
            wide = CEIL_DIV(c->cols - col, LANES);
            wide = wide >= most ? most : MIN(wide, 4);
            (high == 3 ? FN(combine_3) : high == 2 ? FN(combine_2) : FN(combine_1))(
                c, segment, col, (int)wide);
        }
    }
}

typedef struct FN(pooled) {
    FN(convolution) v; /* of the convolution; its `y` is that of the pooling */
    ptrdiff_t ph, pw, qh, qw; /* window, pooled size */
    uint8_t *argmax;
    REAL *rows; /* forward: per thread, ph rows of the convolution */
    ptrdiff_t rows_size;
    FN(winograd) g; /* forward by Winograd: how, in tasks of up to `block` rows of windows */
    ptrdiff_t block, tasks;
    REAL *tiles; /* per thread, v and m */
} FN(pooled);

static FN(pooled) FN(pooled_of)(const mg_windows *s, ptrdiff_t ph, ptrdiff_t pw)
{
    const FN(pooled) p = {
        .v = {.s = *s, .spread_h = 1, .spread_w = 1, .pitch = ROUND_UP(s->f, LANES),
              .canvas_size = FN(canvas_size)(s) + ALIGNED(LANES)},
        .ph = ph, .pw = pw, .qh = s->oh / ph, .qw = s->ow / pw,
        .rows_size = ALIGNED(ph * s->ow * s->f),
    };
    return p;
}

/* ---- forward */

/* A row of windows. With nan = 0 comparisons do not ask for NaNs; whether there were any is seen by
   the sums, which is what it returns. nan, ph and pw are constants where this is inlined. */
INLINE int FN(pool_row)(const int nan, const FN(pooled) *p, const ptrdiff_t ph, const ptrdiff_t pw,
                        const REAL *x, REAL *y, uint8_t *argmax)
{
    const ptrdiff_t f = p->v.s.f, width = p->qw * pw;
    FN(lanes) unordered = {0};
    for (ptrdiff_t j = 0; j < p->qw; j++)
        for (ptrdiff_t o = 0; o < f; o += LANES) {
            const ptrdiff_t lanes = MIN(LANES, f - o);
            const REAL *window = x + j * pw * f + o;
            VEC best, other, sum;
            FN(lanes) who = {0};
            FN(load_some)(&best, window, lanes);
            sum = best;
            for (ptrdiff_t u = 0; u < ph; u++)
                for (ptrdiff_t v = u == 0; v < pw; v++) {
                    FN(load_some)(&other, window + (u * width + v) * f, lanes);
                    sum += other;
                    FN(challenge)(nan, &best, &who, &other, u * pw + v);
                }
            unordered |= UNORDERED(sum);
            FN(store_pooled)(nan, &best, &who, lanes, y + j * f + o, argmax + j * f + o);
        }
    return FN(any)(unordered);
}

static void FN(pool_rows)(const FN(pooled) *p, const REAL *x, REAL *y, uint8_t *argmax)
{
    const int nan = p->ph == 2 && p->pw == 2 ? FN(pool_row)(0, p, 2, 2, x, y, argmax)
                                             : FN(pool_row)(0, p, p->ph, p->pw, x, y, argmax);
    if (nan)
        FN(pool_row)(1, p, p->ph, p->pw, x, y, argmax);
}

/* rows [begin, end) of windows of image n */
static void FN(convolve_and_pool)(const FN(pooled) *p, ptrdiff_t n, ptrdiff_t begin, ptrdiff_t end,
                                  int thread)
{
    const mg_windows *s = &p->v.s;
    const ptrdiff_t seen = ((end - begin) * p->ph - 1) * s->sh + s->kh;
    REAL *rows = p->rows + thread * p->rows_size;
    ptrdiff_t width;
    const REAL *image = FN(image_rows)(&p->v, n, begin * p->ph * s->sh, seen, thread, &width);
    if (MG_REGISTERS >= 32 && FN(few_taps)(s, p->ph, p->pw)) { /* with fewer, tiles are faster */
        const ptrdiff_t at = (n * p->qh + begin) * p->qw * s->f;
        FN(few_forward)(&p->v, image, width, end - begin, p->qw, p->v.y + at, p->argmax + at);
        return;
    }
    FN(tile) t = {
        .segments = s->kh, .k = s->kw * s->c,
        .a_segment = width * s->c, .a_step = s->sw * s->c,
        .b = p->v.w, .ldb = p->v.pitch, .bias = p->v.bias, .ldc = s->f,
    };
    for (ptrdiff_t i = begin; i < end; i++) {
        const ptrdiff_t at = (n * p->qh + i) * p->qw * s->f;
        for (ptrdiff_t u = 0; u < p->ph; u++) {
            t.a = image + ((i - begin) * p->ph + u) * s->sh * width * s->c;
            t.c = rows + u * p->qw * p->pw * s->f;
            FN(strip)(ALONG, &t, p->qw * p->pw, s->f);
        }
        FN(pool_rows)(p, rows, p->v.y + at, p->argmax + at);
    }
}

static void FN(conv2d_relu_pool_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(pooled) *p = context;
    const ptrdiff_t n = index / p->v.bands, band = index % p->v.bands;
    FN(convolve_and_pool)(p, n, p->qh * band / p->v.bands, p->qh * (band + 1) / p->v.bands, thread);
}

/* pool_row of a row of windows that Winograd left in m; returns whether not all of it was finite */
static int FN(pool_tiles)(const FN(pooled) *p, const REAL *m, REAL *y, uint8_t *argmax)
{
    const FN(winograd) *g = &p->g;
    const VEC zero = SPLAT((REAL)0);
    VEC check = zero;
    for (ptrdiff_t j = 0; j < p->qw; j++)
        for (ptrdiff_t o = 0; o < g->f; o += LANES) {
            const ptrdiff_t at = MIN(o, g->f - LANES);
            VEC z[4];
            FN(lanes) who = {0};
            FN(winograd_outputs)(g, m + j * g->pitch + at, z);
            check += ((z[0] + z[1]) + (z[2] + z[3])) * zero; /* NaN, if one of them is not finite */
            UNROLL
            for (int place = 1; place < 4; place++)
                FN(challenge)(0, &z[0], &who, &z[place], place);
            FN(store_pooled)(0, &z[0], &who, LANES, y + j * g->f + at, argmax + j * g->f + at);
        }
    return FN(any)(UNORDERED(check));
}

/* Some rows of windows, whichever images they are of. A row that is not finite is computed again,
   directly: no other row's result depends on it. */
static void FN(winograd_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(pooled) *p = context;
    const mg_windows *s = &p->v.s;
    const ptrdiff_t rows = s->n * p->qh;
    const ptrdiff_t begin = rows * index / p->tasks, end = rows * (index + 1) / p->tasks;
    REAL *v = p->tiles + thread * p->g.size, *m = v + 16 * p->g.v_step;
    for (ptrdiff_t row = begin; row < end; row++) {
        ptrdiff_t width;
        const REAL *x = FN(image_rows)(&p->v, row / p->qh, row % p->qh * 2, 4, thread, &width);
        FN(winograd_tiles)(&p->g, x, width, p->qw, v + (row - begin) * p->qw * s->c);
    }
    FN(winograd_products)(&p->g, (end - begin) * p->qw, v, p->v.bias, m);
    for (ptrdiff_t row = begin; row < end; row++) {
        const ptrdiff_t tile = row * p->qw, at = tile * s->f;
        if (FN(pool_tiles)(p, m + (tile - begin * p->qw) * p->g.pitch, p->v.y + at, p->argmax + at))
            FN(convolve_and_pool)(p, row / p->qh, row % p->qh, row % p->qh + 1, thread);
    }
}

/* p.g and p.block, and whether Winograd pays */
static int FN(plan_winograd)(FN(pooled) *p)
{
    if (p->ph != 2 || p->pw != 2 || !FN(winograd_pays)(&p->v.s, p->qh * p->qw))
        return 0;
    p->block = MAX(1, 32 / p->qw);
    p->g = FN(winograd_of)(&p->v.s, p->block * p->qw);
    return 1;
}

static ptrdiff_t FN(conv2d_relu_pool_scratch)(const mg_windows *s, ptrdiff_t ph, ptrdiff_t pw, int threads)
{
    FN(pooled) p = FN(pooled_of)(s, ph, pw);
    const ptrdiff_t size = ALIGNED((s->kh * s->kw * s->c + 1) * p.v.pitch)
        + threads * (p.v.canvas_size + p.rows_size);
    return FN(plan_winograd)(&p) ? size + 16 * p.g.u_step + threads * p.g.size : size;
}

static void FN(conv2d_relu_pool)(const mg_windows *s, ptrdiff_t ph, ptrdiff_t pw, const REAL *x,
                                 const REAL *w, const REAL *bias, REAL *restrict y,
                                 uint8_t *restrict argmax, REAL *restrict scratch, int threads)
{
    FN(pooled) p = FN(pooled_of)(s, ph, pw);
    p.v.x = x, p.v.y = y, p.argmax = argmax;
    scratch = FN(set_weights)(&p.v, w, bias, scratch);
    p.v.canvas = FN(needs_canvas)(&p.v) ? scratch : NULL;
    p.rows = scratch + threads * p.v.canvas_size;
    scratch = p.rows + threads * p.rows_size;
    threads = FN(conv2d_threads)(s, threads);
    if (FN(plan_winograd)(&p)) {
        p.g.w = w, p.g.u = scratch, p.tiles = scratch + 16 * p.g.u_step;
        if (s->n * p.qh * p.qw < 64) /* to send u to another core would take longer than so few tiles */
            threads = 1;
        p.tasks = MIN(s->n * p.qh, ROUND_UP(CEIL_DIV(s->n * p.qh, p.block), threads));
        mg_parallel_for(s->c, mg_threads_worth(16.0 * (double)(s->c * s->f), threads),
                        FN(winograd_kernel_task), &p.g);
        mg_parallel_for(p.tasks, threads, FN(winograd_task), &p);
        return;
    }
    p.v.bands = s->n >= 4 * threads ? 1 : MIN(p.qh, threads);
    mg_parallel_for(s->n * p.v.bands, threads, FN(conv2d_relu_pool_task), &p);
}

/* ---- backward, to the images: where a window's gradient of channel o lands, w[:, :, :, o] is
        added, times the gradient. Channels that land on the same pixel are summed first. */

typedef struct FN(pooled_dx) {
    FN(pooled) p;
    const REAL *dy, *w; /* w: turned around, f x kh x pitch */
    const uint8_t *argmax;
    REAL *dx;
    ptrdiff_t pitch, canvas_size;
    REAL *canvas; /* per thread, NULL: windows never leave the image */
    FN(term) *terms; /* per thread, (ph*pw + 1) x f */
    ptrdiff_t terms_size;
} FN(pooled_dx);

static void FN(conv2d_relu_pool_dx_task)(const void *context, ptrdiff_t n, int thread)
{
    const FN(pooled_dx) *d = context;
    const FN(pooled) *p = &d->p;
    const mg_windows *s = &p->v.s;
    const ptrdiff_t places = p->ph * p->pw, height = (s->oh - 1) * s->sh + s->kh;
    const ptrdiff_t width = d->canvas ? (s->ow - 1) * s->sw + s->kw : s->w;
    FN(term) *terms = d->terms + thread * d->terms_size;
    REAL *image = d->dx + n * s->h * s->w * s->c;
    REAL *dx = d->canvas ? d->canvas + thread * d->canvas_size : image;
    memset(dx, 0, (size_t)((d->canvas ? height : s->h) * width * s->c) * sizeof *dx);

    for (ptrdiff_t at = 0; at < p->qh * p->qw; at++) {
        const ptrdiff_t i = at / p->qw * p->ph, j = at % p->qw * p->pw;
        const REAL *dy = d->dy + (n * p->qh * p->qw + at) * s->f;
        const uint8_t *argmax = d->argmax + (n * p->qh * p->qw + at) * s->f;
        ptrdiff_t count[NONE + 1] = {0};
        for (ptrdiff_t o = 0; o < s->f; o++) { /* without branches: the last list is of the dead */
            const ptrdiff_t place = MIN(argmax[o], places);
            terms[place * s->f + count[place]++] = (FN(term)){(int32_t)o, dy[o]};
        }
        for (ptrdiff_t place = 0; place < places; place++) {
            const FN(combination) c = {
                .terms = terms + place * s->f, .count = count[place], .scale = s->kh * d->pitch,
                .from = d->w, .from_step = d->pitch,
                .to = dx + ((i + place / p->pw) * s->sh * width + (j + place % p->pw) * s->sw) * s->c,
                .to_step = width * s->c, .segments = s->kh, .cols = s->kw * s->c,
            };
            FN(combine)(&c);
        }
    }
    if (d->canvas) /* its part that is image, and zeros where no window looks */
        for (ptrdiff_t i = 0; i < s->h; i++) {
            const ptrdiff_t cols = MAX(0, MIN(s->w, width - s->left));
            REAL *to = image + i * s->w * s->c;
            memset(to, 0, (size_t)(s->w * s->c) * sizeof *to);
            if (i + s->top < height)
                memcpy(to, dx + ((i + s->top) * width + s->left) * s->c, (size_t)(cols * s->c) * sizeof *to);
        }
}

static ptrdiff_t FN(conv2d_relu_pool_dx_scratch)(const mg_windows *s, ptrdiff_t ph, ptrdiff_t pw, int threads)
{
    return ALIGNED(s->f * s->kh * ROUND_UP(s->kw * s->c, LANES))
        + threads * (FN(canvas_size)(s) + 2 * ALIGNED((ph * pw + 1) * s->f));
}

static void FN(conv2d_relu_pool_dx)(const mg_windows *s, ptrdiff_t ph, ptrdiff_t pw, const REAL *dy,
                                    const uint8_t *argmax, const REAL *w, REAL *restrict dx,
                                    REAL *restrict scratch, int threads)
{
    const ptrdiff_t rows = s->kw * s->c, pitch = ROUND_UP(rows, LANES);
    FN(pooled_dx) d = {
        .p = FN(pooled_of)(s, ph, pw), .dy = dy, .w = scratch, .argmax = argmax, .dx = dx,
        .pitch = pitch, .canvas_size = FN(canvas_size)(s),
        .terms_size = ALIGNED((ph * pw + 1) * s->f),
    };
    for (ptrdiff_t o = 0; o < s->f; o++)
        for (ptrdiff_t u = 0; u < s->kh; u++)
            for (ptrdiff_t r = 0; r < pitch; r++)
                scratch[(o * s->kh + u) * pitch + r] = r < rows ? w[(u * rows + r) * s->f + o] : 0;
    scratch += ALIGNED(s->f * s->kh * pitch);
    d.canvas = FN(needs_canvas)(&d.p.v) ? scratch : NULL;
    d.terms = (FN(term) *)(scratch + threads * d.canvas_size);
    mg_parallel_for(s->n, FN(conv2d_threads)(s, threads), FN(conv2d_relu_pool_dx_task), &d);
}

/* ---- backward, to the kernel and the bias: dw[:, :, :, o] is the sum of the windows that channel
        o's gradients come from, each times its gradient. Summed in chunks, as conv2d_dw does. */

typedef struct FN(pooled_dw) {
    FN(pooled) p;
    const REAL *dy;
    const uint8_t *argmax;
    ptrdiff_t pitch, chunks, parts;
    int few, dense; /* which way; few: conv2d_few.inl, and sums as in dense */
    REAL *sums; /* per chunk, f x kh x pitch: dw[:, :, :, o], and db; dense: dw, then db */
    ptrdiff_t sum_size, chunk_size; /* of one channel's, of a chunk's */
    FN(term) *terms; /* per thread, LISTS x qh*qw; dense: a row of windows, ph x qw*pw x f */
    ptrdiff_t terms_size;
    int32_t *corner; /* of each window: which pixel is its first one's first */
    REAL *dw, *db;
} FN(pooled_dw);

/* Few channels fill few lanes of those sums. Then it is cheaper to write the gradient of a row of
   windows out, zeros and all, and to multiply matrices as conv2d_dw does. */
static void FN(expand_row)(const FN(pooled) *p, const REAL *dy, const uint8_t *argmax, REAL *dz, REAL *db)
{
    const ptrdiff_t f = p->v.s.f, pitch = p->v.pitch, places = p->ph * p->pw;
    for (ptrdiff_t j = 0; j < p->qw; j++)
        for (ptrdiff_t o = 0; o < f; o += LANES) {
            const ptrdiff_t lanes = MIN(LANES, f - o);
            VEC g, sum;
            FN(lanes) who;
            FN(load_some)(&g, dy + j * f + o, lanes);
            FN(load_places)(&who, argmax + j * f + o, lanes);
            FN(load_some)(&sum, db + o, lanes);
            for (ptrdiff_t k = 0; k < places; k++) {
                VEC sent = SPLAT((REAL)0);
                const FN(lanes) here = EQUAL(who, (INT)k);
                FN(select)(&sent, &here, &g);
                sum += sent;
                STORE(dz + (k / p->pw * p->qw * p->pw + j * p->pw + k % p->pw) * pitch + o, sent);
            }
            FN(store_some)(db + o, &sum, lanes);
        }
}

static void FN(conv2d_relu_pool_dw_dense)(const FN(pooled_dw) *d, const REAL *image, ptrdiff_t width,
                                          ptrdiff_t n, int first, REAL *dz, REAL *sums)
{
    const FN(pooled) *p = &d->p;
    const mg_windows *s = &p->v.s;
    const ptrdiff_t rows = s->kw * s->c;
    for (ptrdiff_t i = 0; i < p->qh; i++) {
        const ptrdiff_t at = (n * p->qh + i) * p->qw * s->f;
        FN(expand_row)(p, d->dy + at, d->argmax + at, dz, sums + s->kh * rows * s->f);
        for (ptrdiff_t u = 0; u < s->kh; u++) {
            const FN(tile) t = {
                .segments = p->ph, .k = p->qw * p->pw,
                .a = image + (i * p->ph * s->sh + u) * width * s->c,
                .a_segment = s->sh * width * s->c, .a_step = s->sw * s->c,
                .b = dz, .ldb = p->v.pitch, .accumulate = !first || i > 0,
                .c = sums + u * rows * s->f, .ldc = s->f,
            };
            FN(strip)(ACROSS, &t, rows, s->f);
        }
    }
}

/* db += the gradients that go anywhere, channels [first, last) of one image */
static void FN(add_live)(const FN(pooled) *p, const REAL *dy, const uint8_t *argmax, ptrdiff_t first,
                         ptrdiff_t last, REAL *db)
{
    const ptrdiff_t f = p->v.s.f;
    for (ptrdiff_t o = first; o < last; o += LANES) {
        const ptrdiff_t lanes = MIN(LANES, last - o);
        VEC sum;
        FN(load_some)(&sum, db + o, lanes);
        for (ptrdiff_t at = o; at < p->qh * p->qw * f; at += f) {
            VEC g, sent = SPLAT((REAL)0);
            FN(lanes) who, live;
            FN(load_some)(&g, dy + at, lanes);
            FN(load_places)(&who, argmax + at, lanes);
            live = GREATER((FN(lanes)){0} + (INT)(p->ph * p->pw), who);
            FN(select)(&sent, &live, &g);
            sum += sent;
        }
        FN(store_some)(db + o, &sum, lanes);
    }
}

#define LISTS ((ptrdiff_t)8) /* made at once, while their numbers are in the L1 cache */

/* The sparse way, channels [first, last) of image n: a list of each channel's live gradients, and
   the sum of the windows that they come from. */
static void FN(conv2d_relu_pool_dw_sparse)(const FN(pooled_dw) *d, const REAL *image, ptrdiff_t width,
                                           ptrdiff_t n, ptrdiff_t first, ptrdiff_t last,
                                           const int32_t *offset, FN(term) *terms, REAL *sums)
{
    const FN(pooled) *p = &d->p;
    const mg_windows *s = &p->v.s;
    const ptrdiff_t windows = p->qh * p->qw, places = p->ph * p->pw;
    const REAL *dy = d->dy + n * windows * s->f;
    const uint8_t *argmax = d->argmax + n * windows * s->f;
    for (ptrdiff_t from = first, to; from < last; from = to) {
        ptrdiff_t count[LISTS];
        to = MIN(last, from + LISTS);
        for (ptrdiff_t o = from; o < to; o++) {
            FN(term) *list = terms + (o - from) * windows;
            for (ptrdiff_t at = 0; at < windows; at++) { /* a dead one is overwritten by the next */
                const int place = argmax[at * s->f + o];
                *list = (FN(term)){d->corner[at] + offset[place], dy[at * s->f + o]};
                list += place < places;
            }
            count[o - from] = list - (terms + (o - from) * windows);
        }
        for (ptrdiff_t o = from; o < to; o++) {
            const FN(combination) c = {
                .terms = terms + (o - from) * windows, .count = count[o - from], .scale = s->c,
                .from = image, .from_step = width * s->c,
                .to = sums + o * d->sum_size, .to_step = d->pitch,
                .segments = s->kh, .cols = d->pitch,
            };
            FN(combine)(&c);
        }
    }
    FN(add_live)(p, dy, argmax, first, last, sums + s->f * d->sum_size);
}

static void FN(conv2d_relu_pool_dw_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(pooled_dw) *d = context;
    const FN(pooled) *p = &d->p;
    const mg_windows *s = &p->v.s;
    const ptrdiff_t chunk = index / d->parts, part = index % d->parts;
    const ptrdiff_t begin = s->n * chunk / d->chunks, end = s->n * (chunk + 1) / d->chunks;
    const ptrdiff_t first = s->f * part / d->parts, last = s->f * (part + 1) / d->parts;
    REAL *sums = d->sums + chunk * d->chunk_size;
    FN(term) *terms = d->terms + thread * d->terms_size;
    int32_t offset[NONE + 1] = {0}; /* of a place's pixel from the window's first */
    for (ptrdiff_t n = begin; n < end; n++) {
        ptrdiff_t width;
        const REAL *image = FN(image_rows)(&p->v, n, 0, (s->oh - 1) * s->sh + s->kh, thread, &width);
        if (n == begin) {
            if (d->dense)
                memset(sums, 0, (size_t)((s->kh * s->kw * s->c + 1) * s->f) * sizeof *sums);
            else {
                memset(sums + first * d->sum_size, 0, (size_t)((last - first) * d->sum_size) * sizeof *sums);
                memset(sums + s->f * d->sum_size + first, 0, (size_t)(last - first) * sizeof *sums);
            }
            for (ptrdiff_t place = 0; place < p->ph * p->pw; place++)
                offset[place] = (int32_t)(place / p->pw * s->sh * width + place % p->pw * s->sw);
        }
        if (d->few) {
            const ptrdiff_t at = n * p->qh * p->qw * s->f;
            FN(few_dw)(s, image, width, p->qh, p->qw, d->dy + at, d->argmax + at, sums);
        } else if (d->dense)
            FN(conv2d_relu_pool_dw_dense)(d, image, width, n, n == begin, (REAL *)terms, sums);
        else
            FN(conv2d_relu_pool_dw_sparse)(d, image, width, n, first, last, offset, terms, sums);
    }
}

static void FN(conv2d_relu_pool_dw_add)(const void *context, ptrdiff_t row, int thread)
{
    const FN(pooled_dw) *d = context;
    const mg_windows *s = &d->p.v.s;
    const ptrdiff_t rows = s->kw * s->c, taps = s->kh * rows;
    ptrdiff_t at = row / rows * d->pitch + row % rows, step = d->sum_size; /* of channel 0; to the next */
    REAL *to = row == taps ? d->db : d->dw + row * s->f;
    (void)thread;
    if (d->dense)
        at = row * s->f, step = 1;
    else if (row == taps)
        at = s->f * d->sum_size, step = 1;
    if (to)
        for (ptrdiff_t o = 0; o < s->f; o++) {
            REAL sum = 0;
            for (ptrdiff_t chunk = 0; chunk < d->chunks; chunk++)
                sum += d->sums[chunk * d->chunk_size + at + o * step];
            to[o] = sum;
        }
}

static FN(pooled_dw) FN(pooled_dw_of)(const mg_windows *s, ptrdiff_t ph, ptrdiff_t pw)
{
    FN(pooled_dw) d = {.p = FN(pooled_of)(s, ph, pw), .pitch = ROUND_UP(s->kw * s->c, LANES)};
    d.sum_size = s->kh * d.pitch;
    d.chunk_size = s->f * (d.sum_size + 1);
    d.chunks = MAX(1, MIN(MIN(CHUNKS, s->n), CHUNKS_SIZE / d.chunk_size));
    d.few = FN(few_taps)(s, ph, pw);
    d.dense = d.few || 10 * d.pitch > 8 * ph * pw * s->kw * s->c;
    d.parts = d.dense ? 1 : MIN(CEIL_DIV(CHUNKS, d.chunks), s->f);
    d.terms_size = ALIGNED(d.dense ? ph * d.p.qw * pw * d.p.v.pitch : LISTS * d.p.qh * d.p.qw);
    return d;
}

static ptrdiff_t FN(conv2d_relu_pool_dw_scratch)(const mg_windows *s, ptrdiff_t ph, ptrdiff_t pw, int threads)
{
    const FN(pooled_dw) d = FN(pooled_dw_of)(s, ph, pw);
    return ALIGNED(d.chunks * d.chunk_size) + threads * (d.p.v.canvas_size + 2 * d.terms_size)
        + d.p.qh * d.p.qw;
}

static void FN(conv2d_relu_pool_dw)(const mg_windows *s, ptrdiff_t ph, ptrdiff_t pw, const REAL *x,
                                    const REAL *dy, const uint8_t *argmax, REAL *restrict dw,
                                    REAL *restrict db, REAL *restrict scratch, int threads)
{
    FN(pooled_dw) d = FN(pooled_dw_of)(s, ph, pw);
    d.p.v.x = x, d.dy = dy, d.argmax = argmax, d.dw = dw, d.db = db, d.sums = scratch;
    scratch += ALIGNED(d.chunks * d.chunk_size);
    /* whole vectors of the image are read: the last ones reach beyond it */
    d.p.v.canvas = FN(needs_canvas)(&d.p.v) || (!d.dense && d.pitch != s->kw * s->c) ? scratch : NULL;
    d.terms = (FN(term) *)(scratch + threads * d.p.v.canvas_size);
    d.corner = (int32_t *)(d.terms + threads * d.terms_size);
    const ptrdiff_t width = d.p.v.canvas ? (s->ow - 1) * s->sw + s->kw : s->w;
    for (ptrdiff_t at = 0; at < d.p.qh * d.p.qw; at++)
        d.corner[at] = (int32_t)(at / d.p.qw * ph * s->sh * width + at % d.p.qw * pw * s->sw);
    threads = FN(conv2d_threads)(s, threads);
    mg_parallel_for(d.chunks * d.parts, threads, FN(conv2d_relu_pool_dw_task), &d);
    mg_parallel_for(s->kh * s->kw * s->c + 1,
                    mg_threads_worth((double)(d.chunks * d.chunk_size), threads),
                    FN(conv2d_relu_pool_dw_add), &d);
}

#undef LISTS
#undef COMBINE_CASE
#undef COMBINE_FUNCTION

RUN(conv2d_relu_pool)
{
    const mg_windows w = windows_for(s, r->n);
    FN(conv2d_relu_pool)(&w, s->ph, s->pw, s->x, s->w, s->bias, s->y, s->argmax, r->scratch, r->threads);
}

ROOM(conv2d_relu_pool)
{
    const mg_windows w = windows_for(s, n);
    return FN(conv2d_relu_pool_scratch)(&w, s->ph, s->pw, threads);
}

RUN(conv2d_relu_pool_dx)
{
    const mg_windows w = windows_for(s, r->n);
    FN(conv2d_relu_pool_dx)(&w, s->ph, s->pw, s->dy, s->argmax, s->w, s->dx, r->scratch, r->threads);
}

ROOM(conv2d_relu_pool_dx)
{
    const mg_windows w = windows_for(s, n);
    return FN(conv2d_relu_pool_dx_scratch)(&w, s->ph, s->pw, threads);
}

RUN(conv2d_relu_pool_dw)
{
    const mg_windows w = windows_for(s, r->n);
    FN(conv2d_relu_pool_dw)(&w, s->ph, s->pw, s->x, s->dy, s->argmax, s->dw, s->db, r->scratch, r->threads);
}

ROOM(conv2d_relu_pool_dw)
{
    const mg_windows w = windows_for(s, n);
    return FN(conv2d_relu_pool_dw_scratch)(&w, s->ph, s->pw, threads);
}
