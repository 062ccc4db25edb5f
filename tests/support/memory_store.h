/* A store in memory, by the public interface. */
#ifndef RATOON_TESTS_MEMORY_STORE_H
#define RATOON_TESTS_MEMORY_STORE_H

#include <ratoon.h>

/* Fails the test, with the error's message, where a call did not succeed. */
void support_must(ratoon_status status, const ratoon_error *error);
/* An empty one; ratoon_store_close(). */
ratoon_store *support_memory_store(void);

#endif
