/* AArch64: the baseline's 16-byte vectors, but 32 registers and fused multiply-add. */
#include "isa.h"
#ifdef MG_ARM64
#define MG_NAME neon
#define MG_VBYTES 16
#define MG_REGISTERS 32
#include "bodies.h"
#endif
