/* conv2d_relu_pool of images with one channel by a 3x3 or 5x5 kernel, in 2x2 windows: the first layer
   of the LeNets. So few taps that the four pixels of a window stay in registers, and with them the
   3x3 kernel, or either kernel's gradient: nothing is written but what leaves the window.

   Where two windows' filters fit a vector, it holds two windows side by side, as memory does: lanes
   0 to f - 1 are the one's, f to 2f - 1 the next one's. */
#if MG_REGISTERS >= 32
#define FEW_VECTORS 2 /* of filters: 18 + 8 registers; with 5x5, 25 + 4 for one */
#else
#define FEW_VECTORS 1 /* 9 + 4 */
#endif
#define FEW_SIDE(s) ((s)->kh == 3 ? FEW_VECTORS : 1)
#define FEW_PAIRS(f) (2 * (f) <= LANES ? 2 : 1)

static int FN(few_taps)(const mg_windows *s, ptrdiff_t ph, ptrdiff_t pw)
{
    return s->c == 1 && s->sh == 1 && s->sw == 1 && ph == 2 && pw == 2 && s->kh == s->kw
        && (s->kh == 3 || (s->kh == 5 && MG_REGISTERS >= 32));
}

/* lanes from f on: those of a vector's second window */
INLINE FN(lanes) FN(second_window)(ptrdiff_t f)
{
    INT lane[LANES];
    FN(lanes) mask;
    for (ptrdiff_t i = 0; i < LANES; i++)
        lane[i] = -(i >= f);
    memcpy(&mask, lane, sizeof mask);
    return mask;
}

/* what a window's pixel (r, c) is multiplied with: of `pairs` windows that begin at x */
INLINE void FN(few_pixel)(const int pairs, const REAL *x, const FN(lanes) *second, VEC *pixel)
{
    *pixel = SPLAT(x[0]);
    if (pairs == 2) {
        const VEC next = SPLAT(x[2]);
        FN(select)(pixel, second, &next);
    }
}

/* A row of windows, filters o to o + vectors * LANES, `pairs` windows a vector. taps: those of
   these filters, `pitch` numbers each, and their biases. As in pool_row, with nan = 0 NaNs are only
   noticed. The first four are constants where this is inlined: the loops over them vanish. */
INLINE int FN(few_windows)(const int nan, const int k, const int vectors, const int pairs,
                           const REAL *taps, ptrdiff_t pitch, ptrdiff_t f, ptrdiff_t o, const REAL *x,
                           ptrdiff_t width, ptrdiff_t windows, REAL *y, uint8_t *argmax)
{
    const FN(lanes) second = FN(second_window)(f);
    VEC w[9][2];
    FN(lanes) unordered = {0};
    UNROLL
    for (int i = 0; i < vectors; i++)
        for (int tap = 0; k == 3 && tap < 9; tap++)
            w[tap][i] = LOAD(taps + tap * pitch + i * LANES);
    for (ptrdiff_t j = 0; j < windows; j += pairs) {
        VEC z[4][2];
        UNROLL
        for (int place = 0; place < 4; place++) {
            UNROLL
            for (int i = 0; i < vectors; i++)
                z[place][i] = LOAD(taps + k * k * pitch + i * LANES);
        }
        UNROLL
        for (int r = 0; r <= k; r++) {
            UNROLL
            for (int c = 0; c <= k; c++) {
                VEC pixel;
                FN(few_pixel)(pairs, x + r * width + 2 * j + c, &second, &pixel);
                UNROLL
                for (int place = 0; place < 4; place++) { /* that the pixel is tap (a, b) of */
                    const int a = r - place / 2, b = c - place % 2, tap = a * k + b;
                    if (a < 0 || a >= k || b < 0 || b >= k)
                        continue;
                    UNROLL
                    for (int i = 0; i < vectors; i++)
                        z[place][i] += pixel * (k == 3 ? w[tap][i] : LOAD(taps + tap * pitch + i * LANES));
                }
            }
        }
        UNROLL
        for (int i = 0; i < vectors; i++) {
            const ptrdiff_t at = j * f + o + i * LANES;
            FN(lanes) who = {0};
            unordered |= UNORDERED((z[0][i] + z[1][i]) + (z[2][i] + z[3][i]));
            UNROLL
            for (int place = 1; place < 4; place++)
                FN(challenge)(nan, &z[0][i], &who, &z[place][i], place);
            FN(store_pooled)(nan, &z[0][i], &who, MIN(LANES, pairs * f - o - i * LANES), y + at, argmax + at);
        }
    }
    return FN(any)(unordered);
}

#define FEW(k, vectors, pairs)                                                                    \
    do {                                                                                          \
        const ptrdiff_t j = windows - windows % pairs; /* an odd last window is done alone */     \
        if (FN(few_windows)(0, k, vectors, pairs, taps, pitch, f, o, at, width, j, best, who))    \
            FN(few_windows)(1, k, vectors, pairs, taps, pitch, f, o, at, width, j, best, who);    \
        if (j < windows)                                                                          \
            FN(few_windows)(1, k, vectors, 1, taps, pitch, f, o, at + 2 * j, width, windows - j,  \
                            best + j * f, who + j * f);                                           \
    } while (0)

/* `rows` rows of windows, the first of which begins at x */
static void FN(few_forward)(const FN(convolution) *v, const REAL *x, ptrdiff_t width, ptrdiff_t rows,
                            ptrdiff_t windows, REAL *y, uint8_t *argmax)
{
    const ptrdiff_t f = v->s.f, k = v->s.kh, most = FEW_SIDE(&v->s) * LANES;
    const int pairs = FEW_PAIRS(f);
    for (ptrdiff_t o = 0; o < f; o += most) {
        REAL taps[26 * FEW_VECTORS * LANES];
        const ptrdiff_t pitch = MIN(most, ROUND_UP(f - o, LANES));
        for (ptrdiff_t tap = 0; tap <= k * k; tap++)
            for (ptrdiff_t lane = 0; lane < pitch; lane++) {
                const REAL *from = tap < k * k ? v->w + tap * v->pitch : v->bias;
                const ptrdiff_t at = pairs == 2 ? lane % f : o + lane; /* behind f are zeros */
                taps[tap * pitch + lane] = from ? from[at] : 0;
            }
        for (ptrdiff_t row = 0; row < rows; row++) {
            const REAL *at = x + row * 2 * width;
            REAL *best = y + row * windows * f;
            uint8_t *who = argmax + row * windows * f;
            if (k == 5 && pairs == 2)
                FEW(5, 1, 2);
            else if (k == 5)
                FEW(5, 1, 1);
            else if (pairs == 2)
                FEW(3, 1, 2);
            else if (pitch == LANES)
                FEW(3, 1, 1);
            else
                FEW(3, FEW_VECTORS, 1);
        }
    }
}

#undef FEW

/* dw and db of one image's windows of columns [begin, end), filters o to o + vectors * LANES, `pairs`
   windows a vector, added to sums (taps x f, then f). k, vectors, pairs: constants, as above. */
INLINE void FN(few_gradients)(const int k, const int vectors, const int pairs, ptrdiff_t f, ptrdiff_t o,
                              const REAL *x, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t windows,
                              ptrdiff_t begin, ptrdiff_t end, const REAL *dy, const uint8_t *argmax,
                              REAL *sums)
{
    const FN(lanes) second = FN(second_window)(f);
    VEC dw[26][2]; /* the last one is db */
    UNROLL
    for (int i = 0; i < vectors; i++)
        for (int tap = 0; tap <= k * k; tap++)
            dw[tap][i] = SPLAT((REAL)0);
    for (ptrdiff_t row = 0; row < rows; row++, x += 2 * width, dy += windows * f, argmax += windows * f)
        for (ptrdiff_t j = begin; j < end; j += pairs) {
            VEC sent[4][2]; /* a window's gradient, where it goes */
            UNROLL
            for (int i = 0; i < vectors; i++) {
                const ptrdiff_t at = j * f + o + i * LANES;
                const ptrdiff_t lanes = MIN(LANES, pairs * f - o - i * LANES);
                VEC g;
                FN(lanes) who;
                FN(load_some)(&g, dy + at, lanes);
                FN(load_places)(&who, argmax + at, lanes);
                UNROLL
                for (int place = 0; place < 4; place++) {
                    const FN(lanes) here = EQUAL(who, (INT)place);
                    sent[place][i] = SPLAT((REAL)0);
                    FN(select)(&sent[place][i], &here, &g);
                }
                dw[k * k][i] += (sent[0][i] + sent[1][i]) + (sent[2][i] + sent[3][i]);
            }
            UNROLL
            for (int r = 0; r <= k; r++) {
                UNROLL
                for (int c = 0; c <= k; c++) {
                    VEC pixel;
                    FN(few_pixel)(pairs, x + r * width + 2 * j + c, &second, &pixel);
                    UNROLL
                    for (int place = 0; place < 4; place++) {
                        const int a = r - place / 2, b = c - place % 2;
                        if (a < 0 || a >= k || b < 0 || b >= k)
                            continue;
                        UNROLL
                        for (int i = 0; i < vectors; i++)
                            dw[a * k + b][i] += pixel * sent[place][i];
                    }
                }
            }
        }
    for (int tap = 0; tap <= k * k; tap++)
        for (int i = 0; i < vectors; i++) {
            REAL lane[LANES];
            memcpy(lane, &dw[tap][i], sizeof lane);
            for (ptrdiff_t l = 0; l < MIN(LANES, pairs * f - o - i * LANES); l++)
                sums[tap * f + (pairs == 2 ? l % f : o + i * LANES + l)] += lane[l];
        }
}

#define FEW(k, vectors, pairs, begin, end)                                                        \
    FN(few_gradients)(k, vectors, pairs, f, o, x, width, rows, windows, begin, end, dy, argmax, sums)

static void FN(few_dw)(const mg_windows *s, const REAL *x, ptrdiff_t width, ptrdiff_t rows,
                       ptrdiff_t windows, const REAL *dy, const uint8_t *argmax, REAL *sums)
{
    const ptrdiff_t f = s->f, k = s->kh, most = FEW_SIDE(s) * LANES;
    const ptrdiff_t even = FEW_PAIRS(f) == 2 ? windows - windows % 2 : 0;
    for (ptrdiff_t o = 0; o < f; o += most) {
        if (even && k == 5)
            FEW(5, 1, 2, 0, even);
        else if (even)
            FEW(3, 1, 2, 0, even);
        if (even < windows && k == 5)
            FEW(5, 1, 1, even, windows);
        else if (even < windows && f - o <= LANES)
            FEW(3, 1, 1, even, windows);
        else if (even < windows)
            FEW(3, FEW_VECTORS, 1, even, windows);
    }
}

#undef FEW
#undef FEW_VECTORS
#undef FEW_SIDE
#undef FEW_PAIRS
