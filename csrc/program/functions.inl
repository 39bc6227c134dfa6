/* Activation functions and their derivatives, vectors of float at a time. */

/* e ** x. x = k ln 2 + r with |r| <= ln 2 / 2; e ** r by the polynomial of Moshier's Cephes (expf);
   2 ** k in two factors, so that what is too large becomes inf and what is too small 0 in time. */
INLINE void exponential(VEC *y, const VEC *x)
{
    const VEC magic = SPLAT(12582912.0f), largest = SPLAT(89.0f), smallest = SPLAT(-104.0f);
    VEC v = *x, k, s;
    FN(lanes) mask = GREATER(v, largest), bits, low;
    FN(select)(&v, &mask, &largest);
    mask = ~GREATER(v, smallest); /* NaN too: its bits are nobody's exponent */
    FN(select)(&v, &mask, &smallest);
    s = v * SPLAT(1.44269504088896341f) + magic; /* the last bits of s are now k */
    k = s - magic;
    memcpy(&bits, &s, sizeof bits);
    bits -= (INT)0x4b400000;
    v = v - k * SPLAT(0.693359375f);
    v = v - k * SPLAT(-2.12194440e-4f);
    s = SPLAT(1.9875691500e-4f);
    s = s * v + SPLAT(1.3981999507e-3f);
    s = s * v + SPLAT(8.3334519073e-3f);
    s = s * v + SPLAT(4.1665795894e-2f);
    s = s * v + SPLAT(1.6666665459e-1f);
    s = s * v + SPLAT(5.0000001201e-1f);
    s = s * v * v + v + SPLAT(1.0f);
    low = bits >> 1;
    bits = (bits - low + 127) << 23;
    low = (low + 127) << 23;
    memcpy(&k, &bits, sizeof k);
    memcpy(&v, &low, sizeof v);
    s = s * k * v;
    mask = UNORDERED(*x);
    FN(select)(&s, &mask, x);
    *y = s;
}

/* tanh x: near 0 the polynomial of Cephes (tanhf), else 1 - 2 / (e ** 2|x| + 1) with x's sign */
INLINE void hyperbolic_tangent(VEC *y, const VEC *x)
{
    const VEC zero = SPLAT(0.0f), one = SPLAT(1.0f), two = SPLAT(2.0f), v = *x, square = v * v;
    VEC negative = zero - v, size = v, far, near;
    FN(lanes) mask = GREATER(zero, v);
    FN(select)(&size, &mask, &negative);
    far = size + size;
    exponential(&far, &far);
    far = one - two / (far + one);
    negative = zero - far;
    FN(select)(&far, &mask, &negative);
    near = SPLAT(-5.70498872745e-3f);
    near = near * square + SPLAT(2.06390887954e-2f);
    near = near * square + SPLAT(-5.37397155531e-2f);
    near = near * square + SPLAT(1.33314422036e-1f);
    near = near * square + SPLAT(-3.33332819422e-1f);
    near = near * square * v + v;
    mask = EQUAL(v, zero); /* -0 + 0 would be 0 */
    FN(select)(&near, &mask, &v);
    mask = GREATER(size, SPLAT(0.625f));
    FN(select)(&near, &mask, &far);
    *y = near;
}

/* y = mask ? a : b, a lane at a time */
#define choose(y, mask, a, b)                                                                     \
    do {                                                                                          \
        const FN(lanes) chosen = mask;                                                            \
        const VEC yes = a;                                                                        \
        VEC other = b;                                                                            \
        FN(select)(&other, &chosen, &yes);                                                        \
        *(y) = other;                                                                             \
    } while (0)

/* log x: x = 2 ** k m, 1 / sqrt 2 <= m < sqrt 2; log m by the polynomial of Cephes (logf) */
INLINE void logarithm(VEC *y, const VEC *x)
{
    const VEC zero = SPLAT(0.0f), one = SPLAT(1.0f), tiny = SPLAT(FLT_MIN);
    VEC v = *x, k, m, z, s, shift = zero;
    FN(lanes) bits, exponent, mask;
    mask = GREATER(tiny, v); /* subnormal, or not positive, of which below */
    choose(&shift, mask, SPLAT(-23.0f), zero);
    choose(&v, mask, v * SPLAT(8388608.0f), v);
    memcpy(&bits, &v, sizeof bits);
    exponent = ((bits >> 23) & 255) - 127;
    bits = (bits & 0x7fffff) | 0x3f800000;
    memcpy(&m, &bits, sizeof m); /* 1 <= m < 2 */
    bits = exponent + (INT)0x4b400000; /* as a float: 12582912 + exponent */
    memcpy(&k, &bits, sizeof k);
    k = k - SPLAT(12582912.0f) + shift;
    mask = GREATER(m, SPLAT(1.41421356f));
    choose(&m, mask, m * SPLAT(0.5f), m);
    choose(&k, mask, k + one, k);
    m = m - one;
    z = m * m;
    s = SPLAT(7.0376836292e-2f);
    s = s * m - SPLAT(1.1514610310e-1f);
    s = s * m + SPLAT(1.1676998740e-1f);
    s = s * m - SPLAT(1.2420140846e-1f);
    s = s * m + SPLAT(1.4249322787e-1f);
    s = s * m - SPLAT(1.6668057665e-1f);
    s = s * m + SPLAT(2.0000714765e-1f);
    s = s * m - SPLAT(2.4999993993e-1f);
    s = s * m + SPLAT(3.3333331174e-1f);
    s = s * m * z - k * SPLAT(2.12194440e-4f) - z * SPLAT(0.5f);
    s = m + s + k * SPLAT(0.693359375f);
    choose(&s, EQUAL(*x, SPLAT(INFINITY)), *x, s);
    choose(&s, EQUAL(*x, zero), SPLAT(-INFINITY), s);
    choose(&s, GREATER(zero, *x) | UNORDERED(*x), SPLAT(NAN), s);
    *y = s;
}

/* log(1 + x), where u = 1 + x, rounded: log u, corrected by x / (u - 1) (Kahan) */
INLINE void log_1_plus(VEC *y, const VEC *x)
{
    const VEC one = SPLAT(1.0f), u = one + *x, rest = u - one;
    VEC s;
    logarithm(&s, &u);
    s = s * (*x / rest);
    choose(&s, EQUAL(u, SPLAT(INFINITY)), u, s);
    choose(&s, EQUAL(rest, SPLAT(0.0f)), *x, s);
    *y = s;
}

/* e ** x - 1, where u = e ** x, rounded: u - 1, corrected by x / log u (Kahan) */
INLINE void exp_minus_1(VEC *y, const VEC *x)
{
    const VEC one = SPLAT(1.0f);
    VEC u, s, rest;
    exponential(&u, x);
    logarithm(&s, &u);
    rest = u - one;
    s = rest * (*x / s);
    choose(&s, EQUAL(u, SPLAT(INFINITY)) | EQUAL(rest, -one), rest, s);
    choose(&s, EQUAL(rest, SPLAT(0.0f)), *x, s);
    *y = s;
}
