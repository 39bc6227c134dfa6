/* A pool of threads that sleep when there is nothing to do. Whoever calls mg_parallel_for takes
   tasks like everybody else, and at the end waits only for those who have begun one: a worker that
   the system does not let run holds nobody up.

   Each thread begins with a share of its own, the same one whenever there are as many tasks: what
   it wrote in one job is then still in its core's cache when the next job reads it. Who is through
   with its share goes on with what is left of the others'. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "threads.h"

#if !defined(_WIN32) && !defined(__STDC_NO_ATOMICS__)
#define POOL 1
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#else
#define POOL 0
#endif

static void serially(ptrdiff_t tasks, mg_task task, const void *context)
{
    for (ptrdiff_t i = 0; i < tasks; i++)
        task(context, i, 0);
}

#if POOL
#define MOST_WORKERS 255
#define SPINS 3000 /* looks at the gate before a worker lies down: some 50 microseconds */

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() ((void)0)
#endif

/* The gate: a number that grows with each job, and below it whether the job is open and how many
   workers are inside. A worker enters by adding one while it is open, so that after closing it and
   seeing nobody inside, the caller owns the job's fields again. */
#define INSIDE UINT64_C(0xffff)
#define OPEN UINT64_C(0x10000)
#define NEXT_JOB UINT64_C(0x20000)

static _Atomic uint64_t gate;
static atomic_flag busy = ATOMIC_FLAG_INIT; /* one job at a time: who finds it set works alone */
static struct {
    mg_task task;
    const void *context;
    int threads;
} job;
static struct share { /* in a cache line of its own */
    _Alignas(64) _Atomic ptrdiff_t next;
    ptrdiff_t end;
} shares[MOST_WORKERS + 1];

static int workers; /* started so far; the one who set `busy` may start more */
static _Atomic int asleep;
static pthread_mutex_t bed = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell = PTHREAD_COND_INITIALIZER;

static void take_tasks(int thread)
{
    for (int k = 0; k < job.threads; k++) {
        struct share *s = &shares[(thread + k) % job.threads];
        while (atomic_load_explicit(&s->next, memory_order_relaxed) < s->end) {
            const ptrdiff_t i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
            if (i < s->end)
                job.task(job.context, i, thread);
        }
    }
}

static int anything_new(uint64_t seen)
{
    const uint64_t now = atomic_load(&gate);
    return (now & OPEN) && now / NEXT_JOB != seen;
}

static void *work(void *argument)
{
    const int thread = (int)(intptr_t)argument;
    uint64_t seen = 0; /* the number of the last job taken part in; the first one is 1 */
    for (;;) {
        for (int i = 0; i < SPINS && !anything_new(seen); i++)
            PAUSE();
        if (!anything_new(seen)) {
            pthread_mutex_lock(&bed);
            atomic_fetch_add(&asleep, 1);
            while (!anything_new(seen))
                pthread_cond_wait(&bell, &bed);
            atomic_fetch_sub(&asleep, 1);
            pthread_mutex_unlock(&bed);
        }
        uint64_t now = atomic_load(&gate);
        while (now & OPEN) /* a failed exchange sees anew */
            if (atomic_compare_exchange_weak(&gate, &now, now + 1)) {
                if (thread < job.threads)
                    take_tasks(thread);
                seen = now / NEXT_JOB;
                atomic_fetch_sub(&gate, 1);
                break;
            }
    }
    return NULL;
}

static void start_workers(int wanted)
{
    sigset_t all, before;
    pthread_attr_t detached;
    if (workers >= wanted || pthread_attr_init(&detached))
        return;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all); /* signals are the other threads' business */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (workers < wanted) {
        pthread_t thread;
        if (pthread_create(&thread, &detached, work, (void *)(intptr_t)(workers + 1)))
            break; /* the system has no more: do with these */
        workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
}

/* A forked child has none of the workers: it starts with an empty pool of its own. */
static void in_child(void)
{
    atomic_store(&gate, 0);
    atomic_store(&asleep, 0);
    atomic_flag_clear(&busy);
    workers = 0;
    pthread_mutex_init(&bed, NULL);
    pthread_cond_init(&bell, NULL);
}

void mg_threads_init(void)
{
    static int done = 0;
    if (!done) {
        done = 1;
        pthread_atfork(NULL, NULL, in_child);
    }
}

void mg_parallel_for(ptrdiff_t tasks, int threads, mg_task task, const void *context)
{
    if (threads > tasks)
        threads = (int)tasks;
    if (threads > MOST_WORKERS + 1)
        threads = MOST_WORKERS + 1;
    if (threads <= 1 || atomic_flag_test_and_set(&busy)) {
        serially(tasks, task, context);
        return;
    }
    start_workers(threads - 1);
    job.task = task, job.context = context, job.threads = threads;
    for (int k = 0; k < threads; k++) {
        shares[k].end = (k + 1) * tasks / threads;
        atomic_store_explicit(&shares[k].next, k * tasks / threads, memory_order_relaxed);
    }
    atomic_fetch_add(&gate, NEXT_JOB + OPEN);
    if (atomic_load(&asleep)) { /* a worker counts itself before it looks at the gate again */
        pthread_mutex_lock(&bed);
        pthread_cond_broadcast(&bell);
        pthread_mutex_unlock(&bed);
    }
    take_tasks(0);
    atomic_fetch_sub(&gate, OPEN);
    for (int i = 0; atomic_load(&gate) & INSIDE; i++)
        if (i < SPINS)
            PAUSE();
        else
            sched_yield();
    atomic_flag_clear(&busy);
}

int mg_max_threads(void)
{
    const char *said = getenv("OMP_NUM_THREADS"); /* "4", or "4,2" for nested loops */
    const long wanted = said ? strtol(said, NULL, 10) : 0;
    long cpus = 0;
#ifdef __linux__
    cpu_set_t allowed;
    if (!sched_getaffinity(0, sizeof allowed, &allowed))
        cpus = CPU_COUNT(&allowed);
#endif
    if (cpus < 1)
        cpus = sysconf(_SC_NPROCESSORS_ONLN);
    cpus = wanted > 0 ? wanted : cpus;
    return cpus < 1 ? 1 : cpus > MOST_WORKERS + 1 ? MOST_WORKERS + 1 : (int)cpus;
}

#else

void mg_threads_init(void) {}

void mg_parallel_for(ptrdiff_t tasks, int threads, mg_task task, const void *context)
{
    (void)threads;
    serially(tasks, task, context);
}

int mg_max_threads(void) { return 1; }
#endif

int mg_threads_worth(double operations, int threads) { return operations < 100000.0 ? 1 : threads; }
