/* A parallel-for, and nothing else: on POSIX threads, a plain loop on other systems. */
#ifndef MG_THREADS_H
#define MG_THREADS_H
#include <stddef.h>

/* One piece of work. `thread` is below the number of threads asked for and tells tasks that run
   at the same time apart, so that each can have its own scratch. */
typedef void (*mg_task)(const void *context, ptrdiff_t index, int thread);

/* for i < tasks: task(context, i, thread), in any order, on up to `threads` threads. It may be
   called from several threads at once, and from a task: one caller gets the pool, the others work
   alone. A forked child starts a pool of its own. */
void mg_parallel_for(ptrdiff_t tasks, int threads, mg_task task, const void *context);

/* How many threads work that needs `operations` multiply-adds is worth: 1 when waking the others
   would cost more than it saves. Never changes a result, only who computes it. */
int mg_threads_worth(double operations, int threads);

int mg_max_threads(void);   /* what OMP_NUM_THREADS says, or else the CPU affinity */
void mg_threads_init(void); /* once, before the first parallel-for */

#endif
