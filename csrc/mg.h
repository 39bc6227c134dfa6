/* The C side of micrograd_ext: what Python calls, and what runs the steps of a program.

   An op (kernels.def, steps.def) computes arrays from arrays. A step is one call of an op: its
   operands, in one struct for all ops. The function that runs it is found by instruction set, type
   and op. What Python calls is a step; a program is a list of them.

   Conventions: arrays are dense and row-major unless strides are given; images are NHWC and
   convolution kernels HWIO; what an op writes overlaps none of what it reads, but where a row says
   that it may; sizes and strides count elements. Nothing here allocates: `scratch` is the caller's.
   Results are the same, bit for bit, for any number of threads.

   Bodies are written once (the .inl files) and compiled once per instruction set: simd/isa_*.c. */
#ifndef MG_H
#define MG_H
#include <stddef.h>
#include <stdint.h>

typedef enum mg_type { MG_F32, MG_F64, MG_U8, MG_I32, MG_I64 } mg_type;

/* Images (n, h, w, c) seen through windows of kh x kw: the outputs are (n, oh, ow, f), where f is c
   in pooling. Output (i, j) looks at the window whose first pixel is (i*sh - top, j*sw - left). What
   lies outside the image is zero to a convolution, and never the largest. */
typedef struct mg_windows {
    ptrdiff_t n, h, w, c;
    ptrdiff_t kh, kw, f;
    ptrdiff_t sh, sw;
    ptrdiff_t top, left;
    ptrdiff_t oh, ow;
} mg_windows;

/* Ops: MG_matmul and so on. */
typedef enum mg_op {
#define OP(name, room, operands) MG_##name,
#include "ops.def"
    MG_OPS
} mg_op;

/* Instructions of the op `elementwise`, five numbers each: which, and what it is about. Registers are
   numbered, and so are the arrays `in` and `out`; an array has a number for each that is computed, or
   for each row, or for each column, or just one.

   MG_CONSTANT  register, bits of a float
   MG_LOAD      register, in, mg_extent
   MG_STORE     out, register, mg_extent; one for each column, or just one: the sum
   MG_ROW_...   register, register: of each row, in all places of it
   MG_DO_...    register, one register or several: a row of opcodes.def */
typedef enum mg_opcode {
    MG_CONSTANT, MG_LOAD, MG_STORE, MG_ROW_SUM, MG_ROW_MAX,
#define OPCODE(name, inputs, statement) MG_DO_##name,
#include "opcodes.def"
    MG_OPCODES
} mg_opcode;

typedef enum mg_extent { MG_FULL, MG_ROW, MG_COLUMN, MG_SINGLE, MG_EXTENTS } mg_extent;

enum { MG_CODE_SIZE = 5, MG_REGISTERS_OF_CODE = 32, MG_INPUTS = 8, MG_OUTPUTS = 4 };

/* One call of an op. Which operands an op has is in its row; the others are 0. */
typedef struct mg_step {
    int op;                        /* an mg_op */
    int type;                      /* an mg_type: of all arrays but argmax */
    void *x, *y, *w, *bias, *dx, *dy, *dw, *db, *m, *v, *labels, *loss, *argmax;
    ptrdiff_t rows, k, units;      /* `rows`: of an example; a batch has n * rows */
    ptrdiff_t x_row, x_col, w_row, w_col;      /* strides: from row to row, column to column */
    mg_windows windows;            /* its n is the run's */
    ptrdiff_t ph, pw;              /* of pooling fused with a convolution */
    int relu, from_logits, nesterov;
    const int32_t *code;           /* of elementwise: so many instructions */
    ptrdiff_t length;
    union {
        void *in[MG_INPUTS];
        struct {
            void *in0, *in1, *in2, *in3, *in4, *in5, *in6, *in7;
        };
    };
    union {
        void *out[MG_OUTPUTS];
        struct {
            void *out0, *out1, *out2, *out3;
        };
    };
    double momentum, beta_1, beta_2, epsilon;
} mg_step;

/* What the steps of one run share. */
typedef struct mg_run {
    ptrdiff_t n;            /* examples */
    int threads;
    double rate;            /* of the steps that update weights */
    void *scratch;          /* 64-byte aligned, of as many bytes as mg_scratch says */
    double loss, correct;   /* totals, to which steps add: losses; examples with the right class */
} mg_run;

/* Run the steps one after the other. */
typedef struct mg_isa mg_isa;
void mg_run_steps(const mg_isa *isa, const mg_step *steps, ptrdiff_t count, mg_run *run);

/* How many bytes of scratch the steps take for n examples: as many as the greediest of them. */
ptrdiff_t mg_scratch(const mg_isa *isa, const mg_step *steps, ptrdiff_t count, ptrdiff_t n, int threads);

/* ---- what ops there are, for who fills in steps */

typedef enum mg_kind { MG_ARRAY, MG_SIZE, MG_FLAG, MG_NUMBER, MG_CONV, MG_POOL, MG_WINDOW,
                       MG_CODE } mg_kind;

typedef struct mg_operand {
    const char *name;       /* NULL behind the last one */
    mg_kind kind;
    size_t offset;          /* where it is in mg_step; of windows: 0 */
    int needed;             /* or 0: may be left out, as 0 or NULL; or 2: so if its size is 0 */
    int type;               /* of an array: -1 is the step's */
    int written;            /* of an array */
} mg_operand;

typedef struct mg_op_row {
    const char *name;
    const mg_operand *operands;
    /* how many numbers each operand that is an array has for n examples: a double holds any product */
    void (*sizes)(const mg_step *step, double n, double *sizes);
} mg_op_row;

extern const mg_op_row mg_ops[MG_OPS];

typedef struct mg_opcode_row {
    const char *name;
    int inputs;             /* registers that it reads */
} mg_opcode_row;

extern const mg_opcode_row mg_opcodes[MG_OPCODES];

enum { MG_MOST_OPERANDS = 16 }; /* of an op */

/* ---- batches: `size` numbers an example, at `from`, `stride` bytes apart from example to example
   and `itemsize` bytes each, become floats: number * scale + offset. */
typedef struct mg_feed {
    const char *from;
    mg_type type;           /* MG_F32, MG_F64 or MG_U8 */
    ptrdiff_t size, stride, itemsize;
    float scale, offset;
    float *to;
} mg_feed;

/* to[i] = from[order[i]] for i < n; order may be NULL: from[first + i] */
typedef void mg_feeder(const mg_feed *feed, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                       int threads);

/* ---- instruction sets */

typedef struct mg_kernel {
    void (*run)(const mg_step *step, mg_run *run);  /* NULL: not for this type */
    ptrdiff_t (*room)(const mg_step *step, ptrdiff_t n, int threads); /* numbers of scratch */
} mg_kernel;

struct mg_isa {
    const char *name;
    mg_kernel kernels[2][MG_OPS]; /* for MG_F32 and MG_F64 */
    mg_feeder *feed;
};

/* The instruction sets this build has and this CPU and operating system can run, best first;
   NULL from the end of the list on. The last one is always "baseline". */
const mg_isa *mg_isa_at(int index);

/* The compiler that built this, e.g. "gcc 12.2.0". */
const char *mg_compiler(void);

#endif
