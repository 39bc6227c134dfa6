/* The op `elementwise`: a chain of functions of numbers, row by row of (n*rows, units), in one pass.

   Its code is run block by block, a block being some whole rows: each instruction makes a vector of
   the block's numbers, in a register, of which all stay in the L1 cache. An array that is as large is
   read where it lies. One number, or one for each column, stands in its register from the start;
   one for each row is spread out over it. Sums over rows are those of chunks, of which there are as
   many as the number of rows says, whatever the threads. */
#define BLOCK ((ptrdiff_t)512)  /* numbers of a block, unless a row is longer */
#define A_TASK ((ptrdiff_t)8)   /* blocks, where nothing is added up */
#define SUMS ((ptrdiff_t)32)    /* chunks at most, where something is */

typedef struct chain {
    const mg_step *s;
    ptrdiff_t rows, cols, block; /* block: in rows */
    ptrdiff_t pitch;             /* of registers */
    ptrdiff_t task;              /* rows a task */
    ptrdiff_t setup;             /* so many instructions fill registers once */
    ptrdiff_t sums;              /* numbers that a task adds up */
    float *partial, *registers;  /* of tasks; of threads */
} chain;

#define INSTRUCTION(s, i) ((s)->code + (i) * MG_CODE_SIZE)

/* is it a store that adds up, and how many sums are these? */
static ptrdiff_t sums_of(const mg_step *s, const int32_t *code)
{
    if (code[0] != MG_STORE)
        return 0;
    return code[3] == MG_COLUMN ? s->units : code[3] == MG_SINGLE;
}

static chain chain_of(const mg_step *s, ptrdiff_t n)
{
    chain c = {.s = s, .rows = n * s->rows, .cols = s->units};
    c.block = MAX(BLOCK / c.cols, 1);
    c.pitch = ROUND_UP(c.block * c.cols, LANES) + LANES;
    for (ptrdiff_t i = 0; i < s->length; i++) {
        const int32_t *code = INSTRUCTION(s, i);
        c.sums += sums_of(s, code);
        c.setup += code[0] == MG_CONSTANT || (code[0] == MG_LOAD && code[3] != MG_FULL && code[3] != MG_ROW);
    }
    c.task = c.block * A_TASK;
    if (c.sums)
        c.task = MAX(ROUND_UP(CEIL_DIV(c.rows, SUMS), c.block), c.block);
    return c;
}

/* of reading and writing where one number stands for a row, or a column */
static void spread(float *to, const float *from, ptrdiff_t rows, ptrdiff_t cols, int kind)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < cols; j++)
            to[r * cols + j] = kind == MG_ROW ? from[r] : from[j];
}

static void add_columns(float *sums, const float *x, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t cols)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < cols; j++)
            sums[j] += x[step ? r * cols + j : 0];
}

/* sum or maximum of `count` numbers; the first lanes are added up in the end, in order */
static float of_row(int op, const float *x, ptrdiff_t step, ptrdiff_t count)
{
    float lane[LANES], result;
    VEC v;
    ptrdiff_t j = LANES;
    if (!step || count < LANES) {
        result = x[0];
        for (j = 1; j < count; j++) {
            const float other = x[step ? j : 0];
            result = op == MG_ROW_SUM ? result + other
                : other > result || other != other ? other : result;
        }
        return result;
    }
    v = LOAD(x);
    for (; j + LANES <= count; j += LANES) {
        const VEC other = LOAD(x + j);
        if (op == MG_ROW_SUM)
            v += other;
        else
            choose(&v, GREATER(other, v) | UNORDERED(other), other, v);
    }
    memcpy(lane, &v, sizeof lane);
    result = lane[0];
    for (ptrdiff_t i = 1; i < LANES + count - j; i++) {
        const float other = i < LANES ? lane[i] : x[j + i - LANES];
        result = op == MG_ROW_SUM ? result + other : other > result || other != other ? other : result;
    }
    return result;
}

#define EACH_LANE(expression)                                                                     \
    do {                                                                                          \
        float a_lanes[LANES], b_lanes[LANES];                                                     \
        memcpy(a_lanes, &a, sizeof a);                                                            \
        memcpy(b_lanes, &b, sizeof b);                                                            \
        for (ptrdiff_t lane = 0; lane < LANES; lane++) {                                          \
            const float one_of_a = a_lanes[lane], one_of_b = b_lanes[lane];                       \
            (void)one_of_b;                                                                       \
            a_lanes[lane] = expression;                                                           \
        }                                                                                         \
        memcpy(&y, a_lanes, sizeof y);                                                            \
    } while (0)

/* one instruction of the table, on `count` numbers; a step is 0 where one vector is all there is */
static void compute(int op, float *to, const float *x[3], const ptrdiff_t step[3], ptrdiff_t count)
{
    const VEC zero = SPLAT(0.0f), one = SPLAT(1.0f);
    (void)zero, (void)one;
    switch (op) {
#define OPCODE(name, inputs, statement)                                                           \
    case MG_DO_##name:                                                                            \
        for (ptrdiff_t i = 0; i < count; i += LANES) {                                            \
            const VEC a = LOAD(x[0] + (step[0] ? i : 0));                                         \
            const VEC b = inputs > 1 ? LOAD(x[1] + (step[1] ? i : 0)) : a;                        \
            const VEC c = inputs > 2 ? LOAD(x[2] + (step[2] ? i : 0)) : a;                        \
            VEC y = a;                                                                            \
            (void)b, (void)c;                                                                     \
            statement;                                                                            \
            STORE(to + i, y);                                                                     \
        }                                                                                         \
        break;
#include "opcodes.def"
    }
}

static void elementwise_task(const void *context, ptrdiff_t task, int thread)
{
    const chain *c = context;
    const mg_step *s = c->s;
    float *own = c->registers + thread * MG_REGISTERS_OF_CODE * c->pitch;
    float *partial = c->partial + task * c->sums;
    const float *reg[MG_REGISTERS_OF_CODE];
    ptrdiff_t step[MG_REGISTERS_OF_CODE];
    const ptrdiff_t end = MIN((task + 1) * c->task, c->rows);
    for (ptrdiff_t i = 0; i < c->sums; i++)
        partial[i] = 0;
    for (ptrdiff_t i = 0; i < MG_REGISTERS_OF_CODE; i++)
        reg[i] = own + i * c->pitch, step[i] = 1;
    for (ptrdiff_t i = 0; i < c->setup; i++) {
        const int32_t *code = INSTRUCTION(s, i);
        float *to = own + code[1] * c->pitch, number;
        if (code[0] == MG_LOAD && code[3] == MG_COLUMN) {
            spread(to, s->in[code[2]], c->block, c->cols, MG_COLUMN);
            continue;
        }
        if (code[0] == MG_CONSTANT)
            memcpy(&number, code + 2, sizeof number);
        else
            number = *(const float *)s->in[code[2]];
        for (ptrdiff_t lane = 0; lane < LANES; lane++)
            to[lane] = number;
        step[code[1]] = 0;
    }
    for (ptrdiff_t row = task * c->task; row < end; row += c->block) {
        const ptrdiff_t rows = MIN(c->block, end - row), count = rows * c->cols, at = row * c->cols;
        float *sums = partial;
        for (ptrdiff_t i = c->setup; i < s->length; i++) {
            const int32_t *code = INSTRUCTION(s, i);
            float *to = own + code[1] * c->pitch;
            const float *x = reg[code[2]];
            const ptrdiff_t walks = step[code[2]];
            switch (code[0]) {
            case MG_LOAD: {
                const float *from = s->in[code[2]];
                if (code[3] == MG_ROW)
                    spread(to, from + row, rows, c->cols, MG_ROW), reg[code[1]] = to;
                else if (count % LANES == 0)
                    reg[code[1]] = from + at;
                else /* what is behind the block is another's, or nobody's */
                    memcpy(to, from + at, (size_t)count * sizeof *to), reg[code[1]] = to;
                break;
            }
            case MG_STORE: { /* code[1] is which output */
                float *out = s->out[code[1]];
                if (code[3] == MG_FULL)
                    for (ptrdiff_t j = 0; j < count; j++)
                        out[at + j] = x[walks ? j : 0];
                else if (code[3] == MG_ROW)
                    for (ptrdiff_t r = 0; r < rows; r++)
                        out[row + r] = x[walks ? r * c->cols : 0];
                else if (code[3] == MG_COLUMN)
                    add_columns(sums, x, walks, rows, c->cols);
                else
                    sums[0] += of_row(MG_ROW_SUM, x, walks, count);
                sums += sums_of(s, code);
                break;
            }
            case MG_ROW_SUM:
            case MG_ROW_MAX:
                for (ptrdiff_t r = 0; r < rows; r++) {
                    const float result = of_row(code[0], walks ? x + r * c->cols : x, walks, c->cols);
                    for (ptrdiff_t j = 0; j < c->cols; j++)
                        to[r * c->cols + j] = result;
                }
                reg[code[1]] = to; /* where an array may have been read before */
                break;
            default: {
                const float *inputs[3] = {x, reg[code[3]], reg[code[4]]};
                const ptrdiff_t steps[3] = {walks, step[code[3]], step[code[4]]};
                compute(code[0], to, inputs, steps, count);
                reg[code[1]] = to;
            }
            }
        }
    }
}

RUN(elementwise)
{
    chain c = chain_of(s, r->n);
    const ptrdiff_t tasks = CEIL_DIV(c.rows, c.task);
    float *sums = r->scratch;
    c.partial = r->scratch;
    c.registers = c.partial + ROUND_UP(MAX(tasks, 1) * c.sums, 16);
    mg_parallel_for(tasks, mg_threads_worth((double)c.rows * (double)(c.cols * s->length), r->threads),
                    elementwise_task, &c);
    for (ptrdiff_t i = 0; i < s->length; i++) {
        const int32_t *code = INSTRUCTION(s, i);
        const ptrdiff_t count = sums_of(s, code);
        for (ptrdiff_t j = 0; j < count; j++) {
            float total = 0;
            for (ptrdiff_t task = 0; task < tasks; task++)
                total += sums[task * c.sums + j];
            ((float *)s->out[code[1]])[j] = total;
        }
        sums += count;
    }
}

ROOM(elementwise)
{
    const chain c = chain_of(s, n);
    const ptrdiff_t tasks = MAX(CEIL_DIV(c.rows, c.task), 1);
    return ROUND_UP(tasks * c.sums, 16) + threads * MG_REGISTERS_OF_CODE * c.pitch;
}
#undef BLOCK
#undef A_TASK
#undef SUMS
#undef INSTRUCTION
#undef EACH_LANE
#undef choose
