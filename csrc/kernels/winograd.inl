/* Winograd's F(2x2, 3x3): 2x2 outputs of a 3x3 kernel by 16 multiplications instead of 36 (Lavin
   and Gray, "Fast algorithms for convolutional neural networks", 2016, sec. 4.1). For a tile d of
   4x4 pixels, whose next neighbour begins two pixels on, and a kernel g,

       y = A' [(G g G') * (B' d B)] A,   where * multiplies number by number, ' transposes, and

       B' = 1  0 -1  0     G =  1    0    0      A' = 1  1  1  0
            0  1  1  0         1/2  1/2  1/2          0  1 -1 -1
            0 -1  1  0         1/2 -1/2  1/2
            0  1  0 -1          0    0    1

   Summed over channels, each of the 16 places is a product of matrices: tiles x c by c x f. Small
   whole numbers stay exact, for G only halves. A pixel reaches just the outputs whose windows hold
   it, but where one is inf or NaN, so may be outputs that should not be: inf - inf. */
typedef struct FN(winograd) {
    ptrdiff_t c, f, pitch;
    ptrdiff_t u_step, v_step, m_step; /* from one of the 16 places to the next */
    ptrdiff_t size; /* of v and m together */
    const REAL *w;
    REAL *u; /* G g G': 16 x c x pitch, zeros behind column f */
} FN(winograd);

/* `count` numbers, rounded up to an odd number of cache lines: arrays that far apart and walked
   side by side do not push one another out of the cache */
#define ODD_LINES(count) ((ALIGNED(count) / ALIGNED(1) | 1) * ALIGNED(1))

static FN(winograd) FN(winograd_of)(const mg_windows *s, ptrdiff_t tiles)
{
    const ptrdiff_t pitch = ROUND_UP(s->f, LANES);
    FN(winograd) g = {
        .c = s->c, .f = s->f, .pitch = pitch, .u_step = ODD_LINES(s->c * pitch),
        .v_step = ODD_LINES(tiles * s->c), .m_step = ODD_LINES(tiles * pitch),
    };
    g.size = 16 * (g.v_step + g.m_step);
    return g;
}

/* Whether it is faster: c and f fill vectors, and an image has enough tiles to repay u. (Measured.
   How many images there are has no say: each shall come out the same in any batch.) The float's
   error is half that of 9*c products added in a row; doubles are left to those. */
static int FN(winograd_pays)(const mg_windows *s, ptrdiff_t tiles)
{
    return sizeof(REAL) == sizeof(float) && s->kh == 3 && s->kw == 3 && s->sh == 1 && s->sw == 1
        && MIN(s->c, s->f) >= MAX(LANES, 8) && tiles > 4;
}

/* u for channel q of the images */
static void FN(winograd_kernel_task)(const void *context, ptrdiff_t q, int thread)
{
    const FN(winograd) *g = context;
    const VEC half = SPLAT((REAL)0.5);
    (void)thread;
    for (ptrdiff_t o = 0; o < g->f; o += LANES) {
        VEC w[3][3], t[4][3];
        UNROLL
        for (int i = 0; i < 9; i++)
            FN(load_some)(&w[i / 3][i % 3], g->w + (i * g->c + q) * g->f + o, g->f - o);
        UNROLL
        for (int j = 0; j < 3; j++) {
            const VEC even = half * (w[0][j] + w[2][j]), odd = half * w[1][j];
            t[0][j] = w[0][j], t[1][j] = even + odd, t[2][j] = even - odd, t[3][j] = w[2][j];
        }
        UNROLL
        for (int i = 0; i < 4; i++) {
            const VEC even = half * (t[i][0] + t[i][2]), odd = half * t[i][1];
            REAL *to = g->u + 4 * i * g->u_step + q * g->pitch + o;
            STORE(to, t[i][0]);
            STORE(to + g->u_step, even + odd);
            STORE(to + 2 * g->u_step, even - odd);
            STORE(to + 3 * g->u_step, t[i][2]);
        }
    }
}

/* B' d for one column of the four rows x, `row` apart */
INLINE void FN(winograd_column)(VEC *t, const REAL *x, ptrdiff_t row)
{
    const VEC a = LOAD(x), b = LOAD(x + row), c = LOAD(x + 2 * row), d = LOAD(x + 3 * row);
    t[0] = a - c, t[1] = b + c, t[2] = c - b, t[3] = b - d;
}

/* v = B' d B of a row of tiles: 16 x tiles x c. Neighbours share two columns. The last channels are
   done as a whole vector too, one that overlaps the one before. */
static void FN(winograd_tiles)(const FN(winograd) *g, const REAL *x, ptrdiff_t width,
                               ptrdiff_t tiles, REAL *v)
{
    for (ptrdiff_t q = 0; q < g->c; q += LANES) {
        const ptrdiff_t at = MIN(q, g->c - LANES);
        VEC t[4][4]; /* a column each */
        FN(winograd_column)(t[2], x + at, width * g->c);
        FN(winograd_column)(t[3], x + g->c + at, width * g->c);
        for (ptrdiff_t j = 0; j < tiles; j++) {
            const REAL *next = x + (2 * j + 2) * g->c + at;
            memcpy(t[0], t[2], sizeof t[0]);
            memcpy(t[1], t[3], sizeof t[1]);
            FN(winograd_column)(t[2], next, width * g->c);
            FN(winograd_column)(t[3], next + g->c, width * g->c);
            UNROLL
            for (int i = 0; i < 4; i++) {
                REAL *to = v + 4 * i * g->v_step + j * g->c + at;
                STORE(to, t[0][i] - t[2][i]);
                STORE(to + g->v_step, t[1][i] + t[2][i]);
                STORE(to + 2 * g->v_step, t[2][i] - t[1][i]);
                STORE(to + 3 * g->v_step, t[1][i] - t[3][i]);
            }
        }
    }
}

/* m = v * u: 16 x tiles x pitch. The product at place (1, 1) is added to each of the four outputs
   just as it is: let it begin with the bias. */
static void FN(winograd_products)(const FN(winograd) *g, ptrdiff_t tiles, const REAL *v,
                                  const REAL *bias, REAL *m)
{
    for (ptrdiff_t place = 0; place < 16; place++) {
        const FN(tile) t = {
            .segments = 1, .k = g->c, .a = v + place * g->v_step, .a_step = g->c,
            .b = g->u + place * g->u_step, .ldb = g->pitch, .bias = place == 5 ? bias : NULL,
            .c = m + place * g->m_step, .ldc = g->pitch,
        };
        FN(strip)(ALONG, &t, tiles, g->pitch);
    }
}

/* y = A' m A for LANES channels of one tile: four pixels, row by row */
INLINE void FN(winograd_outputs)(const FN(winograd) *g, const REAL *m, VEC *y)
{
    VEC t[2][4];
    UNROLL
    for (int j = 0; j < 4; j++) {
        const REAL *from = m + j * g->m_step;
        const VEC b = LOAD(from + 4 * g->m_step), c = LOAD(from + 8 * g->m_step);
        t[0][j] = LOAD(from) + (b + c), t[1][j] = (b - c) - LOAD(from + 12 * g->m_step);
    }
    UNROLL
    for (int i = 0; i < 2; i++) {
        y[2 * i] = t[i][0] + (t[i][1] + t[i][2]);
        y[2 * i + 1] = (t[i][1] - t[i][2]) - t[i][3];
    }
}
