/* Replaying a scalar graph: an interpreter whose instructions are the ops of engine.py.
 *
 * The table below is engine.py's, op by op: value, d/dx, d/dy. A test holds the two together, to
 * the last bit; so this file must be compiled without contracting a * b + c into one operation.
 */
#include "tape.h"

#include <math.h>

static double relu(double x) { return x <= 0 ? 0.0 : x; }

static double sigmoid(double x)
{
    double z = exp(-fabs(x));
    return (x > 0 ? 1.0 : z) / (1.0 + z);
}

static double sigmoid_dx(double x)
{
    double z = exp(-fabs(x));
    return z / ((1.0 + z) * (1.0 + z));
}

/* which of two wins: on a tie, and for a nan in x, it is x */
static int is_max(double x, double y) { return x >= y || x != x; }
static int is_min(double x, double y) { return x <= y || x != x; }

static double sign(double x) { return (double)(x > 0) - (double)(x < 0); }

/*  op          Value.op      arity  value                    d/dx                       d/dy    */
#define OPS(OP)                                                                                   \
    OP(ADD,     "+",          2,     x + y,                   1.0,                       1.0)     \
    OP(SUB,     "-",          2,     x - y,                   1.0,                       -1.0)    \
    OP(MUL,     "*",          2,     x * y,                   y,                         x)       \
    OP(DIV,     "/",          2,     x / y,                   1.0 / y,                   -out / y) \
    OP(POW,     "**",         2,     pow(x, y),                                                   \
       y == 0 ? 0.0 : y * pow(x, y - 1.0),    x == 0 && y >= 0 ? 0.0 : out * log(x))              \
    OP(MAX,     "max",        2,     is_max(x, y) ? x : y,    is_max(x, y),              !is_max(x, y)) \
    OP(MIN,     "min",        2,     is_min(x, y) ? x : y,    is_min(x, y),              !is_min(x, y)) \
    OP(LEAKY,   "leaky_relu", 2,     x > 0 ? x : y * x,       x > 0 ? 1.0 : y,           x > 0 ? 0.0 : x) \
    OP(NEG,     "neg",        1,     -x,                      -1.0,                      0.0)     \
    OP(ABS,     "abs",        1,     fabs(x),                 sign(x),                   0.0)     \
    OP(RELU,    "ReLU",       1,     relu(x),                 x <= 0 ? 0.0 : 1.0,        0.0)     \
    OP(TANH,    "tanh",       1,     tanh(x),                 1.0 - out * out,           0.0)     \
    OP(SIGMOID, "sigmoid",    1,     sigmoid(x),              sigmoid_dx(x),             0.0)     \
    OP(EXP,     "exp",        1,     exp(x),                  out,                       0.0)     \
    OP(LOG,     "log",        1,     log(x),                  1.0 / x,                   0.0)     \
    OP(SQRT,    "sqrt",       1,     sqrt(x),                 0.5 / out,                 0.0)     \
    OP(SIN,     "sin",        1,     sin(x),                  cos(x),                    0.0)     \
    OP(COS,     "cos",        1,     cos(x),                  -sin(x),                   0.0)

#define NUMBER(id, name, arity, value, dx, dy) id,
enum { OPS(NUMBER) };

#define NAME(id, name, arity, value, dx, dy) name,
static const char *const names[] = {OPS(NAME)};

#define ARITY(id, name, arity, value, dx, dy) arity,
static const int arities[] = {OPS(ARITY)};

const int mg_tape_ops = sizeof arities / sizeof arities[0];
const char *mg_tape_op_name(int op) { return names[op]; }
int mg_tape_op_arity(int op) { return arities[op]; }

void mg_tape_forward(const mg_tape_node *nodes, ptrdiff_t count, ptrdiff_t first, double *data)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        double x = data[nodes[i].x], y = data[nodes[i].y];
        double *out = data + first + i;
        switch (nodes[i].op) {
#define VALUE(id, name, arity, value, dx, dy) case id: *out = value; break;
            OPS(VALUE)
        }
    }
}

void mg_tape_backward(const mg_tape_node *nodes, ptrdiff_t count, ptrdiff_t first,
                      const double *data, double *grad)
{
    for (ptrdiff_t i = count - 1; i >= 0; i--) {
        double x = data[nodes[i].x], y = data[nodes[i].y], out = data[first + i];
        double g = grad[first + i];
        (void)out;
        switch (nodes[i].op) {
#define SEND(id, name, arity, value, dx, dy)                                                      \
        case id:                                                                                  \
            grad[nodes[i].x] += (dx) * g;                                                         \
            if (arity == 2) grad[nodes[i].y] += (dy) * g;                                         \
            break;
            OPS(SEND)
        }
    }
}

void mg_tape_locals(const mg_tape_node *nodes, ptrdiff_t count, ptrdiff_t first,
                    const double *data, double *dx_of, double *dy_of)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        double x = data[nodes[i].x], y = data[nodes[i].y], out = data[first + i];
        (void)out;
        switch (nodes[i].op) {
#define LOCAL(id, name, arity, value, dx, dy) case id: dx_of[i] = dx; dy_of[i] = dy; break;
            OPS(LOCAL)
        }
    }
}
