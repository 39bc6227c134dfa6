/* C = A B after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
   C is cut into parts, a task each, and K into slices. The tile reads A and B where they lie, or
   copies of them where they lie badly: of the part's rows of A, and of a panel of PANEL_COLS columns
   of B at a time. Both stay in the L2 cache for a slice.

   Each number of C is a sum over K of a slice, in order, added to that of the slices before: the
   same whatever parts, threads and layouts are, for slices depend on k alone. Only where C is a column
   and K contiguous in both A and B, it is a dot product, summed as vectors lie. */
#define PANEL_COLS (4 * LANES)
#define SLICE ((ptrdiff_t)(1536 / sizeof(REAL))) /* of K */
#define PART_ROWS ((ptrdiff_t)384)
/* numbers: walking lines so far apart wears the L1 cache out, which low tiles feel sooner */
#define FAR ((MG_REGISTERS >= 32 ? 32 : 16) * LANES)
#define SHORT ((ptrdiff_t)16) /* for a K: most of the work is writing C, best done line by line */
#define BAND ((ptrdiff_t)6)   /* so many lines at a time */
/* an odd number of vectors: lines so far apart do not compete for the same places in a cache */
#define PITCH(n) (ROUND_UP(n, 2 * LANES) + LANES)

typedef struct FN(product) {
    ptrdiff_t m, n, k;
    const REAL *a, *b;
    ptrdiff_t ars, acs, brs, bcs;
    const REAL *bias;
    int relu;
    REAL *c, *scratch;
    ptrdiff_t row_parts, col_parts;
} FN(product);

static ptrdiff_t FN(slices)(ptrdiff_t k) { return MAX(1, CEIL_DIV(k, SLICE)); }
static ptrdiff_t FN(slice)(ptrdiff_t k) { return CEIL_DIV(k, FN(slices)(k)); } /* the longest */

/* v[p][i] = x[i*line + p] for i < lines, p < count; 0 beyond */
INLINE void FN(load_turned)(VEC *v, ptrdiff_t lines, ptrdiff_t count, const REAL *x, ptrdiff_t line)
{
    const int whole = lines >= LANES && count >= LANES;
    UNROLL
    for (ptrdiff_t i = 0; i < LANES; i++)
        if (whole)
            v[i] = LOAD(x + i * line);
        else
            FN(load_some)(v + i, x + i * line, i < lines ? count : 0);
    FN(transpose)(v);
}

/* out[p*pitch + i] = x[i*line + p*along] for i < lines, p < k; zeros fill the last vector up */
static void FN(pack)(ptrdiff_t lines, ptrdiff_t k, const REAL *x, ptrdiff_t line, ptrdiff_t along,
                     REAL *restrict out, ptrdiff_t pitch)
{
    if (along == 1 && line != 1) {
        for (ptrdiff_t i = 0; i < lines; i += LANES)
            for (ptrdiff_t p = 0; p < k; p += LANES) {
                const ptrdiff_t at = MIN(p, MAX(k - LANES, 0)); /* the last square may overlap */
                VEC v[LANES];
                FN(load_turned)(v, lines - i, k - at, x + i * line + at, line);
                REAL *to = out + at * pitch + i;
                UNROLL
                for (ptrdiff_t q = 0; q < LANES; q++, to += pitch)
                    if (k >= LANES || q < k)
                        STORE(to, v[q]);
            }
        return;
    }
    for (ptrdiff_t p = 0; p < k; p++, x += along, out += pitch)
        for (ptrdiff_t i = 0; i < lines; i += LANES)
            if (line == 1) {
                VEC v;
                FN(load_some)(&v, x + i, lines - i);
                STORE(out + i, v);
            } else
                for (ptrdiff_t l = i; l < i + LANES; l++)
                    out[l] = l < lines ? x[l * line] : 0;
}

/* One row of C: the tile's sums, with what it takes to read B where it lies. Its a_step is 1. */
#if MG_REGISTERS >= 32
#define ROW_MOST 16
#else
#define ROW_MOST 8
#endif
INLINE void FN(row_body)(const int vectors, const FN(tile) *t, ptrdiff_t col, ptrdiff_t cols)
{
    VEC sum[ROW_MOST], last;
    REAL sums[ROW_MOST * LANES];
    const REAL *b = t->b + col;
    const ptrdiff_t rest = (vectors - 1) * LANES;
    UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = SPLAT((REAL)0);
    for (ptrdiff_t p = 0; p < t->k; p++, b += t->ldb) {
        const VEC x = SPLAT(t->a[p]);
        UNROLL
        for (int v = 0; v < vectors - 1; v++)
            sum[v] += x * LOAD(b + v * LANES);
        FN(load_some)(&last, b + rest, cols - rest);
        sum[vectors - 1] += x * last;
    }
    UNROLL
    for (int v = 0; v < vectors; v++)
        STORE(sums + v * LANES, sum[v]);
    FN(finish)(t, sums, 0, 0, 1, col, cols);
}

static void FN(row)(const FN(tile) *t, ptrdiff_t cols)
{
    for (ptrdiff_t col = 0, wide; col < cols; col += wide) {
        const ptrdiff_t left = cols - col;
        for (wide = ROW_MOST * LANES; wide > ROUND_UP(left, LANES); wide /= 2)
            ;
        switch (wide / LANES) {
        case 1: FN(row_body)(1, t, col, MIN(wide, left)); break;
        case 2: FN(row_body)(2, t, col, MIN(wide, left)); break;
        case 4: FN(row_body)(4, t, col, MIN(wide, left)); break;
        case 8: FN(row_body)(8, t, col, MIN(wide, left)); break;
        default: FN(row_body)(ROW_MOST, t, col, MIN(wide, left));
        }
    }
}

/* the same where B's columns are contiguous, and t.ldb apart */
static void FN(row_turned)(const FN(tile) *t, ptrdiff_t cols)
{
    for (ptrdiff_t col = 0; col < cols; col += LANES) {
        const ptrdiff_t wide = MIN(LANES, cols - col), line = t->ldb, k = t->k;
        const REAL *a = t->a, *b = t->b + col * line;
        VEC sum = SPLAT((REAL)0), v[LANES];
        REAL sums[LANES];
        ptrdiff_t p = 0;
        for (; wide == LANES && p + LANES <= k; p += LANES) {
            FN(load_turned)(v, LANES, LANES, b + p, line);
            UNROLL
            for (ptrdiff_t q = 0; q < LANES; q++)
                sum += SPLAT(a[p + q]) * v[q];
        }
        for (; p < k; p += LANES) {
            FN(load_turned)(v, wide, k - p, b + p, line);
            UNROLL
            for (ptrdiff_t q = 0; q < LANES; q++)
                if (p + q < k)
                    sum += SPLAT(a[p + q]) * v[q];
        }
        STORE(sums, sum);
        FN(finish)(t, sums, 0, 0, 1, col, wide);
    }
}

/* A matrix times a column, both contiguous along K: numbers at the same place of every second
   vector make a sum each. DOT_ROWS rows at a time, always as many, the last one repeated: other code
   might round otherwise. */
#define DOT_ROWS 4
#define DOT_TASK ((ptrdiff_t)64) /* rows */
INLINE void FN(load_pair)(REAL *to, const REAL *from, ptrdiff_t count)
{
    VEC v[2];
    FN(load_some)(v, from, count);
    FN(load_some)(v + 1, from + LANES, MAX(count - LANES, 0));
    STORE(to, v[0]);
    STORE(to + LANES, v[1]);
}

INLINE void FN(dots_add)(VEC (*sum)[2], const REAL *const *a, const REAL *b, ptrdiff_t p)
{
    UNROLL
    for (int half = 0; half < 2; half++, p += LANES) {
        const VEC y = LOAD(b + p);
        UNROLL
        for (int i = 0; i < DOT_ROWS; i++)
            sum[i][half] += LOAD(a[i] + p) * y;
    }
}

static void FN(dots_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(product) *s = context;
    const ptrdiff_t begin = index * DOT_TASK, end = MIN(begin + DOT_TASK, s->m);
    const ptrdiff_t whole = s->k / (2 * LANES) * (2 * LANES), rest = s->k - whole;
    REAL last[DOT_ROWS + 1][2 * LANES]; /* of each row, and of b: filled up with zeros */
    const REAL *a[DOT_ROWS], *lasts[DOT_ROWS];
    (void)thread;
    if (rest)
        FN(load_pair)(last[DOT_ROWS], s->b + whole, rest);
    for (ptrdiff_t row = begin; row < end; row += DOT_ROWS) {
        VEC sum[DOT_ROWS][2];
        UNROLL
        for (int i = 0; i < DOT_ROWS; i++) {
            a[i] = s->a + MIN(row + i, end - 1) * s->ars;
            lasts[i] = last[i];
            if (rest)
                FN(load_pair)(last[i], a[i] + whole, rest);
            sum[i][0] = sum[i][1] = SPLAT((REAL)0);
        }
        for (ptrdiff_t p = 0; p < whole; p += 2 * LANES)
            FN(dots_add)(sum, a, s->b, p);
        if (rest)
            FN(dots_add)(sum, lasts, last[DOT_ROWS], 0);
        for (ptrdiff_t i = 0; i < MIN(DOT_ROWS, end - row); i++) {
            REAL lane[LANES], y = 0;
            STORE(lane, sum[i][0] + sum[i][1]);
            for (ptrdiff_t l = 0; l < LANES; l++)
                y += lane[l];
            y += s->bias ? s->bias[0] : 0;
            s->c[row + i] = s->relu && y <= 0 ? 0 : y;
        }
    }
}

/* what a thread needs at a time: a panel of B, and rows of A */
static ptrdiff_t FN(part_size)(ptrdiff_t m, ptrdiff_t k)
{
    return ROUND_UP(FN(slice)(k) * (PANEL_COLS + PITCH(MIN(m, PART_ROWS))), 64);
}

static void FN(product_task)(const void *context, ptrdiff_t index, int thread)
{
    const FN(product) *s = context;
    const ptrdiff_t row_part = index / s->col_parts, col_part = index % s->col_parts;
    const ptrdiff_t row = s->m * row_part / s->row_parts;
    const ptrdiff_t rows = s->m * (row_part + 1) / s->row_parts - row;
    const ptrdiff_t vectors = CEIL_DIV(s->n, LANES);
    const ptrdiff_t col = vectors * col_part / s->col_parts * LANES;
    const ptrdiff_t end = MIN(vectors * (col_part + 1) / s->col_parts * LANES, s->n);
    REAL *packed_b = s->scratch + thread * FN(part_size)(s->m, s->k);
    REAL *packed_a = packed_b + FN(slice)(s->k) * PANEL_COLS;

    const int one_row = rows == 1 && (s->brs == 1 || s->bcs == 1);
    const int pack_a = rows > 1 && s->acs != 1 && (s->ars != 1 || (s->acs >= FAR && end - col >= FAR / 2));
    const int pack_b = s->bcs != 1 || (s->k > SHORT && s->brs >= FAR && rows >= 64);
    const int walk = s->acs == 1 ? ALONG : ACROSS;
    const ptrdiff_t band = s->k > SHORT ? rows : BAND, slices = FN(slices)(s->k);
    for (ptrdiff_t slice = 0; slice < slices; slice++) {
        const ptrdiff_t first = s->k * slice / slices, k = s->k * (slice + 1) / slices - first;
        FN(tile) t = {
            .segments = 1, .k = k,
            .a = s->a + row * s->ars + first * s->acs, .a_step = walk == ACROSS ? s->acs : s->ars,
            .accumulate = slice > 0, .relu = slice + 1 == slices && s->relu,
            .ldc = s->n,
        };
        if (one_row && s->acs != 1) {
            FN(pack)(k, 1, t.a, s->acs, 0, packed_a, 0);
            t.a = packed_a;
        } else if (pack_a) {
            t.a_step = PITCH(rows);
            FN(pack)(rows, k, t.a, s->ars, s->acs, packed_a, t.a_step);
            t.a = packed_a;
        }
        for (ptrdiff_t j = col, cols; j < end; j += cols) {
            const ptrdiff_t whole = (end - j) / LANES * LANES; /* no tile reads behind a line of B */
            t.b = s->b + first * s->brs + j * s->bcs, t.ldb = s->brs;
            t.c = s->c + row * s->n + j;
            t.add = slice + 1 == slices && s->bias ? s->bias + j : NULL;
            cols = end - j;
            if (one_row) {
                t.ldb = s->bcs == 1 ? s->brs : s->bcs;
                (s->bcs == 1 ? FN(row) : FN(row_turned))(&t, cols);
                continue;
            }
            if (!pack_b && whole)
                cols = whole;
            else {
                cols = MIN(PANEL_COLS, cols);
                FN(pack)(cols, k, t.b, s->bcs, s->brs, packed_b, PANEL_COLS);
                t.b = packed_b, t.ldb = PANEL_COLS;
            }
            for (ptrdiff_t r = 0; r < rows; r += band) {
                FN(tile) at = t;
                at.a += r * (walk == ACROSS ? 1 : t.a_step), at.c += r * s->n;
                FN(strip)(walk, &at, MIN(band, rows - r), cols);
            }
        }
    }
}

static ptrdiff_t FN(matmul_scratch)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, int threads)
{
    return threads * FN(part_size)(n == 1 ? 1 : m, k);
}

static void FN(matmul)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t ars,
                       ptrdiff_t acs, const REAL *b, ptrdiff_t brs, ptrdiff_t bcs,
                       const REAL *bias, int relu, REAL *restrict c, REAL *restrict scratch, int threads)
{
    if (m == 0 || n == 0)
        return;
    FN(product) s = {
        .m = m, .n = n, .k = k, .a = a, .b = b,
        .ars = ars, .acs = acs, .brs = brs, .bcs = bcs,
        .bias = bias, .relu = relu, .c = c, .scratch = scratch, .row_parts = 1, .col_parts = 1,
    };
    /* a multiply-add takes a tile half the time or less that other kernels take; where each meets a
       new number, memory sets the pace, which a second thread does not double */
    const double work = (double)m * (double)n * (double)k;
    if (n == 1 && acs == 1 && brs == 1) {
        mg_parallel_for(CEIL_DIV(m, DOT_TASK), mg_threads_worth(work / 5, threads), FN(dots_task), &s);
        return;
    }
    if (n == 1) { /* a column is a row lying down */
        s.m = 1, s.n = m, s.bias = NULL, s.relu = relu && !bias;
        s.a = b, s.ars = bcs, s.acs = brs;
        s.b = a, s.brs = acs, s.bcs = ars;
    }
    threads = mg_threads_worth(work / (s.m == 1 || k == 1 ? 5 : 2), threads);
    /* As many parts as go round evenly, cut along the longer side; of much work twice as many, lest
       all wait for a thread that the system interrupts. */
    const ptrdiff_t parts = threads > 1 && work / threads > 3e7 ? 2 * threads : threads;
    s.row_parts = CEIL_DIV(s.m, PART_ROWS);
    if (s.n > s.m)
        s.col_parts = MIN(parts, CEIL_DIV(s.n, LANES));
    else
        s.row_parts = MIN(ROUND_UP(MAX(s.row_parts, parts), threads), s.m);
    if (s.row_parts * s.col_parts < threads)
        s.row_parts = MIN(CEIL_DIV(threads, s.col_parts), s.m);
    mg_parallel_for(s.row_parts * s.col_parts, threads, FN(product_task), &s);
    for (ptrdiff_t i = 0; n == 1 && bias && i < m; i++) {
        c[i] += bias[0];
        c[i] = relu && c[i] <= 0 ? 0 : c[i];
    }
}

RUN(matmul)
{
    FN(matmul)(r->n * s->rows, s->units, s->k, s->x, s->x_row, s->x_col, s->w, s->w_row, s->w_col, s->bias,
               s->relu, s->y, r->scratch, r->threads);
}

ROOM(matmul) { return FN(matmul_scratch)(n * s->rows, s->units, s->k, threads); }

#undef PANEL_COLS
#undef SLICE
#undef PART_ROWS
#undef FAR
#undef SHORT
#undef BAND
#undef PITCH
#undef ROW_MOST
#undef DOT_ROWS
#undef DOT_TASK
