/* Who wins a window: vectors of channels against one another, a place of the window after the other. */
#define NONE 255 /* the place of nobody: nothing there is above 0 */

/* load and store the first places, a byte each; lanes behind them are 0 */
#ifdef MG_MASKS
INLINE void FN(load_places)(FN(lanes) *who, const uint8_t *argmax, ptrdiff_t lanes)
{
    const __m128i bytes = _mm_maskz_loadu_epi8(FIRST(lanes), argmax);
    *who = sizeof(INT) == 4 ? (FN(lanes))_mm512_cvtepu8_epi32(bytes) : (FN(lanes))_mm512_cvtepu8_epi64(bytes);
}

INLINE void FN(store_places)(uint8_t *argmax, const FN(lanes) *who, ptrdiff_t lanes)
{
    if (sizeof(INT) == 4)
        _mm512_mask_cvtepi32_storeu_epi8(argmax, FIRST(lanes), (__m512i)*who);
    else
        _mm512_mask_cvtepi64_storeu_epi8(argmax, (__mmask8)FIRST(lanes), (__m512i)*who);
}
#else
INLINE void FN(load_places)(FN(lanes) *who, const uint8_t *argmax, ptrdiff_t lanes)
{
    INT place[LANES] = {0};
    if (lanes == LANES) /* a constant: no loop remains */
        for (ptrdiff_t lane = 0; lane < LANES; lane++)
            place[lane] = argmax[lane];
    else
        for (ptrdiff_t lane = 0; lane < lanes; lane++)
            place[lane] = argmax[lane];
    memcpy(who, place, sizeof place);
}

INLINE void FN(store_places)(uint8_t *argmax, const FN(lanes) *who, ptrdiff_t lanes)
{
    INT place[LANES];
    memcpy(place, who, sizeof place);
    if (lanes == LANES)
        for (ptrdiff_t lane = 0; lane < LANES; lane++)
            argmax[lane] = (uint8_t)place[lane];
    else
        for (ptrdiff_t lane = 0; lane < lanes; lane++)
            argmax[lane] = (uint8_t)place[lane];
}
#endif

/* where x is larger than the best so far, or the first NaN, it is the best now, and of this place;
   nan = 0 does not look for NaNs */
INLINE void FN(challenge)(const int nan, VEC *best, FN(lanes) *who, const VEC *x, ptrdiff_t place)
{
    FN(lanes) take = GREATER(*x, *best);
    if (nan)
        take |= UNORDERED(*x) & ~UNORDERED(*best);
    FN(select)(best, &take, x);
    *who = (((FN(lanes)){0} + (INT)place) & take) | (*who & ~take);
}

/* the best of a window, if above 0, and its argmax's place; nan = 0: there are no NaNs */
INLINE void FN(store_pooled)(const int nan, VEC *best, FN(lanes) *who, ptrdiff_t lanes, REAL *y,
                             uint8_t *argmax)
{
    const VEC zero = SPLAT((REAL)0);
    FN(lanes) dead = ~GREATER(*best, zero);
    if (nan)
        dead &= ~UNORDERED(*best);
    FN(select)(best, &dead, &zero);
    *who |= dead; /* all bits: NONE, when cut down to a byte */
    FN(store_some)(y, best, lanes);
    FN(store_places)(argmax, who, lanes);
}
