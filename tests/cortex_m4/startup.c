/* A Cortex-M4 without an operating system, as QEMU's machine mps2-an386 is one: it starts and
   predicts a picture. With COUNT it runs the self-test, counts a prediction's instructions with
   SysTick, says so over semihosting, and ends.

   With "-icount shift=0" an instruction takes a nanosecond of the machine's time; a tick of its
   25 MHz clock is 40 of them. */
#include HEADER

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define NAME(what) PASTE(PREFIX, what)

extern uint32_t stack_top;
int main(void);
void start(void);
void start(void)
{
    extern uint32_t bss_start, bss_end;
    for (uint32_t *word = &bss_start; word < &bss_end; word++)
        *word = 0;
    *(volatile uint32_t *)0xE000ED88 |= 0xF00000; /* CPACR: the FPU */
    main();
}
__attribute__((section(".vectors"), used)) const uintptr_t vectors[2] = {
    (uintptr_t)&stack_top, (uintptr_t)start};

static NAME(_scratch) scratch;
static float probabilities[16];

#ifdef COUNT
static void host(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void say(const char *text, uint32_t number)
{
    char line[64];
    char *end = line + sizeof line - 1;
    *end = 0;
    *--end = '\n';
    do
        *--end = (char)('0' + number % 10);
    while (number /= 10);
    host(4, text);
    host(4, end);
}

int main(void)
{
    volatile uint32_t *systick = (volatile uint32_t *)0xE000E010; /* control, reload, value */
    say("wrong ", (uint32_t)NAME(_self_test)(&scratch));
    systick[1] = 0xFFFFFF;
    systick[2] = 0;
    systick[0] = 5;
    while (systick[2] == 0) { /* it starts a tick later */
    }
    const uint32_t before = systick[2];
    NAME(_predict)(NAME(_test_pictures), probabilities, &scratch);
    const uint32_t after = systick[2];
    say("instructions ", (before - after) * 40);
    host(0x18, (const void *)0x20026); /* the application ended */
    for (;;) {
    }
}
#else
static uint8_t picture[PICTURE_BYTES];

int main(void)
{
    return NAME(_predict)(picture, probabilities, &scratch);
}
#endif
