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

/* 1 / (1 + e ** -x), or e ** x / (1 + e ** x): no power is inf */
INLINE void logistic(VEC *y, const VEC *x)
{
    const VEC zero = SPLAT(0.0f), one = SPLAT(1.0f), negative = zero - *x;
    const FN(lanes) mask = GREATER(*x, zero);
    VEC power = *x, sum;
    FN(select)(&power, &mask, &negative);
    exponential(&power, &power);
    sum = power + one;
    FN(select)(&power, &mask, &one);
    *y = power / sum;
}

/* v, where x is not above 0 times the slope; NaN passes */
INLINE void scale_negative(VEC *y, const VEC *v, const VEC *x, const VEC *slope)
{
    const VEC zero = SPLAT(0.0f), scaled = *v * *slope;
    const FN(lanes) mask = ~(GREATER(*x, zero) | UNORDERED(*x));
    *y = *v;
    FN(select)(y, &mask, &scaled);
}
