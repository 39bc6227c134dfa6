/* Every kernel body, for the REAL and the vector width at hand. */
#include "vec.inl"
#include "tile.inl"
#include "matmul.inl"
#include "conv2d.inl"
#include "max_pool2d.inl"
#include "winograd.inl"
#include "conv2d_pool.inl"
#include "relu.inl"
#include "adam.inl"
#ifdef PROGRAM
#include "program.inl"
#endif
#undef ALIGNED
#undef ODD_LINES
#undef CHUNKS
#undef CHUNKS_SIZE
#undef VEC
#undef LANES
#undef SPLAT
#undef LOAD
#undef STORE
#undef GREATER
#undef UNORDERED
#undef EQUAL
