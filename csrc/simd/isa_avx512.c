/* x86-64 with AVX-512 F, BW, DQ and VL: 64-byte vectors, 32 registers. */
#include "isa.h"
#ifdef MG_X86
#define MG_NAME avx512
#define MG_VBYTES 64
#define MG_REGISTERS 32
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#endif
#include <immintrin.h>
#ifndef MG_SANITIZE /* sanitizers do not see what masked instructions touch */
#define MG_MASKS 1 /* vec.inl: part of a vector is loaded and stored by one instruction */
#endif
#include "bodies.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
