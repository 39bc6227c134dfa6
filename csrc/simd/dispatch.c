#include "mg.h"
#include "isa.h"

extern const mg_isa mg_isa_baseline, mg_isa_avx2, mg_isa_avx512, mg_isa_neon;

#ifdef MG_X86
/* __builtin_cpu_supports also asks the operating system whether it saves the wide registers */
static int runs_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static int runs_avx512(void)
{
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

const mg_isa *mg_isa_at(int index)
{
    const mg_isa *runs[4];
    int count = 0;
#ifdef MG_X86
    __builtin_cpu_init();
    if (runs_avx512())
        runs[count++] = &mg_isa_avx512;
    if (runs_avx2())
        runs[count++] = &mg_isa_avx2;
#elif defined(MG_ARM64)
    runs[count++] = &mg_isa_neon;
#endif
    runs[count++] = &mg_isa_baseline;
    return index >= 0 && index < count ? runs[index] : NULL;
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *mg_compiler(void)
{
#if defined(__clang__)
    return "clang " TEXT(__clang_major__) "." TEXT(__clang_minor__) "." TEXT(__clang_patchlevel__);
#elif defined(__GNUC__)
    return "gcc " TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__) "." TEXT(__GNUC_PATCHLEVEL__);
#elif defined(_MSC_VER)
    return "msvc " TEXT(_MSC_VER);
#else
    return "unknown C compiler";
#endif
}
