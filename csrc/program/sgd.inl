/* Stochastic gradient descent: what optimizers.SGD does, number by number. */
RUN(sgd)
{
    const float rate = (float)r->rate, momentum = (float)s->momentum;
    float *restrict x = s->y, *restrict v = s->v;
    const float *restrict dx = s->dy;
    if (!v)
        for (ptrdiff_t i = 0; i < s->units; i++)
            x[i] += dx[i] * -rate;
    else
        for (ptrdiff_t i = 0; i < s->units; i++) {
            const float step = dx[i] * -rate;
            v[i] = v[i] * momentum + step;
            x[i] += s->nesterov ? momentum * v[i] + step : v[i];
        }
}
