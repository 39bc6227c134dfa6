/* What the compiler and the target offer; shared by dispatch.c and the isa_*.c files. */
#ifndef MG_ISA_H
#define MG_ISA_H

#if defined(__GNUC__) || defined(__clang__)
#define MG_VECTORS 1
#if defined(__x86_64__)
#define MG_X86 1
#elif defined(__aarch64__)
#define MG_ARM64 1
#endif
#endif

#endif
