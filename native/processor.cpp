#include "processor.hpp"

#if defined(__x86_64__)
#include <cpuid.h>

namespace lenet {

ProcessorRegisters processor_registers() {
    ProcessorRegisters r;
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) r.leaf7_ebx = ebx;
    if (__get_cpuid(0x80000001u, &eax, &ebx, &ecx, &edx)) r.extended1_ecx = ecx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) r.leaf1_ecx = ecx;
    if (r.leaf1_ecx >> 27 & 1) {  // else there is no xgetbv
        __asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
        r.xcr0 = std::uint64_t(edx) << 32 | eax;
    }
    return r;
}

}  // namespace lenet
#endif
