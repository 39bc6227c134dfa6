/* A parallel-for, and nothing else: OpenMP where the build found it, a plain loop where not. */
#ifndef MG_THREADS_H
#define MG_THREADS_H
#include <stddef.h>

/* One piece of work. `thread` is below the number of threads asked for and tells tasks that run
   at the same time apart, so that each can have its own scratch. */
typedef void (*mg_task)(const void *context, ptrdiff_t index, int thread);

/* for i < tasks: task(context, i, thread), in any order, on up to `threads` threads.
   A forked child runs it serially: the OpenMP runtime's threads did not come along. */
void mg_parallel_for(ptrdiff_t tasks, int threads, mg_task task, const void *context);

/* How many threads work that needs `operations` multiply-adds is worth: 1 when starting a team
   would cost more than it saves. Never changes a result, only who computes it. */
int mg_threads_worth(double operations, int threads);

int mg_has_openmp(void);
int mg_max_threads(void);    /* what OMP_NUM_THREADS and the CPU affinity allow */
void mg_threads_init(void);  /* once, before the first parallel-for */

#endif
