/* A thread that is late (slow.c). */
#ifndef RATOON_TESTS_PRELOAD_SLOW_H
#define RATOON_TESTS_PRELOAD_SLOW_H

/* From now on: how late, 0 for not at all. */
void slow_set(unsigned ms);
/* How many are being late; and how many times others than the first thread have looked at a disk's
 * room since it was set. */
unsigned slow_waiting(void);
unsigned slow_looks(void);
/* The calling thread looks at a disk's room. */
void slow_look(void);

#endif
