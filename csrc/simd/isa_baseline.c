/* What every CPU of the architecture has: 16-byte vectors (SSE2, NEON, ...); plain C, one number
   at a time, where the compiler has no vector extensions. */
#define MG_NAME baseline
#include "isa.h"
#ifdef MG_VECTORS
#define MG_VBYTES 16
#else
#define MG_VBYTES 0
#endif
#define MG_REGISTERS 16
#include "bodies.h"
