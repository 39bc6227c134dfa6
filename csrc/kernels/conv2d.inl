/* Convolution, directly on the images: no im2col. An output row is a strip of C in the sense of
   tile.inl, whose A is the image itself. Where windows hang over the edge, the rows needed are
   first copied, with their zeros, into this thread's scratch ("canvas").

   The gradient of the images is a convolution too: of dy, spread out by the strides and padded,
   with the kernel turned by 180 degrees and its channels swapped (Dumoulin and Visin, "A guide to
   convolution arithmetic for deep learning", 2016, ch. 4). So one body serves both. */
#define ALIGNED(count) ROUND_UP(count, (ptrdiff_t)(64 / sizeof(REAL)))

typedef struct FN(convolution) {
    mg_windows s;
    ptrdiff_t spread_h, spread_w; /* zeros are put between image pixels: 1 is none, 2 is one, ... */
    const REAL *x, *w, *bias;     /* w and bias are readable up to `pitch` columns a row */
    ptrdiff_t pitch;
    REAL *y;
    REAL *canvas;                 /* NULL: windows never leave the image */
    ptrdiff_t canvas_size;        /* per thread */
    ptrdiff_t bands;              /* an image's output rows are cut into so many tasks */
} FN(convolution);

/* rows [first, first + rows) of an image, padded and spread: canvas[i, j] is the pixel
   ((first + i - top) / spread_h, (j - left) / spread_w) where that exists, else zero */
static void FN(fill_canvas)(const FN(convolution) *v, const REAL *image, ptrdiff_t first,
                            ptrdiff_t rows, REAL *canvas)
{
    const mg_windows *s = &v->s;
    const ptrdiff_t cols = (s->ow - 1) * s->sw + s->kw;
    memset(canvas, 0, (size_t)(rows * cols * s->c) * sizeof *canvas);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const ptrdiff_t at = first + i - s->top;
        if (at < 0 || at % v->spread_h || at / v->spread_h >= s->h)
            continue;
        const REAL *from = image + at / v->spread_h * s->w * s->c;
        REAL *to = canvas + i * cols * s->c;
        if (v->spread_w == 1) {
            const ptrdiff_t begin = MAX(s->left, 0), end = MIN(s->left + s->w, cols);
            if (begin < end)
                memcpy(to + begin * s->c, from + (begin - s->left) * s->c,
                       (size_t)((end - begin) * s->c) * sizeof *to);
        } else
            for (ptrdiff_t j = 0; j < s->w; j++) {
                const ptrdiff_t col = s->left + j * v->spread_w;
                if (col >= 0 && col < cols)
                    memcpy(to + col * s->c, from + j * s->c, (size_t)s->c * sizeof *to);
            }
    }
}

/* Rows [first, first + rows) of what the windows of image n see, `width` pixels each: the image
   itself, or this thread's canvas. */
static const REAL *FN(image_rows)(const FN(convolution) *v, ptrdiff_t n, ptrdiff_t first,
                                  ptrdiff_t rows, int thread, ptrdiff_t *width)
{
    const mg_windows *s = &v->s;
    const REAL *image = v->x + n * s->h * s->w * s->c;
    *width = s->w;
    if (!v->canvas)
        return image + first * s->w * s->c;
    REAL *canvas = v->canvas + thread * v->canvas_size;
    FN(fill_canvas)(v, image, first, rows, canvas);
    *width = (s->ow - 1) * s->sw + s->kw;
    return canvas;
}

static int FN(conv2d_threads)(const mg_windows *s, int threads)
{
    return mg_threads_worth((double)(s->n * s->oh * s->ow * s->f) * (double)(s->kh * s->kw * s->c),
                            threads);
}

static void FN(convolution_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(convolution) *v = context;
    const mg_windows *s = &v->s;
    const ptrdiff_t n = index / v->bands, band = index % v->bands;
    const ptrdiff_t begin = s->oh * band / v->bands, end = s->oh * (band + 1) / v->bands;
    const ptrdiff_t rows = (end - 1 - begin) * s->sh + s->kh;
    ptrdiff_t width;
    const REAL *image = FN(image_rows)(v, n, begin * s->sh, rows, thread, &width);
    FN(tile) t = {
        .segments = s->kh, .k = s->kw * s->c,
        .a_segment = width * s->c, .a_step = s->sw * s->c,
        .b = v->w, .ldb = v->pitch, .bias = v->bias, .ldc = s->f,
    };
    for (ptrdiff_t i = begin; i < end; i++) {
        t.a = image + (i - begin) * s->sh * width * s->c;
        t.c = v->y + (n * s->oh + i) * s->ow * s->f;
        FN(strip)(ALONG, &t, s->ow, s->f);
    }
}

static int FN(needs_canvas)(const FN(convolution) *v)
{
    const mg_windows *s = &v->s;
    return s->top || s->left || v->spread_h > 1 || v->spread_w > 1
        || (s->oh - 1) * s->sh + s->kh > s->h || (s->ow - 1) * s->sw + s->kw > s->w;
}

static ptrdiff_t FN(canvas_size)(const mg_windows *s)
{
    return ALIGNED(((s->oh - 1) * s->sh + s->kh) * ((s->ow - 1) * s->sw + s->kw) * s->c);
}

static void FN(convolve)(FN(convolution) *v, REAL *canvas, int threads)
{
    const mg_windows *s = &v->s;
    threads = FN(conv2d_threads)(s, threads);
    v->canvas = FN(needs_canvas)(v) ? canvas : NULL;
    v->canvas_size = FN(canvas_size)(s);
    v->bands = s->n >= 4 * threads ? 1 : MIN(s->oh, threads);
    mg_parallel_for(s->n * v->bands, threads, FN(convolution_task), v);
}

/* copies rows of `cols` numbers to rows of `pitch`, with zeros behind them */
static void FN(widen)(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t pitch, const REAL *x, REAL *y)
{
    for (ptrdiff_t i = 0; i < rows; i++) {
        memcpy(y + i * pitch, x + i * cols, (size_t)cols * sizeof *y);
        memset(y + i * pitch + cols, 0, (size_t)(pitch - cols) * sizeof *y);
    }
}

/* kernel and bias as the tiles want them, in scratch if need be; returns what is left of that */
static REAL *FN(set_weights)(FN(convolution) *v, const REAL *w, const REAL *bias, REAL *scratch)
{
    const mg_windows *s = &v->s;
    const ptrdiff_t taps = s->kh * s->kw * s->c;
    v->w = w, v->bias = bias, v->pitch = ROUND_UP(s->f, LANES);
    if (v->pitch != s->f) { /* whole vectors are read: give the last one of each row its lanes */
        FN(widen)(taps, s->f, v->pitch, w, scratch);
        v->w = scratch;
        if (bias) {
            FN(widen)(1, s->f, v->pitch, bias, scratch + taps * v->pitch);
            v->bias = scratch + taps * v->pitch;
        }
    }
    return scratch + ALIGNED((taps + 1) * v->pitch);
}

static ptrdiff_t FN(conv2d_scratch)(const mg_windows *s, int threads)
{
    const ptrdiff_t pitch = ROUND_UP(s->f, LANES);
    return ALIGNED((s->kh * s->kw * s->c + 1) * pitch) + threads * FN(canvas_size)(s);
}

static void FN(conv2d)(const mg_windows *s, const REAL *x, const REAL *w, const REAL *bias,
                       REAL *restrict y, REAL *restrict scratch, int threads)
{
    FN(convolution) v = {.s = *s, .spread_h = 1, .spread_w = 1, .x = x, .y = y};
    scratch = FN(set_weights)(&v, w, bias, scratch);
    FN(convolve)(&v, scratch, threads);
}

/* the convolution of dy that yields dx: its image is dy, its output has the size of the images */
static mg_windows FN(dx_shape)(const mg_windows *s)
{
    const mg_windows d = {
        .n = s->n, .h = s->oh, .w = s->ow, .c = s->f,
        .kh = s->kh, .kw = s->kw, .f = s->c,
        .sh = 1, .sw = 1,
        .top = s->kh - 1 - s->top, .left = s->kw - 1 - s->left,
        .oh = s->h, .ow = s->w,
    };
    return d;
}

static ptrdiff_t FN(conv2d_dx_scratch)(const mg_windows *s, int threads)
{
    const mg_windows d = FN(dx_shape)(s);
    return FN(conv2d_scratch)(&d, threads);
}

static void FN(conv2d_dx)(const mg_windows *s, const REAL *dy, const REAL *w, REAL *restrict dx,
                          REAL *restrict scratch, int threads)
{
    const ptrdiff_t pitch = ROUND_UP(s->c, LANES), taps = s->kh * s->kw * s->f;
    FN(convolution) v = {
        .s = FN(dx_shape)(s), .spread_h = s->sh, .spread_w = s->sw,
        .x = dy, .w = scratch, .pitch = pitch, .y = dx,
    };
    for (ptrdiff_t tap = 0; tap < s->kh * s->kw; tap++) {
        const REAL *from = w + (s->kh * s->kw - 1 - tap) * s->c * s->f;
        REAL *to = scratch + tap * s->f * pitch;
        for (ptrdiff_t o = 0; o < s->f; o++)
            for (ptrdiff_t q = 0; q < pitch; q++)
                to[o * pitch + q] = q < s->c ? from[q * s->f + o] : 0;
    }
    FN(convolve)(&v, scratch + ALIGNED((taps + 1) * pitch), threads);
}

/* dw: for each kernel row, a product of (kw*c) x pixels by pixels x f. Images are cut into at most
   CHUNKS chunks, each summed in order into its own dw, and the chunks' sums are added in order. How
   many there are depends on the shape alone, so no result depends on the threads. Where dw is too
   large for that many copies, a chunk's kernel rows and columns are shared out among tasks. */
#define CHUNKS ((ptrdiff_t)8)
#define CHUNKS_SIZE ((ptrdiff_t)1 << 20) /* elements in all chunks' dw together */

typedef struct FN(dw_sum) {
    FN(convolution) v; /* of the forward pass: to fill canvases */
    const REAL *dy;
    ptrdiff_t chunks, parts;
    REAL *sums, *dw; /* chunks x |dw|; dw itself when there is one chunk */
    REAL *wide_dy;   /* per thread, NULL when f is a multiple of LANES */
    ptrdiff_t wide_size;
} FN(dw_sum);

static void FN(dw_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(dw_sum) *d = context;
    const mg_windows *s = &d->v.s;
    const ptrdiff_t chunk = index / d->parts, part = index % d->parts;
    const ptrdiff_t begin = s->n * chunk / d->chunks, end = s->n * (chunk + 1) / d->chunks;
    const ptrdiff_t rows = s->kw * s->c; /* of dw, per kernel row */
    const ptrdiff_t first = s->kh * rows * part / d->parts, last = s->kh * rows * (part + 1) / d->parts;
    REAL *dw = d->sums + chunk * s->kh * rows * s->f;

    for (ptrdiff_t n = begin; n < end; n++) {
        ptrdiff_t width;
        const REAL *image = FN(image_rows)(&d->v, n, 0, (s->oh - 1) * s->sh + s->kh, thread, &width);
        const REAL *dy = d->dy + n * s->oh * s->ow * s->f;
        if (d->wide_dy) {
            REAL *wide = d->wide_dy + thread * d->wide_size;
            FN(widen)(s->oh * s->ow, s->f, d->v.pitch, dy, wide);
            dy = wide;
        }
        for (ptrdiff_t row = first; row < last;) {
            const ptrdiff_t u = row / rows, stop = MIN(last, (u + 1) * rows);
            const FN(tile) t = {
                .segments = s->oh, .k = s->ow,
                .a = image + u * width * s->c + row % rows,
                .a_segment = s->sh * width * s->c, .a_step = s->sw * s->c,
                .b = dy, .ldb = d->v.pitch, .accumulate = n > begin,
                .c = dw + row * s->f, .ldc = s->f,
            };
            FN(strip)(ACROSS, &t, stop - row, s->f);
            row = stop;
        }
    }
}

static void FN(add_chunks_task)(const void *context, ptrdiff_t row, int thread)
{
    const FN(dw_sum) *d = context;
    const mg_windows *s = &d->v.s;
    const ptrdiff_t size = s->kh * s->kw * s->c * s->f;
    (void)thread;
    for (ptrdiff_t j = row * s->f; j < (row + 1) * s->f; j++) {
        REAL sum = 0;
        for (ptrdiff_t chunk = 0; chunk < d->chunks; chunk++)
            sum += d->sums[chunk * size + j];
        d->dw[j] = sum;
    }
}

static ptrdiff_t FN(dw_chunks)(const mg_windows *s)
{
    return MAX(1, MIN(MIN(CHUNKS, s->n), CHUNKS_SIZE / (s->kh * s->kw * s->c * s->f)));
}

static ptrdiff_t FN(conv2d_dw_scratch)(const mg_windows *s, int threads)
{
    const ptrdiff_t pitch = ROUND_UP(s->f, LANES);
    return ALIGNED(FN(dw_chunks)(s) * s->kh * s->kw * s->c * s->f)
        + threads * (FN(canvas_size)(s) + ALIGNED(s->oh * s->ow * pitch));
}

static void FN(conv2d_dw)(const mg_windows *s, const REAL *x, const REAL *dy, REAL *restrict dw,
                          REAL *restrict scratch, int threads)
{
    const ptrdiff_t taps = s->kh * s->kw * s->c, pitch = ROUND_UP(s->f, LANES);
    FN(dw_sum) d = {
        .v = {.s = *s, .spread_h = 1, .spread_w = 1, .x = x, .pitch = pitch},
        .dy = dy, .chunks = FN(dw_chunks)(s), .dw = dw,
        .wide_size = ALIGNED(s->oh * s->ow * pitch),
    };
    if (s->n == 0) {
        memset(dw, 0, (size_t)(taps * s->f) * sizeof *dw);
        return;
    }
    threads = FN(conv2d_threads)(s, threads);
    d.sums = d.chunks == 1 ? dw : scratch;
    d.parts = MIN(CEIL_DIV(CHUNKS, d.chunks), taps);
    scratch += ALIGNED(d.chunks * taps * s->f);
    d.v.canvas_size = FN(canvas_size)(s);
    d.v.canvas = FN(needs_canvas)(&d.v) ? scratch : NULL;
    d.wide_dy = pitch != s->f ? scratch + threads * d.v.canvas_size : NULL;
    mg_parallel_for(d.chunks * d.parts, threads, FN(dw_task), &d);
    if (d.chunks > 1)
        mg_parallel_for(taps, mg_threads_worth((double)(d.chunks * taps * s->f), threads),
                        FN(add_chunks_task), &d);
}

RUN(conv2d)
{
    const mg_windows w = windows_for(s, r->n);
    FN(conv2d)(&w, s->x, s->w, s->bias, s->y, r->scratch, r->threads);
    if (s->relu)
        FN(relu)(w.n * w.oh * w.ow * w.f, s->y, s->y, r->threads);
}

ROOM(conv2d)
{
    const mg_windows w = windows_for(s, n);
    return FN(conv2d_scratch)(&w, threads);
}

RUN(conv2d_dx)
{
    const mg_windows w = windows_for(s, r->n);
    FN(conv2d_dx)(&w, s->dy, s->w, s->dx, r->scratch, r->threads);
}

ROOM(conv2d_dx)
{
    const mg_windows w = windows_for(s, n);
    return FN(conv2d_dx_scratch)(&w, threads);
}

RUN(conv2d_dw)
{
    const mg_windows w = windows_for(s, r->n);
    FN(conv2d_dw)(&w, s->x, s->dy, s->dw, r->scratch, r->threads);
    if (s->db)
        FN(sum_rows)(w.n * w.oh * w.ow, w.f, s->dy, s->db, r->scratch, r->threads);
}

ROOM(conv2d_dw)
{
    const mg_windows w = windows_for(s, n);
    const ptrdiff_t dw = FN(conv2d_dw_scratch)(&w, threads);
    return s->db ? MAX(dw, FN(sum_rows_scratch)(n * w.oh * w.ow, w.f)) : dw;
}
