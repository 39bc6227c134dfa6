/* As many multiply-adds as the registers allow, nothing else: what a core can do at most.
   Compiled by kernels.py with -march=native when it runs. */
#define LANES 16
#define SUMS 12
typedef float vec __attribute__((vector_size(4 * LANES)));

/* `steps` times SUMS * LANES multiply-adds; returns something that depends on them all */
float multiply_adds(long steps)
{
    vec sum[SUMS], x = {0}, y = {0};
    float total = 0;
    x += 0.999f;
    y += 0.001f;
    for (int i = 0; i < SUMS; i++)
        sum[i] = y * (float)i;
    for (long s = 0; s < steps; s++)
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++)
            sum[i] = sum[i] * x + y;
    for (int i = 0; i < SUMS; i++)
        for (int lane = 0; lane < LANES; lane++)
            total += sum[i][lane];
    return total;
}
