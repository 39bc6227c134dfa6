#include "threads.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#endif

static int forked = 0;

#ifndef _WIN32
static void in_child(void) { forked = 1; }
#endif

void mg_threads_init(void)
{
#ifndef _WIN32
    static int done = 0;
    if (!done) {
        done = 1;
        pthread_atfork(NULL, NULL, in_child);
    }
#endif
}

void mg_parallel_for(ptrdiff_t tasks, int threads, mg_task task, const void *context)
{
#ifdef _OPENMP
    if (threads > tasks)
        threads = (int)tasks;
    if (threads > 1 && !forked) {
        /* dynamic: one core of a shared machine is often slower than its neighbour */
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
        for (ptrdiff_t i = 0; i < tasks; i++)
            task(context, i, omp_get_thread_num());
        return;
    }
#else
    (void)threads;
#endif
    for (ptrdiff_t i = 0; i < tasks; i++)
        task(context, i, 0);
}

int mg_threads_worth(double operations, int threads)
{
    return operations < 200000.0 || forked ? 1 : threads;
}

int mg_has_openmp(void)
{
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

int mg_max_threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}
