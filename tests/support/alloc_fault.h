/* Memory that runs out where a test says. A program that uses this is linked with the --wrap
 * options in cmake/tests.cmake: what our own objects ask malloc() and its kin for goes through
 * here, what other libraries ask for doesn't. */
#ifndef RATOON_TESTS_ALLOC_FAULT_H
#define RATOON_TESTS_ALLOC_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The n-th allocation of this thread from now on fails (from 1; 0: none), and with `persistent` all
 * behind it. */
void alloc_fault_arm(uint64_t n, bool persistent);
/* The same of all other threads together, and not of this one. */
void alloc_fault_arm_others(uint64_t n, bool persistent);
/* No more. Gives how many allocations there were, and in *failed how many of them failed. */
uint64_t alloc_fault_disarm(uint64_t *failed);

/* A moment, for: how many blocks that our objects made since are still held. */
uint64_t alloc_fault_mark(void);
size_t alloc_fault_held_since(uint64_t mark);
/* Writes where each was made (for addr2line -e PROGRAM) to standard error. */
void alloc_fault_print_since(uint64_t mark);

#endif
