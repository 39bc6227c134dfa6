/* What ops there are and what they take, from kernels.def and steps.def; and running steps. */
#include "mg.h"

#define SPAN(rows, row, cols, col) \
    ((rows) > 0 && (cols) > 0 ? ((rows) - 1.0) * (row) + ((cols) - 1.0) * (col) + 1.0 : 0.0)
#define IMAGES (n * s->windows.h * s->windows.w * s->windows.c)
#define FILTERS (1.0 * s->windows.kh * s->windows.kw * s->windows.c * s->windows.f)
#define OUTPUTS (n * s->windows.oh * s->windows.ow * s->windows.f)
#define POOLED (n * (s->windows.oh / s->ph) * (s->windows.ow / s->pw) * s->windows.f)

/* how many numbers the code reads of `in` or writes of `out`: an array may be used more than once */
static double extent(const mg_step *s, double n, int opcode, int array)
{
    const double rows = n * s->rows, sizes[MG_EXTENTS] = {rows * s->units, rows, s->units, 1};
    double most = 0;
    for (const int32_t *code = s->code; code < s->code + s->length * MG_CODE_SIZE; code += MG_CODE_SIZE)
        if (code[0] == opcode && code[opcode == MG_LOAD ? 2 : 1] == array && sizes[code[3]] > most)
            most = sizes[code[3]];
    return most;
}

#define EXTENT(opcode, array) extent(s, n, opcode, array)
#define OP(name, room, operands)                                                                  \
    static void sizes_of_##name(const mg_step *s, double n, double *sizes)                        \
    {                                                                                             \
        (void)s, (void)n;                                                                         \
        operands                                                                                  \
    }
#define ARRAY(name, type, needed, written, size) *sizes++ = (size);
#define SETTING(name, kind, needed, field) *sizes++ = 0;
#include "ops.def"

#define OP(name, room, operands) static const mg_operand operands_of_##name[] = {operands {0}};
#define ARRAY(name, type, needed, written, size)                                                  \
    {#name, MG_ARRAY, offsetof(mg_step, name), needed, type, written},
#define SETTING(name, kind, needed, field) {#name, kind, offsetof(mg_step, field), needed, 0, 0},
#include "ops.def"

#define OP(name, room, operands)                                                                  \
    _Static_assert(sizeof operands_of_##name / sizeof *operands_of_##name <= MG_MOST_OPERANDS + 1, \
                   #name " has more operands than MG_MOST_OPERANDS");
#include "ops.def"

const mg_op_row mg_ops[MG_OPS] = {
#define OP(name, room, operands) {#name, operands_of_##name, sizes_of_##name},
#include "ops.def"
};

const mg_opcode_row mg_opcodes[MG_OPCODES] = {
    {"constant", 0}, {"load", 0}, {"store", 1}, {"row_sum", 1}, {"row_max", 1},
#define OPCODE(name, inputs, statement) {#name, inputs},
#include "opcodes.def"
};

static const mg_kernel *kernel_of(const mg_isa *isa, const mg_step *step)
{
    return &isa->kernels[step->type == MG_F64][step->op];
}

void mg_run_steps(const mg_isa *isa, const mg_step *steps, ptrdiff_t count, mg_run *run)
{
    for (const mg_step *step = steps; step < steps + count; step++)
        kernel_of(isa, step)->run(step, run);
}

ptrdiff_t mg_scratch(const mg_isa *isa, const mg_step *steps, ptrdiff_t count, ptrdiff_t n, int threads)
{
    ptrdiff_t most = 0;
    for (const mg_step *step = steps; step < steps + count; step++) {
        const ptrdiff_t itemsize = step->type == MG_F64 ? sizeof(double) : sizeof(float);
        const ptrdiff_t size = kernel_of(isa, step)->room(step, n, threads) * itemsize;
        most = size > most ? size : most;
    }
    return most;
}
