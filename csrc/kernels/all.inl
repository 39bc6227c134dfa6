/* Every body, for the REAL and the vector width at hand. */
#include "simd/vec.inl"
#include "simd/tile.inl"

ROOM(no)
{
    (void)s, (void)n, (void)threads;
    return 0;
}

#include "matmul.inl"
#include "sum_rows.inl"
#include "relu.inl"
#include "conv2d.inl"
#include "argmax.inl"
#include "max_pool2d.inl"
#include "conv2d_few.inl"
#include "winograd.inl"
#include "conv2d_pool.inl"
#include "adam.inl"
#ifdef PROGRAM
#include "program/feed.inl"
#include "program/dense.inl"
#include "program/functions.inl"
#include "program/elementwise.inl"
#include "program/softmax.inl"
#include "program/sgd.inl"
#endif
#undef NONE
#undef FIRST
#undef ALIGNED
#undef ODD_LINES
#undef CHUNKS
#undef CHUNKS_SIZE
#undef VEC
#undef LANES
#undef SPLAT
#undef SHUFFLE
#undef LOAD
#undef STORE
#undef GREATER
#undef UNORDERED
#undef EQUAL
