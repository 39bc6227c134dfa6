/* A recorded scalar graph, replayed: see tape.c. Independent of mg.h and of instruction sets. */
#ifndef MG_TAPE_H
#define MG_TAPE_H

#include <stddef.h>
#include <stdint.h>

/* The node data[first + i] is op of data[x] and data[y]; a unary op ignores y. x, y < first + i. */
typedef struct {
    int32_t op, x, y;
} mg_tape_node;

extern const int mg_tape_ops;           /* how many there are */
extern const char *mg_tape_op_name(int op); /* as Value.op has it */
extern int mg_tape_op_arity(int op);    /* 1 or 2 */

/* for i in 0 .. count - 1: data[first + i] = op(data[x], data[y]) */
void mg_tape_forward(const mg_tape_node *nodes, ptrdiff_t count, ptrdiff_t first, double *data);

/* for i in count - 1 .. 0: g = grad[first + i]; grad[x] += d op/dx * g; grad[y] += d op/dy * g */
void mg_tape_backward(const mg_tape_node *nodes, ptrdiff_t count, ptrdiff_t first,
                      const double *data, double *grad);

/* dx[i], dy[i] = d op/dx, d op/dy of node i; dy[i] = 0 for unary ops */
void mg_tape_locals(const mg_tape_node *nodes, ptrdiff_t count, ptrdiff_t first,
                    const double *data, double *dx, double *dy);

#endif
