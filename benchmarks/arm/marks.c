/* A plugin for QEMU's user mode (7.2, plugin interface 1) that counts the guest's instructions
 * between marks. A mark is the system call getppid, which nothing else of ours makes: os.getppid()
 * in Python. Each mark appends one line to the file named by the argument out=:
 *
 *     INSTRUCTIONS SIMD LOADS_AND_STORES
 *
 * executed since the mark before. Debian ships the interface without its header, so the few names
 * in use are declared here. The counters are not atomic: the guest must run on one thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum inline_operation { ADD_U64 };

typedef void (*translate_callback)(plugin_id, struct qemu_plugin_tb *);
typedef void (*syscall_callback)(plugin_id, unsigned cpu, int64_t number, uint64_t, uint64_t,
                                 uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translate_callback);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, syscall_callback);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum inline_operation,
                                                     void *counter, uint64_t amount);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

enum { ALL, SIMD, MEMORY, KINDS };
enum { AARCH64_GETPPID = 173 };

static uint64_t executed[KINDS], at_last_mark[KINDS];
static FILE *out;

/* Bits 25 to 28 of an A64 instruction name its group: x111 is floating point and SIMD arithmetic,
 * x1x0 loads and stores of either kind of register. */
static bool is_simd(uint32_t word) { return (word >> 25 & 7) == 7; }
static bool is_memory(uint32_t word) { return (word >> 25 & 5) == 4; }

/* Once a block is translated, its counts are known: adding them costs the run almost nothing. */
static void on_translate(plugin_id id, struct qemu_plugin_tb *block) {
    (void)id;
    uint64_t counts[KINDS] = {qemu_plugin_tb_n_insns(block), 0, 0};
    for (size_t i = 0; i < counts[ALL]; i++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof word);
        counts[SIMD] += is_simd(word);
        counts[MEMORY] += is_memory(word);
    }
    for (int kind = 0; kind < KINDS; kind++)
        if (counts[kind])
            qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed[kind], counts[kind]);
}

static void on_syscall(plugin_id id, unsigned cpu, int64_t number, uint64_t a, uint64_t b,
                       uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != AARCH64_GETPPID)
        return;
    for (int kind = 0; kind < KINDS; kind++)
        fprintf(out, "%llu%c", (unsigned long long)(executed[kind] - at_last_mark[kind]),
                kind == KINDS - 1 ? '\n' : ' ');
    fflush(out);
    memcpy(at_last_mark, executed, sizeof executed);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) || !(out = fopen(argv[0] + 4, "w"))) {
        fprintf(stderr, "marks: give out=FILE, a file that can be written\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
