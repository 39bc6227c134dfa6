/* x86-64 with AVX2 and FMA: 32-byte vectors, 16 registers. */
#include "isa.h"
#ifdef MG_X86
#define MG_NAME avx2
#define MG_VBYTES 32
#define MG_REGISTERS 16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#include "bodies.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
