// What an x86-64 processor computes, by the levels that compilers know: x86-64-v2, v3 and v4.
//
// Compilers have a function for this, __builtin_cpu_supports, but with clang-cl it does not link.
#pragma once

#include <cstdint>

namespace lenet {

// The registers that say it, as `cpuid` and `xgetbv` fill them.
struct ProcessorRegisters {
    std::uint32_t leaf1_ecx = 0, leaf7_ebx = 0, extended1_ecx = 0;
    std::uint64_t xcr0 = 0;  // the registers that the system saves for each program
};

// The highest level, 1 … 4. The bits of each are those of the x86-64 psABI, section 3.1.1.
// macOS saves the AVX-512 registers of a program from the moment when it first uses them, so that
// xcr0 does not show them before: `saves_when_used` says to trust in that.
constexpr int x86_64_level(const ProcessorRegisters& r, bool saves_when_used) {
    const auto has = [](auto value, auto... bits) { return (... && (value >> bits & 1)); };
    // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF
    if (!has(r.leaf1_ecx, 0, 9, 13, 19, 20, 23) || !has(r.extended1_ecx, 0)) return 1;
    // FMA, MOVBE, XSAVE in use, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; xmm and ymm saved
    if (!has(r.leaf1_ecx, 12, 22, 27, 28, 29) || !has(r.leaf7_ebx, 3, 5, 8) ||
        !has(r.extended1_ecx, 5) || !has(r.xcr0, 1, 2))
        return 2;
    // AVX-512 F, DQ, CD, BW, VL; the masks and zmm saved
    if (!has(r.leaf7_ebx, 16, 17, 28, 30, 31) || !(saves_when_used || has(r.xcr0, 5, 6, 7)))
        return 3;
    return 4;
}

#if defined(__x86_64__)
ProcessorRegisters processor_registers();  // of this processor
#endif

}  // namespace lenet
